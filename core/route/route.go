package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options of a route. The zero value is usable but for Name.
type Options struct {
	Name        string        // the role, for logs and metrics
	Observer    Observer      // nil: nobody
	Budget      time.Duration // of a request that has neither a budget nor a deadline; 0 is 5 s
	StickyAfter int           // no answers of the primary in a row until the fallback is sticky; 0 is 1
	QueueLen    int           // of one target: shadow requests or writes; 0 is 1,024
	QueueBytes  int64         // of one target, by Request.Size; 0 is 64 MiB
	KeepCompare int           // entries of the comparison log; 0 is 1,024
	// OnTrial reports that a target still has to prove itself, as the new plugin of a migration does: against a plugin that
	// has, its verdict never stands. It is called often and without locks of the route. nil: nobody is.
	OnTrial func(ID) bool
}

func (o Options) withDefaults() Options {
	if o.Observer == nil {
		o.Observer = silent{}
	}
	if o.Budget <= 0 {
		o.Budget = 5 * time.Second
	}
	o.StickyAfter = max(o.StickyAfter, 1)
	if o.QueueLen <= 0 {
		o.QueueLen = 1024
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = 64 << 20
	}
	if o.OnTrial == nil {
		o.OnTrial = func(ID) bool { return false }
	}
	if o.KeepCompare <= 0 {
		o.KeepCompare = 1024
	}
	return o
}

// Route points a role at generations. Its methods may be called concurrently.
type Route[C any] struct {
	opts Options
	wg   sync.WaitGroup // workers of queues

	mu      sync.Mutex
	pos     Positions[C]     // guarded by mu, as all below
	serial  uint64           // counts Set
	entries map[ID]*entry[C] // every target in a position or still at work
	held    chan struct{}    // not nil while held; closed by Release
	changed chan struct{}    // closed and replaced when positions or who answers change
	fallen  bool
	broken  bool
	misses  int
	closed  bool
	log     ring[Comparison]
}

// New makes a route without a plugin. It starts nothing.
func New[C any](o Options) *Route[C] {
	o = o.withDefaults()
	return &Route[C]{
		opts:    o,
		entries: map[ID]*entry[C]{},
		changed: make(chan struct{}),
		log:     ring[Comparison]{limit: o.KeepCompare},
	}
}

// Set points the route at other positions, all at once. Calls in flight go on with the positions that they started with;
// Drain waits for them. A target that stays keeps its counts, and stays detached if it was, unless it becomes primary. A
// changed primary or fallback ends a fall back.
func (r *Route[C]) Set(p Positions[C]) error {
	if err := p.validate(); err != nil {
		return err
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return ErrClosed
	}
	r.mu.Unlock()
	var stale []*job
	r.change("positions were set", func() {
		if !sameTarget(p.Primary, r.pos.Primary) || !sameTarget(p.Fallback, r.pos.Fallback) {
			r.fallen = false
		}
		r.misses, r.broken = 0, false
		r.pos = p
		r.serial++
		for _, t := range []Target[C]{p.Primary, p.Fallback, p.Shadow, p.Canary, p.Warm} {
			r.entry(t)
		}
		if p.Primary != nil {
			r.entry(p.Primary).detached = false
		}
		stale = r.dropStale()
		r.prune()
	})
	for _, j := range stale {
		j.drop(errRetired)
	}
	r.signal()
	return nil
}

// errRetired is why a queued shadow request was dropped.
var errRetired = errors.New("target left the route")

func sameTarget[C any](a, b Target[C]) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.ID() == b.ID()
}

// Positions returns what was set last.
func (r *Route[C]) Positions() Positions[C] {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pos
}

// Hold makes new calls wait until Release. Calls in flight go on.
func (r *Route[C]) Hold() {
	r.change("held", func() {
		if r.held == nil {
			r.held = make(chan struct{})
		}
	})
	r.signal()
}

// Release lets waiting calls go on, with the positions of now. Without a Hold it does nothing.
func (r *Route[C]) Release() {
	r.change("released", func() {
		if r.held != nil {
			close(r.held)
			r.held = nil
		}
	})
}

