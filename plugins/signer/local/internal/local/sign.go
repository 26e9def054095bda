package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/alys-node/alys/plugins/internal/spend"
	"github.com/alys-node/alys/plugins/internal/watermark"
	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/signer"
)

// Limits of a request.
const (
	maxBatch  = 256
	maxFloors = 1024
	maxUpdate = 1 << 20
	maxLabel  = 256
)

// Keys implements signer.Signer.
func (s *Signer) Keys(ctx context.Context) ([]signer.Key, error) {
	done, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer done()
	return s.keys.list(), ctx.Err()
}

// Approve implements signer.Signer.
func (s *Signer) Approve(ctx context.Context, a signer.Approval) (chain.BLSSignature, error) {
	done, err := s.begin()
	if err != nil {
		return chain.BLSSignature{}, err
	}
	defer done()
	return s.approve(ctx, a)
}

// ApproveBatch implements signer.SignerWithBatch.
func (s *Signer) ApproveBatch(ctx context.Context, as []signer.Approval) ([]signer.ApprovalResult, error) {
	done, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer done()
	if len(as) > maxBatch {
		return nil, fmt.Errorf("%d approvals in a batch, at most %d: %w", len(as), maxBatch, signer.ErrRefused)
	}
	results := make([]signer.ApprovalResult, len(as))
	for i, a := range as {
		results[i].Signature, results[i].Err = s.approve(ctx, a)
	}
	return results, nil
}

func (s *Signer) approve(ctx context.Context, a signer.Approval) (sig chain.BLSSignature, err error) {
	with, err := s.approver(a.Key)
	if err != nil {
		return sig, err
	}
	switch {
	case a.Header.Version != chain.HeaderVersion:
		return sig, fmt.Errorf("header version %d: %w", a.Header.Version, signer.ErrRefused)
	case a.Header.Genesis != with.genesis:
		return sig, fmt.Errorf("the block is of genesis %s, this signer of %s: %w", a.Header.Genesis.Short(), with.genesis.Short(), signer.ErrRefused)
	case ctx.Err() != nil:
		return sig, ctx.Err() // nobody waits: do not use up the slot
	}
	if err := with.guard.Approve(a.Key, a.Header); err != nil {
		return sig, err
	}
	err = with.key.withBLS(func(key *bls.SecretKey) { sig = key.Sign(signer.ApprovalRoot(a.Header)) })
	return sig, err
}

// SignUpdate implements signer.SignerWithUpdates.
func (s *Signer) SignUpdate(_ context.Context, u signer.Update) (sig chain.BLSSignature, err error) {
	done, err := s.begin()
	if err != nil {
		return sig, err
	}
	defer done()
	h, err := s.keys.find(u.Key, signer.PurposeApproval)
	if err != nil {
		return sig, err
	}
	if u.Genesis != s.genesis {
		return sig, fmt.Errorf("the update is of genesis %s, this signer of %s: %w", u.Genesis.Short(), s.genesis.Short(), signer.ErrRefused)
	}
	if len(u.Encoded) == 0 || len(u.Encoded) > maxUpdate {
		return sig, fmt.Errorf("an update of %d bytes: %w", len(u.Encoded), signer.ErrRefused)
	}
	err = h.withBLS(func(key *bls.SecretKey) { sig = key.Sign(signer.UpdateRoot(u)) })
	return sig, err
}

// Prove implements signer.Signer.
func (s *Signer) Prove(_ context.Context, c signer.Challenge) (proof signer.Proof, err error) {
	done, err := s.begin()
	if err != nil {
		return proof, err
	}
	defer done()
	purpose := signer.PurposeApproval
	if _, err := c.Key.Bitcoin(); err == nil {
		purpose = signer.PurposeBitcoin
	}
	h, err := s.keys.find(c.Key, purpose)
	if err != nil {
		return proof, err
	}
	if c.Genesis != s.genesis || c.Nonce.IsZero() {
		return proof, fmt.Errorf("the challenge is of another chain or has no nonce: %w", signer.ErrRefused)
	}
	root := signer.ChallengeRoot(c)
	if purpose == signer.PurposeApproval {
		err = h.withBLS(func(key *bls.SecretKey) {
			sig := key.Sign(root)
			proof = signer.Proof{Scheme: signer.ProofBLS, Signature: sig[:]}
		})
		return proof, err
	}
	err = h.withSecp256k1(func(key *btcec.PrivateKey) error {
		sig, err := schnorr.Sign(key, root[:])
		if err != nil {
			return fmt.Errorf("sign challenge: %w", err)
		}
		proof = signer.Proof{Scheme: signer.ProofBIP340, Signature: sig.Serialize()}
		return nil
	})
	return proof, err
}

