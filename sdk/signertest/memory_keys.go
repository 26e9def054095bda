package signertest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/signer"
)

// Unlock implements signer.SignerWithKeyAdmin. Memory keeps every key open, so there is nothing to unlock.
func (m *Memory) Unlock(ctx context.Context, _ signer.Secret) error { return ctx.Err() }

// CreateKey implements signer.SignerWithKeyAdmin.
func (m *Memory) CreateKey(ctx context.Context, r signer.NewKey) (signer.Key, error) {
	if err := ctx.Err(); err != nil {
		return signer.Key{}, err
	}
	scheme, err := keystore.SchemeOf(r.Purpose)
	if err != nil {
		return signer.Key{}, fmt.Errorf("%w: %w", signer.ErrRefused, err)
	}
	secret, label, err := material(scheme, r)
	if err != nil {
		return signer.Key{}, err
	}
	defer secret.Destroy()
	k := &heldKey{info: signer.Key{Purpose: r.Purpose, Label: label}}
	if err := secret.Use(k.take); err != nil {
		return signer.Key{}, fmt.Errorf("%w: %w", signer.ErrRefused, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch id := k.info.ID; {
	case m.keys[id] != nil:
		return signer.Key{}, fmt.Errorf("%w: %s is held already", signer.ErrRefused, id)
	case m.removed[id]:
		return signer.Key{}, fmt.Errorf("%w: %s was removed", signer.ErrRefused, id)
	}
	m.add(k)
	return k.info, nil
}

// material is a random secret, or the one of the import with its label.
func material(scheme keystore.Scheme, r signer.NewKey) (*keystore.Locked, string, error) {
	if len(r.Import) == 0 {
		secret, err := scheme.Generate()
		return secret, r.Label, err
	}
	ks, err := keystore.Parse(r.Import)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", signer.ErrRefused, err)
	}
	if ks.Scheme() != scheme {
		return nil, "", fmt.Errorf("%w: a keystore of %s is not for %s", signer.ErrRefused, ks.Scheme(), r.Purpose)
	}
	if r.Label == "" {
		r.Label = ks.Label()
	}
	password := r.ImportPassword
	if len(password) == 0 {
		password = r.Password
	}
	secret, err := ks.Open(password)
	if errors.Is(err, keystore.ErrMismatch) || errors.Is(err, keystore.ErrBadSecret) {
		err = fmt.Errorf("%w: %w", signer.ErrRefused, err)
	}
	return secret, r.Label, err
}

// take reads a secret into a key of the purpose that is set.
func (k *heldKey) take(secret []byte) (err error) {
	if k.info.Purpose == signer.PurposeBitcoin {
		k.bitcoin, _ = btcec.PrivKeyFromBytes(secret)
		k.info.ID = signer.BitcoinKey([33]byte(k.bitcoin.PubKey().SerializeCompressed()))
		return nil
	}
	if k.bls, err = bls.ParseSecretKey(secret); err != nil {
		return err
	}
	possession := k.bls.Possession()
	k.info.ID, k.info.Possession = signer.BLSKey(k.bls.Public()), possession[:]
	return nil
}

// ExportKey implements signer.SignerWithKeyAdmin.
func (m *Memory) ExportKey(ctx context.Context, id signer.KeyID, password signer.Secret) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	k := m.keys[id]
	m.mu.Unlock()
	if k == nil {
		return nil, fmt.Errorf("%w: %s", signer.ErrUnknownKey, id)
	}
	scheme, plain := keystore.Secp256k1, []byte(nil)
	if k.bls != nil {
		scheme, plain = keystore.BLS12381, k.bls.Bytes()
	} else {
		plain = k.bitcoin.Serialize()
	}
	secret, err := keystore.NewLocked(plain)
	if err != nil {
		return nil, err
	}
	defer secret.Destroy()
	ks, err := keystore.Seal(keystore.SealRequest{Scheme: scheme, Secret: secret, Password: password, Label: k.info.Label})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", signer.ErrRefused, err)
	}
	return ks.Encode()
}

// RemoveKey implements signer.SignerWithKeyAdmin.
func (m *Memory) RemoveKey(ctx context.Context, id signer.KeyID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys[id] == nil {
		return fmt.Errorf("%w: %s", signer.ErrUnknownKey, id)
	}
	delete(m.keys, id)
	m.removed[id] = true
	m.order = slices.DeleteFunc(m.order, func(other signer.KeyID) bool { return other == id })
	return nil
}
