package local_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	keystorev4 "github.com/wealdtech/go-eth2-wallet-encryptor-keystorev4"

	"github.com/alys-node/alys/plugins/internal/keystore"
	"github.com/alys-node/alys/plugins/signer/local/internal/local"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
)

var genesis = chain.TaggedHash("test/genesis")

const password = "correct horse"

// sealed are keystores that the tests copy, because sealing is slow on purpose: two approval keys and a Bitcoin key.
var sealed = sync.OnceValues(func() (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, scheme := range map[string]keystore.Scheme{
		"a.json": keystore.BLS12381, "b.json": keystore.BLS12381, "c.json": keystore.Secp256k1,
	} {
		b, err := newKeystore(scheme, password)
		if err != nil {
			return nil, err
		}
		files[name] = b
	}
	return files, nil
})

// newKeystore makes a keystore that opens quickly: with a thousandth of the work of one that is used.
func newKeystore(scheme keystore.Scheme, password string) ([]byte, error) {
	secret, err := scheme.Generate()
	if err != nil {
		return nil, err
	}
	defer secret.Destroy()
	k, err := keystore.Seal(keystore.SealRequest{Scheme: scheme, Secret: secret, Password: []byte(password), Label: "test"})
	if err != nil {
		return nil, err
	}
	b, err := k.Encode()
	if err != nil {
		return nil, err
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, err
	}
	err = secret.Use(func(secret []byte) (err error) {
		quick := keystorev4.New(keystorev4.WithCost(new(testing.T), 8)) // it only wants to see that this is a test
		doc["crypto"], err = quick.Encrypt(secret, password)
		return err
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(doc)
}

// keyFolder is a fresh folder with the three keystores.
func keyFolder(t testing.TB) string {
	t.Helper()
	files, err := sealed()
	if err != nil {
		t.Fatal(err)
	}
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

// block is the plugin's config block; the host fills in defaults, so all keys are there.
type block struct {
	Keystore    string  `json:"keystore"`
	Password    *string `json:"password"`
	Unlock      string  `json:"unlock"`
	AllowExport bool    `json:"allow_export"`
}

func unlocked(keys string) block {
	pw := password + "\n" // as file() reads it
	return block{Keystore: keys, Password: &pw, Unlock: "config", AllowExport: true}
}

func prompting(keys string) block { return block{Keystore: keys, Unlock: "prompt", AllowExport: true} }

func (b block) json(t testing.TB) []byte {
	t.Helper()
	j, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func (b block) config(t testing.TB, dataDir string) lifecycle.Config {
	t.Helper()
	return lifecycle.Config{JSON: b.json(t), Host: lifecycle.Host{Label: "local", DataDir: dataDir, Genesis: genesis}}
}

// start configures a signer that is drained at cleanup.
func start(t testing.TB, c lifecycle.Config) *local.Signer {
	t.Helper()
	s := local.New(hclog.NewNullLogger())
	if err := s.Configure(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { drain(t, s) })
	return s
}

func drain(t testing.TB, s *local.Signer) {
	if err := s.Drain(t.Context()); err != nil && t.Context().Err() == nil {
		t.Error(err)
	}
}

func keysOf(t testing.TB, s signer.Signer, p signer.Purpose) []signer.KeyID {
	t.Helper()
	keys, err := s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []signer.KeyID
	for _, k := range keys {
		if k.Purpose == p {
			ids = append(ids, k.ID)
		}
	}
	return ids
}

func header(slot chain.Slot, n byte) chain.Header {
	return chain.Header{Version: chain.HeaderVersion, Genesis: genesis, Slot: slot, Height: chain.Height(slot), BodyRoot: chain.Hash{n}}
}
