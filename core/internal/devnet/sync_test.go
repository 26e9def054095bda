package devnet_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alys-node/alys/core/internal/devnet"
	"github.com/alys-node/alys/sdk/chain"
)

var (
	syncEmpty  = flag.Int("devnet.sync", 300, "near-empty blocks of a sync from genesis")
	syncFull   = flag.Int("devnet.syncfull", 100, "blocks of 20 transfers of a sync from genesis")
	syncKilled = flag.Int("devnet.synckilled", 400, "blocks of the sync in which processes are killed")
	syncKills  = flag.Int("devnet.synckills", 3, "kill -9 of node, engine and strategy in that sync, in turn")
	syncFar    = flag.Duration("devnet.syncrtt", 50*time.Millisecond, "round trip to the peers of the distant rows")
	syncBad    = flag.Bool("devnet.syncbad", false, "measure with weak and with bad peers as well")
	syncRows   = flag.String("devnet.syncrows", "", "measure only the rows whose name has this text")
)

// behind is how far below the peers' tip the strategy's work ends: consensus fetches the rest by hash.
const behind = 16

// follower is a full node that knows seeds and nothing of the chain.
func follower(t *testing.T, h *history, strategy string, seeds []string) *devnet.Node {
	t.Helper()
	peers := ""
	for _, s := range seeds {
		peers += fmt.Sprintf("    %q,\n", s)
	}
	n := devnet.New(t, binaries, "validator {\n  enabled = false\n}\n\nnetwork {\n  mdns = false\n  static_peers = [\n"+peers+"  ]\n}\n")
	n.Edit(`spec = "dev"`, fmt.Sprintf("spec = %q", h.spec.Name))
	n.Edit(`plugin "sync" "sequential" {`, "plugin \"sync\" \"parallel\" {\n  command = \"alys-sync-parallel\"\n}\n\nplugin \"sync\" \"sequential\" {")
	n.Edit("primary = plugin.sync.sequential", "primary = plugin.sync."+strategy)
	return n
}

// course is what was seen of a sync.
type course struct {
	blocks chain.Height
	took   time.Duration
	stages map[string]int // how often each was seen
	engine time.Duration  // CPU that it used
	node   time.Duration
	peers  time.Duration            // CPU of this process, which serves and watches
	orders map[string]time.Duration // that the engine had an order of the node, by kind
}

func (c course) rate() float64 { return float64(c.blocks) / c.took.Seconds() }

// watchSync starts the node and watches until it has the seeds' chain. The time begins with the first block that was
// imported: what comes before is the start of processes.
func watchSync(t *testing.T, n *devnet.Node, h *history) course {
	t.Helper()
	n.Launch()
	c := course{stages: map[string]int{}}
	goal := h.tip.Header.Height - behind
	var first chain.Height
	var from time.Time
	var before, orders map[string]time.Duration
	n.Until("sync", 20*time.Minute, func() bool {
		s, ok := n.TryStatus()
		if !ok || s.Head.Height == 0 {
			return false
		}
		if from.IsZero() {
			first, from, before, orders = s.Head.Height, time.Now(), cpu(n), engineOrders(n)
		}
		c.stages[s.Sync.Stage]++
		pause(t.Context(), 100*time.Millisecond) // a status costs the node some milliseconds
		if s.Head.Height < goal {
			return false
		}
		c.blocks, c.took = s.Head.Height-first, time.Since(from)
		return true
	})
	after := cpu(n)
	c.engine, c.node, c.peers = after["engine"]-before["engine"], after["node"]-before["node"], after["peers"]-before["peers"]
	c.orders = engineOrders(n)
	for kind := range c.orders {
		c.orders[kind] -= orders[kind]
	}
	return c
}

// engineOrders is how long the engine has had orders of the node, by kind.
func engineOrders(n *devnet.Node) map[string]time.Duration {
	out := map[string]time.Duration{}
	for _, kind := range []string{"import", "forkchoice"} {
		seconds := n.Metric("alys_engine_duration_seconds_sum", fmt.Sprintf("call=%q", kind))
		out[kind] = time.Duration(seconds * float64(time.Second))
	}
	return out
}

