package devnet_test

import (
	"flag"
	"fmt"
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
	engine time.Duration  // CPU that the engine used
	node   time.Duration
	looked int
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
	var before map[string]time.Duration
	n.Until("sync", 20*time.Minute, func() bool {
		s, ok := n.TryStatus()
		if !ok || s.Head.Height == 0 {
			return false
		}
		if from.IsZero() {
			first, from, before = s.Head.Height, time.Now(), cpu(n)
		}
		c.stages[s.Sync.Stage]++
		c.looked++
		pause(t.Context(), 20*time.Millisecond)
		if s.Head.Height < goal {
			return false
		}
		c.blocks, c.took = s.Head.Height-first, time.Since(from)
		return true
	})
	after := cpu(n)
	c.engine, c.node = after["engine"]-before["engine"], after["node"]-before["node"]
	return c
}

// cpu is what the node's processes have used.
func cpu(n *devnet.Node) map[string]time.Duration {
	out := map[string]time.Duration{}
	for _, p := range n.Processes() {
		kind, _, _ := strings.Cut(p.Name, ".")
		if p.PID == n.PID() {
			kind = "node"
		}
		out[kind] += p.CPU
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
		bare := h.bare(binaries, 64)
		t.Logf("%-34s %7.0f blocks/s", load.name+", bare engine", bare)
		rates := map[string]float64{}
		for _, row := range []struct {
			strategy string
			rtt      time.Duration
		}{{"sequential", 0}, {"parallel", 0}, {"sequential", *syncFar}, {"parallel", *syncFar}} {
			name := fmt.Sprintf("%s, %s", load.name, row.strategy)
			if row.rtt > 0 {
				name += fmt.Sprintf(", %s away", row.rtt)
			}
			if !strings.Contains(name, *syncRows) {
				continue
			}
			var seeds []string
			for i := range 3 {
				address := startSeed(t, &seed{history: h}, i)
				if row.rtt > 0 {
					address = far(t, address, row.rtt/2)
				}
				seeds = append(seeds, address)
			}
			n := follower(t, h, row.strategy, seeds)
			c := watchSync(t, n, h)
			rates[name] = c.rate()
			show(t, name, c, bare)
			if row.strategy == "parallel" {
				sequential := strings.Replace(name, "parallel", "sequential", 1)
				if r := rates[sequential]; r > 0 {
					t.Logf("%-34s %.2f of sequential", "", c.rate()/r)
				}
			}
			n.Stop()
		}
	}
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
	blocks, err := n.SafeBlocks()
	check(t, err)
	for i, hash := range blocks {
		want, err := h.store.Canonical(chain.Height(i + 1))
		check(t, err)
		if hash != want {
			t.Fatalf("block %d is %s, the peers' is %s", i+1, hash, want)
		}
	}
	served := 0
	for _, s := range seeds {
		s.mu.Lock()
		served += s.served
		s.mu.Unlock()
	}
	t.Logf("%d kills in a sync of %d blocks: %d safe blocks, all of the peers' chain; %d blocks fetched, %.1f %% more than there are",
		*syncKills, h.tip.Header.Height, len(blocks), served, 100*(float64(served)/float64(h.tip.Header.Height)-1))
	if len(blocks) < int(goal)-2 {
		t.Errorf("%d blocks are safe, want %d", len(blocks), goal-1)
	}
}

// show prints a row.
func show(t *testing.T, name string, c course, bare float64) {
	t.Helper()
	t.Logf("%-34s %7.0f blocks/s, %.2f of bare; cores: engine %.2f, node %.2f; seen %v", name, c.rate(), c.rate()/bare,
		c.engine.Seconds()/c.took.Seconds(), c.node.Seconds()/c.took.Seconds(), c.stages)
}
