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

// stepAside puts the head on an empty block of no use beside the canonical one, and then on another. geth, killed and
// started again, still lists blocks above its head as canonical and ignores a forkchoice to them as one to an old head; it
// strikes them from the list in a reorganization, which the second block makes. Both are gone from the chain with the next
// forkchoice.
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
	r := engine.BuildRequest{Parent: heads.Head.Hash, Timestamp: headers[0].Time + 1}
	if err := e.cfg.Genesis.Executes(r.Timestamp); err != nil {
		return err
	}
	if e.cfg.Genesis.Cancun(r.Timestamp) {
		r.ParentBeaconRoot = &chain.Hash{}
	}
	var aside [2]chain.Hash
	for i := range aside { // no block of the chain has a prev randao: neither is a canonical block itself
		r.PrevRandao = chain.Hash{0xa5, 0x1d, 0xe5, byte(i)}
		if aside[i], err = e.emptyBlock(ctx, r); err != nil {
			return err
		}
	}
	for _, hash := range aside {
		if _, err := e.moveTo(ctx, hash); err != nil {
			return err
		}
	}
	e.log.Info("execution client executes blocks again whose states it lost", "from", heads.Head.Height)
	return nil
}

// emptyBlock has the client build on its head and execute what it has at once.
func (e *Engine) emptyBlock(ctx context.Context, r engine.BuildRequest) (chain.Hash, error) {
	fork := e.cfg.Genesis.ForkAt(r.Timestamp)
	_, id, err := e.api.ForkchoiceUpdated(ctx, fork, engine.Forkchoice{Head: r.Parent}, &r)
	if err != nil {
		return chain.Hash{}, err
	}
	if id == nil {
		return chain.Hash{}, fmt.Errorf("%w: the client begins no payload on its own head", engine.ErrDidNotMove)
	}
	d, err := e.payload(ctx, fork, *id)
	if err != nil {
		return chain.Hash{}, err
	}
	d.ParentBeaconRoot = r.ParentBeaconRoot
	_, err = e.api.NewPayload(ctx, fork, &d)
	return d.Payload.BlockHash, err
}
