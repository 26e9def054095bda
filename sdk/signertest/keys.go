package signertest

import (
	"crypto/sha256"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
)

// BLSSecret is the approval key that Memory derives from a seed. Such keys are for tests only.
func BLSSecret(seed string) *bls.SecretKey {
	d := sha256.Sum256([]byte("alys/signertest/bls/" + seed))
	d[0] &= 0x3f // below the order of the group
	d[31] |= 1   // not zero
	sk, err := bls.ParseSecretKey(d[:])
	if err != nil {
		panic(err) // the masks above rule it out
	}
	return sk
}

// BitcoinSecret is the secp256k1 key that Memory derives from a seed. Such keys are for tests only.
func BitcoinSecret(seed string) *btcec.PrivateKey {
	d := sha256.Sum256([]byte("alys/signertest/bitcoin/" + seed))
	sk, _ := btcec.PrivKeyFromBytes(d[:])
	return sk
}

// BLSPublic is the public key of BLSSecret.
func BLSPublic(seed string) chain.BLSPublicKey { return BLSSecret(seed).Public() }

// BitcoinPublic is the public key of BitcoinSecret.
func BitcoinPublic(seed string) chain.BitcoinPublicKey {
	return chain.BitcoinPublicKey(BitcoinSecret(seed).PubKey().SerializeCompressed())
}
