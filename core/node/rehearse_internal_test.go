package node

import (
	"context"
	"testing"

	"github.com/alys-node/alys/core/swap"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugintest"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
)

// speechless cannot sign a challenge, as a service that signs transactions only.
type speechless struct{ *signertest.Memory }

func (speechless) Prove(context.Context, signer.Challenge) (signer.Proof, error) {
	return signer.Proof{}, lifecycle.ErrUnsupported
}

func TestSignerThatCannotProveIsRehearsedInShadowFirst(t *testing.T) {
	for position, want := range map[swap.Position]error{
		swap.Primary: errRehearse, swap.Fallback: errRehearse, swap.InCanary: errRehearse, swap.Shadow: nil,
	} {
		t.Run(string(position), func(t *testing.T) {
			a := newAdmitter(t, signer.BLSKey(signertest.BLSPublic("a")))
			c := plugintest.ServeWith(t, speechless{memory()}, plugintest.Options{Host: lifecycle.Host{Genesis: testGenesis}})
			wantIs(t, a.admitSigner(t.Context(), newcomer(), c, roleSigner, position), want)
		})
	}
}
