package chain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// Options is what Open needs. Spec and Store are required.
type Options struct {
	Spec  *spec.Spec
	Store Store
	Log   hclog.Logger
}

// Chain is the chain as one node has it. Reads may be concurrent with everything; writes (Insert, SetHeads) are done one
// at a time.
type Chain struct {
	rules   Rules
	store   Store
	log     hclog.Logger
	genesis *block.Block

	write sync.Mutex // one Insert or SetHeads at a time

	mu    sync.RWMutex // guards heads
	heads block.Heads

	parents *cache // recently used parents, with their states
}

// Open stores genesis in a new store, and checks in an old one that the heads, the index and the states at them agree:
// ErrInconsistent when they do not.
func Open(ctx context.Context, o Options) (*Chain, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rules, err := RulesOf(o.Spec)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	genesis, err := o.Spec.Genesis()
	if err != nil {
		return nil, fmt.Errorf("genesis of chain spec %q: %w", o.Spec.Name, err)
	}
	c := &Chain{rules: rules, store: o.Store, log: o.Log, genesis: genesis, parents: newCache(cacheSize)}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("open chain: %w", err)
	}
	return c, nil
}

// load reads the heads, or starts the chain with genesis.
func (c *Chain) load() error {
	heads, err := c.store.Heads()
	if errors.Is(err, fs.ErrNotExist) {
		return c.start()
	}
	if err != nil {
		return err
	}
	if at, err := c.store.Canonical(0); err != nil || at != c.genesis.Header.Hash() {
		return errors.Join(err, fmt.Errorf("genesis in the index is %s, want %s: %w", at, c.genesis.Header.Hash(), ErrInconsistent))
	}
	for _, r := range []chain.Ref{heads.Head, heads.Safe, heads.Finalized} {
		at, err := c.store.Canonical(r.Height)
		if err != nil || at != r.Hash {
			return errors.Join(err, fmt.Errorf("head %d %s is not in the index, %s is: %w", r.Height, r.Hash, at, ErrInconsistent))
		}
		if _, err := c.parent(r.Hash); err != nil {
			return err
		}
	}
	c.heads = heads
	return nil
}

// start makes a new chain. A crash between the two writes leaves genesis without heads, and the next Open comes here
// again.
func (c *Chain) start() error {
	ref := c.genesis.Ref()
	state := genesisState(ref)
	raw := newRecord(c.genesis.Header, State{}, state).encode()
	if err := c.store.InsertBlocks(block.Derived{Block: c.genesis, State: raw}); err != nil {
		return err
	}
	heads := block.Heads{Head: ref, Safe: ref, Finalized: ref}
	if err := c.store.SetHeads(heads, []chain.Ref{ref}); err != nil {
		return err
	}
	c.heads = heads
	return nil
}

// Genesis is the genesis block.
func (c *Chain) Genesis() *block.Block { return c.genesis }

// Heads are the three heads: the longest notarized tip, the youngest safe block, and the last block that a proof covers
// in the safe block's ancestors.
func (c *Chain) Heads() (head, safe, finalized chain.Ref) {
	h := c.allHeads()
	return h.Head, h.Safe, h.Finalized
}

func (c *Chain) allHeads() block.Heads {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.heads
}

// Block returns any stored block by hash, or ErrUnknownBlock.
func (c *Chain) Block(h chain.Hash) (*block.Block, error) {
	b, err := c.store.Block(h)
	return b, unknown(h, err)
}

// Header returns any stored block's header by block hash, or ErrUnknownBlock.
func (c *Chain) Header(h chain.Hash) (chain.Header, error) {
	header, err := c.store.Header(h)
	return header, unknown(h, err)
}

// Has reports whether a block is stored.
func (c *Chain) Has(h chain.Hash) (bool, error) {
	_, err := c.Header(h)
	if errors.Is(err, ErrUnknownBlock) {
		return false, nil
	}
	return err == nil, err
}

// BlockAt returns the block at a height of the chain that ends in the head, or ErrUnknownBlock above it.
func (c *Chain) BlockAt(height chain.Height) (*block.Block, error) {
	h, err := c.store.Canonical(height)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("height %d: %w", height, ErrUnknownBlock)
	}
	if err != nil {
		return nil, err
	}
	return c.Block(h)
}

// QC returns the certificate of a block, or ErrUnknownBlock where none is stored.
func (c *Chain) QC(h chain.Hash) (block.QC, error) {
	q, err := c.store.QC(h)
	return q, unknown(h, err)
}

// PutQC stores verified certificates durably, each in place of what is stored for its block.
func (c *Chain) PutQC(ctx context.Context, certificates ...block.QC) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.store.PutQC(certificates...)
}

// State returns the state after a stored block, or ErrUnknownBlock.
func (c *Chain) State(h chain.Hash) (State, error) {
	p, err := c.parent(h)
	return p.State, err
}

// Forkchoice is what the engine is to be told, recomputed from the stored heads (D-36): execution block hashes.
func (c *Chain) Forkchoice() (engine.Forkchoice, error) {
	return c.forkchoice(c.allHeads())
}

func (c *Chain) forkchoice(h block.Heads) (engine.Forkchoice, error) {
	var out engine.Forkchoice
	for _, p := range []struct {
		ref chain.Ref
		to  *chain.Hash
	}{{h.Head, &out.Head}, {h.Safe, &out.Safe}, {h.Finalized, &out.Finalized}} {
		header, err := c.Header(p.ref.Hash)
		if err != nil {
			return engine.Forkchoice{}, err
		}
		*p.to = header.PayloadHash
	}
	return out, nil
}

// unknown names an absence; any other error passes.
func unknown(h chain.Hash, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", h, ErrUnknownBlock)
	}
	return err
}
