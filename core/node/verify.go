package node

import (
	"crypto/sha256"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
)

// verifiedSignatures is how many good signatures are remembered: a few slots of the largest federation, with what is sent
// again in each.
const verifiedSignatures = 4096

// verifier verifies BLS signatures and remembers the good ones: what comes from a peer is verified before it is forwarded,
// and then again by consensus, which trusts nobody. It implements consensus.Verifier.
type verifier struct {
	good *lru.Cache[[sha256.Size]byte, struct{}]
}

func newVerifier() (*verifier, error) {
	good, err := lru.New[[sha256.Size]byte, struct{}](verifiedSignatures)
	return &verifier{good}, err
}

// Verify implements consensus.Verifier.
func (v *verifier) Verify(key chain.BLSPublicKey, root chain.Hash, sig chain.BLSSignature) bool {
	return v.once("alys/verified/1", []chain.BLSPublicKey{key}, root, sig, func() bool { return bls.Verify(key, root, sig) })
}

// VerifyAggregate implements consensus.Verifier.
func (v *verifier) VerifyAggregate(keys []chain.BLSPublicKey, root chain.Hash, sig chain.BLSSignature) bool {
	return v.once("alys/verified-aggregate/1", keys, root, sig, func() bool { return bls.VerifyAggregate(keys, root, sig) })
}

// Aggregate implements consensus.Verifier.
func (*verifier) Aggregate(sigs []chain.BLSSignature) (chain.BLSSignature, error) {
	return bls.Aggregate(sigs)
}

func (v *verifier) once(tag string, keys []chain.BLSPublicKey, root chain.Hash, sig chain.BLSSignature, verify func() bool) bool {
	parts := make([][]byte, 0, 2+len(keys))
	parts = append(parts, root[:], sig[:]) // both of fixed size, as keys are: nothing runs into its neighbour
	for i := range keys {
		parts = append(parts, keys[i][:])
	}
	id := [sha256.Size]byte(chain.TaggedHash(tag, parts...))
	if v.good.Contains(id) {
		return true
	}
	if !verify() {
		return false
	}
	v.good.Add(id, struct{}{})
	return true
}
