package supervise

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrUnhealthy is the cause of death of a unit that was ended because it did not answer health questions.
var ErrUnhealthy = errors.New("plugin is not healthy")

// errGone ends the Ready hook of a unit that died meanwhile.
var errGone = errors.New("ended while it was made ready")

// Phase is where a supervised unit stands.
type Phase string

// The phases. A unit is there to be used in Ready, Locked and Degraded.
const (
	Starting Phase = "starting" // being launched, or made ready
	Ready    Phase = "ready"
	Locked   Phase = "locked"
	Degraded Phase = "degraded"
	Backoff  Phase = "restarting" // died; State.Retry says when the next start is
	Broken   Phase = "broken"     // died too often; State.Retry says when one start is let through
	Draining Phase = "draining"
	Stopped  Phase = "stopped"
)

// Unit is what is kept alive.
type Unit interface {
	// Done is closed when the unit is dead.
	Done() <-chan struct{}
	// Err says why it died. It is called after Done.
	Err() error
	// Check asks for health: Ready, Locked or Degraded, or an error for no usable answer. It has its own deadline.
	Check(ctx context.Context) (Phase, error)
	// Kill ends the unit at once, also a frozen one, and returns when it is dead.
	Kill(why error)
	// Stop drains and ends the unit, and returns when it is dead. The context bounds the polite part.
	Stop(ctx context.Context)
}

// State is a snapshot for people and routes.
type State struct {
	Phase    Phase
	Since    time.Time // of the phase
	Restarts int       // deaths so far, failed starts included
	Reason   error     // why it is in Backoff or Broken; the last death otherwise
	Retry    time.Time // next start, in Backoff and Broken
}

// Config says what to keep alive, and how.
type Config[U Unit] struct {
	Launch  func(ctx context.Context) (U, error)    // one unit, healthy; on error nothing is left behind
	Ready   func(ctx context.Context, unit U) error // may be nil; before the unit becomes the current one
	Changed func(State)                             // may be nil; called in order, must not block
	Sampled func(unit U)                            // may be nil; after each health question
	Policy  Policy
	Every   time.Duration // between health questions
	Fails   int           // failures in a row that end the unit
	Polite  time.Duration // bounds the polite end of a unit that could not be made ready
}

// Supervisor keeps one unit alive. Start or not, then Run.
type Supervisor[U Unit] struct {
	config  Config[U]
	breaker *breaker

	mu    sync.Mutex // guards state, unit and up
	state State
	unit  U
	up    bool // unit may be used

	quit     context.Context
	end      context.CancelFunc
	polite   context.Context // of the first Stop; set before end is called
	stopOnce sync.Once
	ended    chan struct{}
}

// New makes a supervisor. Values of ctx, but not its end, reach the units; the supervisor ends by Stop.
func New[U Unit](ctx context.Context, c Config[U]) *Supervisor[U] {
	s := &Supervisor[U]{config: c, breaker: newBreaker(c.Policy), ended: make(chan struct{})}
	s.state = State{Phase: Starting, Since: time.Now()}
	s.quit, s.end = context.WithCancel(context.WithoutCancel(ctx)) //nolint:gosec // G118: Stop calls end
	s.polite = s.quit
	return s
}

// Start launches the first unit under ctx, without a second try. After an error the supervisor must not be used.
func (s *Supervisor[U]) Start(ctx context.Context) error {
	unit, err := s.launch(ctx)
	if err != nil {
		return err
	}
	return s.serve(unit)
}

// Run keeps a unit alive until Stop. It is called once; Stop before Run makes it end the first unit and return.
func (s *Supervisor[U]) Run() {
	defer close(s.ended)
	defer s.set(State{Phase: Stopped}, false)
	for s.quit.Err() == nil {
		if unit, up := s.Current(); up {
			s.watch(unit)
			continue
		}
		if unit, err := s.launch(s.quit); err != nil {
			s.pause(err, 0)
		} else if err := s.serve(unit); err != nil {
			s.pause(err, 0)
		}
	}
	if unit, up := s.Current(); up && !gone(unit) { // Stop came before anybody watched it
		s.retire(unit)
	}
}

