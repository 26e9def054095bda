package config

import (
	"os"
	"testing"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// The examples are read by people who copy from them: they load, are formatted, and examples/full.hcl has every key.
func TestExamplesLoadAndAreFormatted(t *testing.T) {
	for _, path := range []string{"../../examples/full.hcl", "../../alys.hcl"} {
		c, ds := Load(path, Options{})
		for _, d := range ds {
			if d.Code != CodeMissingFile { // full.hcl names TLS files that nobody commits
				t.Errorf("%s: %s", path, d)
			}
		}
		if c == nil {
			t.Fatalf("%s was refused", path)
		}
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if out, ds := Format(src); ds.HasErrors() || string(out) != string(src) {
			t.Errorf("%s is not formatted: run alys fmt", path)
		}
	}
}

func TestFullExampleHasEveryKey(t *testing.T) {
	src, err := os.ReadFile("../../examples/full.hcl")
	if err != nil {
		t.Fatal(err)
	}
	s := newSources()
	if found := s.parse("full.hcl", src); found.HasErrors() {
		t.Fatal(found)
	}
	top := s.bodies["full.hcl"].Blocks
	for _, b := range blocks() {
		if b.name == "listener" {
			for _, name := range listenerNames() {
				if !hasBlock(top, "listener", name) {
					t.Errorf("listener %q is missing", name)
				}
			}
		}
		expectKeys(t, b.name, b, blocksNamed(top, b.name))
	}
	for _, name := range []string{"variable", "locals"} {
		if len(blocksNamed(top, name)) == 0 {
			t.Errorf("block %s is missing", name)
		}
	}
}

func blocksNamed(all []*hclsyntax.Block, name string) []*hclsyntax.Block {
	return childrenOf(&hclsyntax.Body{Blocks: all}, name)
}

func hasBlock(all []*hclsyntax.Block, kind, label string) bool {
	for _, b := range blocksNamed(all, kind) {
		if len(b.Labels) == 1 && b.Labels[0] == label {
			return true
		}
	}
	return false
}

// expectKeys looks for each argument and nested block in any of the blocks.
func expectKeys(t *testing.T, path string, b block, written []*hclsyntax.Block) {
	t.Helper()
	if len(written) == 0 {
		t.Errorf("block %s is missing", path)
		return
	}
	if b.doc == "" {
		t.Errorf("block %s has no doc", path)
	}
	for _, f := range b.fields {
		found := false
		for _, w := range written {
			_, ok := w.Body.Attributes[f.Name]
			found = found || ok
		}
		if !found {
			t.Errorf("%s.%s is missing", path, f.Name)
		}
		if f.Doc == "" {
			t.Errorf("%s.%s has no doc", path, f.Name)
		}
	}
	for _, nested := range b.blocks {
		var inner []*hclsyntax.Block
		for _, w := range written {
			inner = append(inner, childrenOf(w.Body, nested.name)...)
		}
		expectKeys(t, path+"."+nested.name, nested, inner)
	}
}

// A default that does not fit its own argument would be found by the first user who leaves the argument out.
func TestDefaultsKeepTheirOwnRules(t *testing.T) {
	var walk func(path string, b block)
	walk = func(path string, b block) {
		for _, f := range b.fields {
			if err := checkDefault(f); err != nil {
				t.Errorf("%s.%s: %v", path, f.Name, err)
			}
			v, _ := defaultOf(f)
			if f.Default == "" || f.Required || v.IsNull() {
				continue
			}
			if found := validateField(f, v); found.HasErrors() {
				t.Errorf("%s.%s: %v", path, f.Name, found)
			}
		}
		for _, nested := range b.blocks {
			walk(path+"."+nested.name, nested)
		}
	}
	for _, b := range blocks() {
		walk(b.name, b)
	}
}
