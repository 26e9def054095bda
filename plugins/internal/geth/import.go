package geth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	gethengine "github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// Import implements engine.Engine. Only a forkchoice moves the head, however many payloads a run has. The context is
// looked at between payloads; one that was begun is finished.
func (e *Engine) Import(ctx context.Context, r engine.ImportRequest) (engine.ImportResult, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return engine.ImportResult{}, err
	}
	defer leave()
	if err := checkFree(e.cfg.DataDir, e.cfg.MinFree); err != nil {
		return engine.ImportResult{}, err
	}
	e.writer.Lock()
	defer e.writer.Unlock()
	res := engine.ImportResult{Statuses: make([]engine.PayloadStatus, 0, len(r.Payloads))}
	for i := range r.Payloads {
		st, err := e.judge(ctx, &r.Payloads[i])
		if err != nil {
			res.Heads = e.heads()
			return res, fmt.Errorf("import payload %d: %w", r.Payloads[i].Payload.Number, err)
		}
		res.Statuses = append(res.Statuses, st)
		if st.Verdict != engine.Valid {
			res.Heads = e.heads()
			return res, nil
		}
	}
	if r.Forkchoice != nil {
		err = e.forkchoice(ctx, *r.Forkchoice)
	}
	res.Heads = e.heads()
	return res, err
}

// judge executes one payload with the version of newPayload that its timestamp asks for.
func (e *Engine) judge(ctx context.Context, d *chain.ExecutionData) (engine.PayloadStatus, error) {
	if err := ctx.Err(); err != nil {
		return engine.PayloadStatus{}, err
	}
	defer e.progress.Add(1)
	p := &d.Payload
	out := engine.PayloadStatus{Hash: p.BlockHash, Verdict: engine.Invalid}
	if err := e.cfg.Genesis.Executes(p.Timestamp); err != nil {
		return out, err
	}
	if out.Reason = e.cfg.Genesis.Malformed(d); out.Reason != "" {
		return out, nil
	}
	if err := e.requests().Keep(d); err != nil {
		return out, err
	}
	if err := e.restoreState(context.WithoutCancel(ctx), p.BlockHash); err != nil {
		return out, err
	}
	st, err := e.newPayload(context.WithoutCancel(ctx), d)
	if err != nil {
		return out, fmt.Errorf("%w: %w", engine.ErrUnavailable, err)
	}
	if st.LatestValidHash != nil {
		out.LatestValid = chain.Hash(*st.LatestValidHash)
	}
	if st.ValidationError != nil {
		out.Reason = *st.ValidationError
	}
	switch st.Status {
	case gethengine.VALID:
		out.Verdict, out.Reason = engine.Valid, ""
	case gethengine.SYNCING, gethengine.ACCEPTED:
		out.Verdict = engine.Syncing
	default:
		if broken(out.Reason) {
			return out, fmt.Errorf("%w: %s", engine.ErrUnavailable, out.Reason)
		}
	}
	return out, nil
}

func (e *Engine) newPayload(ctx context.Context, d *chain.ExecutionData) (gethengine.PayloadStatusV1, error) {
	x, root := execution.Executable(d.Payload), execution.BeaconRoot(d.ParentBeaconRoot)
	switch ts := d.Payload.Timestamp; {
	case e.cfg.Genesis.Prague(ts):
		return e.api.NewPayloadV4(ctx, x, execution.BlobHashes(d.Payload), root, execution.HexBytes(d.Requests))
	case e.cfg.Genesis.Cancun(ts):
		return e.api.NewPayloadV3(ctx, x, execution.BlobHashes(d.Payload), root)
	default:
		return e.api.NewPayloadV2(ctx, x)
	}
}

// restoreState executes a known block again when its state is gone. A killed process leaves blocks on disk whose states
// were in memory only; for those newPayload says VALID without a look, and SYNCING for the first child that is new.
func (e *Engine) restoreState(ctx context.Context, hash chain.Hash) error {
	bc := e.eth.BlockChain()
	block := bc.GetBlockByHash(common.Hash(hash))
	if block == nil || bc.HasState(block.Root()) {
		return nil
	}
	if _, err := bc.InsertBlockWithoutSetHead(ctx, block, false); err != nil {
		return fmt.Errorf("%w: execute known block %s again: %w", engine.ErrUnavailable, hash, err)
	}
	return nil
}

// broken tells a fault of the engine from a fault of the payload: geth reports both as INVALID.
func broken(reason string) bool {
	for _, s := range []string{"missing trie node", "blockchain is stopped", "insertion is interrupted"} {
		if strings.Contains(reason, s) {
			return true
		}
	}
	return false
}

// forkchoice sets the heads and reads the head back. It refuses hashes that geth does not have before geth would start
// to look for them in a network.
func (e *Engine) forkchoice(ctx context.Context, f engine.Forkchoice) error {
	bc := e.eth.BlockChain()
	head := bc.GetBlockByHash(common.Hash(f.Head))
	if head == nil {
		return fmt.Errorf("%w: forkchoice head %s is not here", engine.ErrSyncing, f.Head)
	}
	for name, h := range map[string]chain.Hash{"safe": f.Safe, "finalized": f.Finalized} {
		if !h.IsZero() && bc.GetHeaderByHash(common.Hash(h)) == nil {
			return fmt.Errorf("%w: forkchoice %s %s", engine.ErrUnknownBlock, name, h)
		}
	}
	res, err := e.api.ForkchoiceUpdatedV3(context.WithoutCancel(ctx), gethengine.ForkchoiceStateV1{
		HeadBlockHash: common.Hash(f.Head), SafeBlockHash: common.Hash(f.Safe), FinalizedBlockHash: common.Hash(f.Finalized),
	}, nil)
	if now := bc.CurrentBlock().Hash(); !bytes.Equal(now[:], f.Head[:]) {
		return fmt.Errorf("%w: asked for %s, is at %s (%s)", engine.ErrDidNotMove, f.Head, now, fcuText(res, err))
	}
	if err != nil || res.PayloadStatus.Status != gethengine.VALID {
		return fmt.Errorf("forkchoice to %s: %s", f.Head, fcuText(res, err))
	}
	return e.commitIfDue(head)
}

func fcuText(res gethengine.ForkChoiceResponse, err error) string {
	if coded, ok := errors.AsType[*gethengine.EngineAPIError](err); ok {
		return fmt.Sprintf("%s: %s: %v", res.PayloadStatus.Status, coded.Error(), coded.ErrorData())
	}
	if err != nil {
		return fmt.Sprintf("%s: %v", res.PayloadStatus.Status, err)
	}
	return res.PayloadStatus.Status
}
