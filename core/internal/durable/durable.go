// Package durable makes what was written to a disk survive a power cut.
package durable

import (
	"errors"
	"fmt"
	"os"
)

// SyncDir makes new, renamed and removed names in a folder durable. The files' own content is synced by who writes it.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// WriteNew writes a new file that only its owner can read, and syncs it; os.ErrExist when the name is taken. The name itself
// is durable after SyncDir of the folder.
func WriteNew(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}
