package keystore

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrDestroyed is returned by a Locked whose content was wiped.
var ErrDestroyed = errors.New("the secret was wiped from memory")

// Locked holds secret bytes in pages of their own that are never swapped out, left out of core dumps, and wiped by
// Destroy. Its formatting never shows the content.
type Locked struct {
	mu   sync.RWMutex // guards page; Destroy waits for every Use
	page []byte
	size int
}

// NewLocked copies secret into locked memory and wipes secret.
func NewLocked(secret []byte) (*Locked, error) {
	defer clear(secret)
	n := (len(secret)/os.Getpagesize() + 1) * os.Getpagesize()
	page, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("map memory for a secret: %w", err)
	}
	l := &Locked{page: page, size: len(secret)}
	if err := unix.Mlock(page); err != nil {
		l.Destroy()
		return nil, fmt.Errorf("lock memory for a secret (raise the limit: ulimit -l, LimitMEMLOCK): %w", err)
	}
	if err := dontDump(page); err != nil {
		l.Destroy()
		return nil, fmt.Errorf("keep a secret out of core dumps: %w", err)
	}
	copy(page, secret)
	return l, nil
}

// Use calls fn with the secret. fn must neither keep nor change it; what it copies it must wipe.
func (l *Locked) Use(fn func(secret []byte) error) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.page == nil {
		return ErrDestroyed
	}
	return fn(l.page[:l.size:l.size])
}

// Destroy wipes and frees the memory, once nobody uses it.
func (l *Locked) Destroy() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.page == nil {
		return
	}
	clear(l.page)
	_ = unix.Munmap(l.page) // unlocks; a wiped page that stays mapped harms nobody
	l.page = nil
}

// String is a fixed text.
func (*Locked) String() string { return "(secret)" }

// GoString is a fixed text.
func (*Locked) GoString() string { return "(secret)" }
