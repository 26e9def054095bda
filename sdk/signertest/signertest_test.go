package signertest_test

import (
	"testing"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugintest"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
)

var genesis = chain.Hash{0xa1, 0x75}

func TestMemoryConforms(t *testing.T) {
	signertest.Run(t, signertest.Harness{
		New:         func(*testing.T) signer.Signer { return signertest.NewMemory(genesis, "a", "b") },
		Genesis:     genesis,
		Description: signertest.NewMemory(genesis).Describe(),
		Emit:        func(_ *testing.T, s signer.Signer, e signer.Event) { s.(*signertest.Memory).Emit(e) },
	})
}

func TestMemoryConformsProvingByECDSA(t *testing.T) {
	signertest.Run(t, signertest.Harness{
		New: func(*testing.T) signer.Signer {
			m := signertest.NewMemory(genesis, "a", "b")
			m.ProveByECDSA()
			return m
		},
		Genesis:     genesis,
		Description: signertest.NewMemory(genesis).Describe(),
		Emit:        func(_ *testing.T, s signer.Signer, e signer.Event) { s.(*signertest.Memory).Emit(e) },
	})
}

func TestMemoryConformsOverTheWire(t *testing.T) {
	type remote struct {
		signer.Signer
		signer.SignerWithBatch
		signer.SignerWithFloor
		signer.SignerWithEvents
		signer.SignerWithUpdates
		signer.SignerWithKeyAdmin
		memory *signertest.Memory
	}
	signertest.Run(t, signertest.Harness{
		New: func(t *testing.T) signer.Signer {
			m := signertest.NewMemory(chain.Hash{}, "a", "b")
			c := plugintest.ServeWith(t, m, plugintest.Options{Host: lifecycle.Host{Genesis: genesis}}).Signer()
			return &remote{c, c, c, c, c, c, m}
		},
		Genesis:     genesis,
		Description: signertest.NewMemory(genesis).Describe(),
		Emit:        func(_ *testing.T, s signer.Signer, e signer.Event) { s.(*remote).memory.Emit(e) },
	})
}
