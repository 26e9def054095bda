package embedded_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/engine/v5/internal/embedded"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
)

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
		{name: "external mode", json: `{"mode":"external"}`, path: "mode", want: `"external" is not supported, only "embedded"`},
		{name: "another mode", json: `{"mode":"fast"}`, path: "mode", want: `mode is "fast"`},
		{name: "a tiny cache", json: `{"cache":1024}`, path: "cache", want: "1024 bytes"},
		{name: "a negative reserve", json: `{"min_free":-1}`, path: "min_free", want: "-1 bytes"},
		{name: "an unknown argument", json: `{"cash":1}`, want: "cash"},
		{name: "a genesis that is none", json: `{}`, host: lifecycle.Host{GenesisJSON: []byte(`{}`)}, want: "genesis"},
		{name: "a genesis of another chain id", json: `{}`, host: lifecycle.Host{ChainID: 1, GenesisJSON: good}, want: "chain id is 121212"},
		{name: "a long run folder", json: `{}`, host: lifecycle.Host{RunDir: "/" + strings.Repeat("r", 100)}, want: "use a shorter data_dir"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := embedded.New(hclog.NewNullLogger()).Validate(t.Context(), lifecycle.Config{JSON: []byte(tc.json), Host: tc.host})
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

func TestResourcesAreTheDataFolder(t *testing.T) {
	e := embedded.New(hclog.NewNullLogger())
	for dir, want := range map[string][]lifecycle.Resource{"": nil, "/d": {{Kind: "path", Value: "/d"}}} {
		got, err := e.Resources(t.Context(), lifecycle.Config{Host: lifecycle.Host{DataDir: dir}})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
}

func TestOrderOfTheLifecycle(t *testing.T) {
	e, ctx := embedded.New(hclog.NewNullLogger()), t.Context()
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
	e := embedded.New(hclog.NewNullLogger())
	c := lifecycle.Config{JSON: []byte(`{"min_free":4611686018427387904}`), Host: lifecycle.Host{
		DataDir: t.TempDir(), RunDir: shortDir(t), GenesisJSON: genesisJSON(),
	}}
	if err := e.Configure(t.Context(), c); !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "make room") {
		t.Fatalf("got %v", err)
	}
}
