package geth

import (
	"context"
	"fmt"
	"math/big"
	"time"

	gethengine "github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/miner"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// maxFill bounds how long transactions are executed for one payload when the deadline would allow more.
const maxFill = time.Second

// Build implements engine.Engine. It fills the payload from the pool for at most half of the time that the request and
// the context leave; when even that is too late, because one transaction runs for long, it returns the payload without
// transactions.
func (e *Engine) Build(ctx context.Context, r engine.BuildRequest) (chain.ExecutionData, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return chain.ExecutionData{}, err
	}
	defer leave()
	if err := checkFree(e.cfg.DataDir, e.cfg.MinFree); err != nil {
		return chain.ExecutionData{}, err
	}
	e.writer.Lock()
	defer e.writer.Unlock()
	args, gasLimit, err := e.buildArgs(r)
	if err != nil {
		return chain.ExecutionData{}, err
	}
	env, err := e.build(ctx, args, fillBy{gasLimit: gasLimit, answerBy: r.AnswerBy})
	if err != nil {
		return chain.ExecutionData{}, fmt.Errorf("build on %s: %w", r.Parent, err)
	}
	p, err := execution.Payload(env.ExecutionPayload)
	if err != nil {
		return chain.ExecutionData{}, fmt.Errorf("build on %s: %w", r.Parent, err)
	}
	e.progress.Add(1)
	return chain.ExecutionData{Payload: p, ParentBeaconRoot: r.ParentBeaconRoot, Requests: e.requestsOf(r.Timestamp, env.Requests)}, nil
}

// buildArgs checks the request and gives the gas limit to move towards.
func (e *Engine) buildArgs(r engine.BuildRequest) (*miner.BuildPayloadArgs, uint64, error) {
	if err := e.cfg.Genesis.Executes(r.Timestamp); err != nil {
		return nil, 0, err
	}
	parent := e.eth.BlockChain().GetBlockByHash(common.Hash(r.Parent))
	if parent == nil || !e.eth.BlockChain().HasState(parent.Root()) {
		return nil, 0, fmt.Errorf("%w: parent %s is not executed here", engine.ErrSyncing, r.Parent)
	}
	if err := e.cfg.Genesis.CheckBuild(r, parent.Time()); err != nil {
		return nil, 0, err
	}
	limit := r.GasLimit
	if limit == 0 {
		limit = parent.GasLimit()
	}
	return &miner.BuildPayloadArgs{
		Parent:       common.Hash(r.Parent),
		Timestamp:    r.Timestamp,
		FeeRecipient: common.Address(r.FeeRecipient),
		Random:       common.Hash(r.PrevRandao),
		Withdrawals:  execution.Withdrawals(r.Withdrawals),
		BeaconRoot:   execution.BeaconRoot(r.ParentBeaconRoot),
	}, limit, nil
}

// fillBy bounds what goes into a payload.
type fillBy struct {
	gasLimit uint64
	answerBy chain.UnixMilli // 0: only the context's deadline
}

type built struct {
	env *gethengine.ExecutionPayloadEnvelope
	err error
}

// build runs a miner of its own, so that gas limit and time are the request's and nothing shared. The miner fills the
// payload synchronously, which its name for it (testing) hides: this is what ResolveFull waits for.
func (e *Engine) build(ctx context.Context, args *miner.BuildPayloadArgs, by fillBy) (*gethengine.ExecutionPayloadEnvelope, error) {
	fill, late := budget(ctx, by.answerBy)
	m := miner.New(e.eth, miner.Config{GasCeil: by.gasLimit, GasPrice: big.NewInt(1), Recommit: fill}, e.eth.Engine())
	done := make(chan built, 1)
	e.builds.Go(func() {
		_, env, err := m.BuildTestingPayload(args, nil, false, []byte(e.cfg.Name))
		done <- built{env, err}
	})
	timer := time.NewTimer(late)
	defer timer.Stop()
	select {
	case b := <-done:
		return b.env, b.err
	case <-timer.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	e.log.Warn("payload without transactions: filling it took too long", "parent", args.Parent, "waited", late)
	_, env, err := m.BuildTestingPayload(args, nil, true, []byte(e.cfg.Name))
	return env, err
}

// budget divides the time left until the answer is wanted, which is the deadline when the request names no time: how long
// to fill, and when to fall back to a payload without transactions.
func budget(ctx context.Context, answerBy chain.UnixMilli) (fill, late time.Duration) {
	deadline, ok := ctx.Deadline()
	if wanted := answerBy.Time(); answerBy != 0 && (!ok || wanted.Before(deadline)) {
		deadline, ok = wanted, true
	}
	if !ok {
		return maxFill, 4 * maxFill
	}
	left := time.Until(deadline)
	return min(maxFill, max(left/2, time.Millisecond)), max(left*4/5, 2*time.Millisecond)
}
