package keystore

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Harden keeps the process's memory to itself: no core dump, and no other process of the same user may attach.
func Harden() error {
	return errors.Join(
		unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}),
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0),
	)
}
