package devnet_test

import (
	"testing"
	"time"

	"github.com/alys-node/alys/core/internal/devnet"
)

// TestEndToEndFederationOfTheExamples: the files that a reader finds make a chain, whose blocks become safe.
func TestEndToEndFederationOfTheExamples(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	nodes := devnet.ExampleFederation(t, binaries, "../../../examples/federation")
	if len(nodes) != 3 {
		t.Fatalf("%d nodes", len(nodes))
	}
	for _, n := range nodes {
		if out, ok := n.Alys("validate"); !ok {
			t.Fatal(out)
		}
		n.Launch()
	}
	height(t, time.Minute, 4, 3, nodes...)
	for i, n := range nodes {
		n.Until("it authors", time.Minute, func() bool { s, ok := n.TryStatus(); return ok && s.Authored > 0 })
		if s := n.Status(); s.Chain != "federation" || s.ChainID != 212121 || len(s.Peers) != 2 {
			t.Errorf("node %d is on chain %q, id %d, with %d peers", i, s.Chain, s.ChainID, len(s.Peers))
		}
	}
	for _, n := range nodes {
		n.Stop()
	}
}
