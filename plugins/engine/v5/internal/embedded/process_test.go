package embedded_test

import (
	"context"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugintest"
)

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

const genesisTime = 1_700_000_000

// genesisJSON is a genesis without accounts, with Shanghai only.
func genesisJSON() []byte {
	js := `{"timestamp": "1700000000", "gasLimit": "30000000", "difficulty": "0", "alloc": {}, "config": {
		"chainId": 121212, "terminalTotalDifficulty": 0, "shanghaiTime": 0`
	for _, f := range []string{
		"homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul", "berlin", "london",
	} {
		js += `, "` + f + `Block": 0`
	}
	return []byte(js + "}}")
}

// TestProcess drives the compiled plugin over gRPC.
func TestProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the plugin")
	}
	path := plugintest.Build(t, "github.com/alys-node/alys/plugins/engine/v5")
	options := func() plugintest.Options {
		return plugintest.Options{
			Path: path, Kind: lifecycle.Engine,
			Host: host(t, genesisJSON()),
		}
	}
	t.Run("it keeps the contract", func(t *testing.T) { conform(t, path) })
	t.Run("a killed process comes back and is caught up", func(t *testing.T) { killAndCatchUp(t, options()) })
	t.Run("wallets reach it while blocks go on", func(t *testing.T) { walletBesideBlocks(t, options()) })
	t.Run("two processes cannot share a folder", func(t *testing.T) {
		o := options()
		plugintest.Start(t, o)
		second, err := plugintest.TryLaunch(t, o)
		if err != nil {
			t.Fatal(err)
		}
		err = second.Client.Plugin().Configure(t.Context(), plugintest.Config(t, o))
		if err == nil || !strings.Contains(err.Error(), "in use by another process") {
			t.Fatalf("got %v", err)
		}
	})
}

// driver produces blocks on an engine.
type driver struct {
	t   *testing.T
	e   engine.Engine
	tip chain.Ref
	log []chain.ExecutionData
}

func (d *driver) produce(count int) {
	d.t.Helper()
	for range count {
		data, err := d.e.Build(d.t.Context(), engine.BuildRequest{
			Parent: d.tip.Hash, Timestamp: genesisTime + 2*uint64(d.tip.Height+1), GasLimit: 30_000_000,
			FeeRecipient: chain.Address{18: 0xde, 19: 0xad},
			Withdrawals:  []chain.Withdrawal{{Index: uint64(d.tip.Height), Address: chain.Address{19: 1}, Amount: 10}},
		})
		if err != nil {
			d.t.Fatal(err)
		}
		d.feed(data)
		d.log = append(d.log, data)
	}
}

func (d *driver) feed(data ...chain.ExecutionData) {
	d.t.Helper()
	tip := data[len(data)-1].Payload
	res, err := d.e.Import(d.t.Context(), engine.ImportRequest{
		Payloads: data, Forkchoice: &engine.Forkchoice{Head: tip.BlockHash, Safe: tip.ParentHash, Finalized: tip.ParentHash},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.tip = chain.Ref{Height: tip.Number, Hash: tip.BlockHash}
	if res.Heads.Head != d.tip {
		d.t.Fatalf("head %v, want %v", res.Heads.Head, d.tip)
	}
}

func drive(t *testing.T, e engine.Engine) *driver {
	t.Helper()
	s, err := e.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &driver{t: t, e: e, tip: s.Heads.Head}
}

func killAndCatchUp(t *testing.T, o plugintest.Options) {
	p := plugintest.Launch(t, o)
	d := drive(t, p.Client.Engine())
	d.produce(100)
	want := d.tip
	if err := syscall.Kill(p.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Client.Engine().Status(t.Context()); err == nil {
		t.Fatal("a killed process answered")
	}
	start := time.Now()
	d.e = plugintest.Start(t, o).Engine() // over the socket that the killed one left
	s, err := d.e.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	from := int(s.Heads.Head.Height)
	if from > 0 && d.log[from-1].Payload.BlockHash != s.Heads.Head.Hash {
		t.Fatalf("came back at %v", s.Heads.Head)
	}
	if from < len(d.log) {
		d.feed(d.log[from:]...)
	}
	t.Logf("came back at %d of 100, caught up %v after the start", from, time.Since(start))
	if d.tip != want && from < len(d.log) {
		t.Fatalf("tip %v, want %v", d.tip, want)
	}
	d.produce(3)
}

func walletBesideBlocks(t *testing.T, o plugintest.Options) {
	p := plugintest.Launch(t, o)
	d := drive(t, p.Client.Engine())
	s, err := d.e.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	socket, ok := strings.CutPrefix(s.WalletRPC, "unix:")
	if !ok {
		t.Fatalf("wallet RPC is %q", s.WalletRPC)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	c, err := rpc.DialOptions(t.Context(), "http://wallet", rpc.WithHTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d.produce(20)
	if n, err := ethclient.NewClient(c).BlockNumber(t.Context()); err != nil || n != 20 {
		t.Errorf("block number %d, %v", n, err)
	}
	balance, err := ethclient.NewClient(c).BalanceAt(t.Context(), [20]byte{19: 1}, nil)
	if err != nil || balance.Cmp(big.NewInt(20*10*1e9)) != 0 {
		t.Errorf("balance %v, %v", balance, err)
	}
	if err := p.Client.Plugin().Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.e.Status(t.Context()); !errors.Is(err, lifecycle.ErrDraining) {
		t.Errorf("after Drain: %v", err)
	}
	if _, err := ethclient.NewClient(c).BlockNumber(t.Context()); err == nil {
		t.Error("the wallet RPC outlived Drain")
	}
}
