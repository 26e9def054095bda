package chain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// Limits of one import while an engine is caught up. Engines lose blocks that no forkchoice confirms for about a hundred.
const (
	MaxReplayPayloads = 64
	MaxReplayBytes    = 16 << 20
)

// ErrOtherExecution means that an engine runs on another execution genesis than ours.
var ErrOtherExecution = errors.New("engine has another genesis")

// DisagreementError says that an engine calls a payload INVALID that is in our chain: this engine, or the one that said
// VALID before, is wrong. It is for a human.
type DisagreementError struct {
	Block  chain.Ref
	Reason string // the engine's
}

// Error names the block and the engine's reason.
func (e *DisagreementError) Error() string {
	return fmt.Sprintf("engine calls stored block %d %s invalid: %s", e.Block.Height, e.Block.Hash.Short(), e.Reason)
}

// Replayed says what Replay did.
type Replayed struct {
	From     chain.Ref // the block of ours that the engine had
	To       chain.Ref // our head, which is the engine's now
	Payloads int       // imported
}

// Replay brings an engine to our heads: it finds the newest block of our chain that the engine has, imports what
// follows in batches with a forkchoice each, sets all three heads as recomputed from the store, and requires the engine
// to report that head. The engine's own head may be behind ours, on a branch that lost, or unknown to us. The caller is
// the engine's only writer meanwhile; heads that move during the call are not followed.
func (c *Chain) Replay(ctx context.Context, e engine.Engine) (Replayed, error) {
	r := replay{chain: c, engine: e, heads: c.allHeads()}
	st, err := e.Status(ctx)
	if err != nil {
		return Replayed{}, fmt.Errorf("read engine status: %w", err)
	}
	if want := c.genesis.Header.PayloadHash; st.Genesis != want {
		return Replayed{}, fmt.Errorf("engine's genesis is %s, the chain spec gives %s: %w", st.Genesis, want, ErrOtherExecution)
	}
	from, err := r.common(ctx, st.Heads.Head)
	if err != nil {
		return Replayed{}, err
	}
	done := Replayed{From: from, To: r.heads.Head}
	if from, err = r.startable(ctx, from); err != nil {
		return done, err
	}
	for batch, err := range c.Payloads(ctx, from, r.heads.Head) {
		if err != nil {
			return done, err
		}
		if err := r.send(ctx, batch); err != nil {
			return done, err
		}
		done.Payloads += len(batch.Payloads)
		c.log.Debug("engine catches up", "height", batch.Last.Height, "head", r.heads.Head.Height)
	}
	return done, r.finish(ctx)
}

// common is the newest block of our chain that is also in the engine's: where its head's branch leaves ours or, if we do
// not know its head, the newest one that it gives us the payload of.
func (r *replay) common(ctx context.Context, head chain.Ref) (chain.Ref, error) {
	at, err := r.chain.byPayload(head)
	if errors.Is(err, ErrUnknownBlock) {
		return r.newestHeld(ctx)
	}
	if err != nil {
		return chain.Ref{}, err
	}
	for {
		if at.Height <= r.heads.Head.Height {
			ours, err := r.chain.isCanonical(at)
			if ours || err != nil {
				return at, err
			}
		}
		header, err := r.chain.Header(at.Hash)
		if err != nil {
			return chain.Ref{}, err
		}
		at = chain.Ref{Height: at.Height - 1, Hash: header.Parent} // height 0 is canonical, so it ends there
	}
}

// byPayload finds the stored block that has this execution block.
func (c *Chain) byPayload(el chain.Ref) (chain.Ref, error) {
	hashes, err := c.store.AtHeight(el.Height)
	if err != nil {
		return chain.Ref{}, err
	}
	for _, h := range hashes {
		header, err := c.Header(h)
		if err != nil {
			return chain.Ref{}, err
		}
		if header.PayloadHash == el.Hash {
			return chain.Ref{Height: el.Height, Hash: h}, nil
		}
	}
	return chain.Ref{}, fmt.Errorf("execution block %d %s: %w", el.Height, el.Hash, ErrUnknownBlock)
}

// replay is one catching-up of one engine.
type replay struct {
	chain  *Chain
	engine engine.Engine
	heads  block.Heads
}

// newestHeld searches our chain for the newest block that the engine has, by halving: an engine that has a block has its
// ancestors.
func (r *replay) newestHeld(ctx context.Context) (chain.Ref, error) {
	low, high := chain.Height(0), r.heads.Head.Height // the engine has low
	for low < high {
		mid := low + (high-low+1)/2
		held, err := r.holds(ctx, mid)
		if err != nil {
			return chain.Ref{}, err
		}
		if held {
			low = mid
		} else {
			high = mid - 1
		}
	}
	return r.chain.canonicalRef(low)
}

