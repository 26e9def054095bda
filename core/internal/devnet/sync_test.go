package devnet_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alys-node/alys/core/internal/devnet"
	"github.com/alys-node/alys/sdk/chain"
)

var (
	syncEmpty = flag.Int("devnet.sync", 300, "near-empty blocks of a sync from genesis")
	syncFull  = flag.Int("devnet.syncfull", 100, "blocks of 20 transfers of a sync from genesis")
	syncFar   = flag.Duration("devnet.syncrtt", 50*time.Millisecond, "round trip to the peers of the distant rows")
	syncRows  = flag.String("devnet.syncrows", "", "measure only the rows whose name has this text")
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

// show prints a row.
func show(t *testing.T, name string, c course, bare float64) {
	t.Helper()
	t.Logf("%-34s %7.0f blocks/s, %.2f of bare; cores: engine %.2f, node %.2f; seen %v", name, c.rate(), c.rate()/bare,
		c.engine.Seconds()/c.took.Seconds(), c.node.Seconds()/c.took.Seconds(), c.stages)
}
