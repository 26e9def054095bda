package executortest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/alys-node/alys/plugins/internal/gethtest"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/wire"
)

// patience bounds the waits, on a busy machine.
const patience = 90 * time.Second

// ClientComesAndGoes kills the client under the plugin, freezes it, and puts another chain in its place. The plugin is
// never restarted.
func (s Subject) ClientComesAndGoes(t *testing.T) {
	genesis := s.Genesis(t)
	g := gethtest.Start(t, gethtest.Options{Genesis: genesis})
	c := s.start(t, g.ConfigJSON(), genesis)
	d := drive(t, c.Engine())
	d.produce(20)

	t.Log("killed: calls say so, health is degraded; then it is back, knows blocks without their states, and is caught up over them")
	ahead := drive(t, s.embedded(t).Engine())
	ahead.feed(d.log...)
	ahead.produce(5)
	g.Kill()
	if _, err := d.e.Build(t.Context(), d.request()); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("build without a client: %v", err)
	}
	if _, err := d.e.Receipts(t.Context(), d.tip.Hash); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("receipts without a client: %v", err)
	}
	awaitHealth(t, c, lifecycle.Degraded, "does not answer")
	g.Launch()
	awaitHealth(t, c, lifecycle.Ready, "")
	d.catchUp(ahead.log...)
	d.produce(3)

	t.Log("frozen: a call ends with its context, health notices; thawed, it goes on")
	g.Freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	_, err := d.e.Build(ctx, d.request())
	cancel()
	if err == nil {
		t.Error("a frozen client built a payload")
	}
	awaitHealth(t, c, lifecycle.Degraded, "in time")
	g.Thaw()
	awaitHealth(t, c, lifecycle.Ready, "")
	d.produce(2)
	g.Kill()
}

// ClientIsAway brings the plugin up before its client.
func (s Subject) ClientIsAway(t *testing.T) {
	genesis := s.Genesis(t)
	g := gethtest.New(t, gethtest.Options{Genesis: genesis})
	c, config := s.probe(t, g.ConfigJSON(), genesis)
	if err := c.Plugin().Configure(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	awaitHealth(t, c, lifecycle.Starting, "waits for the execution client")
	g.Launch()
	awaitHealth(t, c, lifecycle.Ready, "")
	drive(t, c.Engine()).produce(1)
}

// WrongClient has the clients that are refused, each in words that say what to do.
func (s Subject) WrongClient(t *testing.T) {
	genesis := s.Genesis(t)
	other := []byte(strings.Replace(string(genesis), `"gasLimit":"0x1c9c380"`, `"gasLimit":"0x1c9c381"`, 1))
	moved := []byte(strings.Replace(string(genesis), `"pragueTime":`, `"pragueTime":1`, 1)) // a digit more: far in the future
	for _, tc := range []struct {
		name string
		o    gethtest.Options
		edit func(string) string // of the config block
		want string
	}{
		{name: "another genesis", o: gethtest.Options{Genesis: other}, want: "runs another chain: genesis of"},
		{name: "another fork schedule", o: gethtest.Options{Genesis: moved}, want: "another fork schedule"},
		{name: "no pool to read", o: gethtest.Options{Genesis: genesis, API: "eth,net,web3"}, want: "no namespace txpool: start geth with"},
		{name: "wallets could administrate it", o: gethtest.Options{Genesis: genesis, API: "eth,net,web3,txpool,admin"}, want: "namespace admin"},
		{
			name: "the ports are the wrong way round", o: gethtest.Options{Genesis: genesis}, want: "authenticated port",
			edit: func(js string) string {
				return strings.NewReplacer(`"endpoint"`, `"rpc"`, `"rpc"`, `"endpoint"`).Replace(js)
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			js := string(gethtest.Start(t, tc.o).ConfigJSON())
			if tc.edit != nil {
				js = tc.edit(js)
			}
			if err := s.refused(t, []byte(js), genesis); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want words with %q", err, tc.want)
			}
		})
	}
	t.Run("another secret", func(t *testing.T) {
		a, b := gethtest.Start(t, gethtest.Options{Genesis: genesis}), gethtest.New(t, gethtest.Options{Genesis: genesis})
		js := strings.Replace(string(a.ConfigJSON()), a.Secret, b.Secret, 1)
		if err := s.refused(t, []byte(js), genesis); !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "is jwt_secret the file") {
			t.Errorf("got %v", err)
		}
	})
}

// GasLimit wants a client that steers elsewhere told apart, and Build to say how to start it.
func (s Subject) GasLimit(t *testing.T) {
	genesis := s.Genesis(t)
	g := gethtest.Start(t, gethtest.Options{Genesis: genesis, GasLimit: 60_000_000})
	d := drive(t, s.start(t, g.ConfigJSON(), genesis).Engine())
	if _, err := d.e.Build(t.Context(), d.request()); err == nil || !strings.Contains(err.Error(), "--miner.gaslimit 30000000") {
		t.Errorf("got %v", err)
	}
}

// LateAnswer wants a payload asked for late enough to hold the transactions that wait, and wallets served by the client.
func (s Subject) LateAnswer(t *testing.T) {
	genesis := s.Genesis(t)
	c := s.start(t, gethtest.Start(t, gethtest.Options{Genesis: genesis}).ConfigJSON(), genesis)
	d := drive(t, c.Engine())
	w, err := ethclient.DialContext(t.Context(), d.s.WalletRPC)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	pool, ok := d.e.(engine.EngineWithPool)
	if !ok {
		t.Fatal("the engine has no pool")
	}
	const count = 200
	txs := make([][]byte, count)
	for i := range txs {
		txs[i] = transaction(t, uint64(i))
	}
	answers, err := pool.AddTransactions(t.Context(), txs)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range answers {
		if !a.Taken() {
			t.Fatalf("transaction %d: %+v", i, a)
		}
	}
	r := d.request()
	r.AnswerBy = chain.UnixMilli(time.Now().Add(10 * time.Second).UnixMilli())
	data, err := d.e.Build(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(data.Payload.Transactions); got != count {
		t.Errorf("the payload holds %d transactions of %d", got, count)
	}
	d.feed(data)
	if n, err := w.BlockNumber(t.Context()); err != nil || n != 1 {
		t.Errorf("wallets see block %d, %v", n, err)
	}
}

// awaitHealth waits for a state whose message holds the words.
func awaitHealth(t *testing.T, c *wire.Client, want lifecycle.State, words string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		h, err := c.Plugin().Health(t.Context())
		if err == nil && h.State == want && strings.Contains(h.Message, words) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("health is %+v, %v, want %s with %q", h, err, want, words)
		}
	}
}

// catchUp does what the node does with an engine that is behind: it gives it the blocks from its own head on again, and
// those that came meanwhile.
func (d *driver) catchUp(later ...chain.ExecutionData) {
	d.t.Helper()
	s, err := d.e.Status(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Logf("the client came back at %d of %d", s.Heads.Head.Height, d.tip.Height)
	if _, err := d.e.Build(d.t.Context(), d.request()); s.Heads.Head != d.tip && !errors.Is(err, engine.ErrSyncing) {
		d.t.Logf("it builds on the last block all the same: %v", err)
	}
	d.feed(append(d.log[s.Heads.Head.Height:], later...)...)
}
