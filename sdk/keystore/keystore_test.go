package keystore_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	keystorev4 "github.com/wealdtech/go-eth2-wallet-encryptor-keystorev4"

	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/signer"
)

// The password and the secret of ERC-2335's test vectors.
const (
	vectorPassword = "𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑"
	vectorSecret   = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
)

func readVector(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t testing.TB, b []byte) *keystore.Keystore {
	t.Helper()
	k, err := keystore.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// reveal copies a secret out.
func reveal(t testing.TB, l *keystore.Locked) []byte {
	t.Helper()
	var out []byte
	if err := l.Use(func(s []byte) error { out = bytes.Clone(s); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func lock(t testing.TB, secret []byte) *keystore.Locked {
	t.Helper()
	l, err := keystore.NewLocked(bytes.Clone(secret))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Destroy)
	return l
}

func seal(t testing.TB, scheme keystore.Scheme, secret *keystore.Locked, password string) *keystore.Keystore {
	t.Helper()
	k, err := keystore.Seal(keystore.SealRequest{Scheme: scheme, Secret: secret, Password: []byte(password), Label: "a label"})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func encode(t testing.TB, k *keystore.Keystore) []byte {
	t.Helper()
	b, err := k.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPublishedVectorsOpen(t *testing.T) {
	for _, name := range []string{"erc2335-pbkdf2.json", "erc2335-scrypt.json"} {
		t.Run(name, func(t *testing.T) {
			k := parse(t, readVector(t, name))
			for _, password := range []string{vectorPassword, "testpassword🔑", "testpassword🔑\n", "test\x7fpassword🔑\r\n"} {
				secret, err := k.Open([]byte(password))
				if err != nil {
					t.Fatalf("%q: %v", password, err)
				}
				if got := hex.EncodeToString(reveal(t, secret)); got != vectorSecret {
					t.Fatalf("%q: got another secret", password)
				}
				secret.Destroy()
				if testing.Short() || k.Slow() {
					break
				}
			}
			if k.Slow() {
				return // a wrong password takes as long as the right one
			}
			if _, err := k.Open([]byte("testpassword")); !errors.Is(err, signer.ErrWrongPassword) {
				t.Fatalf("got %v, want ErrWrongPassword", err)
			}
		})
	}
}

func TestSealedKeysOpenAgain(t *testing.T) {
	for _, scheme := range []keystore.Scheme{keystore.BLS12381, keystore.Secp256k1} {
		t.Run(string(scheme), func(t *testing.T) {
			secret, err := scheme.Generate()
			if err != nil {
				t.Fatal(err)
			}
			defer secret.Destroy()
			password := []byte("password")
			sealed, err := keystore.Seal(keystore.SealRequest{Scheme: scheme, Secret: secret, Password: password, Label: "a label"})
			if err != nil {
				t.Fatal(err)
			}
			if string(password) != "password" {
				t.Fatalf("the caller's password became %q", password)
			}
			b := encode(t, sealed)
			if bytes.Contains(b, []byte(hex.EncodeToString(reveal(t, secret)))) {
				t.Fatal("the keystore shows the secret")
			}
			again := parse(t, b)
			if again.ID() != sealed.ID() || again.Scheme() != scheme || again.Label() != "a label" || again.Slow() {
				t.Fatalf("got %s, %s, %q", again.ID(), again.Scheme(), again.Label())
			}
			opened, err := again.Open([]byte("password\n"))
			if err != nil {
				t.Fatal(err)
			}
			defer opened.Destroy()
			if !bytes.Equal(reveal(t, opened), reveal(t, secret)) {
				t.Fatal("another secret came out")
			}
		})
	}
}

// TestOtherToolsReadOurs and TestWeReadOtherTools check against an independent implementation.
func TestOtherToolsReadOurs(t *testing.T) {
	secret, err := hex.DecodeString(vectorSecret)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Crypto map[string]any `json:"crypto"`
		Scheme *string        `json:"scheme"`
	}
	if err := json.Unmarshal(encode(t, seal(t, keystore.BLS12381, lock(t, secret), "pässword")), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Scheme != nil {
		t.Error("a BLS keystore has a field that ERC-2335 does not know")
	}
	got, err := keystorev4.New().Decrypt(doc.Crypto, "pässword")
	if err != nil || !bytes.Equal(got, secret) {
		t.Fatalf("got %x, %v", got, err)
	}
}

func TestWeReadOtherTools(t *testing.T) {
	secret, err := hex.DecodeString(vectorSecret)
	if err != nil {
		t.Fatal(err)
	}
	crypto, err := keystorev4.New(keystorev4.WithCost(t, 10)).Encrypt(secret, "pässword")
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(readVector(t, "erc2335-pbkdf2.json"), &doc); err != nil {
		t.Fatal(err)
	}
	doc["crypto"] = crypto
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	l, err := parse(t, b).Open([]byte("pässword"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Destroy()
	if !bytes.Equal(reveal(t, l), secret) {
		t.Fatal("another secret came out")
	}
}

func TestPublicKeyInTheFileIsNotTrusted(t *testing.T) {
	for _, scheme := range []keystore.Scheme{keystore.BLS12381, keystore.Secp256k1} {
		t.Run(string(scheme), func(t *testing.T) {
			var ids [2]string
			var files [2][]byte
			for i := range files {
				secret, err := scheme.Generate()
				if err != nil {
					t.Fatal(err)
				}
				defer secret.Destroy()
				k := seal(t, scheme, secret, "password")
				ids[i], files[i] = pubkeyOf(k.ID()), encode(t, k)
			}
			forged := bytes.Replace(files[0], []byte(ids[0]), []byte(ids[1]), 1)
			if bytes.Equal(forged, files[0]) {
				t.Fatal("nothing was forged")
			}
			if _, err := parse(t, forged).Open([]byte("password")); !errors.Is(err, keystore.ErrMismatch) {
				t.Fatalf("got %v, want ErrMismatch", err)
			}
		})
	}
}

func pubkeyOf(id signer.KeyID) string {
	_, hex, _ := strings.Cut(string(id), ":")
	return strings.TrimPrefix(hex, "0x")
}

func TestParseRefusesWhatIsOutsideTheLimits(t *testing.T) {
	scrypt, pbkdf2 := string(readVector(t, "erc2335-scrypt.json")), string(readVector(t, "erc2335-pbkdf2.json"))
	tests := []struct{ name, file, old, with string }{
		{"another version", pbkdf2, `"version": 4`, `"version": 3`},
		{"more rounds than anyone has", pbkdf2, `262144`, `2000000000`},
		{"no rounds", pbkdf2, `262144`, `0`},
		{"another prf", pbkdf2, `hmac-sha256`, `hmac-sha1`},
		{"another cipher", pbkdf2, `aes-128-ctr`, `xor`},
		{"another checksum", pbkdf2, `"sha256"`, `"md5"`},
		{"another derivation", pbkdf2, `"pbkdf2"`, `"argon2"`},
		{"a short derived key", pbkdf2, `"dklen": 32`, `"dklen": 16`},
		{"a negative derived key", pbkdf2, `"dklen": 32`, `"dklen": -1`},
		{"scrypt with too much memory", scrypt, `262144`, `1073741824`},
		{"scrypt with too much work", scrypt, `"p": 1`, `"p": 1024`},
		{"scrypt with an odd n", scrypt, `262144`, `262143`},
		{"scrypt with no r", scrypt, `"r": 8`, `"r": 0`},
		{"a short public key", pbkdf2, `9612d7`, ``},
		{"a short iv", pbkdf2, `264daa3f`, ``},
		{"a short secret", pbkdf2, `cee03fde`, ``},
		{"hex that is not", pbkdf2, `cee03fde`, `xee03fde`},
		{"an unknown scheme", pbkdf2, `"version": 4`, `"version": 4, "scheme": "ed25519"`},
		{"something after it", pbkdf2, "}\n", "}\n{}"},
		{"too long", pbkdf2, "This is", strings.Repeat("x", keystore.MaxSize)},
		{"null", pbkdf2, pbkdf2, "null"},
		{"nothing", pbkdf2, pbkdf2, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bad := strings.Replace(tt.file, tt.old, tt.with, 1)
			if tt.name == "something after it" {
				bad = tt.file + "{}"
			}
			if bad == tt.file {
				t.Fatalf("the vector does not hold %q", tt.old)
			}
			if _, err := keystore.Parse([]byte(bad)); !errors.Is(err, keystore.ErrFormat) {
				t.Fatalf("got %v, want ErrFormat", err)
			}
		})
	}
}

func TestSealNeedsAProperPassword(t *testing.T) {
	secret, err := keystore.Secp256k1.Generate()
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Destroy()
	for _, password := range []string{"", "\n", "\x00\x1f", "\xff\xfe\x80 random bytes"} {
		r := keystore.SealRequest{Scheme: keystore.Secp256k1, Secret: secret, Password: []byte(password)}
		if _, err := keystore.Seal(r); !errors.Is(err, keystore.ErrBadPassword) {
			t.Errorf("%q: got %v, want ErrBadPassword", password, err)
		}
	}
}

func TestSealRefusesWhatIsNoSecretKey(t *testing.T) {
	order, err := hex.DecodeString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141") // of secp256k1
	if err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []keystore.Scheme{keystore.BLS12381, keystore.Secp256k1} {
		for _, secret := range [][]byte{make([]byte, 32), bytes.Repeat([]byte{0xff}, 32), order, {1}} {
			r := keystore.SealRequest{Scheme: scheme, Secret: lock(t, secret), Password: []byte("password")}
			if _, err := keystore.Seal(r); !errors.Is(err, keystore.ErrBadSecret) {
				t.Errorf("%s %x: got %v, want ErrBadSecret", scheme, secret, err)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(readVector(f, "erc2335-pbkdf2.json"))
	f.Add(readVector(f, "erc2335-scrypt.json"))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := keystore.Parse(b)
		if err != nil {
			return
		}
		again := parse(t, encode(t, k))
		if again.ID() != k.ID() || again.Scheme() != k.Scheme() {
			t.Fatalf("%s became %s", k.ID(), again.ID())
		}
	})
}

func TestEachPurposeHasItsScheme(t *testing.T) {
	for purpose, scheme := range map[signer.Purpose]keystore.Scheme{
		signer.PurposeApproval: keystore.BLS12381, signer.PurposeBitcoin: keystore.Secp256k1,
	} {
		if got, err := keystore.SchemeOf(purpose); err != nil || got != scheme || got.Purpose() != purpose {
			t.Errorf("%s: got %s for %s, %v", purpose, got, got.Purpose(), err)
		}
	}
	if _, err := keystore.SchemeOf("vote"); err == nil {
		t.Error("an unknown purpose has a scheme")
	}
	if _, err := keystore.Scheme("ed25519").Generate(); err == nil {
		t.Error("an unknown scheme makes keys")
	}
	r := keystore.SealRequest{Scheme: "ed25519", Secret: lock(t, []byte{1}), Password: []byte("password")}
	if _, err := keystore.Seal(r); err == nil {
		t.Error("an unknown scheme is sealed")
	}
}

func TestSealRefusesALabelThatParseWould(t *testing.T) {
	secret, err := keystore.Secp256k1.Generate()
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Destroy()
	r := keystore.SealRequest{
		Scheme: keystore.Secp256k1, Secret: secret, Password: []byte("password"), Label: strings.Repeat("x", 1025),
	}
	if _, err := keystore.Seal(r); err == nil {
		t.Error("a keystore that cannot be read back was sealed")
	}
	secret.Destroy()
	r.Label = ""
	if _, err := keystore.Seal(r); !errors.Is(err, keystore.ErrDestroyed) {
		t.Errorf("got %v, want ErrDestroyed", err)
	}
}

func TestLockedMemory(t *testing.T) {
	secret := []byte("0123456789abcdef")
	before := lockedKB(t)
	l, err := keystore.NewLocked(secret)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(secret, make([]byte, len(secret))) {
		t.Error("the caller's copy was not wiped")
	}
	if got := string(reveal(t, l)); got != "0123456789abcdef" {
		t.Errorf("got %q", got)
	}
	if lockedKB(t) <= before {
		t.Error("no memory was locked")
	}
	if s := fmt.Sprintf("%v %+v %#v %s", l, l, l, l); strings.Contains(s, "0123") {
		t.Errorf("formatting shows the secret: %s", s)
	}
	l.Destroy()
	l.Destroy()
	if err := l.Use(func([]byte) error { return nil }); !errors.Is(err, keystore.ErrDestroyed) {
		t.Errorf("got %v, want ErrDestroyed", err)
	}
}

// lockedKB is VmLck of this process, in kB.
func lockedKB(t *testing.T) (kb int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc")
	}
	_, rest, ok := strings.Cut(string(b), "VmLck:")
	if _, err := fmt.Sscan(rest, &kb); !ok || err != nil {
		t.Fatal(err)
	}
	return kb
}
