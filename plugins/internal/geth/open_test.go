package geth_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/plugins/internal/geth"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

func TestStatusOfAFreshEngine(t *testing.T) {
	f := fork{cancun: 60, prague: 120, osaka: 1000}
	g := genesis(t, f)
	got := start(t, f).status()
	if !strings.HasPrefix(got.ClientVersion, "geth/v1.") {
		t.Errorf("client version %q", got.ClientVersion)
	}
	got.ClientVersion = ""
	want := engine.Status{
		ChainID: chainID,
		Genesis: g.Hash(),
		Forks: []engine.Fork{
			{Name: "shanghai"},
			{Name: "cancun", Timestamp: genesisTime + 60},
			{Name: "prague", Timestamp: genesisTime + 120},
			{Name: "osaka", Timestamp: genesisTime + 1000},
		},
		Horizon: g.Horizon(),
		Heads:   engine.Heads{Head: chain.Ref{Hash: g.Hash()}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got.Horizon == nil || *got.Horizon != genesisTime+1000 {
		t.Errorf("horizon %v, want the time of osaka", got.Horizon)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	e := open(t, geth.Config{DataDir: dir, Genesis: genesis(t, fork{cancun: 60})})
	n := &node{Engine: e, t: t, f: fork{cancun: 60}}

	reopen := func(f fork, c geth.Config, change ...func(top, config map[string]any)) error {
		t.Helper()
		g, err := execution.ParseGenesis(genesisJSON(f, change...), execution.Prague)
		if err != nil {
			t.Fatal(err)
		}
		c.DataDir, c.Genesis = dir, g
		if c.MinFree == 0 {
			c.MinFree = 1
		}
		e, err := geth.Open(c, hclog.NewNullLogger())
		if err == nil {
			err = errors.Join(e.Close(), errors.New("it opened"))
		}
		return err
	}
	if err := reopen(fork{cancun: 60}, geth.Config{}); !errors.Is(err, geth.ErrInUse) {
		t.Errorf("an open folder: got %v, want ErrInUse", err)
	}
	n.extend(40) // 80 s: past Cancun
	head := n.status().Heads.Head
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}

	other := func(top, _ map[string]any) { top["extraData"] = "0x01" }
	if err := reopen(fork{cancun: 60}, geth.Config{}, other); !errors.Is(err, geth.ErrOtherChain) {
		t.Errorf("another genesis: got %v, want ErrOtherChain", err)
	}
	for name, f := range map[string]fork{"moved": {cancun: 70}, "dropped": {}} {
		if err := reopen(f, geth.Config{}); !errors.Is(err, geth.ErrForkSchedule) {
			t.Errorf("a past fork that was %s: got %v, want ErrForkSchedule", name, err)
		}
	}
	if err := reopen(fork{cancun: 60}, geth.Config{MinFree: 1 << 62}); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("a full disk: got %v, want ErrUnavailable", err)
	}
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 108))
	if err := reopen(fork{cancun: 60}, geth.Config{WalletSocket: long}); err == nil || !strings.Contains(err.Error(), "socket path") {
		t.Errorf("a long socket path: got %v", err)
	}

	// A fork that is still to come may be scheduled, and nothing of the above harmed the folder.
	later := fork{cancun: 60, prague: 600}
	again := &node{Engine: open(t, geth.Config{DataDir: dir, Genesis: genesis(t, later)}), t: t, f: later}
	if got := again.status().Heads.Head; got != head {
		t.Errorf("head after reopening is %v, want %v", got, head)
	}
}

func TestOpenOfAnUnwritableFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := geth.Open(geth.Config{DataDir: filepath.Join(file, "data"), Genesis: genesis(t, fork{})}, hclog.NewNullLogger()); err == nil {
		t.Fatal("a folder below a file was opened")
	}
}

func TestClosedEngineIsUnavailable(t *testing.T) {
	n := start(t, fork{})
	if err := n.Check(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"Check":        n.Check,
		"Status":       func() error { _, err := n.Status(ctx); return err },
		"Build":        func() error { _, err := n.Build(ctx, engine.BuildRequest{}); return err },
		"Import":       func() error { _, err := n.Import(ctx, engine.ImportRequest{}); return err },
		"Payloads":     func() error { _, err := n.Payloads(ctx, nil); return err },
		"Receipts":     func() error { _, err := n.Receipts(ctx, chain.Hash{}); return err },
		"Transactions": func() error { _, err := n.AddTransactions(ctx, nil); return err },
		"Pending":      func() error { _, err := n.PendingTransactions(ctx, 1); return err },
	} {
		if err := call(); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("%s: got %v, want ErrUnavailable", name, err)
		}
	}
}

// TestReadersBesideTheWriter closes the engine under running calls: each answers, or says that the engine is closed.
func TestReadersBesideTheWriter(t *testing.T) {
	n := start(t, fork{})
	n.extend(1)
	tip := n.status().Heads.Head.Hash
	var wg sync.WaitGroup
	for _, call := range []func() error{
		func() error { _, err := n.Status(t.Context()); return err },
		func() error { _, err := n.Payloads(t.Context(), []chain.Hash{tip}); return err },
		func() error { _, err := n.Receipts(t.Context(), tip); return err },
		func() error { _, err := n.PendingTransactions(t.Context(), 1); return err },
		func() error {
			_, err := n.Build(t.Context(), n.request(tip, genesisTime+100))
			return err
		},
	} {
		wg.Go(func() {
			var err error
			for err == nil {
				err = call()
			}
			if !errors.Is(err, engine.ErrUnavailable) {
				t.Error(err)
			}
		})
	}
	n.extend(5)
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}
