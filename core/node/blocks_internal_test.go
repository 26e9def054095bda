package node

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/swap"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/schema"
)

// secretive is the schema of a plugin with secrets in several places.
var secretive = schema.Block{
	Attributes: []schema.Attribute{
		{Name: "keystore", Type: schema.String},
		{Name: "password", Type: schema.String, Sensitive: true},
		{Name: "pin", Type: schema.String, Sensitive: true},
	},
	Blocks: []schema.Block{{Name: "tls", Attributes: []schema.Attribute{{Name: "key", Type: schema.String, Sensitive: true}}}},
}

const secretiveConfig = `
node {
  name     = "n"
  data_dir = "./data"
}
chain {
  spec = "dev"
}
plugin "signer" "s" {
  command = "/bin/true"
  env = {
    TOKEN = env("TOKEN")
    LANG  = "C"
  }
  config {
    keystore = "./keys"
    password = "PASSWORD-IN-CLEAR"
    pin      = file("pin.txt")
    tls {
      key = env("TLS_KEY")
    }
  }
}
plugin "engine" "e" {
  command = "/bin/true"
}
plugin "sync" "y" {
  command = "/bin/true"
}
role "signer" {
  primary = plugin.signer.s
}
role "engine" {
  primary = plugin.engine.e
}
role "sync" {
  primary = plugin.sync.y
}
`

// read loads a configuration with two secrets in the environment and one in a file.
func read(t *testing.T, dir, text string) *config.Config {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(dir, "alys.hcl"), []byte(text), 0o600))
	c, diags := config.Load(filepath.Join(dir, "alys.hcl"), config.Options{Env: func(name string) (string, bool) {
		v, ok := map[string]string{"TOKEN": "TOKEN-IN-CLEAR", "TLS_KEY": "TLS-IN-CLEAR"}[name]
		return v, ok
	}})
	must(t, diags.Err())
	return c
}

// journal is the signer's block as swap keeps it, after a way through JSON as the file journal makes it.
func journal(t *testing.T, c *config.Config) swap.Block {
	t.Helper()
	id := config.PluginID{Kind: lifecycle.Signer, Name: "s"}
	p, ok := c.Plugin(id)
	if !ok {
		t.Fatal("no plugin")
	}
	values, diags := c.DecodePlugin(id, secretive)
	must(t, diags.Err())
	b, err := journalled(p, values, nil, "ab")
	must(t, err)
	raw, err := json.Marshal(b)
	must(t, err)
	var out swap.Block
	must(t, json.Unmarshal(raw, &out))
	return out
}

func pinFile(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "pin.txt"), []byte("PIN-IN-CLEAR"), 0o600))
	return dir
}

func TestJournalledBlockHoldsNoSecretAndFindsThemAgain(t *testing.T) {
	dir := pinFile(t)
	c := read(t, dir, secretiveConfig)
	b := journal(t, c)
	raw, err := json.Marshal(b)
	must(t, err)
	if bytes.Contains(raw, []byte("IN-CLEAR")) {
		t.Errorf("the journal shows a secret: %s", raw)
	}
	if len(b.Secrets) != 4 {
		t.Errorf("%d secrets are referred to, want 4: %v", len(b.Secrets), b.Secrets)
	}
	again := newBlocks(read(t, dir, secretiveConfig)) // a node that has just started
	block, err := again.clear(b)
	must(t, err)
	var got map[string]any
	must(t, json.Unmarshal(block.ConfigJSON, &got))
	want := map[string]any{
		"keystore": "./keys", "password": "PASSWORD-IN-CLEAR", "pin": "PIN-IN-CLEAR", "tls": map[string]any{"key": "TLS-IN-CLEAR"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("block in clear (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"TOKEN": "TOKEN-IN-CLEAR", "LANG": "C"}, block.Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if block.Command != "/bin/true" || block.Label != "s" || block.Kind != lifecycle.Signer {
		t.Errorf("block %v with command %q", block, block.Command)
	}
}

func TestJournalledBlockWhoseSecretIsGoneNamesTheArgument(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *testing.T, dir string) string // gives today's text
		want   string
	}{
		{"a written secret was changed", func(*testing.T, string) string {
			return strings.Replace(secretiveConfig, "PASSWORD-IN-CLEAR", "another", 1)
		}, "password"},
		{"a written secret was removed", func(*testing.T, string) string {
			return strings.Replace(secretiveConfig, `password = "PASSWORD-IN-CLEAR"`, "", 1)
		}, "password"},
		{"the file is gone", func(t *testing.T, dir string) string {
			must(t, os.Remove(filepath.Join(dir, "pin.txt")))
			return strings.Replace(secretiveConfig, `file("pin.txt")`, `"1234"`, 1)
		}, "pin"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := pinFile(t)
			b := journal(t, read(t, dir, secretiveConfig))
			_, err := newBlocks(read(t, dir, test.change(t, dir))).clear(b)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "IN-CLEAR") {
				t.Errorf("got %v, want an error that names %q and no secret", err, test.want)
			}
		})
	}
}