// cpu is what the node's processes, and this one, have used.
func cpu(n *devnet.Node) map[string]time.Duration {
	out := map[string]time.Duration{}
	if self, err := devnet.ReadProcess(os.Getpid()); err == nil {
		out["peers"] = self.CPU
	}
	for _, p := range n.Processes() {
		kind, _, _ := strings.Cut(p.Name, ".")
		if p.PID == n.PID() {
			kind = "node"
		}
		out[kind] += p.CPU
	}
	return out
}

// row is one measurement: who serves, how far away, and which strategy asks.
type row struct {
	name     string
	strategy string
	peers    []vice
	rtt      time.Duration
	limit    int  // blocks a second that a peer serves; 0: as fast as it can
	unscored bool // the strategy asks all peers alike; of parallel
}

// rows are pairs: each of the strategy parallel comes after the same one of sequential. Where peers are bad a third has
// parallel without its scores.
func rows() []row {
	var out []row
	add := func(name string, r row) {
		for _, r.strategy = range []string{"sequential", "parallel"} {
			r.name = r.strategy + name
			out = append(out, r)
		}
	}
	three := []vice{good, good, good}
	add("", row{peers: three})
	add(fmt.Sprintf(", %s away", *syncFar), row{peers: three, rtt: *syncFar})
	if !*syncBad {
		return out
	}
	six := []vice{good, good, good, good, good, good}
	add(", 6 peers of 100 blocks/s", row{peers: six, limit: 100})
	for _, v := range []vice{slow, lying, withholding, truncating, wrongChain} {
		bad := row{peers: []vice{v, v, good, good, good, good}}
		add(fmt.Sprintf(", 2 of 6 %s", v), bad)
		bad.name, bad.strategy, bad.unscored = fmt.Sprintf("parallel, 2 of 6 %s, scoring off", v), "parallel", true
		out = append(out, bad)
	}
	return out
}

// TestEndToEndSyncAgainstTheBareEngine syncs a full node from genesis, of processes, over libp2p, and shows how fast beside
// the same engine with nothing but a loop over the same blocks. Times are for `make bench` to show.
func TestEndToEndSyncAgainstTheBareEngine(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for _, load := range []struct {
		name      string
		blocks    int
		transfers int
	}{{"near-empty", *syncEmpty, 0}, {"20 transfers", *syncFull, 20}} {
		start := time.Now()
		h := newHistory(t, binaries, load.blocks, load.transfers)
		t.Logf("%d blocks (%s) made in %.1f s", load.blocks, load.name, time.Since(start).Seconds())
		other := signedHistory(t, binaries, min(load.blocks, 600), 1, federationSize) // of the peers on a wrong chain
		bare := h.bare(binaries, 64)
		show(t, load.name+", bare engine", bare, bare)
		showVerification(t, h, load.name, bare)
		sequential := 0.0
		for _, r := range rows() {
			name := load.name + ", " + r.name
			if !strings.Contains(name, *syncRows) {
				continue
			}
			c := measure(t, h, other, r)
			show(t, name, c, bare)
			if r.strategy == "sequential" {
				sequential = c.rate()
			} else if sequential > 0 {
				t.Logf("%-46s %.2f of sequential", "", c.rate()/sequential)
			}
		}
		show(t, load.name+", bare engine again", h.bare(binaries, 64), bare)
	}
}

// show prints a row. CPU tells more than the rate where peers and node share the machine: it is taken by whoever needs it.
// What is left of the time beside the engine's orders is when the engine waited for the node; an order counts when it ends, so
// that a short course may have more than all of it.
func show(t *testing.T, name string, c, bare course) {
	t.Helper()
	share := func(d time.Duration) float64 { return 100 * d.Seconds() / c.took.Seconds() }
	t.Logf("%-46s %7.0f blocks/s, %.2f of bare", name, c.rate(), c.rate()/bare.rate())
	cost := func(d time.Duration) float64 { return 1000 * d.Seconds() / float64(c.blocks) }
	t.Logf("%-46s CPU ms a block: engine %.2f, node %.2f, peers %.2f; %.2f cores of %d", "", cost(c.engine), cost(c.node), cost(c.peers),
		(c.engine+c.node+c.peers).Seconds()/c.took.Seconds(), runtime.NumCPU())
	if len(c.orders) > 0 {
		i, f := share(c.orders["import"]), share(c.orders["forkchoice"])
		t.Logf("%-46s the engine's time: import %.0f %%, fork choice %.0f %%, waiting for the node %.0f %%; stages seen %v", "", i, f, 100-i-f, c.stages)
	}
}

