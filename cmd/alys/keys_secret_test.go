package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestSecretFileIsDurableOrNotThere writes into a folder that takes new files and cannot be opened to sync it.
func TestSecretFileIsDurableOrNotThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "secret")
	if err := writeSecretFile(path, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "secret" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := os.Chmod(dir, 0o300); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Error(err)
		}
	})
	if _, err := os.ReadDir(dir); err == nil {
		t.Skip("root reads every folder")
	}
	path = filepath.Join(dir, "other")
	if err := writeSecretFile(path, []byte("secret")); !errors.Is(err, os.ErrPermission) {
		t.Errorf("got %v, want the folder's refusal", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file stayed: %v", err)
	}
}
