package devnet_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/alys-node/alys/core/internal/devnet"
)

// TestEndToEndFrozenPluginIsReplaced stops each plugin with SIGSTOP, as a debugger or a full disk does. The node notices by
// its health questions, ends it although it does not run, and starts another. A signer with a fallback misses no slot.
func TestEndToEndFrozenPluginIsReplaced(t *testing.T) {
	t.Parallel()
	n := start(t, "swap {\n  health_interval = \"1s\"\n}\n")
	mustApply(t, n, toLocal, toLocal+"  fallback = plugin.signer.local2\n")
	n.UntilBlocks(1)
	for _, role := range []string{"signer", "sync", "engine"} {
		missed := n.Status().MissedOwn
		old := n.Primary(role)
		at := time.Now()
		if err := syscall.Kill(old.PID, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		n.Until(role+" replaced", 2*time.Minute, func() bool {
			g := replacement(n, role, old.Plugin)
			return g != 0 && g != old.PID
		})
		t.Logf("SIGSTOP of the %s: another process serves after %s (1 s between questions, 2 s for an answer, 3 failures)", role, time.Since(at).Round(10*time.Millisecond))
		n.UntilBlocks(1)
		if err := syscall.Kill(old.PID, 0); err == nil {
			t.Errorf("the frozen %s is still there", role)
		}
		leftovers(t, n, 5, "frozen "+role)
		lost := n.Status().MissedOwn - missed
		share, starved := n.Starved()
		if t.Logf("  own slots missed: %d", lost); role != "engine" && lost > 0 && !starved {
			t.Errorf("%d slots missed with a frozen %s (pressure on the CPU: %.0f %% of the time)", lost, role, 100*share)
		}
	}
	agree(t, n)
}

// replacement is the process of a plugin that is up, 0 when there is none; after a fall back it is not the primary.
func replacement(n *devnet.Node, role, plugin string) int {
	s, _ := n.TryStatus()
	for _, g := range s.Roles[role].Generations {
		if g.Plugin == plugin && (g.State == "ready" || g.State == "degraded") {
			return g.PID
		}
	}
	return 0
}
