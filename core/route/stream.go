package route

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// StreamOptions of a stream of events E to a plugin and of orders O from it.
type StreamOptions[C, E, O any] struct {
	// Serve runs one session on a plugin and returns when it is over. It must end with its context.
	Serve func(context.Context, C, *Session[E, O]) error
	// Snapshot is the first event of a session: everything that a strategy needs to go on where another one was. Events
	// published while it is made come after it, and may tell what it tells.
	Snapshot func(Epoch) E
	// Stamp puts the epoch of a session into an event.
	Stamp func(E, Epoch) E
	// EpochOf reads the epoch of an order.
	EpochOf func(O) Epoch
	// Handle carries out an order of the session that has the wheel, one at a time. It must be quick; it may Publish.
	Handle func(context.Context, O) error
	// Shadowed is told what a shadow would have ordered; nil: nobody.
	Shadowed func(ID, O)
	// Waiting reports that work waits for orders. Silence is a fault only then; nil: always.
	Waiting func() bool
	// Watchdog is the longest silence while work waits; 0 is 10 s.
	Watchdog time.Duration
	// Buffer is how many events may wait for a session that does not read; 0 is 4,096.
	Buffer int
	// Grace is what an ended session has to return before its context ends; 0 is 1 s.
	Grace time.Duration
}

// Stream gives the wheel to one plugin of a route at a time. When its session dies, is silent too long or does not read
// its events, the next position takes the wheel with a fresh snapshot. A change of the route starts a new epoch. A
// canary's share is drawn by the number of the epoch.
type Stream[C, E, O any] struct {
	route *Route[C]
	opts  StreamOptions[C, E, O]

	wheel   sync.Mutex // held while an order is carried out, and to take the wheel away; before mu
	mu      sync.Mutex
	epoch   Epoch            // guarded by mu, as all below
	current *Session[E, O]   // has the wheel; nil between sessions
	shadows []*Session[E, O] // get the events too
	signs   *signs           // of the current session
	onOrder func(time.Time)
}

// NewStream makes a stream over a route. It starts nothing.
func NewStream[C, E, O any](r *Route[C], o StreamOptions[C, E, O]) *Stream[C, E, O] {
	if o.Watchdog <= 0 {
		o.Watchdog = 10 * time.Second
	}
	if o.Buffer <= 0 {
		o.Buffer = 4096
	}
	if o.Grace <= 0 {
		o.Grace = time.Second
	}
	if o.Waiting == nil {
		o.Waiting = func() bool { return true }
	}
	if o.Stamp == nil {
		o.Stamp = func(e E, _ Epoch) E { return e }
	}
	return &Stream[C, E, O]{route: r, opts: o}
}

// Epoch is the number of the session that has, or had last, the wheel; 0 before the first.
func (s *Stream[C, E, O]) Epoch() Epoch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// Publish tells an event to the session that has the wheel and to shadows. It never waits; without a session it is
// lost, which is no harm because a session starts with a snapshot.
func (s *Stream[C, E, O]) Publish(e E) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return
	}
	e = s.opts.Stamp(e, s.epoch)
	s.current.offer(e)
	for _, sh := range s.shadows {
		sh.offer(e)
	}
}

// Run gives the wheel to one session after another until ctx ends, and then returns nil; ErrClosed when the route was
// closed. It must not run twice at a time.
func (s *Stream[C, E, O]) Run(ctx context.Context) error {
	pause := newPause()
	var avoid *entry[C]
	for ctx.Err() == nil {
		changed := s.route.watch()
		v, err := s.route.acquire(ctx, nil)
		if err != nil {
			if errors.Is(err, ErrClosed) {
				return err
			}
			break
		}
		a, client, ok := s.pick(v, avoid)
		if !ok {
			s.route.unanswered(v)
			s.route.release(v)
			pause.wait(ctx, changed)
			avoid = nil
			continue
		}
		fault, ordered := s.session(ctx, turn[C]{view: v, attempt: a, client: client, missed: avoid != nil || a.entry != v.primary, changed: changed})
		s.route.release(v)
		if ordered {
			pause.reset()
		}
		if fault == nil {
			avoid = nil
			continue
		}
		avoid = a.entry
		if v.probation || len(v.order(Request{Slot: nil})) == 1 {
			avoid = nil
			pause.wait(ctx, changed)
		}
	}
	return nil
}

// pick chooses who gets the wheel: the first in turn that can be called, and the one that failed a moment ago last.
func (s *Stream[C, E, O]) pick(v *view[C], avoid *entry[C]) (attempt[C], C, bool) {
	var last *attempt[C]
	order := v.order(Request{Key: fmt.Appendf(nil, "epoch %d", s.Epoch()+1)})
	for i, a := range order {
		if a.entry == avoid {
			last = &order[i]
			continue
		}
		if c, err := a.entry.client(); err == nil {
			return a, c, true
		}
	}
	if last != nil {
		if c, err := last.entry.client(); err == nil {
			return *last, c, true
		}
	}
	var zero C
	return attempt[C]{}, zero, false
}

// turn is one session to be run.
type turn[C any] struct {
	view    *view[C]
	attempt attempt[C]
	client  C
	missed  bool // the primary was passed over
	changed <-chan struct{}
}
