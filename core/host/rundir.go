package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/alys-node/alys/core/host/internal/process"
)

// A unix socket's path has at most 107 bytes on Linux. Below a host's run folder come a folder for the process
// ("/" and up to 8 digits), go-plugin's ("/plugin-dir" and up to 10 digits) and the socket ("/plugin" and up to 10).
const (
	maxSocketPath = 107
	belowRunDir   = 1 + 8 + len("/plugin-dir") + 10 + len("/plugin") + 10
	maxRunDir     = maxSocketPath - belowRunDir
)

// unfinishedAge is how old a run folder without a lock must be before it is taken for a dead host's.
const unfinishedAge = time.Minute

// socketDirEnv is go-plugin's variable for the folder of a plugin's sockets. Each process gets another value, which its
// descendants inherit: that is how strays are found.
const socketDirEnv = "PLUGIN_UNIX_SOCKET_DIR="

// runDir is the folder of one host for sockets. It holds a locked file; a folder whose lock is free is a dead host's.
type runDir struct {
	path string
	lock *os.File
}

// openRunDir makes a run folder below dataDir, or below the temporary folder where that path is too long, and clears
// away what dead hosts left in both places.
func openRunDir(dataDir string) (*runDir, error) {
	near := filepath.Join(dataDir, "run")
	far := filepath.Join(os.TempDir(), "alys-"+strconv.Itoa(os.Getuid()))
	var problems []error
	for _, base := range []string{near, far} {
		if err := ownDir(base); err != nil {
			problems = append(problems, err)
			continue
		}
		clearStale(base)
		if len(base)+len("/r1234567890") > maxRunDir {
			problems = append(problems, fmt.Errorf("%s has %d bytes, at most %d fit", base, len(base), maxRunDir-len("/r1234567890")))
			continue
		}
		return newRunDir(base)
	}
	return nil, &Error{
		Err: ErrSocketPath, Cause: errors.Join(problems...),
		Hint: "set data_dir to a shorter path, or TMPDIR to a short folder of your own",
	}
}

func newRunDir(base string) (*runDir, error) {
	tmp, err := os.MkdirTemp(base, ".r")
	if err != nil {
		return nil, fmt.Errorf("make run folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(tmp, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make run folder: %w", err), os.RemoveAll(tmp))
	}
	path := filepath.Join(base, strings.TrimPrefix(filepath.Base(tmp), "."))
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err = errors.Join(err, os.Rename(tmp, path)); err != nil {
		return nil, errors.Join(fmt.Errorf("lock run folder: %w", err), lock.Close(), os.RemoveAll(tmp))
	}
	return &runDir{path: path, lock: lock}, nil
}

// remove removes the folder with all in it, and gives up the lock.
func (r *runDir) remove() error {
	return errors.Join(os.RemoveAll(r.path), r.lock.Close())
}

// ownDir makes sure that path is a folder that only this user can use. Others may write to the temporary folder, so
// one that somebody else put there is refused.
func ownDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(st.Uid) != os.Getuid() {
		return fmt.Errorf("%s is not a folder of this user", path)
	}
	if info.Mode().Perm() != 0o700 {
		return os.Chmod(path, 0o700) //nolint:gosec // G302: a folder needs its x bit
	}
	return nil
}

// clearStale ends the processes and removes the folders of dead hosts. What cannot be removed now is left for the next.
func clearStale(base string) {
	entries, _ := os.ReadDir(base)
	for _, e := range entries {
		path := filepath.Join(base, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > unfinishedAge {
				_ = os.RemoveAll(path)
			}
			continue
		}
		lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			killStrays(path)
			_ = os.RemoveAll(path)
		}
		_ = lock.Close()
	}
}

// killStrays ends what still runs of the plugins whose folders are below path.
func killStrays(path string) {
	sockets, _ := filepath.Glob(filepath.Join(path, "*", "plugin-dir*"))
	for _, dir := range sockets {
		process.KillByEnv(socketDirEnv + dir)
	}
}
