package keyfolder_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/alys-node/alys/plugins/internal/keyfolder"
	"github.com/alys-node/alys/sdk/keystore"
)

// folder is a closed folder with the PBKDF2 vector in it.
func folder(t *testing.T) (path, file string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "keys [1]*") // a name that a glob would read otherwise
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(path, "keystore-m_12381_60_0_0.json")
	write(t, file, readVector(t, "erc2335-pbkdf2.json"))
	return path, file
}

// readVector reads a vector of ERC-2335, of which the two hold one key.
func readVector(t *testing.T, name string) []byte {
	t.Helper()
	return readFile(t, filepath.Join("..", "..", "..", "sdk", "keystore", "testdata", name))
}

func parse(t *testing.T, b []byte) *keystore.Keystore {
	t.Helper()
	k, err := keystore.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func seal(t *testing.T, scheme keystore.Scheme, secret *keystore.Locked, password string) *keystore.Keystore {
	t.Helper()
	k, err := keystore.Seal(keystore.SealRequest{Scheme: scheme, Secret: secret, Password: []byte(password), Label: "a label"})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func openDir(t *testing.T, path string) *keyfolder.Dir {
	t.Helper()
	d, err := keyfolder.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOpenDirRefusesAFolderThatIsNotPrivate(t *testing.T) {
	path, file := folder(t)
	var f *keyfolder.FileError
	for _, mode := range []os.FileMode{0o750, 0o705, 0o710, 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := keyfolder.OpenDir(path)
		if !errors.Is(err, keyfolder.ErrOpenToOthers) || !errors.As(err, &f) || f.Hint != "close it: chmod 700 "+path {
			t.Errorf("mode %o: got %v", mode, err)
		}
	}
	if _, err := keyfolder.OpenDir(file + "x"); !errors.Is(err, os.ErrPermission) && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: got %v", err)
	}
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := keyfolder.OpenDir(file); err == nil {
		t.Error("a file was opened as a folder")
	}
}

func TestMakeDirIsPrivateAndLeavesWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "keys")
	if err := keyfolder.MakeDir(path); err != nil {
		t.Fatal(err)
	}
	openDir(t, path)
	if err := os.Chmod(path, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := keyfolder.MakeDir(path); err != nil {
		t.Fatal(err)
	}
	if _, err := keyfolder.OpenDir(path); !errors.Is(err, keyfolder.ErrOpenToOthers) { // the operator's own decision stands
		t.Errorf("got %v, want ErrOpenToOthers", err)
	}
	file := filepath.Join(path, "file")
	write(t, file, nil)
	if _, ok := errors.AsType[*keyfolder.FileError](keyfolder.MakeDir(filepath.Join(file, "x", "keys"))); !ok {
		t.Error("a folder was made in a file")
	}
}

func TestListFindsKeystoresAndSaysWhatIsWrong(t *testing.T) {
	path, file := folder(t)
	write(t, filepath.Join(path, "notes.txt"), []byte("not a keystore"))
	write(t, filepath.Join(path, ".hidden.json"), []byte("{}"))
	write(t, filepath.Join(path, "broken.json"), []byte("{"))
	write(t, filepath.Join(path, "twice.json"), readVector(t, "erc2335-scrypt.json")) // the same key as the other vector
	entries, faults := openDir(t, path).List()
	if len(entries) != 1 || entries[0].Path != file {
		t.Errorf("got entries %v", entries)
	}
	if len(faults) != 2 || !errors.Is(faults[0], keystore.ErrFormat) {
		t.Errorf("got faults %v, want the broken file and the double key", faults)
	}
	for _, f := range faults {
		var fe *keyfolder.FileError
		if !errors.As(f, &fe) || fe.Hint == "" || fe.Path == "" {
			t.Errorf("%v has no path or no hint", f)
		}
	}
}

func TestListRefusesAFileThatOthersMayRead(t *testing.T) {
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o666} {
		path, file := folder(t)
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		entries, faults := openDir(t, path).List()
		var f *keyfolder.FileError
		if len(entries) != 0 || len(faults) != 1 || !errors.Is(faults[0], keyfolder.ErrOpenToOthers) ||
			!errors.As(faults[0], &f) || f.Hint != "close it: chmod 600 "+file {
			t.Errorf("mode %o: got %v, %v", mode, entries, faults)
		}
	}
}

