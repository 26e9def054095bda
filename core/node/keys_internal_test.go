package node

import (
	"testing"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
)

func TestKeysAreToldFromTheChainsOwn(t *testing.T) {
	now, later := signertest.BLSPublic("now"), signertest.BLSPublic("later")
	member := signertest.BitcoinPublic("now")
	s := &spec.Spec{Authorities: []*spec.AuthoritySet{
		{Keys: []chain.BLSPublicKey{now}, BitcoinKeys: []chain.BitcoinPublicKey{member}},
		{From: 100, Keys: []chain.BLSPublicKey{later}},
	}}
	for _, test := range []struct {
		name string
		id   signer.KeyID
		head chain.Height
		want string
	}{
		{"a member", signer.BLSKey(now), 5, admin.KeyInSet},
		{"a member of the federation", signer.BitcoinKey(member), 5, admin.KeyInSet},
		{"a member of the next set", signer.BLSKey(later), 99, admin.KeyComing},
		{"the next set is there", signer.BLSKey(later), 100, admin.KeyInSet},
		{"a former member", signer.BLSKey(now), 100, admin.KeyNotInSet},
		{"a stranger", signer.BLSKey(signertest.BLSPublic("x")), 5, admin.KeyNotInSet},
		{"another scheme", "rsa:00", 5, admin.KeyNotInSet},
	} {
		if got := keySet(s, test.id, test.head); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
