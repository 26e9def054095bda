package signertest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
)

// unguarded signs with a fresh guard each time.
type unguarded struct{ *signertest.Memory }

func (u unguarded) Approve(ctx context.Context, a signer.Approval) (chain.BLSSignature, error) {
	return signertest.NewMemory(genesis, "a", "b").Approve(ctx, a)
}

// lowering makes floors of no use.
type lowering struct{ *signertest.Memory }

func (lowering) RaiseFloor(context.Context, []signer.Floor) error { return nil }

// careless signs for every chain.
type careless struct{ *signertest.Memory }

func (c careless) Approve(ctx context.Context, a signer.Approval) (chain.BLSSignature, error) {
	return signertest.NewMemory(a.Header.Genesis, "a", "b").Approve(ctx, a)
}

// forgetful answers with an error that is no sentinel.
type forgetful struct{ *signertest.Memory }

func (f forgetful) Approve(ctx context.Context, a signer.Approval) (chain.BLSSignature, error) {
	sig, err := f.Memory.Approve(ctx, a)
	if err != nil {
		return sig, os.ErrInvalid
	}
	return sig, nil
}

// swapping puts the signature of one input on another.
type swapping struct{ *signertest.Memory }

func (s swapping) SignBitcoin(ctx context.Context, r signer.BitcoinRequest) (signer.BitcoinAnswer, error) {
	a, err := s.Memory.SignBitcoin(ctx, r)
	if sigs := a.Signatures; len(sigs) == 3 {
		sigs[0].Signature, sigs[2].Signature = sigs[2].Signature, sigs[0].Signature
	}
	return a, err
}

// gullible believes that every transaction is the base of the payment that it names.
type gullible struct{ *signertest.Memory }

func (g gullible) SignBitcoin(ctx context.Context, r signer.BitcoinRequest) (signer.BitcoinAnswer, error) {
	r.Version, r.BaseTx = 0, r.Tx
	r.Payment = signer.PaymentID(genesis, r.Tx)
	return signertest.NewMemory(genesis, "a", "b").SignBitcoin(ctx, r)
}

// spendthrift has no guard of outpoints.
type spendthrift struct{ *signertest.Memory }

func (spendthrift) SignBitcoin(ctx context.Context, r signer.BitcoinRequest) (signer.BitcoinAnswer, error) {
	return signertest.NewMemory(genesis, "a", "b").SignBitcoin(ctx, r)
}

// misnaming answers a challenge under a scheme that it did not use.
type misnaming struct{ *signertest.Memory }

func (m misnaming) Prove(ctx context.Context, c signer.Challenge) (signer.Proof, error) {
	p, err := m.Memory.Prove(ctx, c)
	if p.Scheme == signer.ProofBIP340 {
		p.Scheme = signer.ProofECDSA
	}
	return p, err
}

// reviving forgets what was removed.
type reviving struct{ *signertest.Memory }

func (r reviving) RemoveKey(ctx context.Context, id signer.KeyID) error {
	_, err := r.ExportKey(ctx, id, signer.Secret("any"))
	return err
}

// talkative gives keys out under a password of its own.
type talkative struct{ *signertest.Memory }

func (k talkative) ExportKey(ctx context.Context, id signer.KeyID, _ signer.Secret) ([]byte, error) {
	return k.Memory.ExportKey(ctx, id, signer.Secret("default"))
}

// broken lists signers that break one rule each, and the subtest that must fail for it.
func broken() map[string]struct {
	s    func(*signertest.Memory) signer.Signer
	want string
} {
	return map[string]struct {
		s    func(*signertest.Memory) signer.Signer
		want string
	}{
		"forging":     {func(m *signertest.Memory) signer.Signer { return signertest.Forging{Memory: m} }, "an_approval_verifies"},
		"unguarded":   {func(m *signertest.Memory) signer.Signer { return unguarded{m} }, "of_concurrent_blocks_in_one_slot"},
		"lowering":    {func(m *signertest.Memory) signer.Signer { return lowering{m} }, "a_floor_is_honoured"},
		"careless":    {func(m *signertest.Memory) signer.Signer { return careless{m} }, "another_genesis_is_refused"},
		"forgetful":   {func(m *signertest.Memory) signer.Signer { return forgetful{m} }, "a_second_block_in_a_slot"},
		"swapping":    {func(m *signertest.Memory) signer.Signer { return swapping{m} }, "inputs_of_both_kinds"},
		"gullible":    {func(m *signertest.Memory) signer.Signer { return gullible{m} }, "a_version_that_is_not_its_payment's"},
		"spendthrift": {func(m *signertest.Memory) signer.Signer { return spendthrift{m} }, "an_outpoint_is_signed_for_one_payment"},
		"reviving":    {func(m *signertest.Memory) signer.Signer { return reviving{m} }, "a_removed_key_never_comes_back"},
		"talkative":   {func(m *signertest.Memory) signer.Signer { return talkative{m} }, "an_export_opens_under_its_own_password"},
		"misnaming":   {func(m *signertest.Memory) signer.Signer { return misnaming{m} }, "a_challenge_is_answered"},
		"failing": {func(m *signertest.Memory) signer.Signer {
			return signertest.WithFault(m, signertest.Failing(signer.ErrUnavailable))
		}, "list keys: signer is unavailable"},
	}
}

// TestBrokenSigner runs the suite on one broken signer. It is started by TestSuiteFindsBrokenSigners only.
func TestBrokenSigner(t *testing.T) {
	which, ok := broken()[os.Getenv("ALYS_BROKEN")]
	if !ok {
		t.Skip("run by TestSuiteFindsBrokenSigners")
	}
	signertest.Run(t, signertest.Harness{
		New:         func(*testing.T) signer.Signer { return which.s(signertest.NewMemory(genesis, "a", "b")) },
		Genesis:     genesis,
		Description: signertest.NewMemory(genesis).Describe(),
	})
}

func TestSuiteFindsBrokenSigners(t *testing.T) {
	for name, b := range broken() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBrokenSigner$")
			cmd.Env = append(os.Environ(), "ALYS_BROKEN="+name)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatal("the suite passes")
			}
			if !strings.Contains(string(out), b.want) {
				t.Errorf("the suite does not say %q:\n%s", b.want, out)
			}
		})
	}
}
