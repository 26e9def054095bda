// Command alys-signer-memory is a whole signer in less than 100 lines of code: one approval key, given by its block, and
// a guard in memory. Killed, it has forgotten what it signed, and the node's floor is all that it has: plugins/signer/local
// keeps its guard on disk.
package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugin"
	"github.com/alys-node/alys/sdk/schema"
	"github.com/alys-node/alys/sdk/signer"
)

func main() { plugin.Serve(func(hclog.Logger) lifecycle.Plugin { return &memory{} }) }

type memory struct {
	key     *bls.SecretKey
	id      signer.KeyID
	genesis chain.Hash
	mu      sync.Mutex   // guards the rest
	floor   signer.Floor // nothing is signed at or below its slot, or below its height …
	last    chain.Header // … but this one, again
}

func (*memory) Describe() lifecycle.Description {
	return lifecycle.Description{Kind: lifecycle.Signer, Name: "memory", Version: "0.1.0", Capabilities: []lifecycle.Capability{lifecycle.CapFloor}, Deterministic: true}
}

func (*memory) Schema() schema.Block {
	return schema.Block{Attributes: []schema.Attribute{{Name: "secret", Type: schema.String, Required: true, Sensitive: true, Doc: "A BLS secret key, 64 hex digits."}}}
}

func (*memory) Validate(ctx context.Context, c lifecycle.Config) (ds diag.Diagnostics) {
	if err := new(memory).Configure(ctx, c); err != nil {
		ds = append(ds, diag.Errorf([]string{"secret"}, "Give 64 hex digits.", "%s", err))
	}
	return ds
}

func (m *memory) Configure(_ context.Context, c lifecycle.Config) (err error) {
	var v struct{ Secret chain.Hash } // 32 bytes in hex
	if c.Decode(&v) != nil {
		return bls.ErrBadSecret // the decoder's own text would show a part of it
	}
	if m.key, err = bls.ParseSecretKey(v.Secret[:]); err == nil {
		m.id, m.genesis = signer.BLSKey(m.key.Public()), c.Host.Genesis
	}
	return err
}

func (*memory) Health(context.Context) (lifecycle.Health, error) {
	return lifecycle.Health{State: lifecycle.Ready}, nil
}
func (*memory) Drain(context.Context) error { return nil }

func (m *memory) Keys(ctx context.Context) ([]signer.Key, error) {
	p := m.key.Possession()
	return []signer.Key{{ID: m.id, Purpose: signer.PurposeApproval, Possession: p[:]}}, ctx.Err()
}

func (m *memory) Approve(ctx context.Context, a signer.Approval) (sig chain.BLSSignature, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch h := a.Header; {
	case a.Key != m.id:
		return sig, fmt.Errorf("%w: %s", signer.ErrUnknownKey, a.Key)
	case ctx.Err() != nil:
		return sig, ctx.Err() // nobody waits any more: do not use up the slot
	case h == m.last: // the same request again gets the same answer
	case h.Genesis != m.genesis, h.Version != chain.HeaderVersion, h.Slot <= m.floor.Slot, h.Height < m.floor.Height:
		return sig, fmt.Errorf("%w: genesis %s, slot %d, height %d", signer.ErrRefused, h.Genesis, h.Slot, h.Height)
	default:
		m.floor.Slot, m.floor.Height, m.last = h.Slot, h.Height, h
	}
	return m.key.Sign(signer.ApprovalRoot(a.Header)), nil
}

func (m *memory) RaiseFloor(_ context.Context, floors []signer.Floor) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range floors {
		if f.Key == m.id {
			m.floor.Slot, m.floor.Height = max(m.floor.Slot, f.Slot), max(m.floor.Height, f.Height)
		}
	}
	return nil
}

func (m *memory) Prove(_ context.Context, c signer.Challenge) (p signer.Proof, err error) {
	if c.Key != m.id {
		return p, fmt.Errorf("%w: %s", signer.ErrUnknownKey, c.Key)
	}
	if c.Genesis != m.genesis {
		return p, fmt.Errorf("%w: genesis %s", signer.ErrRefused, c.Genesis)
	}
	sig := m.key.Sign(signer.ChallengeRoot(c))
	return signer.Proof{Scheme: signer.ProofBLS, Signature: sig[:]}, nil
}

func (*memory) SignBitcoin(_ context.Context, r signer.BitcoinRequest) (signer.BitcoinAnswer, error) {
	return signer.BitcoinAnswer{}, fmt.Errorf("%w: %s", signer.ErrUnknownKey, r.Key)
}
