package executor_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/plugins/internal/executor"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
	"github.com/alys-node/alys/sdk/lifecycle"
)

func v5() executor.Variant { return executor.Variant{Name: "v5", Last: execution.Prague} }

// shortDir is a folder whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func genesisJSON() []byte { return enginetest.GenesisJSON(enginetest.Spec{}) }

func TestValidate(t *testing.T) {
	good := genesisJSON()
	for _, tc := range []struct {
		name string
		json string
		host lifecycle.Host
		path string // of the finding
		want string // part of its text; empty: nothing is found
	}{
		{name: "nothing given", json: `{}`},
		{name: "everything given", json: `{"mode":"embedded","cache":67108864,"archive":true,"verbose":true,"min_free":1048576}`, host: lifecycle.Host{ChainID: 121212, GenesisJSON: good}},
		{name: "nulls, as the host sends for absent arguments", json: `{"mode":null,"cache":null,"archive":null,"min_free":null}`},
		{name: "an argument of the other mode", json: `{"rpc":"http://127.0.0.1:8545"}`, path: "rpc", want: `rpc is for mode "external"`},
		{name: "another mode", json: `{"mode":"fast"}`, path: "mode", want: `mode is "fast"`},
		{name: "a tiny cache", json: `{"cache":1024}`, path: "cache", want: "1024 bytes"},
		{name: "a negative reserve", json: `{"min_free":-1}`, path: "min_free", want: "-1 bytes"},
		{name: "an unknown argument", json: `{"cash":1}`, want: "cash"},
		{name: "a genesis that is none", json: `{}`, host: lifecycle.Host{GenesisJSON: []byte(`{}`)}, want: "genesis"},
		{name: "a genesis of another chain id", json: `{}`, host: lifecycle.Host{ChainID: 1, GenesisJSON: good}, want: "chain id is 121212"},
		{name: "a long run folder", json: `{}`, host: lifecycle.Host{RunDir: "/" + strings.Repeat("r", 100)}, want: "use a shorter data_dir"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := executor.New(v5(), hclog.NewNullLogger()).Validate(t.Context(), lifecycle.Config{JSON: []byte(tc.json), Host: tc.host})
			if tc.want == "" {
				if len(got) != 0 {
					t.Fatalf("found %v", got)
				}
				return
			}
			if len(got) != 1 || !strings.Contains(got[0].String(), tc.want) || strings.Join(got[0].Path, ".") != tc.path {
				t.Fatalf("found %v, want one about %q at %q", got, tc.want, tc.path)
			}
		})
	}
}

func TestValidateExternal(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	digits := strings.Repeat("5e", 32)
	good := write("good", "0x"+digits+"\n", 0o640)
	url := "http://127.0.0.1:8551"
	for _, tc := range []struct {
		name                  string
		endpoint, secret, rpc string
		path                  string // of the finding
		want                  string // part of its text; empty: nothing is found
	}{
		{name: "all there is", endpoint: url, secret: good, rpc: "http://localhost:8545/"},
		{name: "without wallets", endpoint: url, secret: good},
		{name: "bare digits", endpoint: url, secret: write("bare", digits, 0o400)},
		{name: "no endpoint", secret: good, path: "endpoint", want: "endpoint is missing"},
		{name: "another scheme", endpoint: "https://127.0.0.1:8551", secret: good, path: "endpoint", want: "http://"},
		{name: "no port", endpoint: "http://127.0.0.1", secret: good, path: "endpoint", want: "a host and a port"},
		{name: "a path", endpoint: url + "/engine", secret: good, path: "endpoint", want: "end after the port"},
		{name: "a password", endpoint: "http://me:secret@127.0.0.1:8551", secret: good, path: "endpoint", want: "user name"},
		{name: "no URL", endpoint: "http://[", secret: good, path: "endpoint", want: "is no URL"},
		{name: "a client far away", endpoint: "http://192.0.2.1:8551", secret: good, path: "endpoint", want: "in clear"},
		{name: "wallets on the engine's port", endpoint: url, secret: good, rpc: url, path: "rpc", want: "own port"},
		{name: "a WebSocket for wallets", endpoint: url, secret: good, rpc: "ws://127.0.0.1:8545", path: "rpc", want: "http://"},
		{name: "no secret", endpoint: url, path: "jwt_secret", want: "jwt_secret is missing"},
		{name: "a secret that is not there", endpoint: url, secret: dir + "/none", path: "jwt_secret", want: "no such file"},
		{name: "a secret for everybody", endpoint: url, secret: write("open", digits, 0o644), path: "jwt_secret", want: "chmod"},
		{name: "a short secret", endpoint: url, secret: write("short", digits[2:], 0o600), path: "jwt_secret", want: "64 hex digits"},
		{name: "a secret that is not hex", endpoint: url, secret: write("words", strings.Repeat("zz", 32), 0o600), path: "jwt_secret", want: "64 hex digits"},
		{name: "a folder as secret", endpoint: url, secret: dir, path: "jwt_secret", want: "is no file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			js := fmt.Sprintf(`{"mode":"external","endpoint":%q,"jwt_secret":%q,"rpc":%q}`, tc.endpoint, tc.secret, tc.rpc)
			got := executor.New(v5(), hclog.NewNullLogger()).Validate(t.Context(), lifecycle.Config{JSON: []byte(js)})
			if tc.want == "" {
				if len(got) != 0 {
					t.Fatalf("found %v", got)
				}
				return
			}
			if len(got) != 1 || !strings.Contains(got[0].String(), tc.want) || strings.Join(got[0].Path, ".") != tc.path {
				t.Fatalf("found %v, want one about %q at %q", got, tc.want, tc.path)
			}
			if strings.Contains(got[0].String(), digits[2:]) || strings.Contains(got[0].String(), "me:secret") {
				t.Errorf("the finding shows a secret: %v", got[0])
			}
		})
	}
}

