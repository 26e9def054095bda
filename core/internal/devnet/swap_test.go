package devnet_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alys-node/alys/core/internal/devnet"
)

func noProbation() string {
	return "swap {\n  probation       = \"0s\"\n  probation_calls = 0\n}\n"
}

// TestEndToEndSignerSwapsLoseNothing swaps the signer again and again while blocks are produced: no call fails, every slot
// has its block.
func TestEndToEndSignerSwapsLoseNothing(t *testing.T) {
	n := start(t, noProbation())
	heads := n.Watch()
	n.UntilBlocks(min(30, *swaps/2)) // the baseline: nothing is swapped
	steady := heads.Figures(0)
	swapping, err := heads.Count()
	if err != nil {
		t.Fatal(err)
	}

	from, to := "local", "local2"
	begin := time.Now()
	var slowest time.Duration
	for i := range *swaps {
		n.Edit(fmt.Sprintf("primary = plugin.signer.%s\n", from), fmt.Sprintf("primary = plugin.signer.%s\n", to))
		at := time.Now()
		if i%5 == 4 {
			reload(n, to)
		} else if out, ok := n.Alys("apply", "--auto-approve"); !ok {
			t.Fatalf("swap %d: %s", i, out)
		}
		slowest = max(slowest, time.Since(at))
		if g := n.Primary("signer"); g.Plugin != to {
			t.Fatalf("swap %d: %s serves, want %s", i, g.Plugin, to)
		}
		from, to = to, from
	}
	took := time.Since(begin)
	n.UntilBlocks(2)
	during := heads.Figures(swapping)
	if _, err := heads.Count(); err != nil {
		t.Errorf("the wallet's subscription ended: %v", err)
	}
	wantNoFailure(t, n)
	t.Logf("%d swaps of the signer in %s (slowest apply %s), %d blocks meanwhile", *swaps, took.Round(time.Millisecond), slowest.Round(time.Millisecond), during.Blocks)
	t.Logf("  slot start to a wallet's newHeads: median %s, worst %s, longest gap between blocks %s", during.Median, during.Worst, during.LongestGap)
	t.Logf("  baseline without swaps:            median %s, worst %s, longest gap between blocks %s", steady.Median, steady.Worst, steady.LongestGap)
	everySlot(t, n, n.Status().MissedOwn)
}

// reload swaps by SIGHUP.
func reload(n *devnet.Node, want string) {
	if err := syscall.Kill(n.PID(), syscall.SIGHUP); err != nil {
		panic(err)
	}
	n.Until("swap by SIGHUP", 20*time.Second, func() bool {
		s := n.Status()
		return s.Roles["signer"].Route.Primary == want && !s.Drift && n.Primary("signer").Plugin == want
	})
}

// wantNoFailure reads the metrics: no call of a signer or of its route failed. Missed slots: everySlot.
func wantNoFailure(t *testing.T, n *devnet.Node) {
	t.Helper()
	calls, good := n.Metric("alys_plugin_calls_total", `kind="signer"`), n.Metric("alys_plugin_calls_total", `kind="signer"`, `code="OK"`)
	if calls == 0 || calls != good {
		t.Errorf("%v calls of signers, %v of them good", calls, good)
	}
	if answers := n.Metric("alys_route_calls_total", `role="signer`, `outcome="answer"`); answers == 0 {
		t.Error("no answers of the signer's route in the metrics")
	}
	for metric, labels := range map[string][]string{
		"alys_route_calls_total":     {`role="signer`, `outcome="failure"`},
		"alys_slots_missed_total":    nil,
		"alys_guard_decisions_total": {`decision="refused"`},
		"alys_plugin_exits_total":    nil,
		"alys_consensus_halted":      nil,
	} {
		if v := n.Metric(metric, labels...); v != 0 {
			t.Errorf("%s%v is %v", metric, labels, v)
		}
	}
}

