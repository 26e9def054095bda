package blackboxtest

import (
	"testing"

	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
	"github.com/alys-node/alys/sdk/syncer"
	"github.com/alys-node/alys/sdk/syncertest"
)

// checkContract runs the suite of the kind, each rule on a process of its own.
func checkContract(c *check) {
	p := c.up(launch{})
	switch c.s.kind {
	case lifecycle.Signer:
		c.approvalKey(p)
		c.signer()
	case lifecycle.Engine:
		enginetest.Run(c.T, enginetest.Harness{
			Description: c.s.description,
			GenesisTime: genesisTime,
			New:         func(t *testing.T) engine.Engine { return c.on(t).up(launch{}).client.Engine() },
			Transaction: func(t *testing.T, n uint64) []byte {
				t.Helper()
				raw, err := transaction(n)
				if err != nil {
					t.Fatal(err)
				}
				return raw
			},
		})
	case lifecycle.Sync:
		syncertest.Run(c.T, syncertest.Harness{
			New:   func(t *testing.T) syncer.Strategy { return c.on(t).up(launch{}).client.Strategy() },
			Stall: c.s.o.CallTimeout,
		})
	}
}

// on is the check in a subtest of it.
func (c *check) on(t *testing.T) *check { return &check{T: t, row: c.row, s: c.s} }

func (c *check) signer() {
	running := map[signer.Signer]*plug{}
	start := func(t *testing.T, dir string) signer.Signer {
		t.Helper()
		p := c.on(t).up(launch{dataDir: dir})
		s := p.client.Signer()
		running[s] = p
		return s
	}
	h := signertest.Harness{
		Genesis:     c.s.chain.Genesis,
		Description: c.s.description,
		Keys:        c.s.o.KeyPolicy,
		New:         func(t *testing.T) signer.Signer { return start(t, t.TempDir()) },
	}
	if !c.s.o.KeepsNothing {
		h.Restart = func(t *testing.T, s signer.Signer) signer.Signer {
			t.Helper()
			if err := running[s].kill(); err != nil {
				t.Fatal(err)
			}
			return start(t, running[s].host.DataDir)
		}
	}
	signertest.Run(c.T, h)
}
