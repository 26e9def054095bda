package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/schema"
)

func TestSecretsAreInNoExpectedDiagnostic(t *testing.T) {
	cases, err := filepath.Glob("testdata/bad/*.txt")
	if err != nil || len(cases) == 0 {
		t.Fatal(err)
	}
	for _, path := range cases {
		for _, secret := range []string{"hunter2", "s3cr3t", "q7"} {
			if strings.Contains(string(read(t, path)), secret) {
				t.Errorf("%s shows %q", path, secret)
			}
		}
	}
}

const secretConfig = base + `
variable "pin" {
  type      = string
  sensitive = true
}
locals {
  derived = "prefix-${var.pin}-suffix"
}
plugin "signer" "hsm" {
  command = "alys-signer-hsm"
  env = {
    TOKEN = local.derived
  }
  config {
    plain    = "not secret"
    marked   = local.derived
    pin      = var.pin
    written  = "written-secret"
    from_env = env("HSM_PIN")
    servers {
      token = "token-secret"
    }
    servers {
      token = upper(var.pin)
    }
  }
}
role "signer" {
  primary = plugin.signer.hsm
}
bitcoin {
  url      = "http://127.0.0.1:18443"
  user     = "u"
  password = var.pin
}
`

func hsmSchema() schema.Block {
	return schema.Block{
		Attributes: []schema.Attribute{
			{Name: "plain", Type: schema.String},
			{Name: "marked", Type: schema.String},
			{Name: "pin", Type: schema.String, Sensitive: true},
			{Name: "written", Type: schema.String, Sensitive: true},
			{Name: "from_env", Type: schema.String, Sensitive: true},
		},
		Blocks: []schema.Block{{
			Name: "servers", Repeated: true,
			Attributes: []schema.Attribute{{Name: "token", Type: schema.String, Sensitive: true}},
		}},
	}
}

func secretOptions() config.Options {
	return config.Options{
		Vars: map[string]string{"pin": "very-secret"},
		Env:  func(name string) (string, bool) { return "env-secret", name == "HSM_PIN" },
	}
}

var secrets = []string{"very-secret", "VERY-SECRET", "written-secret", "env-secret", "token-secret"}

