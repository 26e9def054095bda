package syncertest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/alys-node/alys/sdk/syncer"
	"github.com/alys-node/alys/sdk/syncertest"
)

// bending is Memory with its events or orders bent on the way.
type bending struct {
	*syncertest.Memory
	event func(*syncer.Event)
	order func(syncer.Order) []syncer.Order
}

func (b bending) Run(ctx context.Context, s syncer.Session) error {
	return b.Memory.Run(ctx, bentSession{s, b})
}

type bentSession struct {
	syncer.Session
	b bending
}

func (s bentSession) Next(ctx context.Context) (syncer.Event, error) {
	e, err := s.Session.Next(ctx)
	if err == nil && s.b.event != nil {
		s.b.event(&e)
	}
	return e, err
}

func (s bentSession) Send(ctx context.Context, o syncer.Order) error {
	for _, o := range s.b.order(o) {
		if err := s.Session.Send(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

func same(o syncer.Order) []syncer.Order { return []syncer.Order{o} }

// broken lists strategies that break one rule each, and a line that the suite must print for it.
func broken() map[string]struct {
	strategy bending
	want     string
} {
	return map[string]struct {
		strategy bending
		want     string
	}{
		"orders heights twice": {bending{order: func(o syncer.Order) []syncer.Order {
			if o.Assign == nil {
				return same(o)
			}
			again := *o.Assign
			again.Batch += 1 << 20
			return []syncer.Order{o, {Epoch: o.Epoch, Assign: &again}}
		}}, "has these heights and is assigned"},
		"uses the epoch before": {bending{order: func(o syncer.Order) []syncer.Order {
			o.Epoch--
			return same(o)
		}}, "order of epoch"},
		"completes at once": {bending{order: func(o syncer.Order) []syncer.Order {
			return same(syncer.Order{Epoch: o.Epoch, Complete: &syncer.Complete{Target: 3000}})
		}}, "complete at 3000 with cursor"},
		"asks the peer that failed": {bending{order: same, event: func(e *syncer.Event) {
			if e.Batch != nil && e.Batch.State == syncer.BatchFailed {
				b := *e.Batch
				b.Peer = "b"
				e.Batch = &b
			}
		}}, "the peer failed just now"},
		"hedges on the same peer": {bending{order: func(o syncer.Order) []syncer.Order {
			if o.Assign == nil || o.Assign.HedgeOf != 0 {
				return same(o)
			}
			again := *o.Assign
			again.Batch, again.HedgeOf = again.Batch+1<<20, again.Batch
			return []syncer.Order{o, {Epoch: o.Epoch, Assign: &again}}
		}}, "the hedge is on the same peer"},
		"hedges other heights": {bending{order: func(o syncer.Order) []syncer.Order {
			if o.Assign == nil || o.Assign.HedgeOf == 0 {
				return same(o)
			}
			shorter := *o.Assign
			shorter.Range.To--
			return []syncer.Order{{Epoch: o.Epoch, Assign: &shorter}}
		}}, "has another range"},
		"goes round in circles": {bending{order: func(o syncer.Order) []syncer.Order {
			if o.Assign == nil {
				return same(o)
			}
			return same(syncer.Order{Epoch: o.Epoch, Cancel: &syncer.Cancel{Batch: o.Assign.Batch}})
		}}, "more than 5000 orders"},
		"sends without credit": {bending{order: same, event: func(e *syncer.Event) { e.Credits += 100 }}, "order without credit"},
		"asks for too many heights": {bending{order: func(o syncer.Order) []syncer.Order {
			if o.Assign == nil || o.Assign.Range.From > 200 {
				return same(o)
			}
			long := *o.Assign
			long.Range.To = long.Range.From + 1024
			return []syncer.Order{{Epoch: o.Epoch, Assign: &long}}
		}}, "1025 heights"},
	}
}

// TestBrokenStrategy runs the suite on one broken strategy. It is started by TestSuiteFindsBrokenStrategies only.
func TestBrokenStrategy(t *testing.T) {
	which, ok := broken()[os.Getenv("ALYS_BROKEN")]
	if !ok {
		t.Skip("run by TestSuiteFindsBrokenStrategies")
	}
	which.strategy.Memory = syncertest.NewMemory()
	syncertest.Run(t, syncertest.Harness{
		New: func(*testing.T) syncer.Strategy { return which.strategy }, Stall: 100 * time.Millisecond,
	})
}

func TestSuiteFindsBrokenStrategies(t *testing.T) {
	for name, b := range broken() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBrokenStrategy$/^(good_peers|one_peer|a_failed|a_single|the_host)")
			cmd.Env = append(os.Environ(), "ALYS_BROKEN="+name)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("the suite passes")
			}
			if !strings.Contains(string(out), b.want) {
				t.Errorf("the suite does not say %q:\n%s", b.want, out)
			}
		})
	}
}
