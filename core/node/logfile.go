package node

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"gopkg.in/natefinch/lumberjack.v2"
)

// OpenLogFile opens a log file that is rotated at maxBytes; keep files are kept, 0 keeps all.
func OpenLogFile(path string, maxBytes int64, keep int) (io.WriteCloser, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make log folder: %w", err)
	}
	// lumberjack opens at the first write: a log that cannot be written is told here, before anything starts.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log file: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open log file: %w", err)
	}
	return &lumberjack.Logger{Filename: path, MaxSize: max(1, int(maxBytes>>20)), MaxBackups: keep}, nil
}
