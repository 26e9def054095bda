package chain

import (
	"context"
	"errors"
	"fmt"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// Attributes is all that the author of a block on a stored parent may ask of an engine.
func (c *Chain) Attributes(parent chain.Hash, slot chain.Slot) (engine.BuildRequest, error) {
	p, err := c.parent(parent)
	if err != nil {
		return engine.BuildRequest{}, err
	}
	if slot <= p.Header.Slot {
		return engine.BuildRequest{}, fmt.Errorf("slot %d is not above the parent's %d", slot, p.Header.Slot)
	}
	r := engine.BuildRequest{
		Parent:       p.Header.PayloadHash,
		Timestamp:    c.rules.PayloadTime(slot),
		FeeRecipient: burnAddress(),
		Withdrawals:  withdrawals(p.State),
		GasLimit:     c.rules.GasLimitTarget(),
	}
	if c.rules.Cancun(r.Timestamp) {
		r.ParentBeaconRoot = &parent
	}
	return r, nil
}

// Assemble makes and seals a block of ours from what an engine built, and checks it as everybody will: an *InvalidError
// means that the engine gave something else than Attributes asked for.
func (c *Chain) Assemble(parent chain.Hash, slot chain.Slot, qc block.QC, data chain.ExecutionData) (*block.Block, error) {
	p, err := c.parent(parent)
	if err != nil {
		return nil, err
	}
	b := &block.Block{
		Header: chain.Header{
			Version: chain.HeaderVersion, Genesis: p.genesis(), Slot: slot, Height: p.Header.Height + 1, Parent: parent,
		},
		ParentQC:  qc,
		Execution: data,
	}
	b.Seal()
	if err := Valid(c.rules, p, b); err != nil {
		return nil, fmt.Errorf("assemble block %d for slot %d: %w", b.Header.Height, slot, err)
	}
	return b, nil
}

// Check judges a block by the chain's rules: nil, an *InvalidError, or ErrMissingParent while its parent is not stored.
// It says nothing about execution (the engine), the certificate's signatures and the author (consensus), or our view.
func (c *Chain) Check(ctx context.Context, b *block.Block) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := c.parentFor(b)
	if err != nil {
		return err
	}
	return Valid(c.rules, p, b)
}

func (c *Chain) parentFor(b *block.Block) (Parent, error) {
	p, err := c.parent(b.Header.Parent)
	if errors.Is(err, ErrUnknownBlock) {
		return Parent{}, fmt.Errorf("block %d %s on %s: %w", b.Header.Height, b.Header.Hash().Short(), b.Header.Parent, ErrMissingParent)
	}
	return p, err
}

// Executed is a block that an engine said VALID to, with the engine's receipts.
type Executed struct {
	Block    *block.Block
	Receipts []chain.Receipt
}

// Insert stores an executed block: a run of one.
func (c *Chain) Insert(ctx context.Context, b *block.Block, receipts []chain.Receipt) error {
	return c.InsertRun(ctx, []Executed{{b, receipts}})
}

// InsertRun stores a run of executed blocks, each the child of the one before, with the states that follow from them and
// the certificates of their parents, in one atomic, synced batch. The rules are applied, and receipts checked, first:
// *InvalidError, or an *EngineFaultError that says that receipts cannot be the block's; what comes before such a block is
// stored all the same. A block that is stored already stays as it is. The heads do not move.
func (c *Chain) InsertRun(ctx context.Context, run []Executed) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.write.Lock()
	defer c.write.Unlock()
	var fresh []block.Derived
	var states []Parent
	var problem error
	for _, x := range run {
		var p *Parent
		if n := len(states); n > 0 && fresh[n-1].Block.Header.Hash() == x.Block.Header.Parent {
			p = &states[n-1]
		}
		d, s, err := c.derive(x, p)
		if err != nil {
			problem = err
			break
		}
		if d.Block != nil {
			fresh, states = append(fresh, d), append(states, s)
		}
	}
	if len(fresh) == 0 {
		return problem
	}
	if err := c.store.InsertBlocks(fresh...); err != nil {
		first, last := fresh[0].Block.Header, fresh[len(fresh)-1].Block.Header
		return fmt.Errorf("insert blocks %d to %d %s: %w", first.Height, last.Height, last.Hash().Short(), err)
	}
	for i, d := range fresh {
		c.parents.add(d.Block.Header.Hash(), states[i])
	}
	return problem
}

// derive makes of an executed block what is stored, and what its children are judged by. parent is its parent where that is
// not stored yet. Of a block that is stored there is nothing to make.
func (c *Chain) derive(x Executed, parent *Parent) (block.Derived, Parent, error) {
	b := x.Block
	if known, err := c.Has(b.Header.Hash()); known || err != nil {
		return block.Derived{}, Parent{}, err
	}
	if parent == nil {
		p, err := c.parentFor(b)
		if err != nil {
			return block.Derived{}, Parent{}, err
		}
		parent = &p
	}
	el, err := validate(c.rules, *parent, b)
	if err != nil {
		return block.Derived{}, Parent{}, err
	}
	if err := checkReceipts(el, x.Receipts); err != nil {
		return block.Derived{}, Parent{}, &EngineFaultError{Block: b.Ref(), Reason: err.Error()}
	}
	s, err := next(parent.State, el, x.Receipts)
	if err != nil {
		return block.Derived{}, Parent{}, &EngineFaultError{Block: b.Ref(), Reason: err.Error()}
	}
	return block.Derived{Block: b, State: newRecord(b.Header, parent.State, s).encode()}, parentOf(b, s), nil
}

// Unsafe lists every stored block that descends from the safe block, parents first, and every certificate of the safe
// block and of them: what consensus is restored from, and what is sent again.
func (c *Chain) Unsafe() ([]*block.Block, []block.QC, error) {
	safe := c.allHeads().Safe
	var blocks []*block.Block
	certs, err := c.certificates(nil, safe.Hash)
	if err != nil {
		return nil, nil, err
	}
	above := map[chain.Hash]bool{safe.Hash: true}
	for height := safe.Height + 1; ; height++ {
		hashes, err := c.store.AtHeight(height)
		if err != nil {
			return nil, nil, err
		}
		if len(hashes) == 0 {
			return blocks, certs, nil
		}
		for _, h := range hashes {
			b, err := c.Block(h)
			if err != nil {
				return nil, nil, err
			}
			if !above[b.Header.Parent] {
				continue
			}
			above[h] = true
			blocks = append(blocks, b)
			if certs, err = c.certificates(certs, h); err != nil {
				return nil, nil, err
			}
		}
	}
}

func (c *Chain) certificates(to []block.QC, h chain.Hash) ([]block.QC, error) {
	q, err := c.QC(h)
	if errors.Is(err, ErrUnknownBlock) {
		return to, nil
	}
	return append(to, q), err
}