func TestResources(t *testing.T) {
	external := `{"mode":"external","endpoint":"http://127.0.0.1:8551"}`
	folder, port := lifecycle.Resource{Kind: "path", Value: "/d"}, lifecycle.Resource{Kind: "port", Value: "127.0.0.1:8551"}
	for _, tc := range []struct {
		name, json, dir string
		want            []lifecycle.Resource
	}{
		{"no folder was told", `{}`, "", nil},
		{"embedded holds its folder", `{}`, "/d", []lifecycle.Resource{folder}},
		{"external holds the client, too", external, "/d", []lifecycle.Resource{folder, port}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := executor.New(v5(), hclog.NewNullLogger())
			got, err := e.Resources(t.Context(), lifecycle.Config{JSON: []byte(tc.json), Host: lifecycle.Host{DataDir: tc.dir}})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestOrderOfTheLifecycle(t *testing.T) {
	e, ctx := executor.New(v5(), hclog.NewNullLogger()), t.Context()
	calls := map[string]func() error{
		"Status":   func() error { _, err := e.Status(ctx); return err },
		"Build":    func() error { _, err := e.Build(ctx, engine.BuildRequest{}); return err },
		"Import":   func() error { _, err := e.Import(ctx, engine.ImportRequest{}); return err },
		"Payloads": func() error { _, err := e.Payloads(ctx, nil); return err },
		"Receipts": func() error { _, err := e.Receipts(ctx, chain.Hash{}); return err },
		"Add":      func() error { _, err := e.AddTransactions(ctx, nil); return err },
		"Pending":  func() error { _, err := e.PendingTransactions(ctx, 1); return err },
	}
	state := func(want lifecycle.State) {
		t.Helper()
		if h, err := e.Health(ctx); err != nil || h.State != want {
			t.Errorf("health %+v, %v, want %s", h, err, want)
		}
	}
	all := func(want error) {
		t.Helper()
		for name, call := range calls {
			if err := call(); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", name, err, want)
			}
		}
	}
	all(lifecycle.ErrNotConfigured)
	state(lifecycle.Starting)
	for _, bad := range []lifecycle.Config{{JSON: []byte(`{"mode":"external"}`)}, {JSON: []byte(`{}`)}, {JSON: []byte(`[]`)}} {
		if err := e.Configure(ctx, bad); err == nil {
			t.Errorf("%s was accepted", bad.JSON)
		}
	}
	good := lifecycle.Config{JSON: []byte(`{"min_free":1}`), Host: lifecycle.Host{
		DataDir: t.TempDir(), RunDir: shortDir(t), GenesisJSON: genesisJSON(),
	}}
	if err := e.Configure(ctx, good); err != nil {
		t.Fatal(err)
	}
	state(lifecycle.Ready)
	if err := e.Configure(ctx, good); !errors.Is(err, lifecycle.ErrConfigured) {
		t.Errorf("a second Configure: got %v", err)
	}
	for range 2 {
		if err := e.Drain(ctx); err != nil {
			t.Fatal(err)
		}
	}
	all(lifecycle.ErrDraining)
	state(lifecycle.Draining)
}

func TestFullDiskFailsTheHealth(t *testing.T) {
	e := executor.New(v5(), hclog.NewNullLogger())
	c := lifecycle.Config{JSON: []byte(`{"min_free":4611686018427387904}`), Host: lifecycle.Host{
		DataDir: t.TempDir(), RunDir: shortDir(t), GenesisJSON: genesisJSON(),
	}}
	if err := e.Configure(t.Context(), c); !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "make room") {
		t.Fatalf("got %v", err)
	}
}
