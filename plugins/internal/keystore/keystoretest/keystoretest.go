// Package keystoretest makes keystores for tests: they open in no time, where a real one is slow on purpose.
package keystoretest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	keystorev4 "github.com/wealdtech/go-eth2-wallet-encryptor-keystorev4"

	"github.com/alys-node/alys/plugins/internal/keystore"
)

// cost is the base-2 logarithm of the PBKDF2 rounds; a real keystore has 18.
const cost = 8

// New is the JSON of a keystore with a random key, sealed by another implementation than ours, with the label "test".
func New(t testing.TB, scheme keystore.Scheme, password string) []byte {
	t.Helper()
	secret, err := scheme.Generate()
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Destroy()
	sealed, err := keystore.Seal(keystore.SealRequest{Scheme: scheme, Secret: secret, Password: []byte(password), Label: "test"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := sealed.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	err = secret.Use(func(secret []byte) (err error) {
		quick := keystorev4.New(keystorev4.WithCost(new(testing.T), cost)) // it only wants to see that this is a test
		doc["crypto"], err = quick.Encrypt(secret, password)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err = json.Marshal(doc)
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
