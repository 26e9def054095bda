package signertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
)

func testKeys(t *testing.T, s *subject) {
	seen := make(map[signer.KeyID]bool)
	for _, k := range s.keys {
		if seen[k.ID] {
			t.Errorf("key %s is listed twice", k.ID)
		}
		seen[k.ID] = true
		switch k.Purpose {
		case signer.PurposeApproval:
			if pub, err := k.ID.BLS(); err != nil || signer.BLSKey(pub) != k.ID {
				t.Errorf("approval key %q: not a canonical BLS key id (%v)", k.ID, err)
			}
		case signer.PurposeBitcoin:
			pub, err := k.ID.Bitcoin()
			if err == nil {
				_, err = btcec.ParsePubKey(pub[:])
			}
			if err != nil || signer.BitcoinKey(pub) != k.ID {
				t.Errorf("Bitcoin key %q: not a canonical id of a point (%v)", k.ID, err)
			}
		default:
			t.Errorf("key %s has the unknown purpose %q", k.ID, k.Purpose)
		}
	}
}

func testPossession(t *testing.T, s *subject) {
	for _, k := range s.keys {
		if k.Purpose != signer.PurposeApproval {
			if len(k.Possession) != 0 {
				t.Errorf("Bitcoin key %s has a proof of possession", k.ID)
			}
			continue
		}
		wantPossession(t, k)
	}
}

func wantPossession(t *testing.T, k signer.Key) {
	t.Helper()
	pub, err := k.ID.BLS()
	if err != nil {
		t.Fatal(err)
	}
	if len(k.Possession) != len(chain.BLSSignature{}) || !bls.VerifyPossession(pub, chain.BLSSignature(k.Possession)) {
		t.Errorf("proof of possession of %s does not verify", k.ID)
	}
}

func testApproval(t *testing.T, s *subject) {
	for i, key := range s.approval {
		s.approve(t, key, s.header(10, 5, byte(i)))
	}
}

func testRepeat(t *testing.T, s *subject) {
	h := s.header(10, 5, 0)
	first := s.approve(t, s.approval[0], h)
	again := s.approve(t, s.approval[0], h)
	if s.h.Description.Deterministic && first != again {
		t.Errorf("signed %s, then %s; the plugin describes itself as deterministic", first, again)
	}
}

func testSecondBlock(t *testing.T, s *subject) {
	s.approve(t, s.approval[0], s.header(10, 5, 0))
	s.wantRefused(t, s.approval[0], s.header(10, 5, 1))
	s.wantRefused(t, s.approval[0], s.header(10, 6, 0))
}

func testLowerSlot(t *testing.T, s *subject) {
	s.approve(t, s.approval[0], s.header(10, 5, 0))
	s.wantRefused(t, s.approval[0], s.header(9, 5, 0))
	s.wantRefused(t, s.approval[0], s.header(9, 6, 0))
}

func testLowerHeight(t *testing.T, s *subject) {
	s.approve(t, s.approval[0], s.header(10, 5, 0))
	s.wantRefused(t, s.approval[0], s.header(11, 4, 0))
}

func testAfterRefusal(t *testing.T, s *subject) {
	s.approve(t, s.approval[0], s.header(10, 5, 0))
	s.wantRefused(t, s.approval[0], s.header(10, 5, 1))
	s.approve(t, s.approval[0], s.header(11, 5, 0)) // the same height in a later slot is allowed
	s.approve(t, s.approval[0], s.header(20, 9, 0))
}

func testKeysApart(t *testing.T, s *subject) {
	if len(s.approval) < 2 {
		t.Skip("one approval key")
	}
	s.approve(t, s.approval[0], s.header(10, 5, 0))
	s.approve(t, s.approval[1], s.header(9, 4, 1))
}

func testUnknownKey(t *testing.T, s *subject) {
	stranger := signer.BLSKey(BLSPublic("a key that no signer holds"))
	_, err := s.s.Approve(ctx(t), signer.Approval{Key: stranger, Header: s.header(1, 1, 0)})
	if !errors.Is(err, signer.ErrUnknownKey) {
		t.Errorf("approve: got error %v, want %v", err, signer.ErrUnknownKey)
	}
	_, err = s.s.Prove(ctx(t), signer.Challenge{Key: stranger, Genesis: s.h.Genesis})
	if !errors.Is(err, signer.ErrUnknownKey) && !errors.Is(err, lifecycle.ErrUnsupported) {
		t.Errorf("prove: got error %v, want %v", err, signer.ErrUnknownKey)
	}
	req := newPayout(t, s.h.Genesis, signer.BitcoinKey(BitcoinPublic("a key that no signer holds"))).request()
	if _, err := s.s.SignBitcoin(ctx(t), req); !errors.Is(err, signer.ErrUnknownKey) {
		t.Errorf("sign Bitcoin: got error %v, want %v", err, signer.ErrUnknownKey)
	}
}

func testWrongGenesis(t *testing.T, s *subject) {
	other := s.h.Genesis
	other[0] ^= 0xff
	h := s.header(10, 5, 0)
	h.Genesis = other
	s.wantRefused(t, s.approval[0], h)
	_, err := s.s.Prove(ctx(t), signer.Challenge{Key: s.approval[0], Genesis: other})
	if !errors.Is(err, signer.ErrRefused) && !errors.Is(err, lifecycle.ErrUnsupported) {
		t.Errorf("prove: got error %v, want %v", err, signer.ErrRefused)
	}
	s.approve(t, s.approval[0], s.header(10, 5, 0))
}

