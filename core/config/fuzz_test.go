package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/sdk/schema"
)

func seed(f *testing.F) {
	f.Helper()
	paths, err := filepath.Glob("testdata/bad/*.hcl")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range append(paths, "../../examples/full.hcl", "../../alys.hcl") {
		src, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	for _, src := range []string{
		base, secretConfig, strings.Repeat("(", 20_000), "a = " + strings.Repeat("-", 20_000) + "1\n",
		"a = (" + strings.Repeat("-\n", 20_000) + "1)\n", "a = x" + strings.Repeat("[0]", 20_000) + "\n",
		"a = \"" + strings.Repeat("${\"", 10_000) + "\n", "a = <<E\n" + strings.Repeat("%{ if x }", 10_000) + "\nE\n",
		"a = " + strings.Repeat("b ? c : ", 10_000) + "d\n", strings.Repeat("a {\n", 10_000),
		"locals {\n  a = [for x in [for y in [1] : y] : x]\n  b = {for k, v in {a = 1} : k => v...}\n  c = local.a[*].b\n}\n",
	} {
		f.Add([]byte(src))
	}
}

// FuzzLoad: whatever is in the file, Load returns either a configuration or errors, and both can be printed.
func FuzzLoad(f *testing.F) {
	seed(f)
	opts := config.Options{Vars: map[string]string{"pin": "very-secret"}, Env: environment}
	f.Fuzz(func(t *testing.T, src []byte) {
		c, ds := config.LoadBytes("alys.hcl", "testdata/parts", src, opts)
		if (c == nil) != ds.HasErrors() {
			t.Fatalf("configuration %v with %v", c != nil, ds)
		}
		var out bytes.Buffer
		if err := config.WriteDiagnostics(&out, ds, true, 60); err != nil {
			t.Fatal(err)
		}
		if c == nil {
			return
		}
		for _, p := range c.Plugins {
			_, ds := c.DecodePlugin(p.ID, schema.Block{Attributes: []schema.Attribute{{Name: "keystore", Type: schema.Path, Sensitive: true}}})
			if err := config.WriteDiagnostics(&out, ds, false, 0); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzFormat: formatting never fails on what parses, and formatting again changes nothing.
func FuzzFormat(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		once, ds := config.Format(src)
		if ds.HasErrors() {
			return
		}
		twice, ds := config.Format(once)
		if ds.HasErrors() || !bytes.Equal(once, twice) {
			t.Fatalf("once %q\ntwice %q\n%v", once, twice, ds)
		}
	})
}