func measure(t *testing.T, h, other *history, r row) course {
	t.Helper()
	var addresses []string
	for i, v := range r.peers {
		s := &seed{history: h, vice: v, other: other}
		if r.limit > 0 {
			s.each = time.Second / time.Duration(r.limit)
		}
		address := startSeed(t, s, i)
		if r.rtt > 0 {
			address = far(t, address, r.rtt/2)
		}
		addresses = append(addresses, address)
	}
	n := follower(t, h, r.strategy, addresses)
	if r.unscored {
		n.Edit("command = \"alys-sync-parallel\"", "command = \"alys-sync-parallel\"\n  config {\n    scoring = false\n  }")
	}
	c := watchSync(t, n, h)
	n.Stop()
	return c
}

// TestEndToEndSyncWhileProcessesAreKilled kills node, engine and strategy again and again while the node syncs. It ends with
// the peers' chain, and what was downloaded and not imported is all that is fetched again.
func TestEndToEndSyncWhileProcessesAreKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	h := newHistory(t, binaries, *syncKilled, 0)
	seeds := []*seed{{history: h}, {history: h}}
	var addresses []string
	for i, s := range seeds {
		addresses = append(addresses, far(t, startSeed(t, s, i), 5*time.Millisecond))
	}
	n := follower(t, h, "parallel", addresses)
	n.Launch()
	goal := h.tip.Header.Height - behind
	victims := []string{"node", "engine", "sync"}
	for i := range *syncKills {
		// Spread over the chain: each kill finds the sync under way.
		at := goal * chain.Height(i+1) / chain.Height(*syncKills+1)
		n.Until(fmt.Sprintf("block %d", at), 5*time.Minute, func() bool {
			s, ok := n.TryStatus()
			return ok && s.Head.Height >= at
		})
		victim := victims[i%len(victims)]
		if victim == "node" {
			n.Kill()
			n.UntilGone(30 * time.Second)
			n.Launch()
			continue
		}
		if pid := n.Primary(victim).PID; pid != 0 {
			check(t, syscall.Kill(pid, syscall.SIGKILL))
		}
	}
	n.Until("sync", 10*time.Minute, func() bool {
		s, ok := n.TryStatus()
		return ok && s.Head.Height >= goal
	})
	n.Stop()
	wantSameChain(t, n, h)
	served := servedBlocks(seeds)
	t.Logf("%d kills in a sync of %d blocks, which ended with the peers' chain; %d blocks fetched, %.1f %% more than there are",
		*syncKills, h.tip.Header.Height, served, 100*(float64(served)/float64(h.tip.Header.Height)-1))
	// In a short chain the batches under way, which a killed node loses, are more than a tenth.
	if limit := *syncKilled * 11 / 10; *syncKilled >= 3000 && served > limit {
		t.Errorf("%d blocks were fetched, want %d at the most: a tenth more than there are", served, limit)
	}
}

// wantSameChain reads the disk of a node that has stopped: its safe blocks are the peers', up to where sync ends.
func wantSameChain(t *testing.T, n *devnet.Node, h *history) {
	t.Helper()
	blocks, err := n.SafeBlocks()
	check(t, err)
	for i, hash := range blocks {
		want, err := h.store.Canonical(chain.Height(i + 1))
		check(t, err)
		if hash != want {
			t.Fatalf("block %d is %s, the peers' is %s", i+1, hash, want)
		}
	}
	if want := int(h.tip.Header.Height) - behind - 2; len(blocks) < want {
		t.Errorf("%d blocks are safe, want %d", len(blocks), want)
	}
}
