package local_test

import (
	"encoding/json"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/signer/local/internal/local"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/keystore/keystoretest"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
)

var genesis = chain.TaggedHash("test/genesis")

const password = "correct horse"

// sealed are keystores that the tests share: two approval keys and a Bitcoin key.
var sealed struct {
	sync.Once
	files map[string][]byte
}

// keyFolder is a fresh folder with the three keystores.
func keyFolder(t testing.TB) string {
	t.Helper()
	sealed.Do(func() {
		sealed.files = map[string][]byte{
			"a.json": keystoretest.New(t, keystore.BLS12381, password),
			"b.json": keystoretest.New(t, keystore.BLS12381, password),
			"c.json": keystoretest.New(t, keystore.Secp256k1, password),
		}
	})
	return keystoretest.Folder(t, sealed.files)
}

// block is the plugin's config block; the host fills in defaults, so all keys are there.
type block struct {
	Keystore    string  `json:"keystore"`
	Password    *string `json:"password"`
	Unlock      string  `json:"unlock"`
	AllowExport bool    `json:"allow_export"`
	Bench       bool    `json:"bench"`
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
