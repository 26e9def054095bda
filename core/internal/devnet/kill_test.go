package devnet_test

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/alys-node/alys/core/internal/devnet"
)

// measured is one kind of times, for the log.
type measured []time.Duration

func (m measured) log(t *testing.T, what, promise string) {
	t.Helper()
	s := slices.Sorted(slices.Values(m))
	t.Logf("  %s: median %s, worst %s of %d (promise: %s)", what, s[len(s)/2].Round(time.Millisecond), s[len(s)-1].Round(time.Millisecond), len(s), promise)
}

// randomMoment waits for up to a slot of the development chain, so that a kill finds any step of a block.
func randomMoment(t *testing.T, r *rand.Rand) {
	t.Helper()
	select {
	case <-time.After(time.Duration(r.Int64N(int64(2 * time.Second)))):
	case <-t.Context().Done():
		t.Fatal("the test ended")
	}
}

func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// load sends a transaction before each kill, whose answer the wallet has: none of them may be lost.
type load struct {
	wallet *wallet
	nonce  uint64
	sent   []common.Hash
}

func newLoad(t *testing.T, n *devnet.Node) *load {
	t.Helper()
	w := newWallet(t, n)
	return &load{wallet: w, nonce: w.nonce()}
}

func (l *load) send() {
	l.sent = append(l.sent, l.wallet.send(l.nonce, &common.Address{0xaa, 3}, 1, nil))
	l.nonce++
}

func (l *load) allMined(t *testing.T) {
	t.Helper()
	for _, hash := range l.sent {
		l.wallet.mined(hash)
	}
	t.Logf("  transactions: %d sent, every one mined", len(l.sent))
}

// killPlugin kills a plugin at random moments and gives the times until it was back and until the next block.
func killPlugin(t *testing.T, n *devnet.Node, role string) (back, block measured) {
	t.Helper()
	r, l := newRand(t), newLoad(t, n)
	defer l.allMined(t)
	for range *kills {
		randomMoment(t, r)
		l.send()
		old, before := n.Primary(role), n.Status().Head.Height
		if old.PID == 0 {
			t.Fatalf("no %s serves", role)
		}
		at := time.Now()
		if err := syscall.Kill(old.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		n.Until(role+" back", 30*time.Second, func() bool {
			g := n.Primary(role)
			return g.PID != 0 && g.PID != old.PID && (g.State == "ready" || g.State == "degraded")
		})
		back = append(back, time.Since(at))
		n.Until("block after the death of the "+role, 30*time.Second, func() bool { return n.Status().Head.Height > before })
		block = append(block, time.Since(at))
	}
	return back, block
}

func TestEndToEndSignerKilled(t *testing.T) {
	n := start(t, relaxedBreaker())
	back, block := killPlugin(t, n, "signer")
	t.Logf("kill -9 of the signer, %d times", *kills)
	back.log(t, "signer ready again", "2s")
	block.log(t, "next block", "2s and the rest of the slot")
	t.Logf("  own slots missed: %d", n.Status().MissedOwn)
	agree(t, n)
}

func TestEndToEndEngineKilled(t *testing.T) {
	n := start(t, relaxedBreaker())
	back, block := killPlugin(t, n, "engine")
	t.Logf("kill -9 of the engine, %d times", *kills)
	back.log(t, "engine ready again", "2s")
	block.log(t, "next block", "10s")
	t.Logf("  own slots missed: %d", n.Status().MissedOwn)
	agree(t, n)
}

func TestEndToEndSyncKilled(t *testing.T) {
	n := start(t, relaxedBreaker())
	back, block := killPlugin(t, n, "sync")
	t.Logf("kill -9 of the sync strategy, %d times", *kills)
	back.log(t, "sync strategy ready again", "2s")
	block.log(t, "next block", "the next slot")
	t.Logf("  own slots missed: %d", n.Status().MissedOwn)
	agree(t, n)
}

// relaxedBreaker lets a plugin die as often as this test kills it: the stock one gives up after five deaths in two
// minutes, as it should.
func relaxedBreaker() string {
	return "restart {\n  breaker_failures = 1000\n  reset_after      = \"1s\"\n}\n"
}

func TestEndToEndNodeKilled(t *testing.T) {
	n := start(t, "")
	r, l := newRand(t), newLoad(t, n)
	var block measured
	for i := range *kills {
		randomMoment(t, r)
		l.send()
		n.Kill()
		if i%2 == 1 { // and again while it starts
			n.Launch()
			<-time.After(time.Duration(r.Int64N(int64(time.Second))))
			n.Kill()
		}
		at := time.Now()
		n.Launch()
		n.Until("block of the restarted node", 30*time.Second, func() bool {
			s, ok := n.TryStatus()
			return ok && s.Authored > 0 // since its start
		})
		block = append(block, time.Since(at))
		if left := len(n.Processes()); left != 4 {
			t.Errorf("%d processes: %+v, want the node and three plugins", left, n.Processes())
		}
	}
	t.Logf("kill -9 of the node, %d times, of every second one also while it started", *kills)
	block.log(t, "restart to the next block", "10s")
	l.allMined(t)
	agree(t, n)
}

// agree wants the engine's chain, read through the wallet port while the node ran, to be the chain of the store.
func agree(t *testing.T, n *devnet.Node) {
	t.Helper()
	n.UntilBlocks(1)
	w := n.Wallet("http")
	el := []string{} // by height - 1
	for h := uint64(1); h <= uint64(n.Status().Head.Height); h++ {
		b, err := w.HeaderByNumber(t.Context(), new(big.Int).SetUint64(h))
		if err != nil {
			t.Fatalf("engine's block %d: %v", h, err)
		}
		el = append(el, b.Hash().String())
	}
	a := audit(t, n)
	if len(a.Blocks) < len(el) {
		t.Fatalf("the store has %d blocks, the engine had %d", len(a.Blocks), len(el))
	}
	for i, want := range el {
		if got := a.Blocks[i].Execution.Payload.BlockHash.String(); got != want {
			t.Errorf("block %d: the engine has %s, the store %s", i+1, want, got)
		}
	}
}

// TestEndToEndStopLeavesNothing stops a producing node as a terminal does (the process group) and as systemd does (every
// process at once).
func TestEndToEndStopLeavesNothing(t *testing.T) {
	n := start(t, "")
	for name, stop := range map[string]func(){
		"the process group is told": func() { n.Signal(syscall.SIGTERM) },
		"every process is told": func() {
			for _, p := range n.Processes() {
				_ = syscall.Kill(p.PID, syscall.SIGTERM)
			}
		},
		"the terminal interrupts": func() { n.Signal(syscall.SIGINT) },
	} {
		if n.PID() == 0 {
			n.Start()
		}
		n.UntilBlocks(1)
		at := time.Now()
		stop()
		if code := n.WaitExit(20 * time.Second); code != 0 {
			t.Errorf("%s: exit code %d\n%s", name, code, n.LogTail(20))
		}
		t.Logf("%s: stopped in %s", name, time.Since(at).Round(time.Millisecond))
		n.UntilGone(3 * time.Second)
		if left := n.Sockets(); len(left) > 0 {
			t.Errorf("%s: sockets left: %v", name, left)
		}
	}
	if _, err := n.Audit(); err != nil {
		t.Error(err)
	}
}
