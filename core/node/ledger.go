package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/alys-node/alys/core/block"
	ledger "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// book is the chain as the driver sees it: its errors told apart into invalid, no answer, and failed.
type book struct{ *ledger.Chain }

// Check implements driver.Chain.
func (b book) Check(ctx context.Context, blk *block.Block) error {
	return kindOf(b.Chain.Check(ctx, blk))
}

// CheckBody implements driver.Chain.
func (book) CheckBody(blk *block.Block) error { return ledger.CheckBody(blk) }

// Insert implements driver.Chain.
func (b book) Insert(ctx context.Context, run ...driver.Executed) error {
	out := make([]ledger.Executed, len(run))
	for i, x := range run {
		out[i] = ledger.Executed(x)
	}
	return kindOf(b.InsertRun(ctx, out))
}

// Has implements driver.Chain. A store that cannot be read makes the next write fail, which stops the node.
func (b book) Has(hash chain.Hash) bool {
	ok, err := b.Chain.Has(hash)
	return ok && err == nil
}

// SetHeads implements driver.Chain.
func (b book) SetHeads(ctx context.Context, head, safe chain.Ref) (bool, error) {
	r, err := b.Chain.SetHeads(ctx, head, safe)
	return len(r.Old) > 0, err
}

// Forkchoice implements driver.Chain.
func (b book) Forkchoice() (engine.Forkchoice, error) { return b.Chain.Forkchoice() }

func kindOf(err error) error {
	switch {
	case errors.Is(err, ledger.ErrInvalid):
		return fmt.Errorf("%w: %w", driver.ErrInvalid, err)
	case errors.Is(err, ledger.ErrEngineFault):
		return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
	}
	return err
}
