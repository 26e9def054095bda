package config_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/schema"
)

func everyType() schema.Block {
	return schema.Block{
		Attributes: []schema.Attribute{
			{Name: "text", Type: schema.String, Required: true},
			{Name: "number", Type: schema.Number},
			{Name: "yes", Type: schema.Bool},
			{Name: "list", Type: schema.StringList},
			{Name: "map", Type: schema.StringMap},
			{Name: "wait", Type: schema.Duration},
			{Name: "room", Type: schema.Size},
			{Name: "path", Type: schema.Path},
			{Name: "absent", Type: schema.String},
			{Name: "wait_default", Type: schema.Duration, Default: `"2s"`},
			{Name: "list_default", Type: schema.StringList, Default: `["a"]`},
			{Name: "path_default", Type: schema.Path, Default: `"sub/dir"`},
		},
		Blocks: []schema.Block{
			{Name: "tls", Attributes: []schema.Attribute{{Name: "ca", Type: schema.Path, Required: true}}},
			{Name: "missing"},
			{Name: "peer", Repeated: true, Attributes: []schema.Attribute{
				{Name: "host", Type: schema.String}, {Name: "weight", Type: schema.Number, Default: "1"},
			}},
			{Name: "none", Repeated: true},
		},
	}
}

func withConfig(body string) string {
	return strings.Replace(base, `command = "alys-engine-v5"`, "command = \"alys-engine-v5\"\n  config {\n"+body+"\n  }", 1)
}

func v5() config.PluginID { return config.PluginID{Kind: lifecycle.Engine, Name: "v5"} }

func TestPluginBlockIsHandedOverAsItsSchemaSays(t *testing.T) {
	c := mustLoadIn(t, "/etc/alys", withConfig(`
    text   = "a${1 + 1}"
    number = 12345678901234567890
    yes    = true
    list   = ["x", "y"]
    map    = { k = "v" }
    wait   = "1m30s"
    room   = "3MiB"
    path   = "keys"
    tls {
      ca = "/abs/ca.pem"
    }
    peer {
      host = "one"
    }
    peer {
      host   = "two"
      weight = 2.5
    }`), config.Options{})
	got, ds := c.DecodePlugin(v5(), everyType())
	if ds.HasErrors() {
		t.Fatal(ds.Err())
	}
	want := `{
		"text": "a2", "number": 12345678901234567890, "yes": true, "list": ["x", "y"], "map": {"k": "v"}, "wait": 90000,
		"room": 3145728, "path": "/etc/alys/keys", "absent": null, "wait_default": 2000, "list_default": ["a"],
		"path_default": "/etc/alys/sub/dir", "tls": {"ca": "/abs/ca.pem"}, "missing": null,
		"peer": [{"host": "one", "weight": 1}, {"host": "two", "weight": 2.5}], "none": []
	}`
	if diff := cmp.Diff(normal(t, want), normal(t, string(got.JSON))); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	if string(got.JSON) != string(got.Redacted) || len(got.Secrets) != 0 {
		t.Errorf("nothing is secret: %s, %v", got.Redacted, got.Secrets)
	}
}

func normal(t *testing.T, text string) any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func TestProblemsOfAPluginBlockAreReportedAtOnce(t *testing.T) {
	c := mustLoad(t, withConfig(`
    txet   = "a"
    number = "many"
    wait   = "1500us"
    room   = 5
    list   = [null]
    tls {
    }
    tls {
      ca = "x"
    }
    pear {
    }`), config.Options{})
	_, ds := c.DecodePlugin(v5(), everyType())
	want := "missing_argument unknown_key wrong_type wrong_type invalid_value missing_argument duplicate_block unknown_block"
	if got := codes(ds); got != want {
		t.Errorf("got  %s\nwant %s\n%v", got, want, ds)
	}
	for _, d := range ds {
		if d.Range.IsZero() || d.Snippet == nil {
			t.Errorf("no place: %v", d)
		}
	}
	half := mustLoad(t, withConfig("text = \"a\"\nwait = \"1500us\""), config.Options{})
	if _, ds := half.DecodePlugin(v5(), everyType()); codes(ds) != "invalid_value" || ds[0].Snippet.Text != `"1500us"` {
		t.Errorf("a part of a millisecond: %v", ds)
	}
	if _, ds := c.DecodePlugin(config.PluginID{Kind: "engine", Name: "v9"}, everyType()); codes(ds) != "unknown_plugin" {
		t.Errorf("a plugin that does not exist: %v", ds)
	}
	if _, ds := mustLoad(t, base, config.Options{}).DecodePlugin(v5(), everyType()); codes(ds) != "missing_argument" || ds[0].Range.IsZero() {
		t.Errorf("no config block: %v", ds)
	}
}

