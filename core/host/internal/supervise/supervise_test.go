package supervise_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alys-node/alys/core/host/internal/supervise"
)

// fake is a unit whose life is the test's.
type fake struct {
	done    chan struct{}
	once    sync.Once
	err     error
	mu      sync.Mutex // guards phase and sick
	phase   supervise.Phase
	sick    error
	stopped bool
	rude    error // why there was no time to stop politely
}

func newFake() *fake { return &fake{done: make(chan struct{}), phase: supervise.Ready} }

func (f *fake) Done() <-chan struct{} { return f.done }
func (f *fake) Err() error            { return f.err }
func (f *fake) Kill(why error)        { f.die(why) }

func (f *fake) Stop(ctx context.Context) {
	f.stopped, f.rude = true, ctx.Err()
	f.die(errors.New("stopped"))
}

func (f *fake) Check(context.Context) (supervise.Phase, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.phase, f.sick
}

func (f *fake) die(why error) {
	f.once.Do(func() {
		f.err = why
		close(f.done)
	})
}

func (f *fake) feel(p supervise.Phase, sick error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.phase, f.sick = p, sick
}

// launcher makes fakes and remembers when.
type launcher struct {
	began time.Time
	mu    sync.Mutex // guards units and at
	units []*fake
	at    []time.Duration
	fail  func(n int) error
}

func (l *launcher) launch(context.Context) (*fake, error) {
	f := newFake()
	l.mu.Lock()
	l.at = append(l.at, time.Since(l.began))
	l.units = append(l.units, f)
	l.mu.Unlock()
	if l.fail != nil {
		return f, l.fail(l.count())
	}
	return f, nil
}

func (l *launcher) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.units)
}

func (l *launcher) unit(n int) *fake {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.units[n]
}

func (l *launcher) last() *fake { return l.unit(l.count() - 1) }

func (l *launcher) starts() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.at)
}

func policy() supervise.Policy {
	return supervise.Policy{
		Min: 100 * time.Millisecond, Max: 30 * time.Second, Reset: time.Minute,
		Deaths: 5, Window: 2 * time.Minute, HalfOpen: 30 * time.Second,
	}
}

func config(l *launcher) supervise.Config[*fake] {
	l.began = time.Now()
	return supervise.Config[*fake]{Launch: l.launch, Policy: policy(), Every: 5 * time.Second, Fails: 3, Polite: time.Second}
}

// run starts the supervisor in the bubble and stops it at the end of the test.
func run(t *testing.T, c supervise.Config[*fake]) *supervise.Supervisor[*fake] {
	t.Helper()
	s := supervise.New(t.Context(), c)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	go s.Run()
	t.Cleanup(func() { s.Stop(context.Background()) })
	return s
}

func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

var errTest = errors.New("died in a test")

func TestThePauseDoublesUntilTheBreakerOpensAndOneStartIsLetThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l launcher
		s := run(t, config(&l))
		for range 4 {
			n := l.count()
			l.last().die(errTest)
			wait(time.Second)
			if l.count() != n+1 {
				t.Fatalf("%d units after %d deaths", l.count(), n)
			}
		}
		gaps := []time.Duration{0, 100 * time.Millisecond, 1200 * time.Millisecond, 2400 * time.Millisecond, 3800 * time.Millisecond}
		if !slices.Equal(l.starts(), gaps) {
			t.Errorf("starts at %v, want %v", l.starts(), gaps)
		}
		l.last().die(errTest)
		synctest.Wait()
		if st := s.State(); st.Phase != supervise.Broken || !errors.Is(st.Reason, errTest) || time.Until(st.Retry) != 30*time.Second || st.Restarts != 5 {
			t.Errorf("after five deaths: %+v", st)
		}
		if _, up := s.Current(); up {
			t.Error("a broken unit is current")
		}
		wait(29 * time.Second)
		if l.count() != 5 {
			t.Error("started while the breaker was open")
		}
		wait(2 * time.Second)
		if _, up := s.Current(); !up || l.count() != 6 {
			t.Errorf("half open: %d units, up %v", l.count(), up)
		}
		l.last().die(errTest)
		synctest.Wait()
		if st := s.State(); st.Phase != supervise.Broken {
			t.Errorf("one death while half open: %+v", st)
		}
		wait(31 * time.Second)
		wait(3 * time.Minute) // lives: the breaker closes, the pause is short again
		l.last().die(errTest)
		synctest.Wait()
		if st := s.State(); st.Phase != supervise.Backoff || time.Until(st.Retry) != 100*time.Millisecond {
			t.Errorf("a death after a long life: %+v", st)
		}
	})
}

func TestJitterStaysWithinItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l launcher
		c := config(&l)
		c.Policy.Jitter, c.Policy.Deaths = 0.2, 1000
		s := run(t, c)
		seen := map[time.Duration]bool{}
		for range 50 {
			l.last().die(errTest)
			synctest.Wait()
			pause := time.Until(s.State().Retry)
			seen[pause] = true
			if pause > 36*time.Second {
				t.Fatalf("pause is %v", pause)
			}
			wait(pause)
		}
		if len(seen) < 10 {
			t.Errorf("only %d different pauses: no jitter", len(seen))
		}
	})
}

