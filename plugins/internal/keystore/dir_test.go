package keystore_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/alys-node/alys/plugins/internal/keystore"
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

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func openDir(t *testing.T, path string) *keystore.Dir {
	t.Helper()
	d, err := keystore.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOpenDirRefusesAFolderThatIsNotPrivate(t *testing.T) {
	path, file := folder(t)
	var f *keystore.FileError
	for _, mode := range []os.FileMode{0o750, 0o705, 0o710, 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := keystore.OpenDir(path)
		if !errors.Is(err, keystore.ErrOpenToOthers) || !errors.As(err, &f) || f.Hint != "close it: chmod 700 "+path {
			t.Errorf("mode %o: got %v", mode, err)
		}
	}
	if _, err := keystore.OpenDir(file + "x"); !errors.Is(err, os.ErrPermission) && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: got %v", err)
	}
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := keystore.OpenDir(file); err == nil {
		t.Error("a file was opened as a folder")
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
		var fe *keystore.FileError
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
		var f *keystore.FileError
		if len(entries) != 0 || len(faults) != 1 || !errors.Is(faults[0], keystore.ErrOpenToOthers) ||
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
	if _, err := d.Save(k); !errors.Is(err, keystore.ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	if _, err := d.Save(parse(t, readVector(t, "erc2335-scrypt.json"))); !errors.Is(err, keystore.ErrExists) {
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
	if _, err := d.Save(k); !errors.Is(err, keystore.ErrRemoved) {
		t.Errorf("got %v, want ErrRemoved", err)
	}
	write(t, filepath.Join(path, "from-backup.json"), readVector(t, "erc2335-scrypt.json"))
	entries, faults := openDir(t, path).List()
	if len(entries) != 0 || len(faults) != 1 || !errors.Is(faults[0], keystore.ErrRemoved) {
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
	if !errors.Is(d.Removed(k.ID()), keystore.ErrRemoved) {
		t.Error("there is no tombstone")
	}
	if entries, _ := d.List(); len(entries) != 0 {
		t.Errorf("the key is still listed: %v", entries)
	}
}
