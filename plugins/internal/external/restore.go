package external

import (
	"context"
	"fmt"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// restoreAndJudge has the parent executed again, which the client has just called VALID, and tries the payload once more.
//
// A killed client keeps blocks whose states were in its memory only. It calls them VALID without a look and cannot execute
// their first new child until a forkchoice to them has it execute them again. The head moves to the parent for that, on
// the way to where the run's own forkchoice takes it.
func (e *Engine) restoreAndJudge(ctx context.Context, d *chain.ExecutionData) (engine.PayloadStatus, error) {
	parent := d.Payload.ParentHash
	moved, err := e.moveTo(ctx, parent)
	if err == nil && !moved {
		if err = e.stepAside(ctx); err == nil {
			_, err = e.moveTo(ctx, parent)
		}
	}
	if err != nil {
		return engine.PayloadStatus{}, fmt.Errorf("execute known block %s again: %w", parent, err)
	}
	return e.judge(ctx, d)
}

// moveTo makes a known block the head and reports whether it is.
func (e *Engine) moveTo(ctx context.Context, hash chain.Hash) (bool, error) {
	headers, err := e.headers(ctx, hash)
	if err != nil || headers[0] == nil {
		return false, err
	}
	if _, _, err := e.api.ForkchoiceUpdated(ctx, e.cfg.Genesis.ForkAt(headers[0].Time), engine.Forkchoice{Head: hash}, nil); err != nil {
		return false, err
	}
	heads, err := e.heads(ctx)
	return heads.Head.Hash == hash, err
}

// stepAside puts the head on an empty block of no use beside the canonical one. geth, killed and started again, still
// lists blocks above its head as canonical and ignores a forkchoice to them as one to an old head; it strikes them from
// the list when another block takes the place of the first. The block is gone from the chain with the next forkchoice.
func (e *Engine) stepAside(ctx context.Context) error {
	heads, err := e.heads(ctx)
	if err != nil {
		return err
	}
	headers, err := e.headers(ctx, heads.Head.Hash)
	if err != nil {
		return err
	}
	if headers[0] == nil {
		return fmt.Errorf("%w: the client does not have its own head", engine.ErrUnavailable)
	}
	r := engine.BuildRequest{
		Parent: heads.Head.Hash, Timestamp: headers[0].Time + 1,
		PrevRandao: chain.Hash{0xa5, 0x1d, 0xe5}, // no block of the chain has one: this cannot be the canonical block itself
	}
	if err := e.cfg.Genesis.Executes(r.Timestamp); err != nil {
		return err
	}
	if e.cfg.Genesis.Cancun(r.Timestamp) {
		r.ParentBeaconRoot = &chain.Hash{}
	}
	fork := e.cfg.Genesis.ForkAt(r.Timestamp)
	_, id, err := e.api.ForkchoiceUpdated(ctx, fork, engine.Forkchoice{Head: r.Parent}, &r)
	if err != nil {
		return err
	}
	if id == nil {
		return fmt.Errorf("%w: the client begins no payload on its own head", engine.ErrDidNotMove)
	}
	aside, err := e.payload(ctx, fork, *id) // at once: empty is right
	if err != nil {
		return err
	}
	aside.ParentBeaconRoot = r.ParentBeaconRoot
	if _, err := e.api.NewPayload(ctx, fork, &aside); err != nil {
		return err
	}
	_, err = e.moveTo(ctx, aside.Payload.BlockHash)
	e.log.Info("execution client executes blocks again whose states it lost", "from", heads.Head.Height)
	return err
}
