package devnet_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/alys-node/alys/sdk/chain"
)

// TestEndToEndStrategyIsSwappedWhileItSyncs swaps sequential for parallel in mid-sync, kills it, and swaps back. The node ends
// with the peers' chain, and no block was downloaded twice: what is downloaded and under way is the host's.
func TestEndToEndStrategyIsSwappedWhileItSyncs(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	h := newHistory(t, binaries, 400, 0)
	// Peers of five blocks a second: whatever is done meanwhile is done in mid-sync.
	seeds := []*seed{{history: h, each: 200 * time.Millisecond}, {history: h, each: 200 * time.Millisecond}}
	var addresses []string
	for i, s := range seeds {
		addresses = append(addresses, startSeed(t, s, i))
	}
	n := follower(t, h, "sequential", addresses)
	n.Edit("validator {\n  enabled = false\n}\n", "validator {\n  enabled = false\n}\n\n"+noProbation())
	// Small batches; and none is asked for twice, which is what a hedge is.
	n.Edit("command = \"alys-sync-sequential\"", "command = \"alys-sync-sequential\"\n  config {\n    batch = 16\n  }")
	n.Edit("command = \"alys-sync-parallel\"", "command = \"alys-sync-parallel\"\n  config {\n    max_batch = 16\n    hedge     = false\n  }")
	n.Launch()
	goal := h.tip.Header.Height - behind
	head := func() (at chain.Height) {
		n.Until("status", time.Minute, func() bool {
			s, ok := n.TryStatus()
			at = s.Head.Height
			return ok
		})
		return at
	}
	grows := func(how string) {
		t.Helper()
		from := head()
		n.Until("a head above "+fmt.Sprint(from)+", "+how, 2*time.Minute, func() bool { return head() > from })
	}
	swap := func(from, to, strategy string) {
		t.Helper()
		n.Edit(from, to)
		if out, ok := n.Alys("apply", "--auto-approve"); !ok {
			t.Fatalf("swap to %s: %s", strategy, out)
		}
		if g := n.Primary("sync"); g.Plugin != strategy {
			t.Fatalf("%s serves, want %s", g.Plugin, strategy)
		}
		grows("by " + strategy)
	}
	alone, withFallback := "primary = plugin.sync.sequential", "primary  = plugin.sync.parallel\n  fallback = plugin.sync.sequential"
	grows("by sequential")
	swap(alone, withFallback, "parallel")
	for range 2 {
		killed := n.Primary("sync").PID
		check(t, syscall.Kill(killed, syscall.SIGKILL))
		grows("after a kill of parallel")
		n.Until("parallel again", time.Minute, func() bool {
			g := n.Primary("sync")
			return g.PID != 0 && g.PID != killed
		})
	}
	swap(withFallback, alone, "sequential")
	if at := head(); at >= goal {
		t.Fatalf("the sync was over at %d before the last swap was", at)
	}
	for _, s := range seeds {
		s.pace(0)
	}
	n.Until("sync", 10*time.Minute, func() bool { return head() >= goal })
	n.Stop()
	wantSameChain(t, n, h)
	served := servedBlocks(seeds)
	t.Logf("%d blocks served for a chain of %d", served, h.tip.Header.Height)
	if served > int(h.tip.Header.Height) {
		t.Errorf("%d blocks were served for %d: some were downloaded again", served, h.tip.Header.Height)
	}
}
