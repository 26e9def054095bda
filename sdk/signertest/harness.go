package signertest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
)

// callTimeout bounds each call of the suite.
const callTimeout = 20 * time.Second

// Harness tells Run how to bring up the signer under test.
type Harness struct {
	// New brings up a signer that is configured and unlocked, holds at least one approval key, and has an empty guard.
	// What it starts ends at t's cleanup.
	New func(t *testing.T) signer.Signer
	// Genesis is the block hash of the chain that the signer is configured for.
	Genesis chain.Hash
	// Description is what the plugin says of itself. The optional methods of its capabilities must work, the others must
	// fail with lifecycle.ErrUnsupported or be missing; Deterministic is checked too.
	Description lifecycle.Description
	// Restart ends a signer that New made and brings it up again on the same data. Optional: nil for one that keeps
	// nothing.
	Restart func(t *testing.T, s signer.Signer) signer.Signer
	// Keys is what a signer with key administration refuses to do. Its tests make, bring in and remove keys in what New
	// brought up: New must not share its keys with other tests then.
	Keys KeyPolicy
	// Emit makes the signer bring an event to Watch. Optional, for signers with events.
	Emit func(t *testing.T, s signer.Signer, e signer.Event)
}

// Run checks a signer against the contract of sdk/signer, one subtest a rule.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, *subject)
	}{
		{"keys are listed with well-formed ids and one purpose each", testKeys},
		{"proofs of possession verify", testPossession},
		{"an approval verifies against the approval root", testApproval},
		{"the same request again gets the same answer", testRepeat},
		{"a second block in a slot is refused", testSecondBlock},
		{"a lower slot is refused", testLowerSlot},
		{"a lower height is refused", testLowerHeight},
		{"a refusal does not stop later approvals", testAfterRefusal},
		{"keys are guarded apart", testKeysApart},
		{"an unknown key is unknown", testUnknownKey},
		{"another genesis is refused", testWrongGenesis},
		{"an unknown header version is refused", testHeaderVersion},
		{"a challenge is answered for every key", testChallenge},
		{"of concurrent blocks in one slot one is signed", testConcurrency},
		{"an ended context ends the call", testDeadline},
		{"a batch is decided one by one", testBatch},
		{"a floor is honoured and never lowered", testFloor},
		{"an update verifies against the update root", testUpdate},
		{"events come until they are handled", testEvents},
		{"methods without capability are unsupported", testUnsupported},
		{"a P2WSH input is signed with low S", testP2WSH},
		{"a taproot script input is signed", testTaproot},
		{"inputs of both kinds are signed in one request", testMixedInputs},
		{"only the inputs asked for are signed", testSomeInputs},
		{"a broken Bitcoin request is not signed", testBrokenBitcoin},
		{"a fee bump of a payment is signed", testFeeBump},
		{"a version that is not its payment's is refused", testFalseVersion},
		{"an outpoint is signed for one payment only", testOnePayment},
		{"the guard survives a restart", testRestart},
		{"a new key signs, and is there after a restart", testNewKeys},
		{"a key that is brought in is there after a restart", testImports},
		{"an import that is not sound is not brought in", testBadImports},
		{"an export opens under its own password", testExports},
		{"a removed key never comes back", testRemoval},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, newSubject(t, h))
		})
	}
}

// subject is one fresh signer in one subtest.
type subject struct {
	h        Harness
	s        signer.Signer
	approval []signer.KeyID
	bitcoin  []signer.KeyID
	keys     []signer.Key
}

func newSubject(t *testing.T, h Harness) *subject {
	t.Helper()
	s := &subject{h: h, s: h.New(t)}
	keys, err := s.s.Keys(ctx(t))
	if err != nil {
		t.Fatalf("list keys: %v", err)
	}
	s.keys = keys
	for _, k := range keys {
		switch k.Purpose {
		case signer.PurposeApproval:
			s.approval = append(s.approval, k.ID)
		case signer.PurposeBitcoin:
			s.bitcoin = append(s.bitcoin, k.ID)
		}
	}
	if len(s.approval) == 0 {
		t.Fatal("the signer holds no approval key")
	}
	return s
}

// ctx gives a context for one call.
func ctx(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(t.Context(), callTimeout)
	t.Cleanup(cancel)
	return c
}

func (s *subject) has(c lifecycle.Capability) bool {
	return slices.Contains(s.h.Description.Capabilities, c)
}

// header is a block of the harness' chain; fill tells blocks of one slot apart.
func (s *subject) header(slot chain.Slot, height chain.Height, fill byte) chain.Header {
	return chain.Header{
		Version: chain.HeaderVersion, Genesis: s.h.Genesis, Slot: slot, Height: height,
		Parent: chain.Hash{1, fill}, ParentQC: chain.Hash{2, fill}, PayloadHash: chain.Hash{3, fill}, BodyRoot: chain.Hash{4, fill},
	}
}

// approve wants a signature that verifies.
func (s *subject) approve(t *testing.T, key signer.KeyID, h chain.Header) chain.BLSSignature {
	t.Helper()
	sig, err := s.s.Approve(ctx(t), signer.Approval{Key: key, Header: h})
	if err != nil {
		t.Fatalf("approve slot %d, height %d: %v", h.Slot, h.Height, err)
	}
	wantSignature(t, key, signer.ApprovalRoot(h), sig)
	return sig
}

// wantRefused wants ErrRefused.
func (s *subject) wantRefused(t *testing.T, key signer.KeyID, h chain.Header) {
	t.Helper()
	_, err := s.s.Approve(ctx(t), signer.Approval{Key: key, Header: h})
	if !errors.Is(err, signer.ErrRefused) {
		t.Errorf("approve slot %d, height %d: got error %v, want %v", h.Slot, h.Height, err, signer.ErrRefused)
	}
}

func wantSignature(t *testing.T, key signer.KeyID, root chain.Hash, sig chain.BLSSignature) {
	t.Helper()
	pub, err := key.BLS()
	if err != nil {
		t.Fatal(err)
	}
	if !bls.Verify(pub, root, sig) {
		t.Errorf("signature %s of %s does not verify on %s", sig, key, root)
	}
}