// TestEndToEndBadSignerIsRefused swaps to signers that lie or have no key: admission says no, and the old one never
// stopped.
func TestEndToEndBadSignerIsRefused(t *testing.T) {
	n := start(t, "")
	n.Edit("primary = plugin.signer.local\n", "primary = plugin.signer.bad\n")
	mode := "none"
	for next, want := range map[string]string{
		"lies-at-once": "did not prove that it can use a key",
		"mute":         "does not hold a key that the route signs with",
	} {
		n.Edit(fmt.Sprintf("mode   = %q", mode), fmt.Sprintf("mode   = %q", next))
		mode = next
		out, ok := n.Alys("apply", "--auto-approve")
		if ok || !strings.Contains(out, want) {
			t.Errorf("%s: applied %v, want a refusal that says %q:\n%s", next, ok, want, out)
		}
		s := n.Status()
		if r := s.Roles["signer"]; r.Route.Primary != "local" || len(r.Generations) != 1 || r.LastSwap == nil || !strings.Contains(r.LastSwap.Reason, want) {
			t.Errorf("%s: route %+v, generations %+v, last swap %+v", next, r.Route, r.Generations, r.LastSwap)
		}
	}
	n.UntilBlocks(1)
	everySlot(t, n, n.Status().MissedOwn)
}

// TestEndToEndBadSignerFlipsBack swaps to signers that are admitted and misbehave later: the old one takes over by itself
// within the slot, the status says why, and nobody tries the same configuration again unasked.
func TestEndToEndBadSignerFlipsBack(t *testing.T) {
	for _, mode := range []string{"lies", "crashes", "hangs"} {
		t.Run(mode, func(t *testing.T) {
			n := start(t, "")
			n.Edit(`mode   = "none"`, fmt.Sprintf("mode   = %q", mode))
			n.Edit("primary = plugin.signer.local\n", "primary = plugin.signer.bad\n")
			if out, ok := n.Alys("apply", "--auto-approve"); !ok || !strings.Contains(out, "probation") {
				t.Fatalf("apply: %v\n%s", ok, out)
			}
			n.Until("flip back", 20*time.Second, func() bool { return n.Status().Roles["signer"].Route.Primary == "local" })
			s := n.Status()
			last := s.Roles["signer"].LastSwap
			if last == nil || last.Outcome != "flipped_back" || last.Reason == "" || len(s.Rejected) != 1 || !s.Drift {
				t.Errorf("last swap %+v, rejected %+v, drift %v", last, s.Rejected, s.Drift)
			} else {
				t.Logf("flipped back: %s", last.Reason)
			}
			n.Until("flip back in the metrics", time.Second, func() bool { return n.Metric("alys_swaps_total", `outcome="flipped_back"`) == 1 })
			if out, _ := n.Alys("status"); !strings.Contains(out, "flipped back") || !strings.Contains(out, "rejected") {
				t.Errorf("the status does not tell:\n%s", out)
			}
			if out, ok := n.Alys("apply", "--auto-approve"); ok || !strings.Contains(out, "--retry") {
				t.Errorf("the rejected configuration was applied again (%v):\n%s", ok, out)
			}
			if err := syscall.Kill(n.PID(), syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			n.UntilBlocks(2)
			if s := n.Status(); s.Roles["signer"].Route.Primary != "local" {
				t.Errorf("after a reload: primary %s", s.Roles["signer"].Route.Primary)
			}
			if out, ok := n.Alys("apply", "--auto-approve", "--retry"); !ok {
				t.Errorf("apply --retry: %s", out)
			}
			n.Edit(fmt.Sprintf("mode   = %q", mode), `mode   = "none"`)
			out, ok := n.Alys("apply", "--auto-approve")
			if !ok && strings.Contains(out, "plan is stale") { // the retried one was flipped back between plan and apply
				out, ok = n.Alys("apply", "--auto-approve")
			}
			if !ok {
				t.Errorf("apply of a repaired configuration: %s", out)
			}
			n.UntilBlocks(2)
			if g := n.Primary("signer"); g.Plugin != "bad" {
				t.Errorf("%s serves, want the repaired one", g.Plugin)
			}
			everySlot(t, n, n.Status().MissedOwn)
		})
	}
}
