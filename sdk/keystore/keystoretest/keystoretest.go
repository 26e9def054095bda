// Package keystoretest makes keystores for tests: they open in no time, where a real one is slow on purpose.
package keystoretest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	keystorev4 "github.com/wealdtech/go-eth2-wallet-encryptor-keystorev4"

	"github.com/alys-node/alys/sdk/keystore"
)

// cost is the base-2 logarithm of the work: PBKDF2's rounds or scrypt's n. A real keystore has 18.
const cost = 8

// Label is the description of the keystores that this package makes.
const Label = "test"

// The key derivations of EIP-2335.
const (
	PBKDF2 = "pbkdf2"
	Scrypt = "scrypt"
)

// New is the JSON of a keystore with a random key, sealed by another implementation than ours.
func New(t testing.TB, scheme keystore.Scheme, password string) []byte {
	t.Helper()
	return NewWith(t, scheme, password, PBKDF2)
}

// NewWith is New with a key derivation.
func NewWith(t testing.TB, scheme keystore.Scheme, password, kdf string) []byte {
	t.Helper()
	secret, err := scheme.Generate()
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Destroy()
	id, err := scheme.KeyID(secret)
	if err != nil {
		t.Fatal(err)
	}
	_, public, _ := strings.Cut(string(id), ":")
	doc := map[string]any{
		"pubkey": strings.TrimPrefix(public, "0x"), "description": Label, "path": "", "version": 4,
		"uuid": "00000000-0000-4000-8000-000000000000",
	}
	if scheme != keystore.BLS12381 {
		doc["scheme"] = scheme
	}
	err = secret.Use(func(secret []byte) (err error) {
		quick := keystorev4.New(keystorev4.WithCipher(kdf), keystorev4.WithCost(new(testing.T), cost)) // it only wants to see that this is a test
		doc["crypto"], err = quick.Encrypt(secret, password)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Folder is a fresh, private folder with the files.
func Folder(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
