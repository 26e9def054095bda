package plugin

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// replaceStdout makes file descriptor 1 the pipe, and returns the output that it was.
func replaceStdout(pipe *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("keep the standard output: %w", err)
	}
	if err := unix.Dup3(int(pipe.Fd()), 1, 0); err != nil {
		return nil, fmt.Errorf("replace the standard output: %w", err)
	}
	return os.NewFile(uintptr(fd), "handshake"), pipe.Close()
}
