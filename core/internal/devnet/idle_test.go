package devnet_test

import (
	"testing"
	"time"
)

// TestEndToEndMemoryAndIdleCPU prints what an idle chain costs. Times are for `make bench` to show; only the memory is
// held to its promise.
func TestEndToEndMemoryAndIdleCPU(t *testing.T) {
	n := start(t, "")
	select {
	case <-time.After(*idle):
	case <-t.Context().Done():
	}
	before := map[int]time.Duration{}
	for _, p := range n.Processes() {
		before[p.PID] = p.CPU
	}
	select {
	case <-time.After(*idle):
	case <-t.Context().Done():
	}
	// A soft limit below the promise, so that garbage does not grow up to it.
	if limit := n.Metric("go_gc_gomemlimit_bytes"); limit > 256<<20 {
		t.Errorf("the collector lets the host grow to %.0f MB", limit/(1<<20))
	}
	var tree uint64
	var cpu time.Duration
	for _, p := range n.Processes() {
		used := p.CPU - before[p.PID]
		tree, cpu = tree+p.RSS, cpu+used
		t.Logf("  %-20s %4d MB  %5.2f %% of a core", p.Name, p.RSS>>20, 100*used.Seconds()/idle.Seconds())
		if p.PID == n.PID() && p.RSS > 256<<20 {
			t.Errorf("the host uses %d MB, promised 256", p.RSS>>20)
		}
	}
	if tree > 2<<30 {
		t.Errorf("the tree uses %d MB, promised 2048", tree>>20)
	}
	t.Logf("idle chain, %s after %s: %d MB in all (promise: host 256, tree 2048), %.2f %% of a core (promise: 10 %%)", *idle, *idle, tree>>20, 100*cpu.Seconds()/idle.Seconds())
	audit(t, n)
}
