package route

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// Epoch numbers the sessions of a stream: who has the wheel changes with the epoch, and orders of an old one are refused.
type Epoch uint64

// ErrStaleEpoch means that an order carried another epoch than the session that has the wheel.
var ErrStaleEpoch = errors.New("order of an old epoch")

// Session is one run of a plugin's strategy. Next and Send may be called concurrently.
type Session[E, O any] struct {
	epoch   Epoch
	first   chan E // the snapshot
	events  chan E
	end     chan struct{} // closed when the session is over
	endOnce sync.Once
	slow    chan struct{} // closed when events did not fit
	slowOne sync.Once
	send    func(context.Context, *Session[E, O], O) error
}

func newSession[E, O any](epoch Epoch, buffer int, send func(context.Context, *Session[E, O], O) error) *Session[E, O] {
	return &Session[E, O]{epoch: epoch, first: make(chan E, 1), events: make(chan E, buffer), end: make(chan struct{}), slow: make(chan struct{}), send: send}
}

// Epoch is the session's number.
func (s *Session[E, O]) Epoch() Epoch { return s.epoch }

// Next waits for the next event: first the snapshot, then what was published; io.EOF when the session is over.
func (s *Session[E, O]) Next(ctx context.Context) (E, error) {
	var zero E
	select {
	case <-s.end:
		return zero, io.EOF
	default:
	}
	select {
	case e := <-s.first:
		return e, nil
	default:
	}
	select {
	case e := <-s.events:
		return e, nil
	case <-s.end:
		return zero, io.EOF
	case <-ctx.Done():
		return zero, ctx.Err()
	}
}

// Send gives an order: ErrStaleEpoch when the session has lost the wheel, or the error of the stream's Handle.
func (s *Session[E, O]) Send(ctx context.Context, o O) error { return s.send(ctx, s, o) }

func (s *Session[E, O]) start(snapshot E) { s.first <- snapshot }

func (s *Session[E, O]) stop() { s.endOnce.Do(func() { close(s.end) }) }

// offer puts an event into the session's buffer; a session that does not read is over.
func (s *Session[E, O]) offer(e E) {
	select {
	case s.events <- e:
	default:
		s.slowOne.Do(func() { close(s.slow) })
	}
}

// signs remembers when a session last showed a sign of life.
type signs struct {
	mu   sync.Mutex
	last time.Time // guarded by mu
	any  bool
}

func (s *signs) seen(now time.Time, order bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = now
	s.any = s.any || order
}

func (s *signs) silence(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Sub(s.last)
}

func (s *signs) gaveOrder() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.any
}
