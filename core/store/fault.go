package store

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// noSpace gives an error of a full disk its name.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) && !errors.Is(err, ErrNoSpace) {
		return fmt.Errorf("%w: %w; free some space and start again", ErrNoSpace, err)
	}
	return err
}

// translate gives an error of the database its name here.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pebble.ErrNotFound):
		return ErrNotFound
	case pebble.IsCorruptionError(err):
		return fmt.Errorf("%w: %w; restore the data folder from a backup, or delete it and sync again", ErrCorrupt, err)
	}
	return noSpace(err)
}

// checkSpace refuses a write of size bytes that would leave less than the reserve. A batch is written to the log first
// and to a table later, hence twice.
func (s *Store) checkSpace(size int) error {
	usage, err := s.opts.fs.GetDiskUsage(s.opts.Dir)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, vfs.ErrUnsupported) {
		return nil // the file system cannot tell; its own error comes when it is full
	}
	if err != nil {
		return fmt.Errorf("read free space of %s: %w", s.opts.Dir, err)
	}
	need := s.opts.MinFree + 2*uint64(size)
	if usage.AvailBytes < need {
		return fmt.Errorf("%s has %d MiB free, %d MiB are kept in reserve: %w; free some space, or choose another node.data_dir", s.opts.Dir, usage.AvailBytes>>20, need>>20, ErrNoSpace)
	}
	return nil
}

// fatal is what dbLogger.Fatalf panics with: the database must not go on, and knows no way to return an error.
type fatal struct{ err error }

// recoverFatal turns the database's panic on a broken disk into an error, and remembers it: no later write may pass,
// because what the database holds in memory and on disk is no longer known to agree.
func (s *Store) recoverFatal(err *error) {
	r := recover()
	if r == nil {
		return
	}
	cause := fmt.Errorf("%v", r)
	switch v := r.(type) {
	case fatal:
		cause = v.err
	case error:
		cause = v
	}
	failed := fmt.Errorf("%w: %w", ErrFailed, noSpace(cause))
	s.failed.CompareAndSwap(nil, &failed)
	s.log.Error("store failed", "error", failed)
	*err = failed
}

// dbLogger passes the database's log on. It is chatty, so all but errors are traces.
type dbLogger struct{ s *Store }

func (l dbLogger) Infof(format string, args ...any) {
	if l.s.log.IsTrace() {
		l.s.log.Trace(fmt.Sprintf(format, args...))
	}
}

func (l dbLogger) Errorf(format string, args ...any) {
	l.s.log.Error(fmt.Sprintf(format, args...))
}

// Fatalf must not return. In a write it ends in recoverFatal; on a goroutine of the database it ends the process, and
// the next start finds every batch that was reported as written.
func (l dbLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf("%s", fmt.Sprintf(format, args...))
	for _, a := range args {
		if cause, ok := a.(error); ok {
			err = fmt.Errorf("database: %w", cause)
		}
	}
	panic(fatal{err})
}
