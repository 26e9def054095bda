package consensus_test

import (
	"testing"

	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// TestRealSignatures runs one network on BLS12-381, with one Byzantine authority: the fake scheme of the other
// simulations hides nothing.
func TestRealSignatures(t *testing.T) {
	w := newWorld(shape{n: 4, byzantine: 1}, 7)
	w.heal = w.now + 4*second
	w.end = w.heal + 16*second
	w.verifier = nil
	secrets := make([]*bls.SecretKey, w.shape.n)
	for i := range secrets {
		raw := make([]byte, bls.SecretSize)
		raw[31] = byte(i + 1)
		k, err := bls.ParseSecretKey(raw)
		if err != nil {
			t.Fatal(err)
		}
		secrets[i] = k
		w.schedule.sets[0].Keys[i] = k.Public()
	}
	w.sign = func(i int, hash chain.Hash) chain.BLSSignature { return secrets[i].Sign(consensus.ApprovalRoot(hash)) }
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	if len(w.safe) < 2 {
		t.Errorf("%d blocks became safe", len(w.safe))
	}
}

func TestApprovalRootIsTheSigners(t *testing.T) {
	h := chain.Header{Version: chain.HeaderVersion, Slot: 3, Height: 2}
	if got, want := consensus.ApprovalRoot(h.Hash()), signer.ApprovalRoot(h); got != want {
		t.Errorf("root = %s, the signer's is %s", got, want)
	}
}

func TestQuorumIsTwoThirdsRoundedUp(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 2, 3: 2, 4: 3, 5: 4, 6: 4, 7: 5, 10: 7, 15: 10} {
		if got := (consensus.Set{Keys: fakeKeys(n)}).Quorum(); got != want {
			t.Errorf("quorum of %d = %d, want %d", n, got, want)
		}
	}
}

func TestVerifyQCRefusesSecondSpellings(t *testing.T) {
	set := consensus.Set{Keys: fakeKeys(4)}
	good := certificateBy(set, chain.Hash{1}, 0, 1, 2)
	if !consensus.VerifyQC(fakeScheme{}, set, good) {
		t.Fatal("a good certificate is refused")
	}
	longer := good
	longer.Signers = append(append([]byte{}, good.Signers...), 0)
	if consensus.VerifyQC(fakeScheme{}, set, longer) {
		t.Error("a signer set with a spare byte is taken")
	}
	outside := good
	outside.Signers = []byte{good.Signers[0] | 0x80}
	if consensus.VerifyQC(fakeScheme{}, set, outside) {
		t.Error("a signer outside of the set is taken")
	}
	empty := good
	empty.Signers = nil
	if consensus.VerifyQC(fakeScheme{}, set, empty) {
		t.Error("a certificate without signers is taken")
	}
}
