package recovery_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/recovery"
	"github.com/alys-node/alys/sdk/signer"
)

// zeroes is the phrase of entropy 0, for tests only.
const zeroes = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"

// reveal copies a secret out and wipes it.
func reveal(t testing.TB, l *keystore.Locked, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Destroy()
	var out string
	if err := l.Use(func(b []byte) error { out = hex.EncodeToString(b); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func phrase(t testing.TB, text string) *recovery.Phrase {
	t.Helper()
	p, err := recovery.ParsePhrase([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Destroy)
	return p
}

func lock(t testing.TB, b []byte) *keystore.Locked {
	t.Helper()
	l, err := keystore.NewLocked(b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Destroy)
	return l
}

func path(t testing.TB, p signer.Purpose, text string) recovery.Path {
	t.Helper()
	out, err := recovery.ParsePath(p, text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPublishedPhrasesGiveTheirSeeds(t *testing.T) {
	for _, v := range bip39Vectors(t) {
		seed, err := phrase(t, v["mnemonic"]).Seed([]byte("TREZOR"))
		if got := reveal(t, seed, err); got != v["seed"] {
			t.Errorf("%s: got seed %s, want %s", v["mnemonic"], got, v["seed"])
		}
	}
}

func TestPublishedSeedsGiveTheirBitcoinKeys(t *testing.T) {
	for _, v := range bip32Vectors(t) {
		seed, err := hex.DecodeString(v.seed)
		if err != nil {
			t.Fatal(err)
		}
		parent, err := hdkeychain.NewKeyFromString(v.xprv)
		if err != nil {
			t.Fatal(err)
		}
		want, err := parent.ECPrivKey()
		if err != nil {
			t.Fatal(err)
		}
		secret, err := recovery.Derive(lock(t, seed), path(t, signer.PurposeBitcoin, v.path))
		if got := reveal(t, secret, err); got != hex.EncodeToString(want.Serialize()) {
			t.Errorf("%s of %s: got another key", v.path, v.seed)
		}
	}
}

// TestPhraseToApprovalKey goes the whole way: the seed is the one of EIP-2333's first case.
func TestPhraseToApprovalKey(t *testing.T) {
	seed, err := phrase(t, zeroes).Seed([]byte("TREZOR"))
	if err != nil {
		t.Fatal(err)
	}
	defer seed.Destroy()
	var raw []byte
	if err := seed.Use(func(b []byte) error { raw = bytes.Clone(b); return nil }); err != nil {
		t.Fatal(err)
	}
	want, err := bls.DeriveSecretKey(raw, []uint32{12381, 3600, 7, 0, 0})
	if err != nil {
		t.Fatal(err)
	}
	p, err := recovery.DefaultPath(signer.PurposeApproval, 7)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := recovery.Derive(seed, p)
	if got := reveal(t, secret, err); got != hex.EncodeToString(want.Bytes()) {
		t.Error("got another key")
	}
	if _, err := recovery.Derive(lock(t, make([]byte, 16)), p); !errors.Is(err, bls.ErrBadSecret) {
		t.Errorf("a seed of 16 bytes: got %v, want ErrBadSecret", err)
	}
	if _, err := recovery.Derive(lock(t, make([]byte, 8)), path(t, signer.PurposeBitcoin, "m/0")); !errors.Is(err, hdkeychain.ErrInvalidSeedLen) {
		t.Errorf("a seed of 8 bytes: got %v, want ErrInvalidSeedLen", err)
	}
	seed.Destroy()
	if _, err := recovery.Derive(seed, p); !errors.Is(err, keystore.ErrDestroyed) {
		t.Errorf("a wiped seed: got %v, want ErrDestroyed", err)
	}
}

func TestPhraseIsReadAsPeopleWriteIt(t *testing.T) {
	want, err := phrase(t, zeroes).Seed(nil)
	seed := reveal(t, want, err)
	for _, text := range []string{
		strings.ToUpper(zeroes), "  " + strings.ReplaceAll(zeroes, " ", "\n\t ") + "\r\n", strings.ReplaceAll(zeroes, " ", "\u3000"),
	} {
		got, err := phrase(t, text).Seed(nil)
		if reveal(t, got, err) != seed {
			t.Errorf("%q gives another seed", text)
		}
	}
	got, err := phrase(t, zeroes).Seed([]byte("é"))
	decomposed, err2 := phrase(t, zeroes).Seed([]byte("e\u0301"))
	if reveal(t, got, err) != reveal(t, decomposed, err2) {
		t.Error("a passphrase is not normalised")
	}
}

func TestWhatIsNoPhraseIsRefusedAndNotShown(t *testing.T) {
	for _, test := range []struct{ name, text, says string }{
		{"nothing", "", "0 words"},
		{"a word short", strings.TrimSuffix(zeroes, " about"), "11 words"},
		{"a word that is none", strings.Replace(zeroes, "about", "hunter2", 1), "word 12"},
		{"another order", "about " + strings.TrimSuffix(zeroes, " about"), "checksum"},
		{"too long", strings.Repeat("abandon ", 1000), "8000 bytes"},
		{"no text", "\xff\xfe", "1 words"},
	} {
		_, err := recovery.ParsePhrase([]byte(test.text))
		if !errors.Is(err, recovery.ErrPhrase) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, want ErrPhrase that says %q", test.name, err, test.says)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "abandon")) {
			t.Errorf("%s: %v shows a word", test.name, err)
		}
	}
}

func TestNewPhraseHas24WordsAndIsNotShown(t *testing.T) {
	p, err := recovery.NewPhrase()
	if err != nil {
		t.Fatal(err)
	}
	var words string
	if err := p.Use(func(b []byte) error { words = string(b); return nil }); err != nil {
		t.Fatal(err)
	}
	if n := len(strings.Fields(words)); n != 24 {
		t.Errorf("%d words, want 24", n)
	}
	phrase(t, words)
	if s := fmt.Sprintf("%v %+v %#v", p, p, p); strings.Contains(s, words[:8]) {
		t.Errorf("formatting shows the words: %s", s)
	}
	again, err := recovery.NewPhrase()
	if err != nil {
		t.Fatal(err)
	}
	defer again.Destroy()
	if err := again.Use(func(b []byte) error {
		if string(b) == words {
			t.Error("two new phrases are equal")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	p.Destroy()
	if _, err := p.Seed(nil); !errors.Is(err, keystore.ErrDestroyed) {
		t.Errorf("got %v, want ErrDestroyed", err)
	}
}

func TestPaths(t *testing.T) {
	for _, test := range []struct {
		purpose    signer.Purpose
		text, want string // want empty: refused
	}{
		{signer.PurposeApproval, "m/12381/3600/0/0/0", "m/12381/3600/0/0/0"},
		{signer.PurposeApproval, "m/12381/3600/0/0", "m/12381/3600/0/0"},
		{signer.PurposeApproval, "m/12381/3600/4294967295/0", "m/12381/3600/4294967295/0"},
		{signer.PurposeApproval, "m/12381/3600/4294967296/0", ""},
		{signer.PurposeApproval, "m/12381/3600/0'/0/0", ""},
		{signer.PurposeApproval, "m/12381/3600/0", ""},
		{signer.PurposeApproval, "m/44/3600/0/0/0", ""},
		{signer.PurposeApproval, "m/12381/3600//0/0", ""},
		{signer.PurposeApproval, "m/12381/3600/-1/0/0", ""},
		{signer.PurposeApproval, "m/12381/3600/+1/0/0", ""},
		{signer.PurposeApproval, "12381/3600/0/0/0", ""},
		{signer.PurposeApproval, "m/12381" + strings.Repeat("/0", 16), ""},
		{signer.PurposeApproval, "m/12381" + strings.Repeat("/0", 200), ""},
		{signer.PurposeBitcoin, "m/87'/0h/0H/0/0", "m/87'/0'/0'/0/0"},
		{signer.PurposeBitcoin, "m/2147483647'", "m/2147483647'"},
		{signer.PurposeBitcoin, "m/2147483648", ""},
		{signer.PurposeBitcoin, "m/0''", ""},
		{signer.PurposeBitcoin, "m/'", ""},
		{signer.PurposeBitcoin, "m/", ""},
		{signer.PurposeBitcoin, "m", ""},
		{signer.PurposeBitcoin, "", ""},
		{"vote", "m/0", ""},
	} {
		p, err := recovery.ParsePath(test.purpose, test.text)
		switch {
		case test.want == "" && !errors.Is(err, recovery.ErrPath):
			t.Errorf("%s %q: got %s, %v, want ErrPath", test.purpose, test.text, p, err)
		case test.want != "" && (err != nil || p.String() != test.want || p.Purpose() != test.purpose):
			t.Errorf("%s %q: got %s, %v, want %s", test.purpose, test.text, p, err, test.want)
		}
	}
}

func TestDefaultPaths(t *testing.T) {
	for purpose, want := range map[signer.Purpose]string{
		signer.PurposeApproval: "m/12381/3600/3/0/0", signer.PurposeBitcoin: "m/87'/0'/3'/0/0",
	} {
		p, err := recovery.DefaultPath(purpose, 3)
		if err != nil || p.String() != want {
			t.Errorf("%s: got %s, %v, want %s", purpose, p, err, want)
		}
		if again := path(t, purpose, want); again.String() != want {
			t.Errorf("%s: read back as %s", want, again)
		}
		if _, err := recovery.DefaultPath(purpose, 1<<31); !errors.Is(err, recovery.ErrPath) {
			t.Errorf("%s: index 2^31: got %v, want ErrPath", purpose, err)
		}
	}
	if _, err := recovery.DefaultPath("vote", 0); !errors.Is(err, recovery.ErrPath) {
		t.Errorf("got %v, want ErrPath", err)
	}
}

func TestBareKeys(t *testing.T) {
	key, _ := btcec.PrivKeyFromBytes(bytes.Repeat([]byte{7}, 32))
	digits := hex.EncodeToString(key.Serialize())
	wif := func(net *chaincfg.Params, compressed bool) string {
		w, err := btcutil.NewWIF(key, net, compressed)
		if err != nil {
			t.Fatal(err)
		}
		return w.String()
	}
	for _, test := range []struct {
		name, text string
		scheme     keystore.Scheme
		says       string // of the refusal
	}{
		{"a WIF of mainnet", wif(&chaincfg.MainNetParams, true), keystore.Secp256k1, ""},
		{"a WIF of regtest", " " + wif(&chaincfg.RegressionNetParams, true) + "\n", keystore.Secp256k1, ""},
		{"hexadecimal", digits + "\r\n", "", ""},
		{"hexadecimal with 0x", "0x" + digits, "", ""},
		{"an uncompressed WIF", wif(&chaincfg.MainNetParams, false), "", "uncompressed"},
		{"a WIF of another chain", wif(&chaincfg.SimNetParams, true), "", "another kind"},
		{"a WIF with a false character", "L" + wif(&chaincfg.MainNetParams, true)[1:51] + "1", "", "checksum"},
		{"a digit that is none", "g" + digits[1:], "", "digit"},
		{"a digit less", digits[1:], "", "63 characters"},
		{"nothing", "", "", "0 characters"},
	} {
		b, err := recovery.ParseBare([]byte(test.text))
		if test.says == "" {
			if got := reveal(t, b.Secret, err); got != digits || b.Scheme != test.scheme {
				t.Errorf("%s: got another key of %q", test.name, b.Scheme)
			}
			continue
		}
		if !errors.Is(err, recovery.ErrBare) || !strings.Contains(err.Error(), test.says) || len(test.text) > 0 && strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: got %v, want ErrBare that says %q and not the text", test.name, err, test.says)
		}
	}
}

func FuzzParsePhrase(f *testing.F) {
	f.Add([]byte(zeroes))
	f.Add([]byte("\xff abandon\u00a0ABOUT"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := recovery.ParsePhrase(text)
		if err != nil {
			if !errors.Is(err, recovery.ErrPhrase) {
				t.Errorf("got %v", err)
			}
			return
		}
		defer p.Destroy()
		var words string
		if err := p.Use(func(b []byte) error { words = string(b); return nil }); err != nil {
			t.Fatal(err)
		}
		phrase(t, words)
	})
}

func FuzzParsePath(f *testing.F) {
	f.Add(true, "m/12381/3600/0/0/0")
	f.Add(false, "m/87'/0h/0H/0/0")
	f.Fuzz(func(t *testing.T, approval bool, text string) {
		purpose := signer.PurposeBitcoin
		if approval {
			purpose = signer.PurposeApproval
		}
		p, err := recovery.ParsePath(purpose, text)
		if err != nil {
			if !errors.Is(err, recovery.ErrPath) {
				t.Errorf("got %v", err)
			}
			return
		}
		if again := path(t, purpose, p.String()); again.String() != p.String() {
			t.Errorf("%q became %s, then %s", text, p, again)
		}
	})
}

func FuzzParseBare(f *testing.F) {
	f.Add([]byte(strings.Repeat("07", 32)))
	f.Add([]byte("KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWn"))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := recovery.ParseBare(text)
		if err != nil {
			if !errors.Is(err, recovery.ErrBare) {
				t.Errorf("got %v", err)
			}
			return
		}
		if got := reveal(t, b.Secret, nil); len(got) != 64 {
			t.Errorf("a secret of %d digits", len(got))
		}
	})
}
