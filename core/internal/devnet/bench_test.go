package devnet_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alys-node/alys/core/admin"
)

// TestEndToEndBenchSignAcrossSwaps measures as an operator does: a load of signatures on the signer's route while the
// signer is swapped again and again and the chain produces. No call fails, no slot is missed, the route is as before. Times
// are for `make bench` to show.
func TestEndToEndBenchSignAcrossSwaps(t *testing.T) {
	n := start(t, "")
	limit := *calm + time.Duration(*laps)*10*time.Second + 2*time.Minute
	out, ok := n.AlysWithin(limit, "bench", "sign", "--json",
		"--rate", fmt.Sprint(*rate), "--duration", calm.String(), "--swaps", fmt.Sprint(*laps))
	var r admin.BenchSignResult
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("alys bench sign: %v, %v:\n%s", ok, err, out)
	}
	if r.Swapping == nil || r.Swaps != *laps || r.Steady.Calls == 0 || r.Swapping.Calls == 0 {
		t.Fatalf("measured %+v, swapping %+v, want %d swaps and calls in both parts", r, r.Swapping, *laps)
	}
	if failed := r.Steady.Failed + r.Swapping.Failed; failed > 0 || r.FirstFailure != "" {
		t.Errorf("%d calls failed, the first: %s", failed, r.FirstFailure)
	}
	if g := n.Primary("signer"); g.Plugin != "local" || n.Status().Drift {
		t.Errorf("%s serves afterwards, drift %v", g.Plugin, n.Status().Drift)
	}
	calls := func(name string, c admin.BenchCalls) {
		t.Logf("  %-16s %6d calls of %6d due in %6.1f s, %d failed  p50 %6.2f  p99 %6.2f  p99.9 %6.2f  max %6.2f  longest gap %6.2f ms",
			name, c.Calls, c.Due, c.Seconds, c.Failed, 1000*c.P50, 1000*c.P99, 1000*c.P999, 1000*c.Max, 1000*c.Gap)
	}
	t.Logf("%d hot swaps in a row at %v signatures/s, %d blocks of the chain meanwhile, %d slots missed", r.Swaps, r.Rate, r.ChainBlocks, r.MissedSlots)
	calls("steady", r.Steady)
	calls("while swapping", *r.Swapping)
	t.Logf("  p99.9 while swapping to steady: %.2f (promise: at most 2)", r.Ratio)
	for _, s := range r.Steps {
		t.Logf("  step %-10s p50 %7.2f  p99 %7.2f  max %7.2f ms", s.Step, 1000*s.P50, 1000*s.P99, 1000*s.Max)
	}
	t.Logf("  memory: node %d MB, signers %v bytes", r.NodeMemory>>20, r.PluginMemory)
	everySlot(t, n, n.Status().MissedOwn)
}

// TestEndToEndBenchSignNeedsAWillingSigner: one that was not told bench = true signs nothing for a measurement, and the
// operator hears what to write where.
func TestEndToEndBenchSignNeedsAWillingSigner(t *testing.T) {
	n := start(t, noProbation())
	const local2 = "plugin \"signer\" \"local2\" {\n  command = \"alys-signer-local\"\n  config {\n    keystore = \"./keys\"\n    password = \"dev\"\n"
	n.Edit(local2+"    bench    = true\n", local2)
	n.Edit("primary = plugin.signer.local\n", "primary = plugin.signer.local2\n")
	if out, ok := n.Alys("bench", "sign", "--swaps", "1"); ok {
		t.Errorf("measured although alys.hcl is not applied:\n%s", out)
	}
	if out, ok := n.Alys("apply", "--auto-approve"); !ok {
		t.Fatal(out)
	}
	out, ok := n.Alys("bench", "sign", "--duration", "1s")
	if ok || !strings.Contains(out, "bench = true") {
		t.Errorf("measured a signer that was not told to be (%v):\n%s", ok, out)
	}
	if got := n.Metric("alys_route_calls_total", `role="signer`, `outcome="failure"`); got != 0 {
		t.Errorf("%v failures of the route because of it", got)
	}
	everySlot(t, n, n.Status().MissedOwn)
}
