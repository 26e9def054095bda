package signertest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// Fault runs before a call; its error is the call's answer, and nil lets the call through.
type Fault func(ctx context.Context) error

// Failing fails every call with err.
func Failing(err error) Fault {
	return func(context.Context) error { return err }
}

// Refusing refuses every call: an answer, after which a host asks nobody else.
func Refusing(reason string) Fault {
	return Failing(fmt.Errorf("%w: %s", signer.ErrRefused, reason))
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

// Hanging lets every call wait for ever, whatever its context says: a plugin that ignores deadlines. Close release at
// the test's end.
func Hanging(release <-chan struct{}) Fault {
	return func(context.Context) error {
		<-release
		return nil
	}
}

// Faulty is a Memory with a fault in front of the calls of signer.Signer and ApproveBatch. Health stays good, as it does
// in a real plugin whose backend is bad.
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

// Keys implements signer.Signer.
func (f *Faulty) Keys(ctx context.Context) ([]signer.Key, error) {
	if err := f.before(ctx); err != nil {
		return nil, err
	}
	return f.Memory.Keys(ctx)
}

// Approve implements signer.Signer.
func (f *Faulty) Approve(ctx context.Context, a signer.Approval) (chain.BLSSignature, error) {
	if err := f.before(ctx); err != nil {
		return chain.BLSSignature{}, err
	}
	return f.Memory.Approve(ctx, a)
}

// ApproveBatch implements signer.SignerWithBatch.
func (f *Faulty) ApproveBatch(ctx context.Context, as []signer.Approval) ([]signer.ApprovalResult, error) {
	if err := f.before(ctx); err != nil {
		return nil, err
	}
	return f.Memory.ApproveBatch(ctx, as)
}

// SignBitcoin implements signer.Signer.
func (f *Faulty) SignBitcoin(ctx context.Context, r signer.BitcoinRequest) (signer.BitcoinAnswer, error) {
	if err := f.before(ctx); err != nil {
		return signer.BitcoinAnswer{}, err
	}
	return f.Memory.SignBitcoin(ctx, r)
}

// Prove implements signer.Signer.
func (f *Faulty) Prove(ctx context.Context, c signer.Challenge) (signer.Proof, error) {
	if err := f.before(ctx); err != nil {
		return signer.Proof{}, err
	}
	return f.Memory.Prove(ctx, c)
}

// Forging is a Memory whose approvals are well-formed signatures on something else: only verifying finds it.
type Forging struct{ *Memory }

// Approve implements signer.Signer.
func (f Forging) Approve(ctx context.Context, a signer.Approval) (chain.BLSSignature, error) {
	if _, err := f.Memory.Approve(ctx, a); err != nil {
		return chain.BLSSignature{}, err
	}
	return BLSSecret("forger").Sign(signer.ApprovalRoot(a.Header)), nil
}

// ApproveBatch implements signer.SignerWithBatch.
func (f Forging) ApproveBatch(ctx context.Context, as []signer.Approval) ([]signer.ApprovalResult, error) {
	out := make([]signer.ApprovalResult, len(as))
	for i, a := range as {
		out[i].Signature, out[i].Err = f.Approve(ctx, a)
	}
	return out, nil
}
