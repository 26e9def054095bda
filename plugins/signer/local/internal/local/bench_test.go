package local_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// benchApproval is a request as `alys bench sign` makes it.
func benchApproval(t *testing.T, slot chain.Slot, n byte) (chain.BLSPublicKey, signer.Approval) {
	t.Helper()
	key, err := bls.ParseSecretKey(signer.BenchSecret(genesis, 0))
	if err != nil {
		t.Fatal(err)
	}
	h := header(slot, n)
	h.Genesis = signer.BenchGenesis(genesis)
	return key.Public(), signer.Approval{Key: signer.BLSKey(key.Public()), Header: h}
}

func TestBenchKeysSignUnderTheBenchGenesisOnly(t *testing.T) {
	b, dataDir := unlocked(keyFolder(t)), t.TempDir()
	b.Bench = true
	s := start(t, b.config(t, dataDir))
	public, a := benchApproval(t, 10, 1)
	sig, err := s.Approve(t.Context(), a)
	if err != nil || !bls.Verify(public, signer.ApprovalRoot(a.Header), sig) {
		t.Fatalf("bench approval: %v", err)
	}
	_, rival := benchApproval(t, 10, 2)
	if _, err := s.Approve(t.Context(), rival); !errors.Is(err, signer.ErrRefused) {
		t.Errorf("another block in the same slot: got %v, want a refusal", err)
	}
	real := keysOf(t, s, signer.PurposeApproval)
	if slices.Contains(real, a.Key) {
		t.Error("a bench key is listed")
	}
	for name, crossed := range map[string]signer.Approval{
		"a bench key under the chain's genesis": {Key: a.Key, Header: header(20, 1)},
		"a real key under the bench genesis":    {Key: real[0], Header: a.Header},
	} {
		if _, err := s.Approve(t.Context(), crossed); !errors.Is(err, signer.ErrRefused) {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
	// The guards are apart: low slots of real keys are still free, and a new generation has a bench of its own.
	if _, err := s.Approve(t.Context(), signer.Approval{Key: real[0], Header: header(1, 1)}); err != nil {
		t.Errorf("a real approval after bench approvals: %v", err)
	}
	drain(t, s)
	s = start(t, b.config(t, dataDir))
	if _, err := s.Approve(t.Context(), a); err != nil {
		t.Errorf("a bench approval by the next generation: %v", err)
	}
	if _, err := s.Approve(t.Context(), signer.Approval{Key: real[0], Header: header(1, 2)}); !errors.Is(err, signer.ErrRefused) {
		t.Errorf("a real key's guard after a restart with a bench: got %v, want a refusal", err)
	}
}

func TestWithoutBenchThereAreNoBenchKeys(t *testing.T) {
	s := start(t, unlocked(keyFolder(t)).config(t, t.TempDir()))
	_, a := benchApproval(t, 10, 1)
	if _, err := s.Approve(t.Context(), a); !errors.Is(err, signer.ErrUnknownKey) {
		t.Errorf("got %v, want ErrUnknownKey", err)
	}
}
