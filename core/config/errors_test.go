package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/sdk/diag"
)

func codes(ds config.Diagnostics) string {
	var out []string
	for _, d := range ds {
		out = append(out, string(d.Code))
	}
	return strings.Join(out, " ")
}

// loadText loads a text with nothing else in its folder.
func loadText(t *testing.T, src string, opts config.Options) (*config.Config, config.Diagnostics) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "alys.hcl")
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(path, opts)
}

// mustLoad is loadText for a configuration that has to be in order.
func mustLoad(t *testing.T, src string, opts config.Options) *config.Config {
	t.Helper()
	c, ds := loadText(t, src, opts)
	if ds.HasErrors() {
		t.Fatalf("load: %v", ds.Err())
	}
	return c
}

// base is the least that a full node needs.
const base = `
node {
  name     = "n"
  data_dir = "data"
}
chain {
  spec = "dev"
}
plugin "engine" "v4" {
  command = "alys-engine-v4"
}
plugin "engine" "v5" {
  command = "alys-engine-v5"
}
plugin "sync" "sequential" {
  command = "alys-sync-sequential"
}
role "engine" {
  primary = plugin.engine.v4
}
role "sync" {
  primary = plugin.sync.sequential
}
`

func TestPathsThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	join := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(join("big.hcl"), make([]byte, 10<<20), 0o600))
	must(os.WriteFile(join("just_too_big.hcl"), []byte(strings.Repeat("#", 1<<20+1)), 0o600))
	must(os.Mkdir(join("empty"), 0o700))
	must(os.WriteFile(filepath.Join(dir, "empty", ".hidden.hcl"), []byte("x"), 0o600))
	must(os.WriteFile(filepath.Join(dir, "empty", "alys.hcl~"), []byte("x"), 0o600))
	must(os.Symlink("loop.hcl", join("loop.hcl")))
	must(os.Mkdir(join("looped"), 0o700))
	must(os.Symlink("loop.hcl", filepath.Join(dir, "looped", "loop.hcl")))
	cases := []struct {
		name, path string
		want       config.Code
	}{
		{"a missing file", "none.hcl", config.CodeMissingFile},
		{"a file of 10 MiB", "big.hcl", config.CodeTooLarge},
		{"a file one byte over 1 MiB", "just_too_big.hcl", config.CodeTooLarge},
		{"a folder without hcl files", "empty", config.CodeNoFiles},
		{"a link to itself", "loop.hcl", config.CodeUnreadable},
		{"a folder with a link to itself", "looped", config.CodeUnreadable},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg, ds := config.Load(join(c.path), config.Options{})
			if cfg != nil || len(ds) != 1 || ds[0].Code != c.want || ds[0].Detail == "" || ds[0].Range.File == "" {
				t.Errorf("got %v, %v; want one %s with file and detail", cfg, ds, c.want)
			}
		})
	}
	if _, err := os.Stat("/dev/zero"); err == nil {
		if _, ds := config.Load("/dev/zero", config.Options{}); codes(ds) != string(config.CodeUnreadable) {
			t.Errorf("a device: got %v", ds)
		}
	}
}

func TestByteOrderMarkIsNoProblem(t *testing.T) {
	mustLoad(t, "\xef\xbb\xbf"+base, config.Options{})
}

func TestEveryReportedCodeHasAReason(t *testing.T) {
	reasons := map[config.Code]bool{}
	for _, r := range config.Reasons() {
		if reasons[r.Code] || r.Meaning == "" || r.Fix == "" {
			t.Errorf("reason %q is there twice or empty", r.Code)
		}
		reasons[r.Code] = true
	}
	cases, err := filepath.Glob("testdata/bad/*.txt")
	if err != nil || len(cases) == 0 {
		t.Fatal(err)
	}
	for _, path := range cases {
		for line := range strings.Lines(string(read(t, path))) {
			if !strings.HasPrefix(line, "Error:") && !strings.HasPrefix(line, "Warning:") {
				continue
			}
			code := config.Code(strings.Trim(line[strings.LastIndexByte(line, '['):], "[]\n"))
			if !reasons[code] {
				t.Errorf("%s: no reason for %q", path, code)
			}
		}
	}
}

func TestDiagnosticsAreAnErrorOnlyWithErrors(t *testing.T) {
	c := mustLoad(t, base, config.Options{})
	warn := c.Diagnose(config.Finding{Severity: diag.Warning, Code: config.CodeConflict, Summary: "w"})
	if warn.Err() != nil || len(warn) != 1 {
		t.Errorf("warnings: got error %v", warn.Err())
	}
	bad := c.Diagnose(config.Finding{
		Severity: diag.Error, Code: config.CodeUnknownSpec, At: "chain.spec", Summary: "no such chain", Detail: "look",
	})
	if bad.Err() == nil || bad[0].Range.Line != 7 || bad[0].Snippet.Text != `"dev"` || bad[0].Context != "chain" {
		t.Errorf("got %+v", bad)
	}
	if got := c.At("plugin.engine.v5.command"); got.Line != 13 {
		t.Errorf("place of a plugin's command: %v", got)
	}
	if got := c.At("plugin.engine.v5.args"); got.Line != 12 {
		t.Errorf("place of an argument that is not written: %v", got)
	}
}
