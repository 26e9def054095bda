// Package bls signs and verifies with BLS12-381 in the minimal-public-key-size variant (keys 48 bytes in G1, signatures
// 96 bytes in G2), with the ciphersuites of the IETF BLS signature draft that Ethereum uses.
//
// It exists so that every signer, the node and the conformance kits agree on one suite. Messages are 32-byte roots that
// are domain-tagged by their maker (see sdk/signer).
package bls

import (
	"crypto/rand"
	"errors"
	"fmt"

	blst "github.com/supranational/blst/bindings/go"

	"github.com/alys-node/alys/sdk/chain"
)

// The domain separation tags of the proof-of-possession scheme.
const (
	signatureDST  = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
	possessionDST = "BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
)

// SecretSize is the length of a serialized secret key, in bytes (big-endian scalar).
const SecretSize = 32

// Errors of this package.
var (
	ErrBadSecret    = errors.New("not a BLS secret key")
	ErrBadPublicKey = errors.New("not a BLS public key")
	ErrBadSignature = errors.New("not a BLS signature")
)

// SecretKey is a secret scalar. The caller keeps it out of reach and calls Zero when done.
type SecretKey struct{ sk blst.SecretKey }

// NewSecretKey makes a random key from the system's randomness.
func NewSecretKey() (*SecretKey, error) {
	var ikm [32]byte
	if _, err := rand.Read(ikm[:]); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	sk := blst.KeyGen(ikm[:])
	clear(ikm[:])
	return &SecretKey{*sk}, nil
}

// ParseSecretKey reads a big-endian scalar of SecretSize bytes; zero and values above the group order are refused.
func ParseSecretKey(b []byte) (*SecretKey, error) {
	var k SecretKey
	if len(b) != SecretSize || k.sk.Deserialize(b) == nil {
		return nil, ErrBadSecret
	}
	return &k, nil
}

// Bytes is the big-endian scalar. The caller clears it after use.
func (k *SecretKey) Bytes() []byte { return k.sk.Serialize() }

// Zero wipes the key.
func (k *SecretKey) Zero() { k.sk.Zeroize() }

// Public is the public key.
func (k *SecretKey) Public() chain.BLSPublicKey {
	return chain.BLSPublicKey(new(blst.P1Affine).From(&k.sk).Compress())
}

// Sign signs a 32-byte root.
func (k *SecretKey) Sign(root chain.Hash) chain.BLSSignature {
	return chain.BLSSignature(new(blst.P2Affine).Sign(&k.sk, root[:], []byte(signatureDST)).Compress())
}

// Possession is the proof of possession of the key (PopProve).
func (k *SecretKey) Possession() chain.BLSSignature {
	pub := k.Public()
	return chain.BLSSignature(new(blst.P2Affine).Sign(&k.sk, pub[:], []byte(possessionDST)).Compress())
}

// VerifyPossession checks a proof of possession (PopVerify).
func VerifyPossession(k chain.BLSPublicKey, proof chain.BLSSignature) bool {
	p, err := publicKey(k)
	if err != nil {
		return false
	}
	return new(blst.P2Affine).VerifyCompressed(proof[:], true, p.Compress(), true, k[:], []byte(possessionDST))
}

// Verify checks one signature on a root. Key and signature are checked to be in their groups; the key is not infinity.
func Verify(k chain.BLSPublicKey, root chain.Hash, sig chain.BLSSignature) bool {
	p, err := publicKey(k)
	if err != nil {
		return false
	}
	s := new(blst.P2Affine).Uncompress(sig[:])
	return s != nil && s.Verify(true, p, false, root[:], []byte(signatureDST))
}

// Aggregate adds signatures. It refuses an empty list and a signature outside the group.
func Aggregate(sigs []chain.BLSSignature) (chain.BLSSignature, error) {
	if len(sigs) == 0 {
		return chain.BLSSignature{}, fmt.Errorf("aggregate of nothing: %w", ErrBadSignature)
	}
	raw := make([][]byte, len(sigs))
	for i := range sigs {
		raw[i] = sigs[i][:]
	}
	var agg blst.P2Aggregate
	if !agg.AggregateCompressed(raw, true) {
		return chain.BLSSignature{}, ErrBadSignature
	}
	return chain.BLSSignature(agg.ToAffine().Compress()), nil
}

// VerifyAggregate checks an aggregate of signatures of all keys on the same root (FastAggregateVerify). Every key must
// have a checked proof of possession, or rogue keys could forge.
func VerifyAggregate(keys []chain.BLSPublicKey, root chain.Hash, sig chain.BLSSignature) bool {
	if len(keys) == 0 {
		return false
	}
	points := make([]*blst.P1Affine, len(keys))
	for i, k := range keys {
		p, err := publicKey(k)
		if err != nil {
			return false
		}
		points[i] = p
	}
	s := new(blst.P2Affine).Uncompress(sig[:])
	return s != nil && s.FastAggregateVerify(true, points, root[:], []byte(signatureDST))
}

func publicKey(k chain.BLSPublicKey) (*blst.P1Affine, error) {
	p := new(blst.P1Affine).Uncompress(k[:])
	if p == nil || !p.KeyValidate() {
		return nil, ErrBadPublicKey
	}
	return p, nil
}