func TestSaveIsPrivateAndNeverOverwrites(t *testing.T) {
	path, _ := folder(t)
	d := openDir(t, path)
	secret, err := keystore.Secp256k1.Generate()
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Destroy()
	k := seal(t, keystore.Secp256k1, secret, "password")
	file, err := d.Save(k)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v", st.Mode(), err)
	}
	if _, err := d.Save(k); !errors.Is(err, keyfolder.ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	if _, err := d.Save(parse(t, readVector(t, "erc2335-scrypt.json"))); !errors.Is(err, keyfolder.ErrExists) {
		t.Errorf("a key under another file name: got %v, want ErrExists", err)
	}
	if entries, faults := d.List(); len(entries) != 2 || len(faults) != 0 {
		t.Errorf("got %v, %v", entries, faults)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*", ".tmp-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestRemovedKeyNeverLoadsAgain(t *testing.T) {
	path, file := folder(t)
	d := openDir(t, path)
	k := parse(t, readVector(t, "erc2335-pbkdf2.json"))
	if err := d.Remove(k.ID(), time.Unix(1_700_000_000, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	if _, err := d.Save(k); !errors.Is(err, keyfolder.ErrRemoved) {
		t.Errorf("got %v, want ErrRemoved", err)
	}
	write(t, filepath.Join(path, "from-backup.json"), readVector(t, "erc2335-scrypt.json"))
	entries, faults := openDir(t, path).List()
	if len(entries) != 0 || len(faults) != 1 || !errors.Is(faults[0], keyfolder.ErrRemoved) {
		t.Errorf("a file of the removed key: got %v, %v", entries, faults)
	}
}

func TestRemovalThatCannotFinishSaysSoAndTheKeyStaysOut(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("root ignores the folder's mode; a folder in place of the file stands in for a file that cannot be deleted")
	}
	path, _ := folder(t)
	d := openDir(t, path)
	k := parse(t, readVector(t, "erc2335-pbkdf2.json"))
	blocked := filepath.Join(path, "unreadable.json")
	if err := os.Mkdir(blocked, 0o700); err != nil { // reading it fails, so nobody can say what is in it
		t.Fatal(err)
	}
	if err := d.Remove(k.ID(), time.Unix(1, 0)); err == nil {
		t.Fatal("the removal said done")
	}
	if !errors.Is(d.Removed(k.ID()), keyfolder.ErrRemoved) {
		t.Error("there is no tombstone")
	}
	if entries, _ := d.List(); len(entries) != 0 {
		t.Errorf("the key is still listed: %v", entries)
	}
}

// TestNamedPipeDoesNotStopTheSigner has a pipe that nobody writes to: opening it would wait for ever.
func TestNamedPipeDoesNotStopTheSigner(t *testing.T) {
	path, file := folder(t)
	pipe := filepath.Join(path, "pipe.json")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	d := openDir(t, path)
	entries, faults := d.List()
	if len(entries) != 1 || entries[0].Path != file || len(faults) != 1 {
		t.Errorf("got %v, %v", entries, faults)
	}
	if f, ok := errors.AsType[*keyfolder.FileError](faults[0]); !ok || f.Path != pipe || !strings.Contains(f.Error(), pipe) {
		t.Errorf("got %v, want a fault of the pipe", faults[0])
	}
	if err := d.Remove(entries[0].Keystore.ID(), time.Unix(1, 0)); err == nil { // nobody can say what is in it
		t.Error("the removal said done")
	}
}

func TestSaveSparesAFileThatCannotBeRead(t *testing.T) {
	path, _ := folder(t)
	d := openDir(t, path)
	secret, err := keystore.Secp256k1.Generate()
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Destroy()
	file, err := d.Save(seal(t, keystore.Secp256k1, secret, "first"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o644); err != nil { // so that List finds a fault and no key
		t.Fatal(err)
	}
	before := readFile(t, file)
	if _, err := d.Save(seal(t, keystore.Secp256k1, secret, "second")); !errors.Is(err, keyfolder.ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	if !bytes.Equal(readFile(t, file), before) {
		t.Error("the file was overwritten")
	}
}

func TestRemoveFindsWhatACrashLeft(t *testing.T) {
	path, _ := folder(t)
	left := filepath.Join(path, ".tmp-1234.json") // a save that was cut before its rename
	write(t, left, readVector(t, "erc2335-scrypt.json"))
	d := openDir(t, path)
	entries, faults := d.List()
	if len(entries) != 1 || len(faults) != 0 {
		t.Fatalf("got %v, %v", entries, faults)
	}
	if err := d.Remove(entries[0].Keystore.ID(), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the key is still on disk: %v", err)
	}
}

func TestMoreFilesThanAreReadIsSaid(t *testing.T) {
	path, _ := folder(t)
	for i := range keyfolder.MaxKeys {
		write(t, filepath.Join(path, fmt.Sprintf("a%04d.json", i)), nil)
	}
	_, faults := openDir(t, path).List()
	if n := len(faults); n != keyfolder.MaxKeys+1 || !strings.Contains(faults[n-1].Error(), "more than") {
		t.Errorf("got %d faults, the last %v", n, faults[n-1])
	}
}

func TestFullDiskLeavesNothingBehind(t *testing.T) {
	path, file := folder(t)
	d := openDir(t, path)
	id := parse(t, readFile(t, file)).ID()
	limitFiles(t, 10, func() {
		secret, err := keystore.Secp256k1.Generate()
		if err != nil {
			t.Fatal(err)
		}
		defer secret.Destroy()
		if _, err := d.Save(seal(t, keystore.Secp256k1, secret, "password")); !errors.Is(err, unix.EFBIG) {
			t.Errorf("save: got %v, want the disk's reason", err)
		}
		if err := d.Remove(id, time.Unix(1, 0)); !errors.Is(err, unix.EFBIG) {
			t.Errorf("remove: got %v, want the disk's reason", err)
		}
	})
	names, err := os.ReadDir(path)
	if err != nil || len(names) != 1 {
		t.Errorf("got %v, %v, want the old keystore alone", names, err)
	}
	if entries, faults := d.List(); len(entries) != 1 || len(faults) != 0 {
		t.Errorf("got %v, %v", entries, faults)
	}
}

// limitFiles runs fn while this process's files may have n bytes at most, which meets a write like a full disk.
func limitFiles(t *testing.T, n uint64, fn func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
	}()
	fn()
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
