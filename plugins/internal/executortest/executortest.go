// Package executortest tests the built-in engine plugins as their users run them: the compiled binary over gRPC, with
// geth inside and on a real geth process. A built-in's own test is a Subject and calls of this package.
package executortest

import (
	"context"
	"encoding/json"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/plugins/internal/executor"
	"github.com/alys-node/alys/plugins/internal/gethtest"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugintest"
	"github.com/alys-node/alys/sdk/wire"
)

// Subject is a built-in engine.
type Subject struct {
	Variant executor.Variant
	Path    string // the compiled plugin; empty: the plugin runs in the test's process
}

// GenesisTime is the timestamp of Genesis, in unix seconds; its blocks are two seconds apart.
const GenesisTime = 1_700_000_000

const chainID = 121212

// Genesis has an account with coins and the system contracts. For an engine to Prague the second block is in Cancun and
// the third in Prague; for one to Shanghai, Cancun is far away.
func (s Subject) Genesis(t testing.TB) []byte {
	t.Helper()
	cancun, prague := uint64(GenesisTime+4), uint64(GenesisTime+6)
	if s.Variant.Last == execution.Shanghai {
		cancun, prague = GenesisTime+1000, GenesisTime+2000
	}
	var g core.Genesis
	js := enginetest.GenesisJSON(enginetest.Spec{ChainID: chainID, Timestamp: GenesisTime, Cancun: &cancun, Prague: &prague})
	if err := json.Unmarshal(js, &g); err != nil {
		t.Fatal(err)
	}
	g.Config.BlobScheduleConfig = &params.BlobScheduleConfig{
		Cancun: &params.BlobConfig{UpdateFraction: 3338477}, Prague: &params.BlobConfig{UpdateFraction: 5007716},
	}
	g.Alloc[account(t)] = types.Account{Balance: big.NewInt(1e18)}
	js, err := json.Marshal(&g)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// Embedded checks the contract on geth inside of the plugin.
func (s Subject) Embedded(t *testing.T) {
	s.conform(t, func(t *testing.T) *wire.Client { return s.embedded(t) })
}

// External checks the contract on a real geth process.
func (s Subject) External(t *testing.T) {
	s.conform(t, func(t *testing.T) *wire.Client {
		g := s.Genesis(t)
		return s.start(t, gethtest.Start(t, gethtest.Options{Genesis: g}).ConfigJSON(), g)
	})
}

func (s Subject) conform(t *testing.T, start func(*testing.T) *wire.Client) {
	enginetest.Run(t, enginetest.Harness{
		Description: executor.New(s.Variant, nil).Describe(),
		GenesisTime: GenesisTime,
		Transaction: transaction,
		New:         func(t *testing.T) engine.Engine { return start(t).Engine() },
	})
}

func (s Subject) embedded(t testing.TB) *wire.Client { return s.start(t, []byte("{}"), s.Genesis(t)) }

// start brings the plugin up.
func (s Subject) start(t testing.TB, config, genesis []byte) *wire.Client {
	t.Helper()
	if s.Path != "" {
		return plugintest.Start(t, s.options(t, config, genesis))
	}
	p := executor.New(s.Variant, hclog.NewNullLogger())
	c := plugintest.ServeWith(t, p, s.options(t, config, genesis))
	t.Cleanup(func() {
		if err := p.Drain(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return c
}

// refused is the error of Configure.
func (s Subject) refused(t *testing.T, config, genesis []byte) error {
	t.Helper()
	c, conf := s.probe(t, config, genesis)
	return c.Plugin().Configure(t.Context(), conf)
}

// probe starts the plugin without Configure, and gives what to configure it with.
func (s Subject) probe(t *testing.T, config, genesis []byte) (*wire.Client, lifecycle.Config) {
	t.Helper()
	o := s.options(t, config, genesis)
	o.Probe = true
	if s.Path != "" {
		return plugintest.Start(t, o), plugintest.Config(t, o)
	}
	return plugintest.ServeWith(t, executor.New(s.Variant, hclog.NewNullLogger()), o), plugintest.Config(t, o)
}

func (s Subject) options(t testing.TB, config, genesis []byte) plugintest.Options {
	t.Helper()
	return plugintest.Options{
		Path: s.Path, Kind: lifecycle.Engine, ConfigJSON: config,
		Host: lifecycle.Host{DataDir: t.TempDir(), ChainID: chainIDOf(t, genesis), GenesisJSON: genesis},
	}
}

func chainIDOf(t testing.TB, genesis []byte) uint64 {
	t.Helper()
	var g core.Genesis
	if err := json.Unmarshal(genesis, &g); err != nil {
		t.Fatal(err)
	}
	return g.Config.ChainID.Uint64()
}

func account(t testing.TB) common.Address {
	t.Helper()
	k, err := crypto.ToECDSA(common.LeftPadBytes([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return crypto.PubkeyToAddress(k.PublicKey)
}

// transaction is the n-th transfer of the account.
func transaction(t *testing.T, n uint64) []byte {
	t.Helper()
	k, err := crypto.ToECDSA(common.LeftPadBytes([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	tx, err := types.SignNewTx(k, types.LatestSignerForChainID(big.NewInt(chainID)), &types.DynamicFeeTx{
		ChainID: big.NewInt(chainID), Nonce: n, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(2e9), Gas: 21_000,
		To: &common.Address{1}, Value: big.NewInt(1),
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := tx.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
