package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/alys-node/alys/core/follow"
	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
)

// wheel is the sync role: a stream of events to the strategy that has the wheel, and of its orders.
type wheel = route.Stream[syncer.Strategy, syncer.Event, syncer.Order]

// newWheel connects the sync role with the data plane that carries out its orders.
func newWheel(r *route.Route[syncer.Strategy], f *follow.Follower) *wheel {
	return route.NewStream(r, route.StreamOptions[syncer.Strategy, syncer.Event, syncer.Order]{
		Serve: func(ctx context.Context, s syncer.Strategy, session *route.Session[syncer.Event, syncer.Order]) error {
			return s.Run(ctx, session)
		},
		Snapshot: func(e route.Epoch) syncer.Event { return stamped(f.Snapshot(), e) },
		Stamp:    stamped,
		EpochOf:  func(o syncer.Order) route.Epoch { return route.Epoch(o.Epoch) },
		Handle:   f.Handle,
		Waiting:  f.Waiting,
	})
}

func stamped(e syncer.Event, epoch route.Epoch) syncer.Event {
	e.Epoch = syncer.Epoch(epoch)
	return e
}

// Trace limits: a strategy that does not finish a small trace in this many orders is not sane.
const (
	traceHeights = 64
	traceOrders  = 256
	traceTime    = 10 * time.Second
)

// errEndedEarly means that a strategy ended its session by itself, without an error.
var errEndedEarly = errors.New("the session ended before it was complete")

// trySync runs a strategy over a recorded trace, with two good peers and a gap of 64 blocks: it must order every height
// once, hedges apart, give only orders that fit, and then be complete.
func trySync(ctx context.Context, s syncer.Strategy) error {
	t := &trace{events: make(chan syncer.Event, 4*traceOrders), over: make(chan struct{}), ordered: map[chain.Height]bool{}, batches: map[syncer.BatchID]syncer.Assign{}}
	head := chain.Ref{Height: traceHeights}
	t.events <- syncer.Event{Epoch: 1, Credits: traceOrders, Snapshot: &syncer.Snapshot{
		Target: traceHeights,
		Peers: []syncer.Peer{
			{ID: "trace-1", Group: "192.0.2.0/24", Head: head, LatencyMillis: 5, BytesPerSecond: 10 << 20},
			{ID: "trace-2", Group: "198.51.100.0/24", Head: head, LatencyMillis: 9, BytesPerSecond: 5 << 20},
		},
	}}
	ctx, cancel := context.WithTimeout(ctx, traceTime)
	defer cancel()
	err := s.Run(ctx, t)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fault == nil && t.complete {
		return nil
	}
	why := errors.Join(t.fault, err, ctx.Err())
	if why == nil {
		why = errEndedEarly
	}
	return fmt.Errorf("%w: %d of %d heights ordered: %w", errInsaneOrders, len(t.ordered), traceHeights, why)
}

// trace is a session with a simulated host: every assigned batch is downloaded and imported at once.
type trace struct {
	events chan syncer.Event
	over   chan struct{} // closed when the trace is complete or a fault was seen

	mu       sync.Mutex // guards all below
	ordered  map[chain.Height]bool
	batches  map[syncer.BatchID]syncer.Assign
	orders   int
	complete bool
	fault    error
}

// Next implements syncer.Session.
func (t *trace) Next(ctx context.Context) (syncer.Event, error) {
	select {
	case <-t.over:
		return syncer.Event{}, io.EOF
	default:
	}
	select {
	case e := <-t.events:
		return e, nil
	case <-t.over:
		return syncer.Event{}, io.EOF
	case <-ctx.Done():
		return syncer.Event{}, ctx.Err()
	}
}

// Send implements syncer.Session.
func (t *trace) Send(_ context.Context, o syncer.Order) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.complete || t.fault != nil {
		return t.fault
	}
	defer func() {
		if t.complete || t.fault != nil {
			close(t.over)
		}
	}()
	t.orders++
	switch {
	case t.orders > traceOrders:
		t.fault = errors.New("too many orders")
	case o.Epoch != 1:
		t.fault = syncer.ErrStaleEpoch
	case o.Assign != nil:
		t.assign(*o.Assign)
	case o.Complete != nil && len(t.ordered) == traceHeights:
		t.complete = true
	case o.Complete != nil:
		t.fault = fmt.Errorf("complete at %d of %d heights", len(t.ordered), traceHeights)
	}
	return t.fault
}

func (t *trace) assign(a syncer.Assign) {
	if a.Peer != "trace-1" && a.Peer != "trace-2" || a.Range.Len() == 0 || a.Range.From == 0 || a.Range.To > traceHeights {
		t.fault = fmt.Errorf("range %d to %d of peer %q: %w", a.Range.From, a.Range.To, a.Peer, syncer.ErrBadOrder)
		return
	}
	if _, used := t.batches[a.Batch]; used {
		t.fault = fmt.Errorf("batch %d ordered twice: %w", a.Batch, syncer.ErrBadOrder)
		return
	}
	t.batches[a.Batch] = a
	if a.HedgeOf != 0 {
		t.hedge(a)
		return
	}
	for h := a.Range.From; h <= a.Range.To; h++ {
		if t.ordered[h] {
			t.fault = fmt.Errorf("height %d ordered twice", h)
			return
		}
		t.ordered[h] = true
	}
	b := syncer.Batch{ID: a.Batch, Range: a.Range, Peer: a.Peer, Bytes: a.Range.Len() << 10, Millis: 5}
	for _, state := range []syncer.BatchState{syncer.BatchDownloaded, syncer.BatchImported} {
		b.State = state
		done := b
		t.events <- syncer.Event{Epoch: 1, Batch: &done}
	}
	t.events <- syncer.Event{Epoch: 1, Tip: &syncer.Tip{Cursor: a.Range.To, Target: traceHeights}}
}

// hedge answers a hedge: the first batch was served at once, so the second has lost.
func (t *trace) hedge(a syncer.Assign) {
	first, known := t.batches[a.HedgeOf]
	if !known || first.Range != a.Range || first.Peer == a.Peer || first.HedgeOf != 0 {
		t.fault = fmt.Errorf("batch %d does not hedge batch %d on another peer: %w", a.Batch, a.HedgeOf, syncer.ErrBadOrder)
		return
	}
	lost := syncer.Batch{ID: a.Batch, Range: a.Range, Peer: a.Peer, State: syncer.BatchCancelled, HedgeOf: a.HedgeOf}
	t.events <- syncer.Event{Epoch: 1, Batch: &lost}
}