func TestBlockThatThisProcessHasReadNeedsNoSecretAgain(t *testing.T) {
	dir := pinFile(t)
	c := read(t, dir, secretiveConfig)
	b := journal(t, c)
	bs := newBlocks(c)
	first, err := bs.clear(b)
	must(t, err)
	must(t, os.Remove(filepath.Join(dir, "pin.txt")))
	second, err := bs.clear(b)
	must(t, err)
	if !bytes.Equal(first.ConfigJSON, second.ConfigJSON) {
		t.Error("the block changed")
	}
}

func TestTodaysConfigurationIsWhereSecretsAreFound(t *testing.T) {
	dir := pinFile(t)
	b := journal(t, read(t, dir, secretiveConfig))
	bs := newBlocks(read(t, dir, strings.Replace(secretiveConfig, "PASSWORD-IN-CLEAR", "another", 1)))
	if _, err := bs.clear(b); err == nil {
		t.Fatal("a changed secret was found")
	}
	bs.use(read(t, dir, secretiveConfig))
	if _, err := bs.clear(b); err != nil {
		t.Error(err)
	}
}

func TestHashOfABlockFollowsItsSecrets(t *testing.T) {
	dir := pinFile(t)
	a := journal(t, read(t, dir, secretiveConfig))
	same := journal(t, read(t, dir, "# a comment\n"+secretiveConfig))
	other := journal(t, read(t, dir, strings.Replace(secretiveConfig, "PASSWORD-IN-CLEAR", "another", 1)))
	if a.Hash != same.Hash || a.Hash == other.Hash {
		t.Errorf("hashes %s, %s, %s: want a change with the secret and no other", a.Hash, same.Hash, other.Hash)
	}
}

func TestDamagedJournalIsAnErrorThatNamesThePlugin(t *testing.T) {
	c := read(t, pinFile(t), secretiveConfig)
	for name, raw := range map[string]string{"no JSON": "{", "env of another shape": `{"config":{"redacted":{}},"own":{"redacted":{"env":[1]}}}`} {
		b := journal(t, c)
		b.Config = json.RawMessage(raw)
		if _, err := newBlocks(c).clear(b); err == nil || !strings.Contains(err.Error(), "signer") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestRoutesOfTheFileAreThoseOfSwap(t *testing.T) {
	if got := roleOf(config.RoleID{Kind: lifecycle.Signer, Purpose: "approval"}); got != roleApproval {
		t.Errorf("narrowed role is %q", got)
	}
	a, b := config.PluginID{Kind: lifecycle.Signer, Name: "a"}, config.PluginID{Kind: lifecycle.Signer, Name: "b"}
	got := routeOf(config.Route{Primary: a, Fallback: b, Shadow: b, Canary: &config.Canary{Plugin: b, Percent: 25}})
	other := swapID(b)
	want := swap.Route{Primary: swapID(a), Fallback: &other, Shadow: &other, Canary: &swap.Canary{Plugin: other, Percent: 25}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("route (-want +got):\n%s", diff)
	}
	if got := routeOf(config.Route{Primary: a}); got.Fallback != nil || got.Shadow != nil || got.Canary != nil {
		t.Errorf("route of a primary alone is %+v", got)
	}
}
