package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/alys-node/alys/core/internal/durable"
)

func TestWriteNewReplacesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	if err := durable.WriteNew(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteNew(path, []byte("two")); !errors.Is(err, os.ErrExist) {
		t.Errorf("a name that is taken: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info, err)
	}
	if raw, err := os.ReadFile(path); err != nil || string(raw) != "one" {
		t.Errorf("it holds %q, %v", raw, err)
	}
	if err := durable.SyncDir(filepath.Dir(path)); err != nil {
		t.Error(err)
	}
}

func TestSyncDirOfNoFolder(t *testing.T) {
	if err := durable.SyncDir(filepath.Join(t.TempDir(), "gone")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
