package guard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// DefaultMaxPeerOffset is how far our clock may be from the median of our peers' before approvals stop.
const DefaultMaxPeerOffset = time.Second

// Window is how many approvals of a key are kept to answer the same request again, and for people to look at.
const Window = 1024

// conflictRetries is how often a decision is made again after another guard wrote in between.
const conflictRetries = 8

// Options is what a guard needs. Store, Genesis, Now and SlotAt are required.
type Options struct {
	Store   Store
	Genesis chain.Hash // the chain that this guard signs for; a header of another is refused

	Now    func() time.Time              // the wall clock
	SlotAt func(at time.Time) chain.Slot // the slot that has begun at a time, by the chain spec's schedule
	Drift  time.Duration                 // how early, by our clock, a slot may be approved; 0 is not at all

	// Peers is our clock minus the median of our peers' clocks; false while no peer has told. Nil means no peers.
	Peers         func() (time.Duration, bool)
	MaxPeerOffset time.Duration // the largest offset from the peers, either way; 0 is DefaultMaxPeerOffset

	// Finalized tells whether a block is finalized in our view. Without it no Bitcoin outpoint is ever reserved.
	Finalized func(ctx context.Context, block chain.Ref) (bool, error)

	// Observe is told of every decision, in the calling goroutine; it must not block. Nil is allowed.
	Observe func(Event)
}

func (o *Options) check() error {
	switch {
	case o.Store == nil:
		return errors.New("guard needs a store")
	case o.Genesis.IsZero():
		return errors.New("guard needs the genesis hash")
	case o.Now == nil || o.SlotAt == nil:
		return errors.New("guard needs a clock and a slot schedule")
	}
	if o.MaxPeerOffset == 0 {
		o.MaxPeerOffset = DefaultMaxPeerOffset
	}
	return nil
}

// Guard decides and records. Its methods may be called concurrently; requests for one key are decided one at a time.
type Guard struct {
	opts Options

	mu   sync.Mutex // guards keys
	keys map[signer.KeyID]*entry
}

// entry is the state of one key. Whoever holds turn owns state.
type entry struct {
	turn  chan struct{} // holds one token while nobody works on the key
	state *state        // nil when it must be read from the store
}

// Open reads and checks the records of every key of the chain. Any key that cannot be read is an error: a node with a
// broken guard does not start.
func Open(ctx context.Context, opts Options) (*Guard, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	g := &Guard{opts: opts, keys: map[signer.KeyID]*entry{}}
	if err := g.each(ctx, func(signer.KeyID, *state) {}); err != nil {
		return nil, err
	}
	return g, nil
}

// recorded lists the keys of the chain that have records, in the order of their ids.
func (g *Guard) recorded(ctx context.Context) ([]signer.KeyID, error) {
	keys, err := g.opts.Store.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list guard keys: %w", err)
	}
	var ids []signer.KeyID
	for _, k := range keys {
		if k.Genesis == g.opts.Genesis {
			ids = append(ids, k.ID)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// with runs fn on the key's state as we know it, alone.
func (g *Guard) with(ctx context.Context, id signer.KeyID, fn func(*state) error) error {
	return g.alone(ctx, id, false, fn)
}

// withFresh is with, on what the store has now.
func (g *Guard) withFresh(ctx context.Context, id signer.KeyID, fn func(*state) error) error {
	return g.alone(ctx, id, true, fn)
}

func (g *Guard) alone(ctx context.Context, id signer.KeyID, fresh bool, fn func(*state) error) error {
	e := g.entry(id)
	select {
	case <-e.turn:
	case <-ctx.Done():
		return fmt.Errorf("wait for the guard of %s: %w", id, ctx.Err())
	}
	defer func() { e.turn <- struct{}{} }()
	if fresh || e.state == nil {
		e.state = nil
		s, err := g.load(ctx, id)
		if err != nil {
			return err
		}
		e.state = s
	}
	return fn(e.state)
}

func (g *Guard) entry(id signer.KeyID) *entry {
	g.mu.Lock()
	defer g.mu.Unlock()
	e, ok := g.keys[id]
	if !ok {
		e = &entry{turn: make(chan struct{}, 1)}
		e.turn <- struct{}{}
		g.keys[id] = e
	}
	return e
}

func (g *Guard) load(ctx context.Context, id signer.KeyID) (*state, error) {
	key := Key{g.opts.Genesis, id}
	records, version, err := g.opts.Store.Load(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read guard records of %s: %w", id, err)
	}
	return rebuild(key, records, version)
}

// update decides and records until no other guard comes in between. decide gives the record to append, or none.
// After a failure that leaves open whether the record was written, the state is read again before the next decision.
func (g *Guard) update(ctx context.Context, id signer.KeyID, decide func(*state) (*Record, error)) error {
	for range conflictRetries {
		err := g.with(ctx, id, func(s *state) error {
			r, err := decide(s)
			if err != nil || r == nil {
				return err
			}
			return g.record(ctx, id, s, *r)
		})
		if !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("%s: other guards kept writing: %w", id, ErrNotRecorded)
}

func (g *Guard) record(ctx context.Context, id signer.KeyID, s *state, r Record) error {
	key := Key{g.opts.Genesis, id}
	version, err := g.opts.Store.CompareAndSwap(ctx, key, s.version, r)
	if err == nil && version != r.Hash(key) {
		err = fmt.Errorf("the store answered with another version: %w", ErrCorrupt)
	}
	if err != nil {
		g.entry(id).state = nil
		if errors.Is(err, ErrConflict) {
			return err
		}
		return fmt.Errorf("%s: %w: %w", id, ErrNotRecorded, err)
	}
	s.apply(r, version)
	return nil
}

func (g *Guard) now() chain.UnixMilli { return chain.UnixMilli(g.opts.Now().UnixMilli()) }