// testHeaderVersion wants any error: over the wire the header does not even decode.
func testHeaderVersion(t *testing.T, s *subject) {
	h := s.header(10, 5, 0)
	h.Version = chain.HeaderVersion + 1
	if _, err := s.s.Approve(ctx(t), signer.Approval{Key: s.approval[0], Header: h}); err == nil {
		t.Errorf("a header of version %d was signed", h.Version)
	}
}

func testChallenge(t *testing.T, s *subject) {
	for i, k := range s.keys {
		c := signer.Challenge{Key: k.ID, Genesis: s.h.Genesis, Nonce: chain.Hash{9, byte(i)}}
		proof, err := s.s.Prove(ctx(t), c)
		if errors.Is(err, lifecycle.ErrUnsupported) {
			t.Logf("%s cannot sign a challenge: a node rehearses it as a shadow first", k.ID)
			continue
		}
		if err != nil {
			t.Errorf("prove %s: %v", k.ID, err)
			continue
		}
		if err := VerifyChallenge(c, proof); err != nil {
			t.Error(err)
		}
	}
}

// VerifyChallenge checks the answer to a challenge by the scheme that it names.
func VerifyChallenge(c signer.Challenge, p signer.Proof) error {
	root := signer.ChallengeRoot(c)
	if p.Scheme == signer.ProofBLS {
		pub, err := c.Key.BLS()
		if err != nil {
			return err
		}
		if len(p.Signature) != len(chain.BLSSignature{}) || !bls.Verify(pub, root, chain.BLSSignature(p.Signature)) {
			return fmt.Errorf("answer of %s does not verify", c.Key)
		}
		return nil
	}
	pub, err := c.Key.Bitcoin()
	if err != nil {
		return err
	}
	point, err := btcec.ParsePubKey(pub[:])
	if err != nil {
		return err
	}
	verify, err := parseProof(p)
	if err != nil {
		return fmt.Errorf("answer of %s: %w", c.Key, err)
	}
	if !verify(root[:], point) {
		return fmt.Errorf("answer of %s does not verify", c.Key)
	}
	return nil
}

// parseProof reads a signature of secp256k1; what is given back verifies it.
func parseProof(p signer.Proof) (func(digest []byte, key *btcec.PublicKey) bool, error) {
	switch p.Scheme {
	case signer.ProofBIP340:
		sig, err := schnorr.ParseSignature(p.Signature)
		if err != nil {
			return nil, err
		}
		return sig.Verify, nil
	case signer.ProofECDSA:
		sig, err := ecdsa.ParseDERSignature(p.Signature)
		if err != nil {
			return nil, err
		}
		if s := sig.S(); s.IsOverHalfOrder() {
			return nil, errors.New("signature has a high S")
		}
		return sig.Verify, nil
	case signer.ProofBLS:
	}
	return nil, fmt.Errorf("scheme %q is not one of the key", p.Scheme)
}

func testConcurrency(t *testing.T, s *subject) {
	const callers = 16
	errs := make([]error, callers)
	sigs := make([]chain.BLSSignature, callers)
	var wg sync.WaitGroup
	c := ctx(t)
	for i := range callers {
		wg.Go(func() {
			sigs[i], errs[i] = s.s.Approve(c, signer.Approval{Key: s.approval[0], Header: s.header(10, 5, byte(i))})
		})
	}
	wg.Wait()
	signed := 0
	for i, err := range errs {
		switch {
		case err == nil:
			signed++
			wantSignature(t, s.approval[0], signer.ApprovalRoot(s.header(10, 5, byte(i))), sigs[i])
		case !errors.Is(err, signer.ErrRefused):
			t.Errorf("caller %d: got error %v, want %v", i, err, signer.ErrRefused)
		}
	}
	if signed != 1 {
		t.Errorf("%d different blocks of one slot were signed, want 1", signed)
	}
}

// testDeadline wants a call with an ended context to fail. The block is asked for again afterwards: whether the guard
// has kept it or not, the same request is answered.
func testDeadline(t *testing.T, s *subject) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	h := s.header(10, 5, 0)
	if _, err := s.s.Approve(ended, signer.Approval{Key: s.approval[0], Header: h}); !errors.Is(err, context.Canceled) {
		t.Errorf("approve: got error %v, want %v", err, context.Canceled)
	}
	if _, err := s.s.Keys(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("keys: got error %v, want %v", err, context.Canceled)
	}
	s.approve(t, s.approval[0], h)
}

func testRestart(t *testing.T, s *subject) {
	if s.h.Restart == nil {
		t.Skip("the signer keeps nothing")
	}
	h := s.header(10, 5, 0)
	first := s.approve(t, s.approval[0], h)
	s.s = s.h.Restart(t, s.s)
	s.wantRefused(t, s.approval[0], s.header(10, 5, 1))
	s.wantRefused(t, s.approval[0], s.header(9, 9, 0))
	s.wantRefused(t, s.approval[0], s.header(11, 4, 0))
	again := s.approve(t, s.approval[0], h)
	if s.h.Description.Deterministic && first != again {
		t.Errorf("signed %s, after the restart %s", first, again)
	}
	s.approve(t, s.approval[0], s.header(11, 5, 0))
}
