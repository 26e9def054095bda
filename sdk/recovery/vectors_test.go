package recovery_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The published vectors of BIP-39 and BIP-32 are read out of the tests of the libraries that are used here, as the
// module cache has them.

// module is the folder of a module's source.
func module(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", path).Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Fatalf("find module %s: %q, %v", path, dir, err)
	}
	return dir
}

// function is one function of a Go file.
func function(t *testing.T, file, name string) *ast.FuncDecl {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == name {
			return fn
		}
	}
	t.Fatalf("%s has no function %s", file, name)
	return nil
}

// rows are the struct literals of a function that have the field key, each with its fields that are texts or names.
func rows(fn *ast.FuncDecl, key string) []map[string]string {
	var out []map[string]string
	ast.Inspect(fn, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		row := map[string]string{}
		for _, e := range lit.Elts {
			kv, ok := e.(*ast.KeyValueExpr)
			if !ok {
				continue
			}
			name, ok := kv.Key.(*ast.Ident)
			if !ok {
				continue
			}
			switch v := kv.Value.(type) {
			case *ast.BasicLit:
				row[name.Name], _ = strconv.Unquote(v.Value)
			case *ast.Ident:
				row[name.Name] = v.Name
			}
		}
		if row[key] != "" {
			out = append(out, row)
		}
		return true
	})
	return out
}

// texts are the variables of a function that are set to a text.
func texts(fn *ast.FuncDecl) map[string]string {
	out := map[string]string{}
	ast.Inspect(fn, func(n ast.Node) bool {
		if set, ok := n.(*ast.AssignStmt); ok && len(set.Lhs) == 1 && len(set.Rhs) == 1 {
			name, isName := set.Lhs[0].(*ast.Ident)
			value, isText := set.Rhs[0].(*ast.BasicLit)
			if isName && isText && value.Kind == token.STRING {
				out[name.Name], _ = strconv.Unquote(value.Value)
			}
		}
		return true
	})
	return out
}

// bip39Vectors are those of BIP-39, whose passphrase is TREZOR.
func bip39Vectors(t *testing.T) []map[string]string {
	t.Helper()
	fn := function(t, filepath.Join(module(t, "github.com/tyler-smith/go-bip39"), "bip39_test.go"), "testVectors")
	out := rows(fn, "mnemonic")
	if len(out) < 24 {
		t.Fatalf("found %d vectors, the BIP has 24", len(out))
	}
	return out
}

// bip32Vector is a seed and one of its keys.
type bip32Vector struct{ seed, path, xprv string }

func bip32Vectors(t *testing.T) []bip32Vector {
	t.Helper()
	fn := function(t, filepath.Join(module(t, "github.com/btcsuite/btcd/btcutil/v2"), "hdkeychain", "extendedkey_test.go"), "TestBIP0032Vectors")
	seeds := texts(fn)
	var out []bip32Vector
	for _, row := range rows(fn, "wantPriv") {
		_, path, _ := strings.Cut(row["name"], "chain ")
		if path != "m" && strings.HasPrefix(row["wantPriv"], "xprv") {
			out = append(out, bip32Vector{seeds[row["master"]], path, row["wantPriv"]})
		}
	}
	if len(out) < 11 {
		t.Fatalf("found %d vectors, the BIP has 11 below a master key in its first three seeds", len(out))
	}
	return out
}
