package route_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alys-node/alys/core/route"
)

type event struct {
	epoch    route.Epoch
	snapshot bool
	n        int
}

type order struct {
	epoch route.Epoch
	from  string
}

type session = route.Session[event, order]

// strategies is a stream whose plugins order once for every event.
type strategies struct {
	*route.Stream[*plugin, event, order]
	mu       sync.Mutex
	handled  []order
	sessions []*session
	shadowed int
	idle     bool
	mute     map[string]bool // gives no orders
	dies     map[string]bool // ends with an error at its first event
}

func newStream(t *testing.T, r *route.Route[*plugin]) *strategies {
	t.Helper()
	s := &strategies{mute: map[string]bool{}, dies: map[string]bool{}}
	s.Stream = route.NewStream(r, route.StreamOptions[*plugin, event, order]{
		Serve:    s.serve,
		Snapshot: func(e route.Epoch) event { return event{epoch: e, snapshot: true} },
		Stamp:    func(e event, n route.Epoch) event { e.epoch = n; return e },
		EpochOf:  func(o order) route.Epoch { return o.epoch },
		Handle: func(_ context.Context, o order) error {
			s.keep(func() { s.handled = append(s.handled, o) })
			return nil
		},
		Shadowed: func(route.ID, order) { s.keep(func() { s.shadowed++ }) },
		Waiting: func() (w bool) {
			s.keep(func() { w = !s.idle })
			return w
		},
		Buffer: 16,
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return s
}

func (s *strategies) keep(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *strategies) serve(ctx context.Context, p *plugin, sess *session) error {
	s.keep(func() { s.sessions = append(s.sessions, sess) })
	for {
		e, err := sess.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var mute, dies bool
		s.keep(func() { mute, dies = s.mute[p.label], s.dies[p.label] })
		if dies {
			return errGone
		}
		if mute {
			continue
		}
		if err := sess.Send(ctx, order{epoch: e.epoch, from: p.label}); err != nil && !errors.Is(err, route.ErrStaleEpoch) {
			return err
		}
	}
}

// last is who gave the last order.
func (s *strategies) last() (from string) {
	s.keep(func() {
		if n := len(s.handled); n > 0 {
			from = s.handled[n-1].from
		}
	})
	return from
}

func TestStreamSessionStartsWithASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRoute(t, positions{Primary: newPlugin("a")}, route.Options{})
		s := newStream(t, r)
		synctest.Wait()
		for n := range 3 {
			s.Publish(event{n: n})
		}
		synctest.Wait()
		if len(s.handled) != 4 || s.Epoch() != 1 {
			t.Errorf("orders %v at epoch %d", s.handled, s.Epoch())
		}
	})
}

func TestStreamFlipIsANewEpochAndOldOrdersAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newPlugin("a")
		r, _ := newRoute(t, positions{Primary: a}, route.Options{})
		s := newStream(t, r)
		synctest.Wait()
		if err := r.Set(positions{Primary: newPlugin("b")}); err != nil {
			t.Fatal(err)
		}
		if err := r.Drain(t.Context(), a.ID()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s.Epoch() != 2 || s.last() != "b" {
			t.Fatalf("epoch %d, last order of %q", s.Epoch(), s.last())
		}
		for _, o := range []order{{epoch: 1}, {epoch: 2}} {
			if err := s.sessions[0].Send(t.Context(), o); !errors.Is(err, route.ErrStaleEpoch) {
				t.Errorf("order of epoch %d by the old session: %v", o.epoch, err)
			}
		}
		if err := s.sessions[1].Send(t.Context(), order{epoch: 1}); !errors.Is(err, route.ErrStaleEpoch) {
			t.Errorf("order of an old epoch by the new session: %v", err)
		}
	})
}

