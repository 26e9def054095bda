package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/schema"
	"github.com/alys-node/alys/sdk/signer"
)

// goodCalls is how many approvals a signer gives before it crashes or hangs.
const goodCalls = 2

// liar is a signer that keeps to the protocol and misbehaves within it.
type liar struct {
	mode       string
	log        hclog.Logger
	key, other *bls.SecretKey
	calls      atomic.Int64
}

type config struct {
	Secret string `json:"secret"`
	Mode   string `json:"mode"`
}

func (l *liar) Describe() lifecycle.Description {
	return lifecycle.Description{Kind: lifecycle.Signer, Name: "liar", Version: "0.0.0", Deterministic: true}
}

func (l *liar) Schema() schema.Block {
	return schema.Block{Attributes: []schema.Attribute{
		{Name: "secret", Type: schema.String, Doc: "BLS secret key, 64 hex digits; none: one that it makes up"},
		{Name: "mode", Type: schema.String, Doc: "how to misbehave, when the environment does not say"},
	}}
}

func (l *liar) Validate(context.Context, lifecycle.Config) diag.Diagnostics { return nil }

func (l *liar) Configure(_ context.Context, c lifecycle.Config) error {
	var v config
	if err := c.Decode(&v); err != nil {
		return err
	}
	secret, err := hex.DecodeString(v.Secret)
	if err != nil {
		return err
	}
	if len(secret) == 0 {
		secret = bytes.Repeat([]byte{7}, 32)
	}
	if l.mode == "" {
		l.mode = v.Mode
	}
	if l.key, err = bls.ParseSecretKey(secret); err != nil {
		return err
	}
	if l.other, err = bls.ParseSecretKey(bytes.Repeat([]byte{9}, 32)); err != nil {
		return err
	}
	switch l.mode {
	case "hang-configure":
		select {}
	case "prints":
		_, _ = syscall.Write(1, []byte("a stray print\n"))
		fmt.Println("another stray print")
	case "leaks":
		leak()
	case "floods":
		go flood(l.log)
	}
	return nil
}

func (l *liar) Health(context.Context) (lifecycle.Health, error) {
	if l.mode == "hang-health" && l.calls.Load() > 0 {
		select {}
	}
	return lifecycle.Health{State: lifecycle.Ready, Progress: uint64(l.calls.Load())}, nil
}

func (l *liar) Drain(context.Context) error {
	switch l.mode {
	case "exits-in-drain":
		os.Exit(7)
	case "hang-drain":
		select {}
	}
	return nil
}

func (l *liar) Keys(context.Context) ([]signer.Key, error) {
	if l.mode == "mute" {
		return nil, nil
	}
	possession := l.key.Possession()
	purpose := signer.PurposeApproval
	if l.mode == "garbage-keys" {
		purpose = "nonsense"
	}
	return []signer.Key{{ID: signer.BLSKey(l.key.Public()), Purpose: purpose, Possession: possession[:]}}, nil
}

func (l *liar) Approve(ctx context.Context, a signer.Approval) (chain.BLSSignature, error) {
	calls := l.calls.Add(1)
	switch {
	case l.mode == "lies":
		a.Header.Slot++
	case l.mode == "wrong-key-later":
		return l.other.Sign(signer.ApprovalRoot(a.Header)), nil
	case l.mode == "garbage-signature":
		var s chain.BLSSignature
		_, _ = rand.Read(s[:])
		return s, nil
	case l.mode == "crashes" && calls > goodCalls:
		os.Exit(3)
	case l.mode == "hangs" && calls > goodCalls:
		<-ctx.Done()
		select {} // it does not even notice that nobody waits any more
	}
	return l.key.Sign(signer.ApprovalRoot(a.Header)), nil
}

func (l *liar) SignBitcoin(context.Context, signer.BitcoinRequest) (signer.BitcoinAnswer, error) {
	return signer.BitcoinAnswer{}, errors.New("no such thing")
}

// RaiseFloor takes floors and forgets them: this signer has no guard.
func (l *liar) RaiseFloor(context.Context, []signer.Floor) error { return nil }

func (l *liar) Prove(_ context.Context, c signer.Challenge) (signer.Proof, error) {
	key := l.key
	switch l.mode {
	case "lies-at-once":
		c.Nonce[0]++
	case "wrong-key":
		key = l.other
	case "hang-prove":
		select {}
	}
	sig := key.Sign(signer.ChallengeRoot(c))
	return signer.Proof{Scheme: signer.ProofBLS, Signature: sig[:]}, nil
}
