// Badsigner is a signer that holds a key and misbehaves as its mode says: "none", "lies" (a signature on something else),
// "lies-at-once" (in the proof of possession too), "crashes" or "hangs" (after two approvals), "mute" (lists no key).
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugin"
	"github.com/alys-node/alys/sdk/schema"
	"github.com/alys-node/alys/sdk/signer"
)

// goodCalls is how many approvals a signer gives before it crashes or hangs.
const goodCalls = 2

func main() {
	plugin.Serve(func(hclog.Logger) lifecycle.Plugin { return &bad{} })
}

type bad struct {
	mode  string
	key   *bls.SecretKey
	calls atomic.Int64
}

type config struct {
	Secret string `json:"secret"`
	Mode   string `json:"mode"`
}

func (b *bad) Describe() lifecycle.Description {
	return lifecycle.Description{Kind: lifecycle.Signer, Name: "bad", Version: "0.0.0", Deterministic: true}
}

func (b *bad) Schema() schema.Block {
	return schema.Block{Attributes: []schema.Attribute{
		{Name: "secret", Type: schema.String, Required: true, Doc: "BLS secret key, 64 hex digits"},
		{Name: "mode", Type: schema.String, Required: true, Doc: "how to misbehave"},
	}}
}

func (b *bad) Validate(context.Context, lifecycle.Config) diag.Diagnostics { return nil }

func (b *bad) Configure(_ context.Context, c lifecycle.Config) error {
	var v config
	if err := c.Decode(&v); err != nil {
		return err
	}
	secret, err := hex.DecodeString(v.Secret)
	if err != nil {
		return err
	}
	b.mode = v.Mode
	b.key, err = bls.ParseSecretKey(secret)
	return err
}

func (b *bad) Health(context.Context) (lifecycle.Health, error) {
	return lifecycle.Health{State: lifecycle.Ready, Progress: uint64(b.calls.Load())}, nil
}

func (b *bad) Drain(context.Context) error { return nil }

func (b *bad) Keys(context.Context) ([]signer.Key, error) {
	if b.mode == "mute" {
		return nil, nil
	}
	possession := b.key.Possession()
	return []signer.Key{{ID: signer.BLSKey(b.key.Public()), Purpose: signer.PurposeApproval, Possession: possession[:]}}, nil
}

func (b *bad) Approve(ctx context.Context, a signer.Approval) (chain.BLSSignature, error) {
	calls := b.calls.Add(1)
	switch {
	case b.mode == "lies":
		a.Header.Slot++
	case b.mode == "crashes" && calls > goodCalls:
		os.Exit(3)
	case b.mode == "hangs" && calls > goodCalls:
		<-ctx.Done()
		select {} // it does not even notice that nobody waits any more
	}
	return b.key.Sign(signer.ApprovalRoot(a.Header)), nil
}

func (b *bad) SignBitcoin(context.Context, signer.BitcoinRequest) (signer.BitcoinAnswer, error) {
	return signer.BitcoinAnswer{}, errors.New("no such thing")
}

// RaiseFloor takes floors and forgets them: this signer has no guard.
func (b *bad) RaiseFloor(context.Context, []signer.Floor) error { return nil }

func (b *bad) Prove(_ context.Context, c signer.Challenge) (signer.Proof, error) {
	if b.mode == "lies-at-once" {
		c.Nonce[0]++
	}
	sig := b.key.Sign(signer.ChallengeRoot(c))
	return signer.Proof{Scheme: signer.ProofBLS, Signature: sig[:]}, nil
}
