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

// Insert stores a block that an engine said VALID to, with the state that follows from it and the certificate of its
// parent, in one atomic, synced batch. receipts are the engine's; they are checked first, and an *EngineFaultError says
// that they cannot be the block's. A block that is stored already stays as it is. The heads do not move.
func (c *Chain) Insert(ctx context.Context, b *block.Block, receipts []chain.Receipt) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.write.Lock()
	defer c.write.Unlock()
	hash := b.Header.Hash()
	if known, err := c.Has(hash); known || err != nil {
		return err
	}
	p, err := c.parentFor(b)
	if err != nil {
		return err
	}
	el, err := validate(c.rules, p, b)
	if err != nil {
		return err
	}
	if err := checkReceipts(el, receipts); err != nil {
		return &EngineFaultError{Block: b.Ref(), Reason: err.Error()}
	}
	s, err := next(p.State, el, receipts)
	if err != nil {
		return &EngineFaultError{Block: b.Ref(), Reason: err.Error()}
	}
	if err := c.store.InsertBlock(b, newRecord(b.Header, p.State, s).encode()); err != nil {
		return fmt.Errorf("insert block %d %s: %w", b.Header.Height, hash.Short(), err)
	}
	c.parents.add(hash, parentOf(b, s))
	return nil
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
