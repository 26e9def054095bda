package local

import (
	"errors"

	"golang.org/x/sys/unix"
)

// harden keeps the process's memory to itself: no core dump, and no other process of the same user may attach.
func harden() error {
	return errors.Join(
		unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}),
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0),
	)
}
