package external

import (
	"context"
	"fmt"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// MaxRun is how many payloads one Import may have: a client keeps the states of about 128 blocks that no forkchoice
// confirmed, and loses the head's own beyond.
const MaxRun = 100

// Import implements engine.Engine. Only a forkchoice moves the head. A payload that was begun is finished by the client
// when the context ends meanwhile.
func (e *Engine) Import(ctx context.Context, r engine.ImportRequest) (engine.ImportResult, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return engine.ImportResult{}, err
	}
	defer leave()
	if len(r.Payloads) > MaxRun {
		return engine.ImportResult{}, fmt.Errorf("%d payloads in one run: an external client takes at most %d between two forkchoices", len(r.Payloads), MaxRun)
	}
	e.writer.Lock()
	defer e.writer.Unlock()
	res := engine.ImportResult{Statuses: make([]engine.PayloadStatus, 0, len(r.Payloads))}
	for i := range r.Payloads {
		st, err := e.judge(ctx, &r.Payloads[i])
		if err == nil && st.Verdict == engine.Syncing && i > 0 && r.Forkchoice != nil {
			st, err = e.restoreAndJudge(ctx, &r.Payloads[i])
		}
		if err != nil {
			return res, e.failed(fmt.Errorf("import payload %d: %w", r.Payloads[i].Payload.Number, err))
		}
		res.Statuses = append(res.Statuses, st)
		if st.Verdict != engine.Valid {
			res.Heads, err = e.heads(ctx)
			return res, err
		}
	}
	if r.Forkchoice != nil {
		res.Heads, err = e.forkchoice(ctx, *r.Forkchoice)
		return res, err
	}
	res.Heads, err = e.heads(ctx)
	return res, err
}

// judge has one payload executed.
func (e *Engine) judge(ctx context.Context, d *chain.ExecutionData) (engine.PayloadStatus, error) {
	g := e.cfg.Genesis
	out := engine.PayloadStatus{Hash: d.Payload.BlockHash, Verdict: engine.Invalid}
	if err := g.Executes(d.Payload.Timestamp); err != nil {
		return out, err
	}
	if out.Reason = g.Malformed(d); out.Reason != "" {
		return out, nil
	}
	if err := e.requests.Keep(d); err != nil {
		return out, err
	}
	defer e.progress.Add(1)
	return e.api.NewPayload(ctx, g.ForkAt(d.Payload.Timestamp), d)
}

// forkchoice sets the heads and reads them back: VALID does not say that the client moved. Hashes that the client does
// not have are not sent: it would begin to look for them in a network.
func (e *Engine) forkchoice(ctx context.Context, f engine.Forkchoice) (engine.Heads, error) {
	asked := []chain.Hash{f.Head}
	names := []string{"head"}
	for name, h := range map[string]chain.Hash{"safe": f.Safe, "finalized": f.Finalized} {
		if !h.IsZero() {
			asked, names = append(asked, h), append(names, name)
		}
	}
	headers, err := e.headers(ctx, asked...)
	if err != nil {
		return engine.Heads{}, err
	}
	for i, h := range headers {
		switch {
		case h != nil:
		case i == 0:
			return e.headsWith(ctx, fmt.Errorf("%w: forkchoice head %s is not here", engine.ErrSyncing, f.Head))
		default:
			return e.headsWith(ctx, fmt.Errorf("%w: forkchoice %s %s", engine.ErrUnknownBlock, names[i], asked[i]))
		}
	}
	fork := e.cfg.Genesis.ForkAt(headers[0].Time)
	st, _, err := e.api.ForkchoiceUpdated(ctx, fork, f, nil)
	heads, herr := e.heads(ctx)
	if herr == nil && err == nil && heads.Head.Hash != f.Head && headers[0].Number.Uint64() > uint64(heads.Head.Height) {
		// It stays below a block that it has: a killed geth, see stepAside.
		if err = e.stepAside(ctx); err == nil {
			st, _, err = e.api.ForkchoiceUpdated(ctx, fork, f, nil)
		}
		heads, herr = e.heads(ctx)
	}
	switch {
	case herr != nil:
		return heads, herr
	case heads.Head.Hash != f.Head:
		return heads, fmt.Errorf("%w: asked for %s, is at %s (%s)", engine.ErrDidNotMove, f.Head, heads.Head.Hash, said(st, err))
	case err != nil:
		return heads, e.failed(fmt.Errorf("forkchoice to %s: %w", f.Head, err))
	case st.Verdict != engine.Valid:
		return heads, fmt.Errorf("forkchoice to %s: %s", f.Head, said(st, err))
	}
	return heads, nil
}

func (e *Engine) headsWith(ctx context.Context, err error) (engine.Heads, error) {
	heads, herr := e.heads(ctx)
	if herr != nil {
		return heads, herr
	}
	return heads, err
}

func said(st engine.PayloadStatus, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %s", st.Verdict, st.Reason)
}
