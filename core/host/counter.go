package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/alys-node/alys/core/internal/durable"
)

// counter numbers the generations over the life of the data folder, also when several hosts share it.
type counter struct {
	path string
}

// next gives a number that no generation had before; it is on disk before it is used.
func (c counter) next() (uint64, error) {
	lock, err := os.OpenFile(c.path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return 0, fmt.Errorf("lock generation counter: %w", err)
	}
	defer func() { _ = lock.Close() }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return 0, fmt.Errorf("lock generation counter: %w", err)
	}
	n, err := c.read()
	if err != nil {
		return 0, err
	}
	if err := c.write(n + 1); err != nil {
		return 0, fmt.Errorf("write generation counter: %w", err)
	}
	return n + 1, nil
}

func (c counter) read() (uint64, error) {
	b, err := os.ReadFile(c.path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read generation counter: %w", err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read generation counter %s: %w; write the highest generation ever logged into it", c.path, err)
	}
	return n, nil
}

func (c counter) write(n uint64) error {
	tmp, err := os.CreateTemp(filepath.Dir(c.path), ".generation-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = fmt.Fprintln(tmp, n)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), c.path); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(c.path))
}
