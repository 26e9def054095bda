package main

import (
	"bytes"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/alys-node/alys/core/config"
)

func moduleFor(t *testing.T, kind string) *newModule {
	t.Helper()
	t.Chdir(t.TempDir())
	m, err := describeModule(kind, "mine", "")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The checkout is found from this package's folder, before a test changes into another one.
func checkout(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestTemplatesAreFormatted(t *testing.T) {
	root := checkout(t)
	for _, kind := range kindNames() {
		t.Run(kind, func(t *testing.T) {
			m := moduleFor(t, kind)
			if err := m.require(root); err != nil {
				t.Fatal(err)
			}
			files, err := m.files()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				want := f.content
				switch filepath.Ext(f.name) {
				case ".go":
					if want, err = format.Source(f.content); err != nil {
						t.Errorf("%s: %v", f.name, err)
					}
				case ".hcl":
					var ds config.Diagnostics
					if want, ds = config.Format(f.content); ds.HasErrors() {
						t.Errorf("%s: %v", f.name, ds.Err())
					}
				}
				if !bytes.Equal(f.content, want) {
					t.Errorf("%s is not formatted", f.name)
				}
				if bytes.Contains(f.content, []byte("{%")) || bytes.Contains(f.content, []byte("<no value>")) {
					t.Errorf("%s has something of the template left", f.name)
				}
			}
		})
	}
}

// TestANewPluginPasses does what the command's last lines tell an author to do.
func TestANewPluginPasses(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles plugins and runs their tests")
	}
	root := checkout(t)
	for _, kind := range kindNames() {
		t.Run(kind, func(t *testing.T) {
			t.Chdir(t.TempDir())
			t.Setenv("GOWORK", "off")
			do := func(dir, name string, args ...string) string {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), name, args...)
				cmd.Dir = dir
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%s %v: %v\n%s", name, args, err, out)
				}
				return string(out)
			}
			alys := filepath.Join(built, "bin", "alys")
			t.Setenv("PATH", filepath.Dir(alys)+string(os.PathListSeparator)+os.Getenv("PATH"))
			told := do(".", alys, "plugin", "new", kind, "mine", "--sdk", root)
			for line := range strings.SplitSeq(told[strings.Index(told, "\n  cd mine\n")+len("\n  cd mine\n"):], "\n") {
				if line = strings.TrimSpace(line); line != "" {
					do("mine", "sh", "-c", line)
				}
			}
			do("mine", "go", "vet", "./...")
			program := filepath.Join("mine", "alys-"+kind+"-mine")
			if _, err := os.Stat(program); err != nil {
				t.Fatal(err)
			}
			if out := do(".", alys, "plugin", "inspect", program); !strings.Contains(out, "mine 0.1.0") {
				t.Errorf("inspect says:\n%s", out)
			}
		})
	}
}

func TestReleasedVersions(t *testing.T) {
	checkout := []debug.BuildSetting{{Key: "vcs.revision", Value: "5abfba53d385"}}
	for _, test := range []struct {
		name, path, version string
		settings            []debug.BuildSetting
		want                string
	}{
		{"an installed release", ours, "v1.2.3", nil, "v1.2.3"},
		{"an installed commit", ours, "v1.2.4-0.20261124101500-5abfba53d385", nil, "v1.2.4-0.20261124101500-5abfba53d385"},
		{"a checkout of a release", ours, "v1.2.3", checkout, "v1.2.3"},
		{"a checkout of a commit", ours, "v1.2.4-0.20261124101500-5abfba53d385", checkout, ""},
		{"a checkout of the first commits", ours, "v0.0.0-20261124101500-5abfba53d385", checkout, ""},
		{"a checkout with changes", ours, "v1.2.3+dirty", checkout, ""},
		{"a build without a version", ours, "(devel)", nil, ""},
		{"a fork", "example.com/alys", "v1.2.3", nil, ""},
	} {
		info := &debug.BuildInfo{Main: debug.Module{Path: test.path, Version: test.version}, Settings: test.settings}
		if got := released(info); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if got := released(nil); got != "" {
		t.Errorf("no build information: %q", got)
	}
}
