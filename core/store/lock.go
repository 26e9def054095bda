package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lockName is the file in the data folder that the owner holds a lock on. It holds the owner's process id, for people.
const lockName = "alys.lock"

// Lock takes the data folder, made when it is missing, without opening its database: for what must not happen while a
// node runs there. ErrLocked when one does. Close lets it go.
func Lock(dir string) (io.Closer, error) {
	if err := makeFolder(dir); err != nil {
		return nil, noSpace(fmt.Errorf("make data folder: %w", err))
	}
	return lock(dir)
}

// lock takes the data folder, or reports ErrLocked with the holder's process id. The kernel drops the lock with the
// process, however it dies.
func lock(dir string) (io.Closer, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer closeQuietly(f)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		return nil, fmt.Errorf("%s is in use by process %s: %w; stop it, or choose another node.data_dir", dir, holder(f), ErrLocked)
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		defer closeQuietly(f)
		return nil, noSpace(fmt.Errorf("write lock file %s: %w", path, err))
	}
	return held{f}, nil
}

// held is a locked file.
type held struct{ *os.File }

// Close lets the lock go and closes the file. It unlocks by itself, because a child that is just being started holds a
// copy of the descriptor until it runs its program, and with it the lock.
func (h held) Close() error {
	return errors.Join(syscall.Flock(int(h.Fd()), syscall.LOCK_UN), h.File.Close())
}

// holder reads the process id of the lock's owner; "unknown" between its lock and its write.
func holder(f io.ReaderAt) string {
	buf := make([]byte, 20)
	n, err := f.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "unknown"
	}
	pid := strings.TrimSpace(string(buf[:n]))
	if _, err := strconv.ParseUint(pid, 10, 32); err != nil {
		return "unknown"
	}
	return pid
}

// closeQuietly closes what was never written, where a more important error is on its way.
func closeQuietly(c io.Closer) { _ = c.Close() }