// SignBitcoin implements signer.Signer.
func (s *Signer) SignBitcoin(ctx context.Context, r signer.BitcoinRequest) (answer signer.BitcoinAnswer, err error) {
	done, err := s.begin()
	if err != nil {
		return answer, err
	}
	defer done()
	h, err := s.keys.find(r.Key, signer.PurposeBitcoin)
	if err != nil {
		return answer, err
	}
	tx, err := spend.Parse(s.genesis, r)
	if err != nil {
		return answer, err
	}
	err = h.withSecp256k1(func(key *btcec.PrivateKey) error {
		if err := tx.CheckKey(key.PubKey()); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.guard.Spend(watermark.Spend{Payment: r.Payment, TxID: tx.TxID, Outpoints: tx.Outpoints}); err != nil {
			return err
		}
		answer.Signatures, err = tx.Sign(key)
		return err
	})
	answer.State = signer.BitcoinComplete // all that were asked for, with this key
	return answer, err
}

// RaiseFloor implements signer.SignerWithFloor. A floor may be of a key that comes later.
func (s *Signer) RaiseFloor(_ context.Context, floors []signer.Floor) error {
	done, err := s.begin()
	if err != nil {
		return err
	}
	defer done()
	if len(floors) > maxFloors {
		return fmt.Errorf("%d floors, at most %d: %w", len(floors), maxFloors, signer.ErrRefused)
	}
	return s.guard.Raise(floors)
}

// Unlock implements signer.SignerWithKeyAdmin.
func (s *Signer) Unlock(ctx context.Context, password signer.Secret) error {
	done, err := s.begin()
	if err != nil {
		return err
	}
	defer done()
	return s.keys.unlock(ctx, password)
}

// CreateKey implements signer.SignerWithKeyAdmin.
func (s *Signer) CreateKey(_ context.Context, k signer.NewKey) (signer.Key, error) {
	done, err := s.begin()
	if err != nil {
		return signer.Key{}, err
	}
	defer done()
	if len(k.Label) > maxLabel {
		return signer.Key{}, fmt.Errorf("a label of %d bytes, at most %d: %w", len(k.Label), maxLabel, signer.ErrRefused)
	}
	key, err := s.keys.add(k)
	if err == nil {
		s.log.Info("a key was added", "key", key.ID, "imported", len(k.Import) > 0)
	}
	return key, err
}

// ExportKey implements signer.SignerWithKeyAdmin.
func (s *Signer) ExportKey(_ context.Context, id signer.KeyID, password signer.Secret) ([]byte, error) {
	done, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer done()
	if !s.settings.AllowExport {
		return nil, fmt.Errorf("allow_export is false: %w", signer.ErrRefused)
	}
	b, err := s.keys.export(id, password)
	if err == nil {
		s.log.Warn("a key was exported", "key", id)
	}
	return b, err
}

// RemoveKey implements signer.SignerWithKeyAdmin.
func (s *Signer) RemoveKey(_ context.Context, id signer.KeyID) error {
	done, err := s.begin()
	if err != nil {
		return err
	}
	defer done()
	err = s.keys.remove(id, time.Now())
	if err == nil {
		s.log.Warn("a key was removed for ever", "key", id)
	}
	return err
}

// withBLS lends the key to fn and wipes it after.
func (h *held) withBLS(fn func(*bls.SecretKey)) error {
	return h.use(func(secret []byte) error {
		key, err := bls.ParseSecretKey(secret)
		if err != nil {
			return err
		}
		defer key.Zero()
		fn(key)
		return nil
	})
}

// withSecp256k1 lends the key to fn and wipes it after.
func (h *held) withSecp256k1(fn func(*btcec.PrivateKey) error) error {
	return h.use(func(secret []byte) error {
		key, _ := btcec.PrivKeyFromBytes(secret)
		defer key.Zero()
		return fn(key)
	})
}

// use gives ErrUnknownKey when the key was removed in the meantime.
func (h *held) use(fn func(secret []byte) error) error {
	err := h.secret.Use(fn)
	if errors.Is(err, keystore.ErrDestroyed) {
		return fmt.Errorf("%w: %w", signer.ErrUnknownKey, err)
	}
	return err
}
