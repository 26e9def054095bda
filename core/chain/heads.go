package chain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
)

// Reorg says which blocks left the chain and which joined it, oldest first. Old is empty when the chain only grew.
type Reorg struct {
	Old, New []chain.Ref
}

// SetHeads makes head the tip of our chain and safe its youngest safe block, durably and atomically: the index by height
// follows, and finalized is the last proven block in safe's ancestors. Heads may go anywhere above the safe block, and
// safe only up: else ErrBelowSafe, and nothing changes. Both blocks must be stored.
func (c *Chain) SetHeads(ctx context.Context, head, safe chain.Ref) (Reorg, error) {
	if err := ctx.Err(); err != nil {
		return Reorg{}, err
	}
	c.write.Lock()
	defer c.write.Unlock()
	old := c.allHeads()
	reorg, err := c.reorg(old, head)
	if err != nil {
		return Reorg{}, fmt.Errorf("set head %d %s: %w", head.Height, head.Hash.Short(), err)
	}
	finalized, err := c.checkSafe(old, reorg, head, safe)
	if err != nil {
		return Reorg{}, fmt.Errorf("set safe %d %s: %w", safe.Height, safe.Hash.Short(), err)
	}
	heads := block.Heads{Head: head, Safe: safe, Finalized: finalized}
	if heads == old {
		return Reorg{}, nil
	}
	if err := c.store.SetHeads(heads, reorg.New); err != nil {
		return Reorg{}, fmt.Errorf("set heads: %w", err)
	}
	c.mu.Lock()
	c.heads = heads
	c.mu.Unlock()
	if len(reorg.Old) > 0 {
		c.log.Info("reorganized", "from", old.Head.Hash, "to", head.Hash, "height", head.Height, "left", len(reorg.Old))
	}
	return reorg, nil
}

// reorg walks from a new head down to the chain that we have.
func (c *Chain) reorg(old block.Heads, head chain.Ref) (Reorg, error) {
	var r Reorg
	at := head
	for {
		header, err := c.Header(at.Hash)
		if err != nil {
			return Reorg{}, err
		}
		if header.Height != at.Height {
			return Reorg{}, fmt.Errorf("block is at height %d: %w", header.Height, ErrUnknownBlock)
		}
		ours, err := c.isCanonical(at)
		if err != nil {
			return Reorg{}, err
		}
		if ours {
			break
		}
		if at.Height <= old.Safe.Height {
			return Reorg{}, fmt.Errorf("it does not descend from the safe block %d %s: %w", old.Safe.Height, old.Safe.Hash.Short(), ErrBelowSafe)
		}
		r.New = append(r.New, at)
		at = chain.Ref{Height: at.Height - 1, Hash: header.Parent}
	}
	if at.Height < old.Safe.Height {
		return Reorg{}, fmt.Errorf("the safe block %d would leave the chain: %w", old.Safe.Height, ErrBelowSafe)
	}
	slices.Reverse(r.New)
	for height := at.Height + 1; height <= old.Head.Height; height++ {
		h, err := c.store.Canonical(height)
		if err != nil {
			return Reorg{}, err
		}
		r.Old = append(r.Old, chain.Ref{Height: height, Hash: h})
	}
	return r, nil
}

func (c *Chain) isCanonical(r chain.Ref) (bool, error) {
	h, err := c.store.Canonical(r.Height)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return h == r.Hash, err
}

// checkSafe checks that safe is on the new chain and not below the old safe, and returns what it finalizes.
func (c *Chain) checkSafe(old block.Heads, r Reorg, head, safe chain.Ref) (chain.Ref, error) {
	if safe.Height < old.Safe.Height {
		return chain.Ref{}, fmt.Errorf("below the safe block %d: %w", old.Safe.Height, ErrBelowSafe)
	}
	onChain := slices.Contains(r.New, safe)
	if !onChain && safe.Height <= head.Height && !slices.Contains(r.Old, safe) {
		var err error
		if onChain, err = c.isCanonical(safe); err != nil {
			return chain.Ref{}, err
		}
	}
	if !onChain {
		return chain.Ref{}, fmt.Errorf("not an ancestor of the head %d %s: %w", head.Height, head.Hash.Short(), ErrBelowSafe)
	}
	s, err := c.State(safe.Hash)
	return s.Covered, err
}