func gone(u Unit) bool {
	select {
	case <-u.Done():
		return true
	default:
		return false
	}
}

// retire drains and ends a unit that is up, once Stop was called.
func (s *Supervisor[U]) retire(unit U) {
	s.set(State{Phase: Draining}, false)
	unit.Stop(s.polite)
}

// Stop drains and ends the unit, or gives up a start, and returns when Run has returned. It is idempotent; the first
// caller's context bounds the drain.
func (s *Supervisor[U]) Stop(ctx context.Context) {
	s.stopOnce.Do(func() {
		s.polite = ctx
		s.end()
	})
	<-s.ended
}

// Current is the unit that serves; false when there is none now, and State says why.
func (s *Supervisor[U]) Current() (U, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unit, s.up
}

// State is the present state.
func (s *Supervisor[U]) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// launch brings one unit up to the point where it may serve.
func (s *Supervisor[U]) launch(ctx context.Context) (U, error) {
	s.set(State{Phase: Starting}, false)
	unit, err := s.config.Launch(ctx)
	if err != nil || s.config.Ready == nil {
		return unit, err
	}
	ready, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-unit.Done():
			cancel(errGone)
		case <-ready.Done():
		}
	}()
	err = s.config.Ready(ready, unit)
	cancel(nil)
	if err == nil {
		return unit, nil
	}
	s.discard(unit)
	return unit, fmt.Errorf("make ready: %w", err)
}

// discard ends a unit that could not be made ready. Its context is not the one of the start, which is over when the time
// for it was.
func (s *Supervisor[U]) discard(unit U) {
	if s.quit.Err() != nil {
		unit.Stop(s.polite)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.quit), s.config.Polite)
	defer cancel()
	unit.Stop(ctx)
}

// serve makes the unit the current one, in the phase that its health names.
func (s *Supervisor[U]) serve(unit U) error {
	phase, err := unit.Check(s.quit)
	if err != nil {
		unit.Kill(err)
		return err
	}
	s.mu.Lock()
	s.unit = unit
	s.mu.Unlock()
	s.set(State{Phase: phase}, true)
	return nil
}

// watch returns when the unit is dead: it died, it was found frozen, or Stop was called.
func (s *Supervisor[U]) watch(unit U) {
	since := time.Now()
	tick := time.NewTicker(s.config.Every)
	defer tick.Stop()
	for fails := 0; ; {
		select {
		case <-unit.Done():
			s.pause(unit.Err(), time.Since(since))
			return
		case <-s.quit.Done():
			s.retire(unit)
			return
		case <-tick.C:
		}
		phase, err := unit.Check(s.quit)
		if s.config.Sampled != nil {
			s.config.Sampled(unit)
		}
		switch {
		case err == nil:
			fails = 0
			if s.State().Phase != phase {
				s.set(State{Phase: phase}, true)
			}
		case s.quit.Err() == nil:
			if fails++; fails >= s.config.Fails {
				s.set(State{Phase: Backoff, Reason: err}, false)
				unit.Kill(fmt.Errorf("%w: %d health checks failed in a row: %w", ErrUnhealthy, fails, err))
			}
		}
	}
}

// pause takes note of a death and waits until the next start, or for Stop.
func (s *Supervisor[U]) pause(why error, alive time.Duration) {
	if s.quit.Err() != nil {
		return
	}
	now := time.Now()
	wait, broken := s.breaker.death(now, alive)
	phase := Backoff
	if broken {
		phase = Broken
	}
	s.mu.Lock()
	s.state.Restarts++
	s.mu.Unlock()
	s.set(State{Phase: phase, Reason: why, Retry: now.Add(wait)}, false)
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.quit.Done():
	}
}

// set changes the state; the count of restarts, and the last reason where next has none, are carried over.
func (s *Supervisor[U]) set(next State, up bool) {
	s.mu.Lock()
	next.Since, next.Restarts = time.Now(), s.state.Restarts
	if next.Reason == nil {
		next.Reason = s.state.Reason
	}
	s.state, s.up = next, up
	s.mu.Unlock()
	if s.config.Changed != nil {
		s.config.Changed(next)
	}
}