func TestAUnitThatDoesNotAnswerIsEndedAfterThreeFailuresInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l launcher
		s := run(t, config(&l))
		first := l.last()
		first.feel("", errTest)
		wait(11 * time.Second)
		first.feel(supervise.Ready, nil) // the third answer is good: the count starts again
		wait(5 * time.Second)
		first.feel("", errTest)
		wait(10 * time.Second)
		if u, up := s.Current(); !up || u != first {
			t.Fatal("ended after two failures in a row")
		}
		wait(5 * time.Second)
		if u, up := s.Current(); !up || u == first {
			t.Error("not replaced after three")
		}
		if !errors.Is(first.err, supervise.ErrUnhealthy) || !errors.Is(first.err, errTest) {
			t.Errorf("it was ended because of %v", first.err)
		}
	})
}

func TestHealthMovesThePhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l launcher
		var phases []supervise.Phase
		c := config(&l)
		c.Changed = func(s supervise.State) { phases = append(phases, s.Phase) }
		l.fail = func(int) error { l.last().feel(supervise.Locked, nil); return nil }
		s := run(t, c)
		wait(6 * time.Second)
		l.last().feel(supervise.Ready, nil)
		wait(6 * time.Second)
		l.last().feel(supervise.Degraded, nil)
		wait(6 * time.Second)
		s.Stop(t.Context())
		want := []supervise.Phase{"starting", "locked", "ready", "degraded", "draining", "stopped"}
		if !slices.Equal(phases, want) {
			t.Errorf("phases %v, want %v", phases, want)
		}
		if !l.last().stopped {
			t.Error("the unit was not stopped politely")
		}
	})
}

func TestStopEndsAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := launcher{fail: func(n int) error {
			if n > 1 {
				return errTest
			}
			return nil
		}}
		s := run(t, config(&l))
		l.last().die(errTest)
		wait(10 * time.Second)
		if st := s.State(); st.Phase != supervise.Broken {
			t.Fatalf("state is %+v", st)
		}
		began := time.Now()
		s.Stop(t.Context())
		if took := time.Since(began); took != 0 {
			t.Errorf("stop took %v", took)
		}
	})
}

func TestStopEndsALaunch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := supervise.New(t.Context(), supervise.Config[*fake]{
			Policy: policy(), Every: time.Second, Fails: 3,
			Launch: func(ctx context.Context) (*fake, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
		})
		go s.Run()
		wait(time.Second)
		s.Stop(t.Context())
		if st := s.State(); st.Phase != supervise.Stopped {
			t.Errorf("state is %+v", st)
		}
	})
}

func TestAUnitThatIsNotMadeReadyIsStoppedAndCountsAsADeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l launcher
		c := config(&l)
		tries := 0
		c.Ready = func(context.Context, *fake) error {
			if tries++; tries == 2 {
				return errTest
			}
			return nil
		}
		s := run(t, c)
		l.last().die(errors.New("first"))
		wait(time.Second)
		if l.count() != 3 || !l.unit(1).stopped || s.State().Restarts != 2 {
			t.Errorf("%d units, state %+v", l.count(), s.State())
		}
	})
}

func TestStopAtTheMomentOfServingStopsTheUnit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l launcher
		c := config(&l)
		stopped := make(chan struct{})
		var s *supervise.Supervisor[*fake]
		c.Changed = func(now supervise.State) {
			if now.Phase != supervise.Ready || l.count() < 2 {
				return
			}
			go func() {
				defer close(stopped)
				s.Stop(context.Background())
			}()
			synctest.Wait() // Stop waits for Run, which has not begun to watch the second unit
		}
		s = supervise.New(t.Context(), c)
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		go s.Run()
		l.last().die(errTest)
		<-stopped
		if u := l.unit(1); !u.stopped || u.rude != nil || s.State().Phase != supervise.Stopped {
			t.Errorf("stopped %v, rude %v, state %+v", u.stopped, u.rude, s.State())
		}
		if _, up := s.Current(); up {
			t.Error("a unit is current after Stop")
		}
	})
}

func TestStopBeforeRunEndsTheFirstUnit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l launcher
		s := supervise.New(t.Context(), config(&l))
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		go s.Stop(t.Context())
		synctest.Wait()
		s.Run()
		if !l.last().stopped {
			t.Error("the unit lives on")
		}
	})
}

func TestAUnitThatIsNotReadyInTimeIsStoppedPolitely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l launcher
		c := config(&l)
		c.Ready = func(ctx context.Context, _ *fake) error {
			<-ctx.Done()
			return ctx.Err()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := supervise.New(t.Context(), c).Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if u := l.last(); !u.stopped || u.rude != nil {
			t.Errorf("stopped %v, rude %v", u.stopped, u.rude)
		}
	})
}
