package chain

import (
	"fmt"
	"slices"
	"sync"

	"github.com/alys-node/alys/sdk/chain"
)

// cacheSize is how many parents are kept in memory: more than consensus ever has in flight.
const cacheSize = 256

// cache keeps the last added parents by block hash.
type cache struct {
	mu    sync.Mutex // guards both
	known map[chain.Hash]Parent
	order []chain.Hash // a ring: at is the next to be replaced
	at    int
}

func newCache(size int) *cache {
	return &cache{known: map[chain.Hash]Parent{}, order: make([]chain.Hash, size)}
}

func (c *cache) get(h chain.Hash) (Parent, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.known[h]
	return p, ok
}

func (c *cache) add(h chain.Hash, p Parent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known[h]; ok {
		return
	}
	delete(c.known, c.order[c.at])
	c.known[h], c.order[c.at] = p, h
	c.at = (c.at + 1) % len(c.order)
}

// parent reads what validity needs of a stored block, or ErrUnknownBlock.
func (c *Chain) parent(h chain.Hash) (Parent, error) {
	if p, ok := c.parents.get(h); ok {
		return p, nil
	}
	b, err := c.Block(h)
	if err != nil {
		return Parent{}, err
	}
	s, err := c.readState(h)
	if err != nil {
		return Parent{}, err
	}
	p := parentOf(b, s)
	c.parents.add(h, p)
	return p, nil
}

// readState replays the differences that lead to a block's state from the last whole one, or from one in memory.
func (c *Chain) readState(h chain.Hash) (State, error) {
	var pending []record
	var s State
	for at := h; ; {
		if p, ok := c.parents.get(at); ok {
			s = p.State
			break
		}
		raw, err := c.store.State(at)
		if err != nil {
			return State{}, fmt.Errorf("state: %w", unknown(at, err))
		}
		r, err := decodeRecord(raw)
		if err != nil {
			return State{}, fmt.Errorf("state of %s: %w", at, err)
		}
		pending = append(pending, r)
		if r.Whole {
			break
		}
		if len(pending) > checkpointInterval {
			return State{}, fmt.Errorf("state of %s: no whole one in %d ancestors: %w", h, len(pending), ErrInconsistent)
		}
		at = r.Parent
	}
	for _, r := range slices.Backward(pending) {
		var err error
		if s, err = r.resolve(s); err != nil {
			return State{}, fmt.Errorf("state of %s: %w", h, err)
		}
	}
	return s, nil
}
