package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/signer/local/internal/local"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/keystore/keystoretest"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
)

func TestValidateNamesEveryProblemWithWhatToDo(t *testing.T) {
	type want struct {
		severity     diag.Severity
		path         string
		text, detail string
	}
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	wrong := "wrong"
	tests := []struct {
		name  string
		spoil func(t *testing.T, keys string, b *block)
		want  []want
	}{
		{"nothing is wrong", func(*testing.T, string, *block) {}, nil},
		{
			"the folder is missing", func(_ *testing.T, keys string, b *block) { b.Keystore = keys + "x" },
			[]want{{diag.Warning, "keystore", "does not exist yet", "alys keys new"}},
		},
		{
			"the folder has no name", func(_ *testing.T, _ string, b *block) { b.Keystore = "" },
			[]want{{diag.Error, "keystore", "no name", `keystore = "./keys"`}},
		},
		{
			"a file stands in the folder's place", func(_ *testing.T, keys string, b *block) { b.Keystore = filepath.Join(keys, "a.json") },
			[]want{{diag.Error, "keystore", "is not a folder", "not a file"}},
		},
		{
			"the folder would be in a file", func(_ *testing.T, keys string, b *block) { b.Keystore = filepath.Join(keys, "a.json", "keys") },
			[]want{{diag.Error, "keystore", "not a directory", "folders above"}},
		},
		{
			"the folder is open", func(t *testing.T, keys string, _ *block) { must(t, os.Chmod(keys, 0o755)) },
			[]want{{diag.Error, "keystore", "open to other users", "chmod 700"}},
		},
		{
			"the folder is empty", func(t *testing.T, keys string, _ *block) { must(t, os.RemoveAll(keys)); must(t, os.Mkdir(keys, 0o700)) },
			[]want{{diag.Warning, "keystore", "holds no keystores", "alys keys new"}},
		},
		{
			"a file is world-readable", func(t *testing.T, keys string, _ *block) { must(t, os.Chmod(filepath.Join(keys, "b.json"), 0o644)) },
			[]want{{diag.Error, "keystore", "mode 0644", "chmod 600"}},
		},
		{"a file is damaged", func(t *testing.T, keys string, _ *block) {
			must(t, os.WriteFile(filepath.Join(keys, "b.json"), []byte("{"), 0o600))
		}, []want{{diag.Error, "keystore", "b.json", "backup"}}},
		{
			"the password is wrong", func(_ *testing.T, _ string, b *block) { b.Password = &wrong },
			[]want{{diag.Error, "password", "does not open a.json", "password file"}},
		},
		{
			"the password opens another keystore than the first", func(t *testing.T, keys string, _ *block) {
				must(t, os.WriteFile(filepath.Join(keys, "0.json"), keystoretest.New(t, keystore.Secp256k1, "another"), 0o600))
			}, nil,
		},
		{
			"the password opens only the keystore that takes longest", func(t *testing.T, keys string, b *block) {
				must(t, os.WriteFile(filepath.Join(keys, "d.json"), keystoretest.NewWith(t, keystore.BLS12381, "another", keystoretest.Scrypt), 0o600))
				another := "another"
				b.Password = &another
			}, nil,
		},
		{
			"the password is missing", func(_ *testing.T, _ string, b *block) { b.Password = nil },
			[]want{{diag.Error, "password", "no password", `file("password.txt")`}},
		},
		{
			"the password is not wanted", func(_ *testing.T, _ string, b *block) { b.Unlock = "prompt" },
			[]want{{diag.Error, "password", "asks for one", "remove the password"}},
		},
		{
			"unlock is unknown", func(_ *testing.T, _ string, b *block) { b.Unlock = "ask" },
			[]want{{diag.Error, "unlock", `"ask"`, `"prompt"`}},
		},
		{"several things are wrong", func(t *testing.T, keys string, b *block) {
			b.Password = nil
			must(t, os.Chmod(filepath.Join(keys, "a.json"), 0o644))
			must(t, os.Chmod(filepath.Join(keys, "b.json"), 0o640))
		}, []want{{diag.Error, "password", "", ""}, {diag.Error, "keystore", "a.json", ""}, {diag.Error, "keystore", "b.json", ""}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keys := keyFolder(t)
			b := unlocked(keys)
			tt.spoil(t, keys, &b)
			got := local.New(hclog.NewNullLogger()).Validate(t.Context(), lifecycle.Config{JSON: b.json(t)})
			if len(got) != len(tt.want) {
				t.Fatalf("got %v, want %d findings", got, len(tt.want))
			}
			for i, w := range tt.want {
				d := got[i]
				if d.Severity != w.severity || strings.Join(d.Path, ".") != w.path || !strings.Contains(d.Summary, w.text) || !strings.Contains(d.Detail, w.detail) {
					t.Errorf("got %s, want %+v", d, w)
				}
				if strings.Contains(d.String(), "correct horse") {
					t.Errorf("%s shows the password", d)
				}
			}
			if got.HasErrors() {
				err := local.New(hclog.NewNullLogger()).Configure(t.Context(), b.config(t, t.TempDir()))
				if err == nil {
					t.Error("what Validate refuses was configured")
				}
			}
		})
	}
}

func TestConfigureRefusesAKeystoreOfAnotherPublicKey(t *testing.T) {
	keys := keyFolder(t)
	a, b := filepath.Join(keys, "a.json"), filepath.Join(keys, "b.json")
	s := start(t, unlocked(keys).config(t, t.TempDir()))
	ids := keysOf(t, s, signer.PurposeApproval)
	content, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	of := func(id signer.KeyID) string { return strings.TrimPrefix(string(id), "bls:0x") }
	forged := strings.NewReplacer(of(ids[0]), of(ids[1]), of(ids[1]), of(ids[0])).Replace(string(content))
	if err := errors.Join(os.WriteFile(a, []byte(forged), 0o600), os.Remove(b)); err != nil {
		t.Fatal(err)
	}
	err = local.New(hclog.NewNullLogger()).Configure(t.Context(), unlocked(keys).config(t, t.TempDir()))
	if !errors.Is(err, keystore.ErrMismatch) {
		t.Fatalf("got %v, want ErrMismatch", err)
	}
	if ds := local.New(hclog.NewNullLogger()).Validate(t.Context(), unlocked(keys).config(t, "")); !ds.HasErrors() {
		t.Error("Validate has nothing against it")
	}
}

func TestValidateMakesNoFolder(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	if ds := local.New(hclog.NewNullLogger()).Validate(t.Context(), unlocked(keys).config(t, "")); ds.HasErrors() {
		t.Fatal(ds)
	}
	if _, err := os.Stat(keys); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder was made: %v", err)
	}
}

func TestProbeTouchesNothing(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	s := local.New(hclog.NewNullLogger())
	c := unlocked(keyFolder(t)).config(t, data)
	if ds := s.Validate(t.Context(), c); ds.HasErrors() {
		t.Fatal(ds)
	}
	rs, err := s.Resources(t.Context(), c)
	if err != nil || len(rs) != 1 || rs[0] != (lifecycle.Resource{Kind: "path", Value: filepath.Join(data, "guard")}) {
		t.Errorf("got %v, %v", rs, err)
	}
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data folder was made: %v", err)
	}
	if err := s.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}
