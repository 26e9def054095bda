package signertest_test

import (
	"context"
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

// born is a signer whose keys never come in or go out.
type born struct{ *signertest.Memory }

func (b born) CreateKey(ctx context.Context, k signer.NewKey) (signer.Key, error) {
	if len(k.Import) > 0 || k.Purpose != signer.PurposeBitcoin {
		return signer.Key{}, signer.ErrRefused
	}
	return b.Memory.CreateKey(ctx, k)
}

func (born) ExportKey(context.Context, signer.KeyID, signer.Secret) ([]byte, error) {
	return nil, signer.ErrRefused
}

func TestSignerOfAnHSMConforms(t *testing.T) {
	signertest.Run(t, signertest.Harness{
		New:         func(*testing.T) signer.Signer { return born{signertest.NewMemory(genesis, "a", "b")} },
		Genesis:     genesis,
		Description: signertest.NewMemory(genesis).Describe(),
		Keys:        signertest.KeyPolicy{NoImport: true, NoExport: true, Purposes: []signer.Purpose{signer.PurposeBitcoin}},
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
