package embedded_test

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

	"github.com/alys-node/alys/plugins/engine/v5/internal/embedded"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugintest"
)

// TestConformance runs the contract's suite in this process, on a genesis with Shanghai only.
func TestConformance(t *testing.T) {
	enginetest.Run(t, enginetest.Harness{
		Description: embedded.New(nil).Describe(),
		GenesisTime: genesisTime,
		New: func(t *testing.T) engine.Engine {
			e := embedded.New(hclog.NewNullLogger())
			c := plugintest.ServeWith(t, e, plugintest.Options{Host: host(t, genesisJSON())})
			t.Cleanup(func() {
				if err := e.Drain(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			})
			return c.Engine()
		},
	})
}

// conform runs the suite on compiled processes, on a genesis whose second block is in Cancun and whose third is in Prague.
func conform(t *testing.T, path string) {
	enginetest.Run(t, enginetest.Harness{
		Description: embedded.New(nil).Describe(),
		GenesisTime: genesisTime,
		Transaction: transaction,
		New: func(t *testing.T) engine.Engine {
			return plugintest.Start(t, plugintest.Options{Path: path, Kind: lifecycle.Engine, Host: host(t, forkedJSON(t))}).Engine()
		},
	})
}

func host(t *testing.T, genesis []byte) lifecycle.Host {
	t.Helper()
	return lifecycle.Host{DataDir: t.TempDir(), RunDir: shortDir(t), ChainID: 121212, GenesisJSON: genesis}
}

func account() common.Address {
	k, err := crypto.ToECDSA(common.LeftPadBytes([]byte{7}, 32))
	if err != nil {
		panic(err)
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
	tx, err := types.SignNewTx(k, types.LatestSignerForChainID(big.NewInt(121212)), &types.DynamicFeeTx{
		ChainID: big.NewInt(121212), Nonce: n, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(2e9), Gas: 21_000,
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

// forkedJSON is the genesis of genesisJSON with an account, the system contracts and all forks, two seconds apart.
func forkedJSON(t *testing.T) []byte {
	t.Helper()
	var g core.Genesis
	if err := json.Unmarshal(genesisJSON(), &g); err != nil {
		t.Fatal(err)
	}
	cancun, prague := uint64(genesisTime+4), uint64(genesisTime+6)
	g.Config.CancunTime, g.Config.PragueTime = &cancun, &prague
	g.Config.BlobScheduleConfig = &params.BlobScheduleConfig{
		Cancun: &params.BlobConfig{UpdateFraction: 3338477}, Prague: &params.BlobConfig{UpdateFraction: 5007716},
	}
	g.Alloc = core.SystemContractAllocs()
	g.Alloc[account()] = types.Account{Balance: big.NewInt(1e18)}
	js, err := json.Marshal(&g)
	if err != nil {
		t.Fatal(err)
	}
	return js
}
