package main

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugintest"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
)

var genesis = chain.Hash{0xa1}

func block(t *testing.T, secret string) []byte {
	t.Helper()
	raw, err := json.Marshal(map[string]string{"secret": secret})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func options(t *testing.T) plugintest.Options {
	t.Helper()
	return plugintest.Options{
		ConfigJSON: block(t, hex.EncodeToString(signertest.BLSSecret("memory").Bytes())), Host: lifecycle.Host{Genesis: genesis},
	}
}

func TestConforms(t *testing.T) {
	signertest.Run(t, signertest.Harness{
		Genesis: genesis, Description: new(memory).Describe(),
		New: func(t *testing.T) signer.Signer {
			t.Helper()
			return plugintest.ServeWith(t, new(memory), options(t)).Signer()
		},
	})
}

func TestTheProgramStarts(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the plugin")
	}
	o := options(t)
	o.Path, o.Kind = plugintest.Build(t, "."), lifecycle.Signer
	keys, err := plugintest.Start(t, o).Signer().Keys(t.Context())
	if want := signer.BLSKey(signertest.BLSPublic("memory")); err != nil || len(keys) != 1 || keys[0].ID != want {
		t.Errorf("keys %v, %v, want %s", keys, err, want)
	}
}

func TestABadSecretIsToldWithoutShowingIt(t *testing.T) {
	for _, secret := range []string{"", "07", strings.Repeat("7", 65), strings.Repeat("ff", 32), strings.Repeat("zk", 32), strings.Repeat("00", 32)} {
		ds := new(memory).Validate(t.Context(), lifecycle.Config{JSON: block(t, secret)})
		if !ds.HasErrors() || len(ds[0].Path) != 1 || ds[0].Path[0] != "secret" {
			t.Errorf("%q: %v, want an error at secret", secret, ds)
		}
		if text := ds.Err().Error(); strings.Contains(text, "'z'") || secret != "" && secret != "07" && strings.Contains(text, secret) {
			t.Errorf("%q is shown: %s", secret, text)
		}
	}
}

// What it is for: an author reads it in one sitting.
func TestItIsShort(t *testing.T) {
	raw, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	code := 0
	for line := range strings.Lines(string(raw)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			code++
		}
	}
	if code >= 100 {
		t.Errorf("%d lines of code, want fewer than 100", code)
	}
}
