package network

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// Limits of the book.
const (
	maxBookPeers = 1000
	maxBookAddrs = 8
	maxBookBytes = 4 << 20
)

// entry is what is remembered of a peer, for longer than a connection or a process lives.
type entry struct {
	Addrs    []string  `json:"addrs"`
	LastSeen time.Time `json:"last_seen"`         // admitted, for the last time
	Dialled  bool      `json:"dialled,omitempty"` // we have reached it at one of its addresses
	Failures uint32    `json:"failures,omitempty"`
	Refused  string    `json:"refused,omitempty"` // why the last handshake ended in a refusal, by either side
	// RefusedUntil is until when the peer is neither dialled nor let in after a refusal.
	RefusedUntil time.Time `json:"refused_until,omitzero"`
	Refusals     uint32    `json:"refusals,omitempty"` // in a row
	BannedUntil  time.Time `json:"banned_until,omitzero"`
	BanReason    string    `json:"ban_reason,omitempty"`
	Bans         uint32    `json:"bans,omitempty"`

	faults  float64 // points of proven faults, at the time of faulted
	faulted time.Time
	static  bool     // configured: always connected, never forgotten
	boot    bool     // configured: dialled when peers are few, never forgotten
	fixed   []string // addresses of the configuration, never pushed out by what is learned
	next    time.Time
	dialing bool
}

// book is the remembered peers. It is safe for concurrent use.
type book struct {
	path string

	mu      sync.Mutex // guards the rest
	records map[peer.ID]*entry
	dirty   bool
}

// bookFile is the book on disk.
type bookFile struct {
	Version int               `json:"version"`
	Peers   map[string]*entry `json:"peers"` // by peer id
}

// openBook reads the book. One that cannot be read is set aside and reported, and the book begins empty: configured peers
// are enough to start from, and a node must not stay down for want of addresses.
func openBook(path string) (*book, error) {
	b := &book{path: path, records: map[peer.ID]*entry{}}
	if path == "" {
		return b, nil
	}
	f, err := readBook(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return b, fmt.Errorf("peer book %s is set aside as %s.broken: %w", path, path, errors.Join(err, os.Rename(path, path+".broken")))
	}
	for text, r := range f.Peers {
		id, err := peer.Decode(text)
		if err == nil && r != nil && len(b.records) < maxBookPeers {
			b.records[id] = r
		}
	}
	return b, nil
}

func readBook(path string) (bookFile, error) {
	var f bookFile
	info, err := os.Stat(path)
	if err != nil {
		return f, err
	}
	if info.Size() > maxBookBytes {
		return f, fmt.Errorf("%d bytes, limit %d", info.Size(), maxBookBytes)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		return f, err
	}
	if f.Version != 1 {
		return f, fmt.Errorf("version %d, want 1", f.Version)
	}
	return f, nil
}

// save writes the book if it has changed.
func (b *book) save() error {
	b.mu.Lock()
	if !b.dirty || b.path == "" {
		b.mu.Unlock()
		return nil
	}
	b.dirty = false
	f := bookFile{1, make(map[string]*entry, len(b.records))}
	for id, r := range b.records {
		f.Peers[id.String()] = r
	}
	raw, err := json.MarshalIndent(f, "", " ")
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("encode peer book: %w", err)
	}
	if err := replace(b.path, append(raw, '\n')); err != nil {
		b.change(func() {}) // to be tried again
		return fmt.Errorf("write peer book: %w", err)
	}
	return nil
}

// change alters the book under its lock.
func (b *book) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
	b.dirty = true
}

// of is the entry of a peer, made when it is not there. The lock is held.
func (b *book) of(id peer.ID) *entry {
	r := b.records[id]
	if r == nil {
		b.makeRoom()
		r = &entry{}
		b.records[id] = r
	}
	return r
}

// makeRoom forgets a peer when the book is full: one that we never reached before one that we have, so that a flood of
// addresses pushes out its own kind.
func (b *book) makeRoom() {
	if len(b.records) < maxBookPeers {
		return
	}
	var worst peer.ID
	for id, r := range b.records {
		if r.static || r.boot {
			continue
		}
		if worst == "" || lessWorth(r, b.records[worst]) < 0 {
			worst = id
		}
	}
	delete(b.records, worst)
}

func lessWorth(a, b *entry) int {
	if a.Dialled != b.Dialled {
		if b.Dialled {
			return -1
		}
		return 1
	}
	return cmp.Or(-cmp.Compare(a.Failures, b.Failures), a.LastSeen.Compare(b.LastSeen))
}

// learn adds addresses of a peer, the newest first.
func (b *book) learn(id peer.ID, addrs []multiaddr.Multiaddr) {
	if len(addrs) == 0 {
		return
	}
	b.change(func() {
		r := b.of(id)
		var list []string
		for _, a := range addrs {
			list = append(list, a.String())
		}
		list = append(list, r.Addrs...)
		r.Addrs = nil
		for _, s := range list {
			if len(r.Addrs) < maxBookAddrs && !slices.Contains(r.Addrs, s) {
				r.Addrs = append(r.Addrs, s)
			}
		}
	})
}

// configure marks a peer of the configuration.
func (b *book) configure(info peer.AddrInfo, static bool) {
	b.change(func() {
		r := b.of(info.ID)
		r.static, r.boot = r.static || static, r.boot || !static
		r.next = time.Time{}
		for _, a := range info.Addrs {
			r.fixed = append(r.fixed, a.String())
		}
	})
}

// static reports whether a peer is always to be connected.
func (b *book) static(id peer.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.records[id]
	return r != nil && r.static
}

// admitted notes that a peer was admitted; dialled, that it was reached at an address of the book.
func (b *book) admitted(id peer.ID, dialled bool, now time.Time) {
	b.change(func() {
		r := b.of(id)
		r.LastSeen, r.Dialled = now, r.Dialled || dialled
		r.Failures, r.Refusals, r.Refused, r.RefusedUntil = 0, 0, "", time.Time{}
	})
}

// all are the addresses to try, the configured ones first.
func (r *entry) all() []string { return slices.Concat(r.fixed, r.Addrs) }

// addrs are the known addresses of a peer.
func (b *book) addrs(id peer.ID) []multiaddr.Multiaddr {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.records[id]
	if r == nil {
		return nil
	}
	var out []multiaddr.Multiaddr
	for _, s := range r.all() {
		if a, err := multiaddr.NewMultiaddr(s); err == nil {
			out = append(out, a)
		}
	}
	return out
}
