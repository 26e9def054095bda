package recovery

import (
	"fmt"

	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/signer"
)

// Derive is the secret key at a path of a seed, in locked memory.
func Derive(seed *keystore.Locked, p Path) (*keystore.Locked, error) {
	var secret *keystore.Locked
	err := seed.Use(func(seed []byte) (err error) {
		if p.purpose == signer.PurposeApproval {
			secret, err = deriveBLS(seed, p.index)
		} else {
			secret, err = deriveSecp256k1(seed, p.index)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("derive %s: %w", p, err)
	}
	return secret, nil
}

func deriveBLS(seed []byte, path []uint32) (*keystore.Locked, error) {
	k, err := bls.DeriveSecretKey(seed, path)
	if err != nil {
		return nil, err
	}
	defer k.Zero()
	return keystore.NewLocked(k.Bytes())
}

func deriveSecp256k1(seed []byte, path []uint32) (*keystore.Locked, error) {
	k, err := hdkeychain.NewMaster(seed, &chaincfg.MainNetParams) // the network shows in an xprv only, and none is written
	if err != nil {
		return nil, err
	}
	defer func() { k.Zero() }()
	for _, index := range path {
		child, err := k.Derive(index)
		if err != nil {
			return nil, err
		}
		k.Zero()
		k = child
	}
	key, err := k.ECPrivKey()
	if err != nil {
		return nil, err
	}
	defer key.Zero()
	return keystore.NewLocked(key.Serialize())
}
