package keyfolder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/signer"
)

// Errors of a folder.
var (
	// ErrOpenToOthers means that group or others may read or write what holds keys.
	ErrOpenToOthers = errors.New("open to other users")
	// ErrRemoved means that the key was removed and must not come back.
	ErrRemoved = errors.New("the key was removed from this folder")
	// ErrExists means that the folder holds the key already.
	ErrExists = errors.New("the folder holds the key already")
)

// MaxKeys is how many files of a folder are read.
const MaxKeys = 1024

const (
	keystoreExt  = ".json"
	tombstoneExt = ".removed"
)

// Dir is a folder of keystores: every regular file *.json.
type Dir struct{ path string }

// Entry is one keystore of a folder.
type Entry struct {
	Path     string
	Keystore *keystore.Keystore
}

// FileError is what is wrong with one file or the folder, with what to do about it.
type FileError struct {
	Path string
	Hint string
	Err  error
}

// Error names the file and the fault.
func (e *FileError) Error() string { return fmt.Sprintf("%s: %s", e.Path, e.Err) }

// Unwrap is the fault.
func (e *FileError) Unwrap() error { return e.Err }

// OpenDir checks that path is a folder that only its owner can enter. Its errors are a *FileError.
func OpenDir(path string) (*Dir, error) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, &FileError{path, fmt.Sprintf("make it: mkdir -p -m 700 %s; `alys keys new` makes it with a first key", path), err}
	case err != nil:
		return nil, &FileError{path, "check the rights of the folders above it", err}
	case !st.IsDir():
		return nil, &FileError{path, "name the folder that holds the keystores, not a file", errors.New("is not a folder")}
	case st.Mode().Perm()&0o077 != 0:
		return nil, &FileError{
			path, "close it: chmod 700 " + path,
			fmt.Errorf("mode %04o: %w", st.Mode().Perm(), ErrOpenToOthers),
		}
	}
	return &Dir{path}, nil
}

// MakeDir makes the folder, closed to others, and what is missing above it, durably: a key that is saved there is not lost
// with its folder. A folder that exists is left as it is. Its errors are a *FileError.
func MakeDir(path string) error {
	parent := filepath.Dir(path)
	if _, err := os.Stat(parent); errors.Is(err, os.ErrNotExist) && parent != path {
		if err := MakeDir(parent); err != nil {
			return err
		}
	}
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err == nil {
		err = syncDir(parent)
	}
	if err != nil {
		return &FileError{path, "make it (mkdir -p -m 700 " + path + "), or name another folder", err}
	}
	return nil
}

// List reads every keystore, in the order of file names. What cannot be used is in the second result, each a
// *FileError; a removed key whose file came back is one of these.
func (d *Dir) List() ([]Entry, []error) {
	names, err := os.ReadDir(d.path)
	if err != nil {
		return nil, []error{&FileError{d.path, "check the rights of the folder", err}}
	}
	var entries []Entry
	var faults []error
	seen := map[signer.KeyID]string{}
	for _, n := range names {
		if n.IsDir() || strings.HasPrefix(n.Name(), ".") || filepath.Ext(n.Name()) != keystoreExt {
			continue
		}
		if len(entries)+len(faults) == MaxKeys {
			return entries, append(faults, &FileError{d.path, "use several folders", fmt.Errorf("more than %d files", MaxKeys)})
		}
		path := filepath.Join(d.path, n.Name())
		k, err := d.read(path)
		if err == nil && seen[k.ID()] != "" {
			err = &FileError{path, "remove one of the two files", fmt.Errorf("the same key as in %s", seen[k.ID()])}
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		seen[k.ID()] = path
		entries = append(entries, Entry{path, k})
	}
	return entries, faults
}

func (d *Dir) read(path string) (*keystore.Keystore, error) {
	b, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	k, err := keystore.Parse(b)
	if err != nil {
		return nil, &FileError{path, "restore the file from its backup, or move it out of the folder", err}
	}
	if err := d.Removed(k.ID()); err != nil {
		return nil, &FileError{path, "a removed key never loads again: move the file out of the folder", err}
	}
	return k, nil
}

// readPrivate reads a regular file that only its owner may read.
func readPrivate(path string) ([]byte, error) {
	b, mode, err := readRegular(path)
	if err != nil {
		return nil, err
	}
	if perm := mode.Perm(); perm&0o077 != 0 {
		return nil, &FileError{path, "close it: chmod 600 " + path, fmt.Errorf("mode %04o: %w", perm, ErrOpenToOthers)}
	}
	return b, nil
}

// readRegular reads a regular file up to one byte more than a keystore may have. The mode is asked of the open file.
// Opening does not wait, or a named pipe in the folder would stop the signer.
func readRegular(path string) ([]byte, os.FileMode, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, &FileError{path, "it must be readable for the user that runs the node: chown, then chmod 600 " + path, err}
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return nil, 0, &FileError{path, "check the file", err}
	}
	if !st.Mode().IsRegular() {
		return nil, 0, &FileError{path, "move it out of the folder", errors.New("is not a regular file")}
	}
	b, err := io.ReadAll(io.LimitReader(f, keystore.MaxSize+1))
	if err != nil {
		return nil, 0, &FileError{path, "check the disk", err}
	}
	return b, st.Mode(), nil
}

