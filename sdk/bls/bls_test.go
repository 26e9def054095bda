package bls_test

import (
	"encoding/hex"
	"testing"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
)

func key(t *testing.T, n byte) *bls.SecretKey {
	t.Helper()
	b := make([]byte, bls.SecretSize)
	b[31] = n
	k, err := bls.ParseSecretKey(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The public keys of secrets 1, 2 and 3 are v1's test authorities.
func TestPublicKeyOfKnownSecrets(t *testing.T) {
	for n, want := range map[byte]string{
		1: "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb",
		2: "a572cbea904d67468808c8eb50a9450c9721db309128012543902d0ac358a62ae28f75bb8f1c7c42c39a8c5529bf0f4e",
		3: "89ece308f9d1f0131765212deca99697b112d61f9be9a5f1f3780a51335b3ff981747a0b2ca2179b96d2c0c9024e5224",
	} {
		pub := key(t, n).Public()
		if got := hex.EncodeToString(pub[:]); got != want {
			t.Errorf("public key of %d = %s, want %s", n, got, want)
		}
	}
}

func TestVerify(t *testing.T) {
	k, other := key(t, 1), key(t, 2)
	root := chain.TaggedHash("test", []byte("a"))
	sig := k.Sign(root)
	if !bls.Verify(k.Public(), root, sig) {
		t.Error("a good signature does not verify")
	}
	if bls.Verify(other.Public(), root, sig) {
		t.Error("a signature verifies under another key")
	}
	if bls.Verify(k.Public(), chain.TaggedHash("test", []byte("b")), sig) {
		t.Error("a signature verifies for another root")
	}
	infinity := chain.BLSPublicKey{0xc0}
	if bls.Verify(infinity, root, chain.BLSSignature{0xc0}) {
		t.Error("the point at infinity verifies")
	}
}

func TestAggregate(t *testing.T) {
	root := chain.TaggedHash("test")
	k1, k2 := key(t, 1), key(t, 2)
	agg, err := bls.Aggregate([]chain.BLSSignature{k1.Sign(root), k2.Sign(root)})
	if err != nil {
		t.Fatal(err)
	}
	both := []chain.BLSPublicKey{k1.Public(), k2.Public()}
	if !bls.VerifyAggregate(both, root, agg) {
		t.Error("a good aggregate does not verify")
	}
	if bls.VerifyAggregate(both[:1], root, agg) {
		t.Error("an aggregate verifies for fewer keys")
	}
	if bls.VerifyAggregate(nil, root, agg) {
		t.Error("an aggregate of nobody verifies")
	}
	if _, err := bls.Aggregate(nil); err == nil {
		t.Error("nothing was aggregated")
	}
}

func TestPossession(t *testing.T) {
	k := key(t, 3)
	if !bls.VerifyPossession(k.Public(), k.Possession()) {
		t.Error("a good proof of possession does not verify")
	}
	if bls.VerifyPossession(key(t, 2).Public(), k.Possession()) {
		t.Error("a proof of possession verifies for another key")
	}
	pub := k.Public()
	if bls.VerifyPossession(pub, k.Sign(chain.Hash(pub[:32]))) {
		t.Error("a signature passes for a proof of possession")
	}
}
