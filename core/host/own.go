package host

import (
	"os"

	"github.com/alys-node/alys/core/host/internal/process"
)

// OwnMemory is the resident memory of this process in bytes.
func OwnMemory() (uint64, error) {
	u, err := process.UsageOf(os.Getpid())
	return u.RSS, err
}