// Quiesce waits until nothing is in flight on the route; it is meant for a held route. Queued shadow requests are
// waited for too, because a shadow of an engine has an order to keep. A target that let the time of a write pass is not: a
// plugin that hangs must not keep the route from leaving it, and one that stays does its writes in its own order anyway.
func (r *Route[C]) Quiesce(ctx context.Context) error {
	r.mu.Lock()
	all := make([]*entry[C], 0, len(r.entries))
	for _, e := range r.entries {
		if e.overdue == 0 {
			all = append(all, e)
		}
	}
	r.mu.Unlock()
	for _, e := range all {
		if err := r.wait(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// Drain waits until no call of this route is on the target. It is meant for a target that no position names any more.
func (r *Route[C]) Drain(ctx context.Context, id ID) error {
	r.mu.Lock()
	e := r.entries[id]
	r.mu.Unlock()
	if e == nil {
		return nil
	}
	return r.wait(ctx, e)
}

func (r *Route[C]) wait(ctx context.Context, e *entry[C]) error {
	for {
		r.mu.Lock()
		n, idle := e.busy(), e.idle
		r.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return fmt.Errorf("wait for %d calls on %s: %w", n, e.id, ctx.Err())
		}
	}
}

// Comparisons returns the comparison log, oldest first.
func (r *Route[C]) Comparisons() []Comparison {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.all()
}

// TargetStatus is one target of a route.
type TargetStatus struct {
	ID        ID
	Positions []Position
	Detached  bool // disagreed on correctness; not asked any more, kept for inspection
	InFlight  int
	Queued    int
	Stats     map[Position]Stats
}

// Status is a route at one moment.
type Status struct {
	Name    string
	State   State
	Targets []TargetStatus // primary first, then in the order of the position constants; retired ones last
}

// Status reports the route and its targets.
func (r *Route[C]) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Status{Name: r.opts.Name, State: r.state()}
	for _, e := range r.entries {
		t := TargetStatus{ID: e.id, Detached: e.detached, InFlight: e.inflight, Queued: len(e.queue), Positions: r.placesOf(e.id), Stats: map[Position]Stats{}}
		for p, tl := range e.tallies {
			t.Stats[p] = tl.stats()
		}
		s.Targets = append(s.Targets, t)
	}
	order := map[Position]int{Primary: 0, Fallback: 1, Shadow: 2, Canary: 3, Warm: 4}
	rank := func(t TargetStatus) int {
		if len(t.Positions) == 0 {
			return len(order)
		}
		return order[t.Positions[0]]
	}
	slices.SortFunc(s.Targets, func(a, b TargetStatus) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a.ID.String(), b.ID.String())
	})
	return s
}

// Window reports what a target did since a moment, calls in answering positions only; it is zero for a target that the route does
// not know.
func (r *Route[C]) Window(id ID, since time.Time) Window {
	r.mu.Lock()
	defer r.mu.Unlock()
	var w Window
	e := r.entries[id]
	if e == nil {
		return w
	}
	for p, t := range e.tallies {
		t.disputed(&w, since)
		if p == Shadow || p == Warm {
			continue
		}
		for _, s := range t.samples.items {
			if s.at.Before(since) {
				continue
			}
			w.Calls++
			if s.failed {
				w.Failures++
			}
		}
		if w.Last == nil && t.last.err != nil && !t.last.at.Before(since) {
			w.Last = t.last.err
		}
		w.Latencies = append(w.Latencies, t.latencies(since)...)
	}
	slices.Sort(w.Latencies)
	return w
}

// Close refuses new calls, drops queued shadow requests, ends running ones and waits for the route's goroutines. Calls
// in flight end with their own contexts.
func (r *Route[C]) Close() error {
	r.mu.Lock()
	r.closed = true
	var dropped []*job
	for _, e := range r.entries {
		dropped = append(dropped, e.clear(true)...)
		if e.cancel != nil {
			e.cancel()
		}
	}
	if r.held != nil {
		close(r.held)
		r.held = nil
	}
	r.mu.Unlock()
	for _, j := range dropped {
		j.drop(ErrClosed)
	}
	r.wg.Wait()
	return nil
}

// watch returns a channel that is closed at the next change of the positions or of who answers.
func (r *Route[C]) watch() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

func (r *Route[C]) signal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.changed)
	r.changed = make(chan struct{})
}

// acquire takes the positions of now for one call and counts it in flight on each of them; while the route is held it
// waits. then, if not nil, runs under the lock.
func (r *Route[C]) acquire(ctx context.Context, then func(*view[C])) (*view[C], error) {
	for {
		r.mu.Lock()
		if r.closed {
			r.mu.Unlock()
			return nil, ErrClosed
		}
		held := r.held
		if held == nil {
			v := r.view()
			for _, e := range v.distinct() {
				e.begin()
			}
			if then != nil {
				then(v)
			}
			r.mu.Unlock()
			return v, nil
		}
		r.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
			return nil, errors.Join(ErrHeld, ctx.Err())
		}
	}
}

func (r *Route[C]) release(v *view[C]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range v.distinct() {
		e.end()
	}
	r.prune()
}
