package store

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// Errors of the store.
var (
	// ErrLocked means that another process has the data folder open; the message names its process id.
	ErrLocked = errors.New("another node runs on this folder")
	// ErrOtherChain means that the data folder belongs to a chain with another genesis.
	ErrOtherChain = errors.New("data folder belongs to another chain")
	// ErrNewerSchema means that a later version of alys wrote the folder.
	ErrNewerSchema = errors.New("data folder was written by a newer alys")
	// ErrNoSpace means that the disk is full, or below the reserve. It wraps ENOSPC.
	ErrNoSpace = fmt.Errorf("disk is full: %w", syscall.ENOSPC)
	// ErrCorrupt means that what was read is not what was written; the message names the key.
	ErrCorrupt = errors.New("store is corrupt")
	// ErrNotFound means that the store does not have what was asked for. It wraps fs.ErrNotExist, so that packages
	// that see the store through an interface of their own can tell it.
	ErrNotFound = fmt.Errorf("not in the store: %w", fs.ErrNotExist)
	// ErrTooLarge means that a value is above the limit of its kind.
	ErrTooLarge = errors.New("value is too large for the store")
	// ErrFailed means that an earlier write failed in a way that only a restart can repair.
	ErrFailed = errors.New("store failed, the node must be restarted")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("store is closed")
)
