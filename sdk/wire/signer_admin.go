package wire

import (
	"context"
	"errors"
	"fmt"

	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/wire/signerv1"
)

// Unlock implements signer.SignerWithKeyAdmin.
func (s *SignerClient) Unlock(ctx context.Context, password signer.Secret) error {
	_, err := invoke(ctx, s.c.at("Unlock"), s.rpc.Unlock, &signerv1.UnlockRequest{Password: password})
	return err
}

// CreateKey implements signer.SignerWithKeyAdmin.
func (s *SignerClient) CreateKey(ctx context.Context, k signer.NewKey) (signer.Key, error) {
	req := &signerv1.CreateKeyRequest{
		Purpose: string(k.Purpose), Label: k.Label, Password: k.Password,
		Import: k.Import, ImportPassword: k.ImportPassword,
	}
	resp, err := invoke(ctx, s.c.at("CreateKey"), s.rpc.CreateKey, req)
	if err != nil {
		return signer.Key{}, err
	}
	key, err := keyFromProto(resp.GetKey())
	if err == nil && key.Purpose != k.Purpose {
		err = fmt.Errorf("key is for %q, asked for %q", key.Purpose, k.Purpose)
	}
	if err != nil {
		return signer.Key{}, s.c.malformed("CreateKey", err)
	}
	return key, nil
}

// ExportKey implements signer.SignerWithKeyAdmin.
func (s *SignerClient) ExportKey(ctx context.Context, id signer.KeyID, password signer.Secret) ([]byte, error) {
	req := &signerv1.ExportKeyRequest{Key: string(id), Password: password}
	resp, err := invoke(ctx, s.c.at("ExportKey"), s.rpc.ExportKey, req)
	if err != nil {
		return nil, err
	}
	if n := len(resp.GetKeystore()); n == 0 {
		err = errors.New("keystore is empty")
	} else {
		err = atMost("keystore bytes", n, maxKeystore)
	}
	if err != nil {
		return nil, s.c.malformed("ExportKey", err)
	}
	return resp.GetKeystore(), nil
}

// RemoveKey implements signer.SignerWithKeyAdmin.
func (s *SignerClient) RemoveKey(ctx context.Context, id signer.KeyID) error {
	_, err := invoke(ctx, s.c.at("RemoveKey"), s.rpc.RemoveKey, &signerv1.RemoveKeyRequest{Key: string(id)})
	return err
}