func (r *replay) holds(ctx context.Context, height chain.Height) (bool, error) {
	ref, err := r.chain.canonicalRef(height)
	if err != nil {
		return false, err
	}
	header, err := r.chain.Header(ref.Hash)
	if err != nil {
		return false, err
	}
	got, err := r.engine.Payloads(ctx, []chain.Hash{header.PayloadHash})
	if err != nil {
		return false, fmt.Errorf("ask engine for block %d: %w", height, err)
	}
	return len(got) == 1 && got[0] != nil && got[0].Payload.BlockHash == header.PayloadHash, nil
}

func (c *Chain) canonicalRef(height chain.Height) (chain.Ref, error) {
	h, err := c.store.Canonical(height)
	if errors.Is(err, fs.ErrNotExist) {
		return chain.Ref{}, fmt.Errorf("height %d: %w", height, ErrUnknownBlock)
	}
	return chain.Ref{Height: height, Hash: h}, err
}

// startable steps back from a block that the engine has until it can execute its child: an engine may keep a block and
// have lost its state. Steps double, so that a far way back takes few tries.
func (r *replay) startable(ctx context.Context, from chain.Ref) (chain.Ref, error) {
	for step := chain.Height(1); from != r.heads.Head; step *= 2 {
		next, err := r.chain.canonicalRef(from.Height + 1)
		if err != nil {
			return chain.Ref{}, err
		}
		b, err := r.chain.Block(next.Hash)
		if err != nil {
			return chain.Ref{}, err
		}
		status, err := r.importBatch(ctx, PayloadBatch{Payloads: []chain.ExecutionData{b.Execution}, Last: next}, nil)
		if err == nil {
			return from, nil
		}
		if status.Verdict != engine.Syncing && !errors.Is(err, engine.ErrSyncing) || from.Height == 0 {
			return chain.Ref{}, err
		}
		if from, err = r.chain.canonicalRef(from.Height - min(step, from.Height)); err != nil {
			return chain.Ref{}, err
		}
	}
	return from, nil
}

// send imports a batch and makes its last block the engine's head. Safe and finalized are named once the engine has them.
func (r *replay) send(ctx context.Context, batch PayloadBatch) error {
	heads := r.heads
	heads.Head = batch.Last
	fc, err := r.chain.forkchoice(heads)
	if err != nil {
		return err
	}
	if r.heads.Safe.Height > batch.Last.Height {
		fc.Safe = chain.Hash{}
	}
	if r.heads.Finalized.Height > batch.Last.Height {
		fc.Finalized = chain.Hash{}
	}
	_, err = r.importBatch(ctx, batch, &fc)
	return err
}

// importBatch imports payloads and requires every one to be VALID and, with a forkchoice, the head to be the one asked
// for. The status is that of the first payload that is not VALID.
func (r *replay) importBatch(ctx context.Context, batch PayloadBatch, fc *engine.Forkchoice) (engine.PayloadStatus, error) {
	result, err := r.engine.Import(ctx, engine.ImportRequest{Payloads: batch.Payloads, Forkchoice: fc})
	if err != nil {
		return engine.PayloadStatus{}, fmt.Errorf("import up to block %d: %w", batch.Last.Height, err)
	}
	for i, status := range result.Statuses {
		at := chain.Ref{Height: batch.Last.Height - chain.Height(len(batch.Payloads)-1-i), Hash: status.Hash}
		switch status.Verdict {
		case engine.Valid:
		case engine.Invalid:
			return status, &DisagreementError{Block: at, Reason: status.Reason}
		case engine.Syncing:
			return status, fmt.Errorf("import block %d: %w", at.Height, engine.ErrSyncing)
		default:
			return status, fmt.Errorf("import block %d: engine answered %q", at.Height, status.Verdict)
		}
	}
	if len(result.Statuses) != len(batch.Payloads) {
		return engine.PayloadStatus{}, fmt.Errorf("engine judged %d of %d payloads", len(result.Statuses), len(batch.Payloads))
	}
	if fc != nil && result.Heads.Head.Hash != fc.Head {
		return engine.PayloadStatus{}, fmt.Errorf("engine's head is %s, want %s: %w", result.Heads.Head.Hash, fc.Head, engine.ErrDidNotMove)
	}
	return engine.PayloadStatus{}, nil
}

// finish sets the three heads, also when nothing was imported: an engine forgets safe and finalized when it restarts.
func (r *replay) finish(ctx context.Context) error {
	fc, err := r.chain.forkchoice(r.heads)
	if err != nil {
		return err
	}
	_, err = r.importBatch(ctx, PayloadBatch{Last: r.heads.Head}, &fc)
	return err
}
