package config_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/config"
)

var update = flag.Bool("update", false, "rewrite the expected diagnostics under testdata/bad")

// environment stands for the process's: SET is set and nothing else.
func environment(name string) (string, bool) { return "value", name == "SET" }

// loadCase puts a case and the parts that its first line asks for into a folder, and loads them from inside of it.
func loadCase(t *testing.T, path string) config.Diagnostics {
	t.Helper()
	src := read(t, path)
	parts := filepath.Join(filepath.Dir(filepath.Dir(path)), "parts")
	first, _, _ := strings.Cut(string(src), "\n")
	with, hasParts := strings.CutPrefix(first, "# with: ")
	files := map[string][]byte{"case.hcl": src}
	for part := range strings.FieldsSeq(with) {
		if hasParts {
			files["part_"+part+".hcl"] = read(t, filepath.Join(parts, part+".hcl"))
		}
	}
	t.Chdir(t.TempDir())
	for name, content := range files {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	target := "case.hcl"
	if hasParts {
		target = "."
	}
	opts := config.Options{Env: environment, Specs: []string{"dev", "mainnet"}}
	_, ds := config.Load(target, opts)
	return ds
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestBadConfigurations(t *testing.T) {
	root, err := filepath.Abs("testdata/bad")
	if err != nil {
		t.Fatal(err)
	}
	cases, err := filepath.Glob(filepath.Join(root, "*.hcl"))
	if err != nil || len(cases) < 50 {
		t.Fatalf("found %d cases, %v", len(cases), err)
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".hcl"), func(t *testing.T) {
			ds := loadCase(t, path)
			if len(ds) == 0 {
				t.Fatal("no diagnostics")
			}
			var out bytes.Buffer
			if err := config.WriteDiagnostics(&out, ds, false, 0); err != nil {
				t.Fatal(err)
			}
			cwd, err := os.Getwd()
			if err != nil {
				t.Fatal(err)
			}
			got := strings.ReplaceAll(out.String(), cwd, "DIR")
			golden := strings.TrimSuffix(path, ".hcl") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(read(t, golden)), got); diff != "" {
				t.Errorf("diagnostics differ (-want +got):\n%s", diff)
			}
		})
	}
}
