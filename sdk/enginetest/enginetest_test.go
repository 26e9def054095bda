package enginetest_test

import (
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugintest"
)

const genesisTime = 1_700_000_000

func newMemory(t *testing.T, genesisJSON []byte) *enginetest.Memory {
	t.Helper()
	m, err := enginetest.NewMemory(genesisJSON)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// forked is a genesis whose second block is in Cancun and whose third is in Prague, with a horizon far behind.
func forked() []byte {
	cancun, prague, osaka := uint64(genesisTime+3), uint64(genesisTime+5), uint64(genesisTime+1000)
	return enginetest.GenesisJSON(enginetest.Spec{Timestamp: genesisTime, Cancun: &cancun, Prague: &prague, Osaka: &osaka})
}

func harness(t *testing.T, start func(*testing.T) engine.Engine) enginetest.Harness {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("a test key")))
	if err != nil {
		t.Fatal(err)
	}
	return enginetest.Harness{
		New:         start,
		Description: newMemory(t, nil).Describe(),
		GenesisTime: genesisTime,
		Transaction: func(t *testing.T, n uint64) []byte {
			t.Helper()
			tx, err := types.SignNewTx(key, types.NewCancunSigner(big.NewInt(121212)), &types.DynamicFeeTx{
				ChainID: big.NewInt(121212), Nonce: n, Gas: 21_000, GasFeeCap: big.NewInt(2e9), To: &common.Address{1},
			})
			if err != nil {
				t.Fatal(err)
			}
			b, err := tx.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
	}
}

func TestMemoryConforms(t *testing.T) {
	enginetest.Run(t, harness(t, func(t *testing.T) engine.Engine { return newMemory(t, nil) }))
}

func TestMemoryConformsAcrossForks(t *testing.T) {
	enginetest.Run(t, harness(t, func(t *testing.T) engine.Engine { return newMemory(t, forked()) }))
}

func TestMemoryConformsOverTheWire(t *testing.T) {
	enginetest.Run(t, harness(t, func(t *testing.T) engine.Engine {
		host := lifecycle.Host{GenesisJSON: forked()}
		return plugintest.ServeWith(t, newMemory(t, nil), plugintest.Options{Host: host}).Engine()
	}))
}
