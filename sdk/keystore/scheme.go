package keystore

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// Scheme is a signature scheme.
type Scheme string

// The schemes.
const (
	BLS12381  Scheme = "bls12-381"
	Secp256k1 Scheme = "secp256k1"
)

// ErrBadSecret means that 32 bytes are not a secret key of the scheme.
var ErrBadSecret = errors.New("not a secret key of its scheme")

// SchemeOf is the scheme of keys with a purpose.
func SchemeOf(p signer.Purpose) (Scheme, error) {
	switch p {
	case signer.PurposeApproval:
		return BLS12381, nil
	case signer.PurposeBitcoin:
		return Secp256k1, nil
	}
	return "", fmt.Errorf("no keys have the purpose %q", p)
}

// Purpose is what keys of the scheme are for.
func (s Scheme) Purpose() signer.Purpose {
	if s == Secp256k1 {
		return signer.PurposeBitcoin
	}
	return signer.PurposeApproval
}

// Generate makes a random secret key in locked memory.
func (s Scheme) Generate() (*Locked, error) {
	switch s {
	case BLS12381:
		k, err := bls.NewSecretKey()
		if err != nil {
			return nil, err
		}
		defer k.Zero()
		return NewLocked(k.Bytes())
	case Secp256k1:
		k, err := btcec.NewPrivateKey()
		if err != nil {
			return nil, fmt.Errorf("make key: %w", err)
		}
		defer k.Zero()
		return NewLocked(k.Serialize())
	}
	return nil, fmt.Errorf("scheme %q is unknown", s)
}

// KeyID is the key that a secret is of. ErrBadSecret when it is none of the scheme.
func (s Scheme) KeyID(secret *Locked) (id signer.KeyID, err error) {
	err = secret.Use(func(secret []byte) (err error) {
		id, err = s.derive(secret)
		return err
	})
	return id, err
}

// id is the key id of public key bytes.
func (s Scheme) id(public []byte) (signer.KeyID, error) {
	switch s {
	case BLS12381:
		var k chain.BLSPublicKey
		if copy(k[:], public) != len(k) || len(public) != len(k) {
			return "", fmt.Errorf("%d bytes, want %d", len(public), len(k))
		}
		return signer.BLSKey(k), nil
	case Secp256k1:
		k, err := btcec.ParsePubKey(public)
		if err != nil || len(public) != btcec.PubKeyBytesLenCompressed {
			return "", errors.New("not a compressed secp256k1 point")
		}
		return signer.BitcoinKey(chain.BitcoinPublicKey(k.SerializeCompressed())), nil
	}
	return "", fmt.Errorf("scheme %q is unknown", s)
}

// derive is the key id of a secret.
func (s Scheme) derive(secret []byte) (signer.KeyID, error) {
	switch s {
	case BLS12381:
		k, err := bls.ParseSecretKey(secret)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrBadSecret, err)
		}
		defer k.Zero()
		return signer.BLSKey(k.Public()), nil
	case Secp256k1:
		var scalar btcec.ModNScalar
		if overflow := scalar.SetByteSlice(secret); overflow || scalar.IsZero() || len(secret) != keySize {
			return "", ErrBadSecret
		}
		k := btcec.PrivKeyFromScalar(&scalar)
		scalar.Zero()
		defer k.Zero()
		return signer.BitcoinKey(chain.BitcoinPublicKey(k.PubKey().SerializeCompressed())), nil
	}
	return "", fmt.Errorf("scheme %q is unknown", s)
}

func publicBytes(id signer.KeyID) ([]byte, error) {
	if k, err := id.BLS(); err == nil {
		return k[:], nil
	}
	k, err := id.Bitcoin()
	return k[:], err
}