func TestPluginFindingsAreMappedToTheirLines(t *testing.T) {
	c := mustLoad(t, withConfig(`    text = "a"
    list = [
      "x",
      "y",
    ]
    map = { k = "v" }
    peer {
      host = "one"
    }
    peer {
      host = "two"
    }`), config.Options{})
	cases := []struct {
		name string
		path []string
		want string
	}{
		{"an argument", []string{"text"}, `"a"`},
		{"an element of a list", []string{"list", "1"}, `"y"`},
		{"an element of a map", []string{"map", "k"}, `"v"`},
		{"an argument of a repeated block", []string{"peer", "1", "host"}, `"two"`},
		{"a repeated block", []string{"peer", "1"}, "peer"},
		{"an index out of range", []string{"list", "99999999999999999999"}, "["},
		{"a name that is not there", []string{"nothing", "x"}, `plugin "engine" "v5"`},
		{"the whole block", nil, `plugin "engine" "v5"`},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			ds := c.PluginDiagnostics(v5(), diag.Diagnostics{diag.Errorf(tc.path, "do better", "wrong")})
			if len(ds) != 1 || ds[0].Snippet == nil || ds[0].Snippet.Text != tc.want || ds[0].Code != config.CodePluginConfig {
				t.Errorf("got %+v, want %q underlined", ds, tc.want)
			}
		})
	}
	warn := c.PluginDiagnostics(v5(), diag.Diagnostics{{Severity: diag.Warning, Summary: "hm"}})
	if warn.HasErrors() || len(warn) != 1 {
		t.Errorf("a warning became %v", warn)
	}
}

func TestSchemasThatMakeNoSenseAreTheAuthorsFault(t *testing.T) {
	deep := schema.Block{Name: "b"}
	for range 20 {
		deep = schema.Block{Name: "b", Blocks: []schema.Block{deep}}
	}
	many := schema.Block{}
	for i := range 2000 {
		many.Attributes = append(many.Attributes, schema.Attribute{Name: "a" + strings.Repeat("x", i%7) + string(rune('a'+i%26)), Type: schema.String})
	}
	attr := func(a schema.Attribute) schema.Block { return schema.Block{Attributes: []schema.Attribute{a}} }
	cases := map[string]schema.Block{
		"an unknown type":               attr(schema.Attribute{Name: "a", Type: "float"}),
		"a name that is none":           attr(schema.Attribute{Name: "a b", Type: schema.String}),
		"a name twice":                  {Attributes: []schema.Attribute{{Name: "a", Type: schema.String}}, Blocks: []schema.Block{{Name: "a"}}},
		"a default of another type":     attr(schema.Attribute{Name: "a", Type: schema.Number, Default: `"x"`}),
		"a default that calls":          attr(schema.Attribute{Name: "a", Type: schema.String, Default: `file("x")`}),
		"a default that is no duration": attr(schema.Attribute{Name: "a", Type: schema.Duration, Default: `"x"`}),
		"a default that is no HCL":      attr(schema.Attribute{Name: "a", Type: schema.String, Default: strings.Repeat("[", 1000)}),
		"too deep":                      deep,
		"too many arguments":            many,
	}
	c := mustLoad(t, base, config.Options{})
	for name, s := range cases {
		if _, ds := c.DecodePlugin(v5(), s); codes(ds) != string(config.CodePluginSchema) {
			t.Errorf("%s: %v", name, ds)
		}
	}
}

func TestNothingIsReadAfterLoad(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret.txt")
	if err := os.WriteFile(secret, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	asked := 0
	env := func(string) (string, bool) { asked++; return "env", true }
	src := withConfig(`text = "${file("secret.txt")} ${env("X")}"`)
	c := mustLoadIn(t, dir, src, config.Options{Env: env})
	if err := os.Remove(secret); err != nil {
		t.Fatal(err)
	}
	before := asked
	got, ds := c.DecodePlugin(v5(), schema.Block{Attributes: []schema.Attribute{{Name: "text", Type: schema.String}}})
	if ds.HasErrors() || string(got.JSON) != `{"text":"one env"}` || asked != before {
		t.Errorf("got %s, %v, environment asked %d times", got.JSON, ds, asked-before)
	}
}
