package syncertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
)

// DefaultStall is Harness.Stall where none is given.
const DefaultStall = 20 * time.Second

// Harness tells Run how to bring up the strategy under test.
type Harness struct {
	// New brings up a strategy. What it starts ends at t's cleanup.
	New func(t *testing.T) syncer.Strategy
	// Stall ends a session in which nothing has happened for so long, neither an event taken nor an order given: the
	// strategy has stalled. 0 means DefaultStall; the simulation answers at once, so a strategy in the test's own process
	// can do with much less.
	Stall time.Duration
}

// peer is a simulated peer that has the heights low to head.
func peer(id string, low, head chain.Height) syncer.Peer {
	return syncer.Peer{
		ID: syncer.PeerID(id), Group: "10.0.0.0/24", Low: low,
		Head:          chain.Ref{Height: head, Hash: chain.Hash{byte(head)}},
		LatencyMillis: 20, BytesPerSecond: 1 << 20,
	}
}

func scenarios() []struct {
	name string
	scenario
} {
	a, b := peer("a", 0, 3000), peer("b", 0, 3000)
	late := peer("late", 0, 500)
	return []struct {
		name string
		scenario
	}{
		{"good peers serve every height once", scenario{target: 3000, peers: []syncer.Peer{a, b, peer("c", 0, 3000)}}},
		{"one peer is enough", scenario{target: 3000, peers: []syncer.Peer{a}}},
		{"one height is left", scenario{cursor: 2999, target: 3000, peers: []syncer.Peer{a}}},
		{"nothing is left", scenario{cursor: 3000, target: 3000, peers: []syncer.Peer{a}}},
		{"a single credit is enough", scenario{target: 1500, credits: 1, peers: []syncer.Peer{a, b}}},
		{"a peer is asked only for what it has", scenario{target: 3000, peers: []syncer.Peer{
			peer("low", 0, 1000), peer("high", 900, 3000),
		}}},
		{"a peer comes late", scenario{target: 500, latePeer: &late}},
		{"the target moves after completion", scenario{target: 500, lateTip: 900, peers: []syncer.Peer{a, b}}},
		{"a session goes on with the batches of the one before", scenario{
			epoch: 7, cursor: 100, target: 1500, peers: []syncer.Peer{a, b}, batches: []syncer.Batch{
				{ID: 11, Range: syncer.Range{From: 101, To: 200}, Peer: "a", State: syncer.BatchAssigned},
				{ID: 12, Range: syncer.Range{From: 301, To: 400}, Peer: "b", State: syncer.BatchDownloaded},
			},
		}},
		{"a failed batch goes to another peer", scenario{target: 1400, peers: []syncer.Peer{a, b}, serve: failEvery(failed)}},
		{"a lying peer's batch goes to another peer", scenario{target: 1500, peers: []syncer.Peer{a, b}, serve: failEvery(lied)}},
		{"a refused order is not the end", scenario{target: 1500, peers: []syncer.Peer{a, b}, serve: failEvery(refused)}},
		{"the only peer fails once", scenario{target: 500, peers: []syncer.Peer{a}, serve: onFirst(failed)}},
		{"a peer vanishes in the middle of a batch", scenario{
			target: 1500, peers: []syncer.Peer{a, b}, serve: onFirst(vanishing),
		}},
	}
}

// failEvery lets every third assignment fail.
func failEvery(o outcome) func(int, syncer.Assign) outcome {
	return func(n int, _ syncer.Assign) outcome {
		if n%3 == 0 {
			return o
		}
		return served
	}
}

// onFirst lets the first assignment fail.
func onFirst(o outcome) func(int, syncer.Assign) outcome {
	return func(n int, _ syncer.Assign) outcome {
		if n == 0 {
			return o
		}
		return served
	}
}

// Run checks a strategy against the contract of sdk/syncer, one subtest a course of events.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.Stall == 0 {
		h.Stall = DefaultStall
	}
	for _, test := range scenarios() {
		t.Run(test.name, func(t *testing.T) {
			sim := newSimulation(test.scenario)
			wantNoError(t, h.runSession(t, h.New(t), sim))
			sim.wantDone(t)
		})
	}
	t.Run("the host ends a session in the middle", func(t *testing.T) {
		sim := newSimulation(scenario{target: 3000, peers: []syncer.Peer{peer("a", 0, 3000)}, endAt: 1})
		wantNoError(t, h.runSession(t, h.New(t), sim))
		sim.wantNoFaults(t)
	})
	t.Run("a second session has its own epoch and no memory", func(t *testing.T) {
		s := h.New(t)
		for epoch := syncer.Epoch(3); epoch <= 4; epoch++ {
			sim := newSimulation(scenario{epoch: epoch, target: 300, peers: []syncer.Peer{
				peer(fmt.Sprintf("peer of epoch %d", epoch), 0, 300),
			}})
			wantNoError(t, h.runSession(t, s, sim))
			sim.wantDone(t)
		}
	})
	t.Run("an ended context ends the session", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		s := h.New(t)
		sim := newSimulation(scenario{target: 3000}) // no peer: the strategy waits
		go func() { done <- s.Run(ctx, sim) }()
		cancel()
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got error %v, want %v", err, context.Canceled)
			}
		case <-time.After(h.Stall):
			t.Fatal("the session does not end")
		}
	})
}

// errStalled ends a session.
var errStalled = errors.New("the strategy stalled")

func (h Harness) runSession(t *testing.T, s syncer.Strategy, sim *simulation) error {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	timer := time.AfterFunc(h.Stall, func() { cancel(errStalled) })
	defer timer.Stop()
	sim.alive = func() { timer.Reset(h.Stall) }
	err := s.Run(ctx, sim)
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
		return cause
	}
	return err
}

func wantNoError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("session ended with %v", err)
	}
}

func (s *simulation) wantNoFaults(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		t.Error(f)
	}
}

// wantDone wants every height imported and completion said.
func (s *simulation) wantDone(t *testing.T) {
	t.Helper()
	s.wantNoFaults(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cursor != s.target || !s.complete {
		t.Errorf("cursor %d, target %d, complete %v: the strategy stalled", s.cursor, s.target, s.complete)
	}
}
