package signer_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

func TestKeyIDs(t *testing.T) {
	b, k := chain.BLSPublicKey{1}, chain.BitcoinPublicKey{2}
	if got, err := signer.BLSKey(b).BLS(); err != nil || got != b {
		t.Errorf("got %s, %v", got, err)
	}
	if got, err := signer.BitcoinKey(k).Bitcoin(); err != nil || got != k {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := signer.BLSKey(b).Bitcoin(); err == nil {
		t.Error("a BLS key is a Bitcoin key")
	}
	if _, err := signer.BitcoinKey(k).BLS(); err == nil {
		t.Error("a Bitcoin key is a BLS key")
	}
	for _, bad := range []signer.KeyID{"", "bls:", "bls:0x00", "secp256k1:02", "rsa:00"} {
		_, err1 := bad.BLS()
		_, err2 := bad.Bitcoin()
		if err1 == nil || err2 == nil {
			t.Errorf("%q is a key", bad)
		}
	}
}

// TestRoots pins every message that is signed: a signer in another language can be checked against them.
func TestRoots(t *testing.T) {
	h := chain.Header{Version: 1, Genesis: chain.Hash{1}, Slot: 2, Height: 3}
	id := signer.BLSKey(chain.BLSPublicKey{4})
	for _, test := range []struct {
		name string
		got  chain.Hash
		want string
	}{
		{"approval", signer.ApprovalRoot(h), "0xf327f7d1a540ddee256e83d1b27b5e82573d65e4a0e1f4e8f8177a40e0c299f1"},
		{"challenge", signer.ChallengeRoot(signer.Challenge{Key: id, Genesis: chain.Hash{1}, Nonce: chain.Hash{5}}), "0x33b9338f4b1302a390c840fd547e0a63c5dff65fed40d3547346f215597b124b"},
		{"update", signer.UpdateRoot(signer.Update{Key: id, Genesis: chain.Hash{1}, Encoded: []byte("update")}), "0x7fd2ba40750fe4997609468ef737a46cd572b2c314aabf957fd6282b48ffa5cd"},
		{"payment", signer.PaymentID(chain.Hash{1}, []byte("transaction")), "0x531741bc4c0b19cd2800de1b70d72d8d9b9c01c59c323962817a1cbb30e74411"},
	} {
		if test.got.String() != test.want {
			t.Errorf("%s: got %s, want %s", test.name, test.got, test.want)
		}
	}
	if signer.ApprovalRoot(h) != signer.BlockApprovalRoot(h.Hash()) {
		t.Error("the two ways to an approval's root differ")
	}
}

func TestASecretIsNeverShown(t *testing.T) {
	s := signer.Secret("hunter2")
	k := signer.NewKey{Password: s}
	b, err := json.Marshal(struct{ S signer.Secret }{s})
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{
		fmt.Sprint(s), fmt.Sprintf("%v %s %q %+v %#v %x %X %d", s, s, s, s, s, s, s, s), string(b),
		fmt.Sprintf("%v %+v %#v", k, k, k), fmt.Sprintf("%v", &k),
	} {
		for _, secret := range []string{"hunter2", "68756e74657232", "68756E74657232", "104 117", "0x68", "aHVudGVyMg"} {
			if strings.Contains(shown, secret) {
				t.Errorf("%q shows the secret as %q", shown, secret)
			}
		}
	}
}

// tx makes a transaction with one input and these outputs: pairs of a value and a one-byte script.
func tx(outputs ...[2]byte) []byte {
	b := []byte{2, 0, 0, 0, 1}
	b = append(b, bytes.Repeat([]byte{7}, 36)...)
	b = append(b, 0, 0xfd, 0xff, 0xff, 0xff, byte(len(outputs)))
	for _, o := range outputs {
		b = append(b, o[0], 0, 0, 0, 0, 0, 0, 0, 1, o[1])
	}
	return append(b, 0, 0, 0, 0)
}

func request(version uint32, base, b []byte) signer.BitcoinRequest {
	return signer.BitcoinRequest{
		Kind: signer.Payout, Payment: signer.PaymentID(chain.Hash{1}, base), Version: version, BaseTx: base, Tx: b,
		Prevouts: []signer.Prevout{{Value: 100, Script: []byte{0x50}}},
	}
}

func TestCheckPayment(t *testing.T) {
	base := tx([2]byte{10, 1}, [2]byte{20, 2}, [2]byte{30, 0x50})
	sweep := func(r signer.BitcoinRequest) signer.BitcoinRequest {
		r.Kind = signer.Sweep
		return r
	}
	for _, test := range []struct {
		name string
		r    signer.BitcoinRequest
		ok   bool
	}{
		{"the base", request(0, base, base), true},
		{"both recipients get less", request(1, base, tx([2]byte{9, 1}, [2]byte{19, 2}, [2]byte{30, 0x50})), true},
		{"the base again as a later version", request(4, base, base), true},
		{"a version with less for one", request(1, base, tx([2]byte{9, 1}, [2]byte{20, 2}, [2]byte{30, 0x50})), true},
		{"a version as the base", request(0, base, tx([2]byte{9, 1}, [2]byte{19, 2}, [2]byte{30, 0x50})), false},
		{"another recipient", request(1, base, tx([2]byte{9, 3}, [2]byte{19, 2}, [2]byte{30, 0x50})), false},
		{"more for a recipient", request(1, base, tx([2]byte{9, 1}, [2]byte{21, 2}, [2]byte{30, 0x50})), false},
		{"less change", request(1, base, tx([2]byte{9, 1}, [2]byte{19, 2}, [2]byte{29, 0x50})), false},
		{"less for a sweep's own output", sweep(request(1, base, tx([2]byte{9, 1}, [2]byte{19, 2}, [2]byte{29, 0x50}))), true},
		{"an output less", request(1, base, tx([2]byte{9, 1}, [2]byte{30, 0x50})), false},
		{"no outputs", request(0, tx(), tx()), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := signer.CheckPayment(chain.Hash{1}, test.r)
			if (err == nil) != test.ok || err != nil && !errors.Is(err, signer.ErrRefused) {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := signer.CheckPayment(chain.Hash{2}, request(0, base, base)); !errors.Is(err, signer.ErrRefused) {
		t.Errorf("on another chain: got %v", err)
	}
	gift := request(0, base, base)
	gift.Kind = "gift"
	if err := signer.CheckPayment(chain.Hash{1}, gift); !errors.Is(err, signer.ErrRefused) {
		t.Errorf("of an unknown kind: got %v", err)
	}
}

func TestCheckPaymentTakesOneEncodingOnly(t *testing.T) {
	good := tx([2]byte{10, 1})
	with := func(at int, b ...byte) []byte {
		return append(append(bytes.Clone(good[:at]), b...), good[at+1:]...)
	}
	for name, b := range map[string][]byte{
		"empty":                           nil,
		"cut off":                         good[:len(good)-1],
		"a byte after the end":            append(bytes.Clone(good), 0),
		"a long count of inputs":          with(4, 0xfd, 1, 0),
		"a longer count of inputs":        with(4, 0xfe, 1, 0, 0, 0),
		"the longest count of inputs":     with(4, 0xff, 1, 0, 0, 0, 0, 0, 0, 0),
		"a count without its bytes":       good[:5],
		"more inputs than bytes":          with(4, 0xfe, 0, 0, 1, 0),
		"a script in an input":            with(41, 1, 0x51),
		"the marker of a segwit encoding": append([]byte{2, 0, 0, 0, 0, 1}, good[4:]...),
		"too large":                       append(bytes.Clone(good), make([]byte, 400_000)...),
	} {
		if err := signer.CheckPayment(chain.Hash{1}, request(0, b, b)); !errors.Is(err, signer.ErrRefused) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzCheckPayment(f *testing.F) {
	base := tx([2]byte{10, 1}, [2]byte{20, 0x50})
	f.Add(base, base, uint32(0))
	f.Add(base, tx([2]byte{9, 1}, [2]byte{20, 0x50}), uint32(1))
	f.Fuzz(func(t *testing.T, base, b []byte, version uint32) {
		err := signer.CheckPayment(chain.Hash{1}, request(version, base, b))
		if err != nil && !errors.Is(err, signer.ErrRefused) {
			t.Errorf("got %v", err)
		}
		if err == nil && len(b) != len(base) {
			t.Errorf("a version of another length is taken: %x for %x", b, base)
		}
	})
}
