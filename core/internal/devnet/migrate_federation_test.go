package devnet_test

import (
	"strings"
	"testing"
	"time"

	"github.com/alys-node/alys/core/internal/devnet"
	"github.com/alys-node/alys/core/migrate"
	"github.com/alys-node/alys/core/spec"
)

// toV5 are blocks of alys.hcl: the old engine, and the migration away from it with soaks of a test.
const toV5 = `swap {
  probation       = "1s"
  probation_calls = 2
}

plugin "engine" "v4" {
  command = "alys-engine-v4"
}

migration "engine-v5" {
  role            = "engine"
  from            = plugin.engine.v4
  to              = plugin.engine.v5
  health_interval = "1s"

  gate "same_answers" {
    metric = "correctness"
  }
  gate "errors" {
    metric = "error_rate"
    good   = 0.01
    bad    = 0.5
  }

  step "shadow" {
    primary     = plugin.engine.v4
    shadow      = plugin.engine.v5
    soak        = "4s"
    min_samples = 3
  }
  step "canary" {
    primary = plugin.engine.v4
    soak    = "4s"
    canary {
      plugin  = plugin.engine.v5
      percent = 50
    }
  }
  step "v5-primary" {
    primary  = plugin.engine.v5
    fallback = plugin.engine.v4
    soak     = "4s"
  }
  step "v5-only" {
    primary = plugin.engine.v5
    soak    = "2s"
  }
}

role "engine" {
  primary = plugin.engine.v4
}
`

// TestEndToEndFederationMigrates brings the four nodes of a live chain with transactions from one engine to the next, each by
// its own schedule and a few seconds after the one before. One of them is killed in the middle and goes on in its step. No
// slot is without its block but those of the killed one, no wallet is refused, and all have one chain.
func TestEndToEndFederationMigrates(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	nodes := devnet.NewFederation(t, binaries, 4)
	for _, n := range nodes {
		n.Edit("role \"engine\" {\n  primary = plugin.engine.v5\n}\n", toV5)
		n.Launch()
	}
	height(t, time.Minute, 4, 3, nodes...)
	const victim = 3
	killed := nodes[victim]
	wallets := walk(t, nodes[0], 250*time.Millisecond, nodes[1:victim]...)
	begin := time.Now()
	for _, n := range nodes {
		if out, ok := n.Alys("migrate", "start", "engine-v5", "--auto-approve"); !ok {
			t.Fatal(out)
		}
		rest(t, 3*time.Second)
	}

	in := func(n *devnet.Node, state migrate.State, step string) func() bool {
		return func() bool {
			s, ok := n.Migration("engine-v5")
			if ok && s.State == migrate.StateRolledBack {
				t.Fatalf("it went back in step %s: %s", s.StepName, s.Reason)
			}
			return ok && s.State == state && (step == "" || s.StepName == step)
		}
	}
	killed.Until("the victim is in its canary", time.Minute, in(killed, migrate.StateSoaking, "canary"))
	dead := time.Now()
	killed.Kill()
	killed.UntilGone(10 * time.Second)
	killed.Launch()
	killed.Until("the victim goes on in its canary", time.Minute, in(killed, migrate.StateSoaking, "canary"))
	t.Logf("killed in mid-run: in its step again after %s", time.Since(dead).Round(time.Millisecond))
	killed.Until("it signs again", time.Minute, func() bool { s, ok := killed.TryStatus(); return ok && s.Ready && s.Authored > 0 })
	alive := time.Now()

	for _, n := range nodes {
		n.Until("it has finished", 2*time.Minute, in(n, migrate.StateFinished, ""))
	}
	t.Logf("all on v5 after %s", time.Since(begin).Round(time.Second))
	nodes[0].UntilBlocks(2)
	wallets.stop()
	for _, n := range nodes {
		if out, ok := n.Alys("migrate", "edit", "engine-v5", "--write"); !ok {
			t.Error(out)
		}
		if out, ok := n.Alys("apply", "--auto-approve"); !ok || !strings.Contains(strings.ToLower(out), "no changes") {
			t.Errorf("apply after the edit: %v\n%s", ok, out)
		}
		if r := n.Status().Roles["engine"]; r.Route.Primary != "v5" || len(r.Generations) != 1 {
			t.Errorf("route %+v, %d engines run", r.Route, len(r.Generations))
		}
		if out, ok := n.Alys("audit", "verify"); !ok {
			t.Error(out)
		}
	}
	oneChain(t, nodes)
	filled(t, nodes[0], victim, dead, alive)
}

// filled wants a block in every slot of a stopped node's chain, but for those of an authority while it was away. On a machine
// without CPU for the nodes it is told and not judged.
func filled(t *testing.T, n *devnet.Node, away int, from, to time.Time) {
	t.Helper()
	s, ok := spec.BuiltIn("dev-4")
	if !ok {
		t.Fatal("no such chain")
	}
	headers, err := n.Chain()
	if err != nil {
		t.Fatal(err)
	}
	lost, excused := 0, 0
	for i := 4; i < len(headers); i++ { // the first ones come while nodes still start
		for slot := headers[i-1].Slot + 1; slot < headers[i].Slot; slot++ {
			author, _ := s.Agreement().Author(slot, headers[i].Height)
			start := s.Agreement().SlotStart(slot).Time()
			if author == away && start.After(from.Add(-2*time.Second)) && start.Before(to) {
				excused++
				continue
			}
			lost++
			t.Logf("no block in slot %d of authority %d at %s", slot, author, start.Format(time.TimeOnly))
		}
	}
	t.Logf("%d blocks, %d slots of the killed node without one, %d others", len(headers), excused, lost)
	if share, starved := n.Starved(); lost > 0 && starved {
		t.Logf("NOT JUDGED: processes of this machine waited for a CPU for %.0f %% of the time", 100*share)
	} else if lost > 0 {
		t.Errorf("%d slots were lost", lost)
	}
}