func TestStreamSilentPrimaryLosesTheWheel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRoute(t, positions{Primary: newPlugin("a"), Fallback: newPlugin("b")}, route.Options{})
		s := newStream(t, r)
		synctest.Wait()
		s.keep(func() { s.mute["a"] = true })
		<-time.After(5 * time.Second)
		synctest.Wait()
		if s.last() != "a" {
			t.Fatalf("last order of %q", s.last())
		}
		<-time.After(10 * time.Second)
		synctest.Wait()
		if s.last() != "b" || r.State() != route.FallenBack || s.Epoch() != 2 {
			t.Errorf("last order of %q, state %s, epoch %d", s.last(), r.State(), s.Epoch())
		}
		s.keep(func() { s.mute["a"] = false })
		if err := r.Promote(); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		synctest.Wait()
		if s.last() != "a" {
			t.Errorf("after promotion the last order is of %q", s.last())
		}
	})
}

func TestStreamSilenceWithoutWorkIsNoFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRoute(t, positions{Primary: newPlugin("a"), Fallback: newPlugin("b")}, route.Options{})
		s := newStream(t, r)
		s.keep(func() { s.idle = true })
		<-time.After(time.Hour)
		synctest.Wait()
		if s.Epoch() != 1 || r.State() != route.Single {
			t.Errorf("epoch %d, state %s", s.Epoch(), r.State())
		}
	})
}

func TestStreamDeadSessionLosesTheWheel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newPlugin("a")
		r, _ := newRoute(t, positions{Primary: a, Fallback: newPlugin("b")}, route.Options{})
		s := newStream(t, r)
		s.keep(func() { s.dies["a"] = true })
		synctest.Wait()
		s.Publish(event{})
		<-time.After(time.Second)
		synctest.Wait()
		if s.last() != "b" || r.State() != route.FallenBack {
			t.Errorf("last order of %q, state %s", s.last(), r.State())
		}
		if got := r.Window(a.ID(), time.Time{}); got.Failures != 1 {
			t.Errorf("failures %d", got.Failures)
		}
	})
}

func TestStreamAlonePluginIsGivenTheWheelAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRoute(t, positions{Primary: newPlugin("a")}, route.Options{})
		s := newStream(t, r)
		s.keep(func() { s.dies["a"] = true })
		<-time.After(time.Minute)
		tries := s.Epoch()
		if tries < 5 || tries > 30 {
			t.Errorf("%d sessions in a minute", tries)
		}
		s.keep(func() { s.dies["a"] = false })
		<-time.After(10 * time.Second)
		synctest.Wait()
		if s.last() != "a" {
			t.Errorf("last order of %q", s.last())
		}
	})
}

func TestStreamReaderThatStopsLosesTheWheel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		r, _ := newRoute(t, positions{Primary: newPlugin("a"), Fallback: newPlugin("b")}, route.Options{})
		s := route.NewStream(r, route.StreamOptions[*plugin, event, order]{
			Serve: func(ctx context.Context, p *plugin, sess *session) error {
				if p.label == "a" {
					<-ctx.Done()
					return ctx.Err()
				}
				if _, err := sess.Next(ctx); err != nil {
					return err
				}
				if err := sess.Send(ctx, order{epoch: sess.Epoch()}); err != nil {
					return err
				}
				close(stuck)
				<-ctx.Done()
				return nil
			},
			Snapshot: func(route.Epoch) event { return event{} },
			EpochOf:  func(o order) route.Epoch { return o.epoch },
			Handle:   func(context.Context, order) error { return nil },
			Buffer:   4, Watchdog: time.Hour,
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = s.Run(ctx) }()
		synctest.Wait()
		for n := range 5 {
			s.Publish(event{n: n})
		}
		<-stuck
		if r.State() != route.FallenBack {
			t.Errorf("state %s", r.State())
		}
	})
}

func TestStreamShadowGetsTheEventsAndItsOrdersGoNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRoute(t, positions{Primary: newPlugin("a"), Shadow: newPlugin("b")}, route.Options{})
		s := newStream(t, r)
		synctest.Wait()
		s.Publish(event{})
		synctest.Wait()
		if s.shadowed != 2 || fmt.Sprint(s.handled) != "[{1 a} {1 a}]" {
			t.Errorf("shadow ordered %d times, handled %v", s.shadowed, s.handled)
		}
	})
}
