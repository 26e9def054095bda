package wire_test

import (
	"strings"
	"testing"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/enginetest"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
	"github.com/alys-node/alys/sdk/syncertest"
	"github.com/alys-node/alys/sdk/wire"
)

// described says something else of a plugin than it does of itself.
type described struct {
	lifecycle.Plugin
	as lifecycle.Description
}

func (d described) Describe() lifecycle.Description { return d.as }

// bareSigner is a signer without any optional method.
type bareSigner struct {
	lifecycle.Plugin
	signer.Signer
	capability lifecycle.Capability
}

func (b bareSigner) Describe() lifecycle.Description {
	return lifecycle.Description{
		Kind: lifecycle.Signer, Name: "bare", Version: "1.0.0",
		Capabilities: []lifecycle.Capability{b.capability},
	}
}

func TestCheck(t *testing.T) {
	m := signertest.NewMemory(chain.Hash{}, "a")
	e, err := enginetest.NewMemory(nil)
	if err != nil {
		t.Fatal(err)
	}
	bare := func(c lifecycle.Capability) lifecycle.Plugin { return bareSigner{m, m, c} }
	as := func(k lifecycle.Kind) lifecycle.Plugin {
		return described{m, lifecycle.Description{Kind: k, Name: "x", Version: "1.0.0"}}
	}
	for _, test := range []struct {
		name string
		p    lifecycle.Plugin
		want string // in the error; empty means none
	}{
		{"a signer with all that it describes", m, ""},
		{"an engine with a pool", e, ""},
		{"a strategy", syncertest.NewMemory(), ""},
		{"an unknown kind", as("wallet"), `kind "wallet"`},
		{"a signer's name without a signer", as(lifecycle.Signer), "does not implement signer.Signer"},
		{"an engine's name without an engine", as(lifecycle.Engine), "does not implement engine.Engine"},
		{"a strategy's name without a strategy", as(lifecycle.Sync), "does not implement syncer.Strategy"},
		{"batches without the method", bare(lifecycle.CapBatch), "signer.SignerWithBatch"},
		{"events without the method", bare(lifecycle.CapEvents), "signer.SignerWithEvents"},
		{"key administration without the methods", bare(lifecycle.CapKeyAdmin), "signer.SignerWithKeyAdmin"},
		{"a floor without the method", bare(lifecycle.CapFloor), "signer.SignerWithFloor"},
		{"updates without the method", bare(lifecycle.CapUpdates), "signer.SignerWithUpdates"},
		{"a pool without the methods", bare(lifecycle.CapPool), "engine.EngineWithPool"},
		{"a capability without methods", bare(lifecycle.CapGuardBesideKey), ""},
		{"a capability of a newer contract", bare("signer.dreams"), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := wire.Check(test.p)
			if test.want == "" && err != nil {
				t.Errorf("got error %v, want none", err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got error %v, want one that says %q", err, test.want)
			}
		})
	}
}
