package local_test

import (
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/signer/local/internal/local"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
)

// TestConformanceInProcess runs the suite on the value itself; the compiled binary is tested beside main.
func TestConformanceInProcess(t *testing.T) {
	configs := map[signer.Signer]lifecycle.Config{}
	signertest.Run(t, signertest.Harness{
		Genesis: genesis, Description: local.New(hclog.NewNullLogger()).Describe(),
		New: func(t *testing.T) signer.Signer {
			c := unlocked(keyFolder(t)).config(t, t.TempDir())
			s := start(t, c)
			configs[s] = c
			return s
		},
		Restart: func(t *testing.T, old signer.Signer) signer.Signer {
			drain(t, old.(*local.Signer))
			s := start(t, configs[old])
			configs[s] = configs[old]
			return s
		},
	})
}
