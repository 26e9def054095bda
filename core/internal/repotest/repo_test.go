package repotest_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/alys-node/alys"

// root is the repository's top folder, seen from this package.
const root = "../../.."

// source is one Go file: its folder from the root, whether it is a test, its package comment and imports.
type source struct {
	dir, name string
	test      bool
	doc       string
	imports   []string
}

func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := d.Name()
			if file != root && (strings.HasPrefix(base, ".") && base != ".." || base == "testdata" || base == "node_modules" || base == "bin") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		s := source{dir: filepath.ToSlash(rel), name: d.Name(), test: strings.HasSuffix(file, "_test.go"), doc: f.Doc.Text()}
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, p)
		}
		out = append(out, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("found only %d Go files under %s", len(out), root)
	}
	return out
}

// local is the path below the module, or "" for another module's package.
func local(p string) string {
	if rest, ok := strings.CutPrefix(p, module+"/"); ok {
		return rest
	}
	return ""
}

func stdlib(p string) bool { return !strings.Contains(strings.Split(p, "/")[0], ".") }

func under(p string, dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return p == d || strings.HasPrefix(p, d+"/") })
}

// The pure packages of core: replayable, so no clock, file, network, goroutine or log.
var pure = []string{"core/block", "core/spec", "core/consensus", "core/auxpow", "core/peg", "core/guard"}

// A rule forbids an import of a file and says why.
type rule struct {
	name    string
	because string
	applies func(s source) bool
	forbids func(s source, imp string) bool
}

func rules() []rule {
	return []rule{
		{
			"sdk/chain imports the standard library only", "it is the vocabulary",
			func(s source) bool { return s.dir == "sdk/chain" && !s.test },
			func(_ source, i string) bool { return !stdlib(i) },
		},
		{
			"the contracts import the vocabulary only", "an author reads five methods, not gRPC",
			func(s source) bool {
				return under(s.dir, "sdk/signer", "sdk/engine", "sdk/syncer", "sdk/diag", "sdk/schema", "sdk/lifecycle") && !s.test
			},
			func(_ source, i string) bool {
				return !stdlib(i) && !under(local(i), "sdk/chain", "sdk/diag", "sdk/schema")
			},
		},
		{
			"sdk never imports core, plugins or cmd", "it is all that an author needs",
			func(s source) bool { return under(s.dir, "sdk") },
			func(_ source, i string) bool { return under(local(i), "core", "plugins", "cmd", "examples") },
		},
		{
			"plugins import sdk and third parties only, and no sibling", "else third parties cannot do what built-ins do",
			func(s source) bool { return under(s.dir, "plugins") },
			func(s source, i string) bool {
				if under(local(i), "core", "cmd", "examples") {
					return true
				}
				return under(local(i), "plugins") && !under(local(i), "plugins/internal", s.dir)
			},
		},
		{
			"examples import sdk only", "they prove that the SDK is enough",
			func(s source) bool { return under(s.dir, "examples") && !s.test },
			func(_ source, i string) bool { return local(i) != "" && !under(local(i), "sdk") },
		},
		{
			"nobody imports cmd", "a command is an end",
			func(source) bool { return true },
			func(s source, i string) bool { return under(local(i), "cmd") && !under(s.dir, "cmd") },
		},
		{
			"testing stays in tests and test kits", "a release carries no test code",
			func(s source) bool {
				return !s.test && !strings.HasSuffix(s.dir, "test") && s.dir != "core/internal/devnet"
			},
			func(_ source, i string) bool { return i == "testing" },
		},
		{
			"test kits stay in tests", "a release carries no test code",
			func(s source) bool { return !s.test && !strings.HasSuffix(s.dir, "test") },
			func(_ source, i string) bool {
				return under(local(i), "sdk/signertest", "sdk/enginetest", "sdk/syncertest", "sdk/plugintest", "sdk/blackboxtest")
			},
		},
		{
			"go-plugin is seen only in sdk and core/host", "one place knows how a process becomes a plugin",
			func(s source) bool { return under(s.dir, "core", "cmd") && s.dir != "core/host" },
			func(_ source, i string) bool { return under(i, "github.com/hashicorp/go-plugin") },
		},
		{
			"pure packages do no I/O and read no clock", "they must be replayable",
			func(s source) bool { return slices.Contains(pure, s.dir) && !s.test && s.dir != "core/guard" },
			func(_ source, i string) bool {
				return slices.Contains([]string{"context", "os", "net", "log", "log/slog", "github.com/hashicorp/go-hclog"}, i) || under(i, "net", "os")
			},
		},
		{
			"pure packages import pure packages", "purity is not diluted",
			func(s source) bool { return slices.Contains(pure, s.dir) && !s.test },
			func(_ source, i string) bool { return under(local(i), "core") && !slices.Contains(pure, local(i)) },
		},
		{
			"core packages do not import each other", "each declares the small interface it needs; core/node wires them",
			func(s source) bool {
				return under(s.dir, "core") && !s.test && !under(s.dir, "core/node", "core/internal") && !slices.Contains(pure, s.dir)
			},
			func(s source, i string) bool {
				l := local(i)
				return under(l, "core") && l != s.dir && !under(l, "core/telemetry", "core/internal", s.dir) && !slices.Contains(pure, l)
			},
		},
		{
			"cmd reaches core through node, config and admin", "offline guard and backup go through core/admin",
			func(s source) bool { return under(s.dir, "cmd") && !s.test },
			func(_ source, i string) bool {
				return under(local(i), "core") && !under(local(i), "core/node", "core/config", "core/admin", "core/auxpow")
			},
		},
	}
}

func TestImportRules(t *testing.T) {
	files := sources(t)
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			applied := false
			for _, s := range files {
				if !r.applies(s) {
					continue
				}
				applied = true
				for _, i := range s.imports {
					if r.forbids(s, i) {
						t.Errorf("%s imports %s: %s", path.Join(s.dir, s.name), i, r.because)
					}
				}
			}
			if !applied && !strings.Contains(r.name, "examples") {
				t.Error("the rule applies to no file: it guards nothing")
			}
		})
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	docs := map[string]string{}
	for _, s := range sources(t) {
		if !s.test {
			docs[s.dir] += s.doc
		}
	}
	for dir, doc := range docs {
		if strings.TrimSpace(doc) == "" && !strings.HasSuffix(dir, "v1") {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

func TestTopLevelIsFixed(t *testing.T) {
	want := []string{"core", "plugins", "sdk", "cmd", "examples", "alys.hcl", "go.mod", "go.sum", "Makefile", "LICENSE", "README.md", "CHANGELOG.md"}
	ignored := []string{"bin", "data", "coverage"} // built or made by running, in .gitignore
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(want, e.Name()) && !slices.Contains(ignored, e.Name()) {
			t.Errorf("%s is not part of the fixed top level", e.Name())
		}
	}
}
