package executortest

import (
	"context"
	"errors"
	"math/big"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugintest"
)

// KilledProcess kills the plugin with geth inside, starts it on what is left, and catches it up.
func (s Subject) KilledProcess(t *testing.T) {
	o := s.options(t, []byte("{}"), s.Genesis(t))
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
	st, err := d.e.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	from := int(st.Heads.Head.Height)
	if from > 0 && d.log[from-1].Payload.BlockHash != st.Heads.Head.Hash {
		t.Fatalf("came back at %v", st.Heads.Head)
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

// WalletBesideBlocks asks the wallet RPC of the embedded geth while blocks go on.
func (s Subject) WalletBesideBlocks(t *testing.T) {
	p := plugintest.Launch(t, s.options(t, []byte("{}"), s.Genesis(t)))
	d := drive(t, p.Client.Engine())
	socket, ok := strings.CutPrefix(d.s.WalletRPC, "unix:")
	if !ok {
		t.Fatalf("wallet RPC is %q", d.s.WalletRPC)
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

// TwoProcesses wants the second process on a folder refused.
func (s Subject) TwoProcesses(t *testing.T) {
	o := s.options(t, []byte("{}"), s.Genesis(t))
	plugintest.Start(t, o)
	second, err := plugintest.TryLaunch(t, o)
	if err != nil {
		t.Fatal(err)
	}
	err = second.Client.Plugin().Configure(t.Context(), plugintest.Config(t, o))
	if err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Fatalf("got %v", err)
	}
}