// Save writes a keystore, mode 0600, and returns when it is durable. ErrRemoved and ErrExists as they say.
func (d *Dir) Save(k *keystore.Keystore) (path string, err error) {
	if err := d.Removed(k.ID()); err != nil {
		return "", fmt.Errorf("save %s: %w", k.ID(), err)
	}
	entries, _ := d.List()
	for _, e := range entries {
		if e.Keystore.ID() == k.ID() {
			return "", fmt.Errorf("save %s: %w: %s", k.ID(), ErrExists, e.Path)
		}
	}
	b, err := k.Encode()
	if err != nil {
		return "", err
	}
	path = filepath.Join(d.path, fileName(k.ID())+keystoreExt)
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) { // one that List could not read may still be the only copy
		return "", fmt.Errorf("save %s: %w: %s", k.ID(), errors.Join(ErrExists, err), path)
	}
	return path, writeDurable(path, b)
}

// tombstone is what a removed key leaves behind.
type tombstone struct {
	Key       signer.KeyID `json:"key"`
	RemovedAt time.Time    `json:"removed_at"`
}

// Removed is nil, or ErrRemoved when the key has a tombstone. Any doubt is an error.
func (d *Dir) Removed(id signer.KeyID) error {
	_, err := os.Lstat(filepath.Join(d.path, fileName(id)+tombstoneExt))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look for a tombstone of %s: %w", id, err)
	}
	return ErrRemoved
}

// Remove writes a tombstone, durably, then deletes every file of the key and reads the folder again to see that none is
// left. After an error the removal is not complete, but once the tombstone stands the key never loads again. Deleting
// a file proves nothing about the disk under it: destroy the password too.
func (d *Dir) Remove(id signer.KeyID, at time.Time) error {
	b, err := json.Marshal(tombstone{id, at.UTC()})
	if err != nil {
		return fmt.Errorf("encode tombstone: %w", err)
	}
	if err := writeDurable(filepath.Join(d.path, fileName(id)+tombstoneExt), append(b, '\n')); err != nil {
		return fmt.Errorf("remove %s: nothing was changed: %w", id, err)
	}
	paths, err := d.filesOf(id)
	if err != nil {
		return fmt.Errorf("remove %s: removal incomplete: %w", id, err)
	}
	for _, p := range paths {
		if err := os.Remove(p); err != nil {
			return fmt.Errorf("remove %s: removal incomplete: %w", id, err)
		}
	}
	if err := syncDir(d.path); err != nil {
		return fmt.Errorf("remove %s: removal incomplete: %w", id, err)
	}
	if left, err := d.filesOf(id); err != nil || len(left) > 0 {
		return fmt.Errorf("remove %s: removal incomplete: %v is left: %w", id, left, errors.Join(err, ErrExists))
	}
	return nil
}

// filesOf finds every file that holds a key, whatever its name and mode.
func (d *Dir) filesOf(id signer.KeyID) ([]string, error) {
	names, err := filepath.Glob(filepath.Join(globEscape(d.path), "*"+keystoreExt))
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, p := range names {
		b, _, err := readRegular(p)
		if err != nil {
			return nil, err
		}
		if k, err := keystore.Parse(b); err == nil && k.ID() == id {
			paths = append(paths, p)
		}
	}
	return paths, nil
}

func globEscape(p string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(p)
}

// fileName is the stem of a key's own files: "bls-ab12…", "secp256k1-02…".
func fileName(id signer.KeyID) string {
	return strings.NewReplacer(":0x", "-", ":", "-").Replace(string(id))
}

// writeDurable makes or replaces a file of mode 0600: a reader after a crash sees the old file or the whole new one.
func writeDurable(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*"+keystoreExt) // mode 0600; Remove finds what a crash left
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone after the rename
	_, err = io.Copy(f, bytes.NewReader(b))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