// D: a plan, log, journal or error that shows a secret.
func TestSecretsAreInNoOutput(t *testing.T) {
	c := mustLoad(t, secretConfig, secretOptions())
	id := config.PluginID{Kind: "signer", Name: "hsm"}
	p, _ := c.Plugin(id)
	cfg, ds := c.DecodePlugin(id, hsmSchema())
	if ds.HasErrors() {
		t.Fatal(ds.Err())
	}
	for _, s := range secrets {
		if !bytes.Contains(cfg.JSON, []byte(s)) {
			t.Errorf("the clear form for the plugin lacks %q: the test proves nothing", s)
		}
	}
	all := c.PluginDiagnostics(id, diag.Diagnostics{
		diag.Errorf([]string{"pin"}, "the pin very-secret is wrong", "cannot log in with %q", "written-secret"),
		diag.Errorf([]string{"written"}, "", "env-secret and token-secret and very-secret"),
		diag.Errorf([]string{"servers", "1", "token"}, "", "VERY-SECRET"),
	})
	var text bytes.Buffer
	if err := config.WriteDiagnostics(&text, append(all, ds...), true, 80); err != nil {
		t.Fatal(err)
	}
	outputs := map[string]string{
		"redacted plugin block": string(cfg.Redacted),
		"journal form":          string(marshal(t, cfg)),
		"formatted with %v":     fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg),
		"plugin struct":         fmt.Sprintf("%v %+v %#v", p.Env, p.Env, p.Env) + string(marshal(t, p.Env)),
		"own block":             fmt.Sprintf("%v", p.Block) + string(marshal(t, p.Block)),
		"redacted config":       string(c.Redacted),
		"bitcoin block":         fmt.Sprintf("%v %+v %#v", *c.Bitcoin, *c.Bitcoin, *c.Bitcoin) + string(marshal(t, c.Bitcoin)),
		"diagnostics":           text.String() + all.Err().Error(),
		"diagnostics as JSON":   string(marshal(t, config.DiagnosticsJSON(all))),
		"hash":                  c.Hash,
	}
	for name, out := range outputs {
		for _, s := range secrets {
			if strings.Contains(out, s) {
				t.Errorf("%s shows %q:\n%s", name, s, out)
			}
		}
	}
	if !strings.Contains(string(cfg.Redacted), `"plain":"not secret"`) {
		t.Errorf("what is not secret is covered too: %s", cfg.Redacted)
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestJournalledSecretsAreFoundAgain(t *testing.T) {
	c := mustLoad(t, secretConfig, secretOptions())
	id := config.PluginID{Kind: "signer", Name: "hsm"}
	cfg, ds := c.DecodePlugin(id, hsmSchema())
	if ds.HasErrors() {
		t.Fatal(ds.Err())
	}
	var journalled config.PluginConfig
	if err := json.Unmarshal(marshal(t, cfg), &journalled); err != nil {
		t.Fatal(err)
	}
	got, ds := c.ResolveSecrets(config.ResolveRequest{ID: id, Config: journalled})
	if ds.HasErrors() || !bytes.Equal(got, cfg.JSON) {
		t.Errorf("resolved %s, want %s (%v)", got, cfg.JSON, ds)
	}
	p, _ := c.Plugin(id)
	own, ds := c.ResolveSecrets(config.ResolveRequest{ID: id, Config: p.Block, Own: true})
	if ds.HasErrors() || !bytes.Equal(own, p.Block.JSON) {
		t.Errorf("resolved %s, want %s (%v)", own, p.Block.JSON, ds)
	}
	changed := mustLoad(t, strings.Replace(secretConfig, "written-secret", "another-secret", 1), secretOptions())
	if _, ds := changed.ResolveSecrets(config.ResolveRequest{ID: id, Config: journalled}); codes(ds) != "secret_changed" {
		t.Errorf("a written secret that changed: %v", ds)
	}
	bare := config.Bare(t.TempDir(), secretOptions())
	_, ds = bare.ResolveSecrets(config.ResolveRequest{ID: id, Config: journalled})
	if !ds.HasErrors() || strings.Contains(ds.Err().Error(), "from_env") {
		t.Errorf("without a configuration only env() and file() are found: %v", ds)
	}
}

func TestHashFollowsTheMeaning(t *testing.T) {
	load := func(src, pin string) string {
		opts := secretOptions()
		opts.Vars = map[string]string{"pin": pin}
		return mustLoadIn(t, "/config", src, opts).Hash
	}
	want := load(secretConfig, "very-secret")
	same := map[string]string{
		"a comment":              "# hello\n" + secretConfig,
		"a default written out":  secretConfig + "log {\n  level = \"info\"\n}\n",
		"a value by another way": strings.Replace(secretConfig, `name     = "n"`, `name     = lower("N")`, 1),
	}
	for name, src := range same {
		if got := load(src, "very-secret"); got != want {
			t.Errorf("%s changes the hash", name)
		}
	}
	other := map[string]string{
		"a level":                  secretConfig + "log {\n  level = \"warn\"\n}\n",
		"a plugin's own argument":  strings.Replace(secretConfig, "not secret", "not a secret", 1),
		"a secret in the file":     strings.Replace(secretConfig, "written-secret", "other-secret", 1),
		"a route":                  strings.Replace(secretConfig, "primary = plugin.engine.v4", "primary = plugin.engine.v5", 1),
		"a plugin that is removed": strings.Replace(secretConfig, "plugin \"engine\" \"v5\" {\n  command = \"alys-engine-v5\"\n}\n", "", 1),
	}
	for name, src := range other {
		if got := load(src, "very-secret"); got == want {
			t.Errorf("%s does not change the hash", name)
		}
	}
	if load(secretConfig, "other-pin") == want {
		t.Error("a secret variable does not change the hash")
	}
	if len(want) != 64 {
		t.Errorf("hash %q", want)
	}
}

func mustLoadIn(t *testing.T, dir, src string, opts config.Options) *config.Config {
	t.Helper()
	c, ds := config.LoadBytes("alys.hcl", dir, []byte(src), opts)
	if ds.HasErrors() {
		t.Fatal(ds.Err())
	}
	return c
}
