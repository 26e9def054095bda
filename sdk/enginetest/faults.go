package enginetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// Fault runs before a call; its error is the call's answer, and nil lets the call through.
type Fault func(ctx context.Context) error

// Failing fails every call with err: engine.ErrUnavailable, or engine.ErrSyncing.
func Failing(err error) Fault {
	return func(context.Context) error { return err }
}

// Slow lets every call wait before it goes on. It ends with the call's context.
func Slow(delay time.Duration) Fault {
	return func(ctx context.Context) error {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Held lets every call wait until release is closed. It ends with the call's context.
func Held(release <-chan struct{}) Fault {
	return func(ctx context.Context) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Faulty is a Memory with a fault in front of the calls of engine.Engine.
type Faulty struct {
	*Memory
	mu    sync.Mutex // guards the rest
	fault Fault
	calls int
}

// WithFault puts a fault in front of m; nil means healthy until SetFault.
func WithFault(m *Memory, f Fault) *Faulty { return &Faulty{Memory: m, fault: f} }

// SetFault changes the fault from now on; nil heals.
func (f *Faulty) SetFault(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// Calls is how many calls came in, failed ones too.
func (f *Faulty) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func (f *Faulty) before(ctx context.Context) error {
	f.mu.Lock()
	f.calls++
	fault := f.fault
	f.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(ctx)
}

// Status implements engine.Engine.
func (f *Faulty) Status(ctx context.Context) (engine.Status, error) {
	if err := f.before(ctx); err != nil {
		return engine.Status{}, err
	}
	return f.Memory.Status(ctx)
}

// Build implements engine.Engine.
func (f *Faulty) Build(ctx context.Context, r engine.BuildRequest) (chain.ExecutionData, error) {
	if err := f.before(ctx); err != nil {
		return chain.ExecutionData{}, err
	}
	return f.Memory.Build(ctx, r)
}

// Import implements engine.Engine.
func (f *Faulty) Import(ctx context.Context, r engine.ImportRequest) (engine.ImportResult, error) {
	if err := f.before(ctx); err != nil {
		return engine.ImportResult{}, err
	}
	return f.Memory.Import(ctx, r)
}

// Payloads implements engine.Engine.
func (f *Faulty) Payloads(ctx context.Context, hashes []chain.Hash) ([]*chain.ExecutionData, error) {
	if err := f.before(ctx); err != nil {
		return nil, err
	}
	return f.Memory.Payloads(ctx, hashes)
}

// Receipts implements engine.Engine.
func (f *Faulty) Receipts(ctx context.Context, hash chain.Hash) ([]chain.Receipt, error) {
	if err := f.before(ctx); err != nil {
		return nil, err
	}
	return f.Memory.Receipts(ctx, hash)
}

// Lying is a Memory that calls every payload of one height INVALID: it disagrees with an honest engine on correctness.
type Lying struct {
	*Memory
	Height chain.Height
}

// Import implements engine.Engine.
func (l Lying) Import(ctx context.Context, r engine.ImportRequest) (engine.ImportResult, error) {
	at := slices.IndexFunc(r.Payloads, func(d chain.ExecutionData) bool { return d.Payload.Number == l.Height })
	if at < 0 {
		return l.Memory.Import(ctx, r)
	}
	out, err := l.Memory.Import(ctx, engine.ImportRequest{Payloads: r.Payloads[:at]})
	if err != nil || len(out.Statuses) < at {
		return out, err
	}
	p := r.Payloads[at].Payload
	out.Statuses = append(out.Statuses, engine.PayloadStatus{
		Hash: p.BlockHash, LatestValid: p.ParentHash, Verdict: engine.Invalid, Reason: "lying",
	})
	return out, nil
}
