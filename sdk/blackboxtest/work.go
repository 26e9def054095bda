package blackboxtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
	"github.com/alys-node/alys/sdk/syncer"
)

// The suite's execution chain: Shanghai from the start, which every engine plugin executes, and one rich account.
const (
	chainID     = 121212
	genesisTime = 1_700_000_000
)

// account is the rich account's key.
var account = must(crypto.ToECDSA(common.LeftPadBytes([]byte{7}, 32)))

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // of a constant
	}
	return v
}

func genesisJSON() []byte {
	var g core.Genesis
	if err := json.Unmarshal(enginetest.GenesisJSON(enginetest.Spec{ChainID: chainID, Timestamp: genesisTime}), &g); err != nil {
		panic(err) // of a constant
	}
	g.Alloc[crypto.PubkeyToAddress(account.PublicKey)] = types.Account{Balance: big.NewInt(1e18)}
	return must(json.Marshal(&g))
}

// transaction is the n-th transfer of the rich account.
func transaction(n uint64) ([]byte, error) {
	id := big.NewInt(chainID)
	tx, err := types.SignNewTx(account, types.LatestSignerForChainID(id), &types.DynamicFeeTx{
		ChainID: id, Nonce: n, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(2e9), Gas: 21_000,
		To: &common.Address{1}, Value: big.NewInt(1),
	})
	if err != nil {
		return nil, err
	}
	return tx.MarshalBinary()
}

// A work is one call of a plugin, made only for how it is answered.
type work struct {
	name string
	do   func(context.Context, *plug) error
}

// common are the calls that every plugin has, before Configure too.
func (s *subject) common() []work {
	return []work{
		{"Describe", func(ctx context.Context, p *plug) error { _, err := p.client.Plugin().Describe(ctx); return err }},
		{"Schema", func(ctx context.Context, p *plug) error { _, err := p.client.Plugin().Schema(ctx); return err }},
		{"Validate", func(ctx context.Context, p *plug) error {
			_, _, err := p.client.Plugin().Validate(ctx, p.config(s.o.ConfigJSON))
			return err
		}},
		{"Health", func(ctx context.Context, p *plug) error { _, err := p.client.Plugin().Health(ctx); return err }},
	}
}

// ofKind are quick calls of the kind's contract that change nothing.
func (s *subject) ofKind() []work {
	switch s.kind {
	case lifecycle.Signer:
		return s.ofSigner()
	case lifecycle.Engine:
		return s.ofEngine()
	case lifecycle.Sync:
		return []work{{"Run", func(ctx context.Context, p *plug) error { return p.client.Strategy().Run(ctx, nothingToDo{}) }}}
	}
	return nil
}

func (s *subject) ofSigner() []work {
	stranger := signer.BLSKey(signertest.BLSPublic("a key that no signer holds"))
	header := chain.Header{Version: chain.HeaderVersion, Genesis: s.chain.Genesis, Slot: 1, Height: 1}
	return []work{
		{"Keys", func(ctx context.Context, p *plug) error { _, err := p.client.Signer().Keys(ctx); return err }},
		{"Approve", func(ctx context.Context, p *plug) error {
			_, err := p.client.Signer().Approve(ctx, signer.Approval{Key: stranger, Header: header})
			return except(err, signer.ErrUnknownKey, signer.ErrLocked)
		}},
		{"Prove", func(ctx context.Context, p *plug) error {
			_, err := p.client.Signer().Prove(ctx, signer.Challenge{Key: stranger, Genesis: s.chain.Genesis, Nonce: chain.Hash{1}})
			return except(err, signer.ErrUnknownKey, signer.ErrLocked, lifecycle.ErrUnsupported)
		}},
	}
}

func (s *subject) ofEngine() []work {
	return []work{
		{"Status", func(ctx context.Context, p *plug) error { _, err := p.client.Engine().Status(ctx); return err }},
		{"Build", func(ctx context.Context, p *plug) error {
			_, err := p.client.Engine().Build(ctx, engine.BuildRequest{
				Parent: chain.Hash{9}, Timestamp: genesisTime + 2, GasLimit: 30_000_000, Withdrawals: []chain.Withdrawal{},
			})
			return except(err, engine.ErrSyncing)
		}},
		{"Import", func(ctx context.Context, p *plug) error {
			_, err := p.client.Engine().Import(ctx, engine.ImportRequest{})
			return err
		}},
		{"Payloads", func(ctx context.Context, p *plug) error {
			_, err := p.client.Engine().Payloads(ctx, []chain.Hash{{9}})
			return err
		}},
	}
}

// sessions are the calls of this plugin that last until their context ends.
func (s *subject) sessions() []work {
	switch {
	case s.kind == lifecycle.Sync:
		return []work{{"Run", func(ctx context.Context, p *plug) error { return p.client.Strategy().Run(ctx, waiting{}) }}}
	case slices.Contains(s.description.Capabilities, lifecycle.CapEvents):
		return []work{{"Watch", func(ctx context.Context, p *plug) error {
			return p.client.Signer().Watch(ctx, func(context.Context, signer.Event) error { return errors.New("not now") })
		}}}
	}
	return nil
}

// except is nil for the errors that a call is expected to answer.
func except(err error, expected ...error) error {
	for _, e := range expected {
		if errors.Is(err, e) {
			return nil
		}
	}
	if err == nil {
		return errors.New("it did what it must refuse")
	}
	return err
}

// nothingToDo is a session that the host ends at once.
type nothingToDo struct{}

// Next implements syncer.Session.
func (nothingToDo) Next(context.Context) (syncer.Event, error) { return syncer.Event{}, io.EOF }

// Send implements syncer.Session.
func (nothingToDo) Send(context.Context, syncer.Order) error { return syncer.ErrNoCredit }

// waiting is a session in which nothing happens.
type waiting struct{}

// Next implements syncer.Session.
func (waiting) Next(ctx context.Context) (syncer.Event, error) {
	<-ctx.Done()
	return syncer.Event{}, ctx.Err()
}

// Send implements syncer.Session.
func (waiting) Send(context.Context, syncer.Order) error { return syncer.ErrNoCredit }

// wantWork makes every call of the kind once, each with the deadline that it must keep.
func (c *check) wantWork(p *plug, when string) {
	c.Helper()
	for _, w := range c.s.ofKind() {
		if err := w.do(c.call(), p); err != nil {
			c.fatal(fmt.Sprintf("%s %s is answered", when, w.name), "%s; %s", err, p.said())
		}
	}
}
