package external

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/alys-node/alys/plugins/internal/engineapi"
	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// ErrGasLimit means that the client builds with another gas limit than the proposer asked for.
var ErrGasLimit = errors.New("the execution client moves the gas limit elsewhere")

// The time that is kept for the answer itself: a quarter of what is left, within these bounds. Without any deadline
// noDeadline is how long a client may fill a payload.
const (
	minReserve = 20 * time.Millisecond
	maxReserve = 500 * time.Millisecond
	noDeadline = 2 * time.Second
)

// poolPatience is how long the question may take whether the pool is empty.
const poolPatience = 200 * time.Millisecond

// Build implements engine.Engine. The Engine API builds on the head only: when Parent is another block, it becomes the
// head first. The client begins at once and is asked as late as is safe, because the first answer ends the building.
func (e *Engine) Build(ctx context.Context, r engine.BuildRequest) (chain.ExecutionData, error) {
	none := chain.ExecutionData{}
	if err := e.cfg.Genesis.Executes(r.Timestamp); err != nil {
		return none, err
	}
	leave, err := e.enter(ctx)
	if err != nil {
		return none, err
	}
	defer leave()
	e.writer.Lock()
	defer e.writer.Unlock()
	parent, id, err := e.begin(ctx, r)
	if err != nil {
		return none, e.failed(fmt.Errorf("build on %s: %w", r.Parent, err))
	}
	if err := e.fill(ctx, r.AnswerBy); err != nil {
		return none, e.failed(fmt.Errorf("build on %s: %w", r.Parent, err))
	}
	d, err := e.payload(ctx, e.cfg.Genesis.ForkAt(r.Timestamp), id)
	if err != nil {
		return none, e.failed(fmt.Errorf("build on %s: %w", r.Parent, err))
	}
	d.ParentBeaconRoot = r.ParentBeaconRoot
	if err := asOrdered(d, r, parent.GasLimit); err != nil {
		return none, fmt.Errorf("build on %s: %w", r.Parent, err)
	}
	e.progress.Add(1)
	return d, nil
}

// begin makes the parent the head and the client build on it.
func (e *Engine) begin(ctx context.Context, r engine.BuildRequest) (*types.Header, engineapi.PayloadID, error) {
	none := engineapi.PayloadID{}
	var parent *types.Header
	heads, err := e.heads(ctx, &engineapi.Ask{Method: "eth_getBlockByHash", Args: []any{common.Hash(r.Parent), false}, Result: &parent})
	if err != nil {
		return nil, none, err
	}
	if parent == nil || parent.Hash() != common.Hash(r.Parent) {
		return nil, none, fmt.Errorf("%w: parent %s is not here", engine.ErrSyncing, r.Parent)
	}
	if err := e.cfg.Genesis.CheckBuild(r, parent.Time); err != nil {
		return nil, none, err
	}
	f := engine.Forkchoice{Head: r.Parent, Safe: heads.Safe.Hash, Finalized: heads.Finalized.Hash}
	st, id, err := e.api.ForkchoiceUpdated(ctx, e.cfg.Genesis.ForkAt(r.Timestamp), f, &r)
	switch {
	case err != nil:
		return nil, none, err
	case st.Verdict == engine.Syncing:
		return nil, none, fmt.Errorf("%w: %s", engine.ErrSyncing, said(st, nil))
	case st.Verdict == engine.Invalid:
		return nil, none, fmt.Errorf("the client calls the parent INVALID: %s", st.Reason)
	case id == nil:
		return nil, none, fmt.Errorf("%w: its head %s is not the parent, and it begins no payload", engine.ErrDidNotMove, heads.Head.Hash)
	}
	return parent, *id, nil
}

// fill waits while the client fills the payload: not at all when nothing waits in its pool.
func (e *Engine) fill(ctx context.Context, answerBy chain.UnixMilli) error {
	if e.rpc != nil && e.emptyPool(ctx, answerBy) {
		return nil
	}
	timer := time.NewTimer(window(ctx, answerBy)) // of what the question left
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// emptyPool reports that nothing waits in the client's pool. A client that does not say so soon is given the whole window:
// the question only saves time.
func (e *Engine) emptyPool(ctx context.Context, answerBy chain.UnixMilli) bool {
	ctx, cancel := context.WithTimeout(ctx, min(window(ctx, answerBy)/2, poolPatience))
	defer cancel()
	pending, queued, err := e.poolSize(ctx)
	return err == nil && pending+queued == 0
}

// window is how long the client may fill the payload: until the answer is wanted, which is the deadline when the request
// names no time, less the time of the answer itself.
func window(ctx context.Context, answerBy chain.UnixMilli) time.Duration {
	left := noDeadline
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	if answerBy != 0 {
		left = min(left, time.Until(answerBy.Time()))
	}
	return max(left-min(max(left/4, minReserve), maxReserve), 0)
}

// payload asks for the payload; a client that is slow is asked again while the context lasts.
func (e *Engine) payload(ctx context.Context, fork execution.Fork, id engineapi.PayloadID) (chain.ExecutionData, error) {
	for {
		d, err := e.api.Payload(ctx, fork, id)
		if err == nil || ctx.Err() != nil || !errors.Is(err, engineapi.ErrSlow) {
			return d, err
		}
	}
}

// asOrdered holds a payload against the request. The gas limit is the client's own setting; a block whose limit moves away
// from the proposer's is invalid for everybody.
func asOrdered(d chain.ExecutionData, r engine.BuildRequest, parentLimit uint64) error {
	p := d.Payload
	switch {
	case p.ParentHash != r.Parent || p.Timestamp != r.Timestamp || p.PrevRandao != r.PrevRandao:
		return fmt.Errorf("%w: the payload is for parent %s at %d, prev randao %s", engine.ErrUnavailable, p.ParentHash, p.Timestamp, p.PrevRandao)
	case p.FeeRecipient != r.FeeRecipient:
		return fmt.Errorf("%w: the client pays fees to %s, asked for %s: it must not have a fee recipient of its own",
			engine.ErrUnavailable, p.FeeRecipient, r.FeeRecipient)
	case !slices.Equal(p.Withdrawals, r.Withdrawals):
		return fmt.Errorf("%w: the payload has other withdrawals than asked for", engine.ErrUnavailable)
	case r.GasLimit != 0 && !between(p.GasLimit, parentLimit, r.GasLimit):
		return fmt.Errorf("%w: from %d to %d instead of towards %d: start the client with that limit (geth: --miner.gaslimit %d)",
			ErrGasLimit, parentLimit, p.GasLimit, r.GasLimit, r.GasLimit)
	}
	return nil
}

func between(v, a, b uint64) bool { return v >= min(a, b) && v <= max(a, b) }

// poolSize is txpool_status of the public JSON-RPC.
func (e *Engine) poolSize(ctx context.Context) (pending, queued uint64, err error) {
	var size struct{ Pending, Queued hexutil.Uint64 }
	if err := e.rpc.Call(ctx, &size, "txpool_status"); err != nil {
		return 0, 0, err
	}
	return uint64(size.Pending), uint64(size.Queued), nil
}
