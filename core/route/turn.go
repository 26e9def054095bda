package route

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Faults that cost a session the wheel.
var (
	errSilent  = errors.New("session was silent while work waited")
	errNotRead = errors.New("session did not read its events")
	errEnded   = errors.New("session ended by itself")
)

// session runs one session to its end. fault is why the plugin lost the wheel, nil when the route changed or ctx ended;
// ordered says that it gave at least one order.
func (s *Stream[C, E, O]) session(ctx context.Context, t turn[C]) (fault error, ordered bool) {
	started := time.Now()
	served, cancel := context.WithCancel(ctx)
	defer cancel()
	sess := s.begin(t)
	var shadows sync.WaitGroup
	s.beginShadows(served, t, &shadows)
	done := make(chan error, 1)
	go func() { done <- safely(func() error { return s.opts.Serve(served, t.client, sess) }) }()
	fault, over := s.steer(ctx, t, sess, done)
	life := s.finish()
	if fault != nil || ctx.Err() != nil {
		cancel() // frozen, dead or stopping: no grace
	}
	if !over {
		grace := time.AfterFunc(s.opts.Grace, cancel)
		<-done
		grace.Stop()
	}
	cancel()
	shadows.Wait()
	if fault != nil {
		s.route.record(t.attempt.entry, t.attempt.position, started, fault, false)
	}
	return fault, life.gaveOrder()
}

// begin makes the next epoch and gives it the wheel.
func (s *Stream[C, E, O]) begin(t turn[C]) *Session[E, O] {
	s.mu.Lock()
	s.epoch++
	sess := newSession(s.epoch, s.opts.Buffer, s.order)
	s.current, s.signs = sess, &signs{last: time.Now()}
	var first sync.Once
	s.onOrder = func(started time.Time) {
		first.Do(func() { s.route.answered(t.view, t.attempt.position, t.missed, "") })
		s.route.record(t.attempt.entry, t.attempt.position, started, nil, false)
	}
	s.mu.Unlock()
	sess.start(s.opts.Stamp(s.opts.Snapshot(sess.epoch), sess.epoch))
	return sess
}

// finish takes the wheel away: from here on, orders of the epoch are refused.
func (s *Stream[C, E, O]) finish() *signs {
	s.wheel.Lock()
	defer s.wheel.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current.stop()
	for _, sh := range s.shadows {
		sh.stop()
	}
	s.current, s.shadows = nil, nil
	return s.signs
}

// order carries out one order of the session that has the wheel. The lock makes an order and the loss of the wheel
// exclude each other.
func (s *Stream[C, E, O]) order(ctx context.Context, from *Session[E, O], o O) error {
	s.wheel.Lock()
	defer s.wheel.Unlock()
	s.mu.Lock()
	current, epoch, life, count := s.current, s.epoch, s.signs, s.onOrder
	s.mu.Unlock()
	if current != from || s.opts.EpochOf(o) != from.epoch {
		return fmt.Errorf("order of epoch %d, the wheel is at %d: %w", s.opts.EpochOf(o), epoch, ErrStaleEpoch)
	}
	started := time.Now()
	err := s.opts.Handle(ctx, o)
	life.seen(time.Now(), true)
	count(started)
	return err
}

// beginShadows gives the same events to everyone who is compared; their orders go nowhere.
func (s *Stream[C, E, O]) beginShadows(ctx context.Context, t turn[C], wg *sync.WaitGroup) {
	for _, a := range t.view.samples(Request{}, []*entry[C]{t.attempt.entry}) {
		client, err := a.entry.client()
		if err != nil {
			continue
		}
		epoch := s.Epoch()
		sess := newSession(epoch, s.opts.Buffer, func(_ context.Context, _ *Session[E, O], o O) error {
			s.route.record(a.entry, a.position, time.Now(), nil, false)
			if s.opts.Shadowed != nil {
				s.opts.Shadowed(a.entry.id, o)
			}
			return nil
		})
		s.mu.Lock()
		s.shadows = append(s.shadows, sess)
		s.mu.Unlock()
		sess.start(s.opts.Stamp(s.opts.Snapshot(epoch), epoch))
		wg.Go(func() {
			started := time.Now()
			if err := safely(func() error { return s.opts.Serve(ctx, client, sess) }); err != nil && ctx.Err() == nil {
				s.route.record(a.entry, a.position, started, err, false)
			}
		})
	}
}

// steer watches a session. over says that Serve has returned.
func (s *Stream[C, E, O]) steer(ctx context.Context, t turn[C], sess *Session[E, O], done <-chan error) (fault error, over bool) {
	tick := time.NewTicker(max(s.opts.Watchdog/8, time.Millisecond))
	defer tick.Stop()
	changed, fallen := t.changed, t.view.fallen
	for {
		select {
		case <-ctx.Done():
			return nil, false
		case err := <-done:
			if ctx.Err() != nil {
				return nil, true
			}
			if err == nil {
				err = errEnded
			}
			return err, true
		case <-sess.slow:
			return errNotRead, false
		case <-changed:
			changed = s.route.watch()
			if !s.route.stillAt(t, &fallen) {
				return nil, false
			}
		case now := <-tick.C:
			if s.quiet(now) {
				return errSilent, false
			}
		}
	}
}

// quiet reports that the watchdog's time has passed without an order while work waited.
func (s *Stream[C, E, O]) quiet(now time.Time) bool {
	s.mu.Lock()
	life := s.signs
	s.mu.Unlock()
	if !s.opts.Waiting() {
		life.seen(now, false)
		return false
	}
	return life.silence(now) >= s.opts.Watchdog
}

// stillAt reports that the route would give the wheel to the same target as before. fallen is what was known of the fall
// back until now, and is brought up to date.
func (r *Route[C]) stillAt(t turn[C], fallen *bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held != nil || r.closed || r.serial != t.view.serial || t.attempt.entry.detached {
		return false
	}
	if r.fallen == *fallen {
		return true
	}
	*fallen = r.fallen
	return r.answers(t.attempt.entry.id) // it fell back to this very session, or was promoted to it
}

// pause waits longer each time: 100 ms, doubled up to 5 s.
type pause struct{ next time.Duration }

func newPause() *pause { return &pause{next: 100 * time.Millisecond} }

func (p *pause) reset() { p.next = 100 * time.Millisecond }

func (p *pause) wait(ctx context.Context, changed <-chan struct{}) {
	t := time.NewTimer(p.next)
	defer t.Stop()
	p.next = min(2*p.next, 5*time.Second)
	select {
	case <-t.C:
	case <-changed:
	case <-ctx.Done():
	}
}
