package host_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alys-node/alys/core/host"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// states keeps the phases that an instance went through.
type states struct {
	mu  sync.Mutex
	all []host.State
}

func (s *states) changed(st host.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, st)
}

func (s *states) phases() []host.Phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ps []host.Phase
	for _, st := range s.all {
		ps = append(ps, st.Phase)
	}
	return ps
}

func (b *bench) supervise(block host.Block, hooks host.Hooks) *host.Instance {
	b.t.Helper()
	i, err := b.Supervise(b.t.Context(), block, b.stage(block), hooks)
	if err != nil {
		b.t.Fatal(err)
	}
	return i
}

// current waits for a generation other than old.
func current(t testing.TB, i *host.Instance, old *host.Generation) *host.Generation {
	t.Helper()
	var g *host.Generation
	eventually(t, "another generation serves", func() bool {
		var err error
		g, err = i.Current()
		return err == nil && g != old
	})
	return g
}

func TestAKilledPluginServesAgain(t *testing.T) {
	b := open(t)
	var seen states
	var readied []uint64
	i := b.supervise(tester(""), host.Hooks{
		Changed: seen.changed,
		Ready: func(_ context.Context, g *host.Generation) error {
			readied = append(readied, g.Number) // one goroutine at a time, ordered by the instance
			return nil
		},
	})
	g, err := i.Current()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(g.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	next := current(t, i, g)
	if err := call(t.Context(), next); err != nil {
		t.Errorf("call on the new generation: %v", err)
	}
	if !errors.Is(g.Err(), host.ErrCrashed) || !strings.Contains(g.Err().Error(), "killed") {
		t.Errorf("the old generation's end: %v", g.Err())
	}
	if s := i.State(); s.Phase != host.PhaseReady || s.Restarts != 1 || s.Generation != next.Number || !errors.Is(s.Reason, host.ErrCrashed) {
		t.Errorf("state is %+v", s)
	}
	i.Stop(t.Context())
	if want := []uint64{1, 2}; !slices.Equal(readied, want) {
		t.Errorf("made ready: %v, want %v", readied, want)
	}
	want := []host.Phase{"starting", "ready", "restarting", "starting", "ready", "draining", "stopped"}
	if got := seen.phases(); !slices.Equal(got, want) {
		t.Errorf("phases %v, want %v", got, want)
	}
	if _, err := i.Current(); !errors.Is(err, host.ErrStopped) {
		t.Errorf("current after stop: %v", err)
	}
}

func TestAFrozenPluginIsKilledAndReplaced(t *testing.T) {
	b := open(t, func(c *host.Config) { c.Timings.HealthTimeout, c.Timings.HealthFailures = 150*time.Millisecond, 2 })
	i := b.supervise(tester("freeze:1"), host.Hooks{})
	g, _ := i.Current()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := call(ctx, g); err == nil || ctx.Err() != nil {
		t.Errorf("a call on a frozen plugin ended with %v, context %v", err, ctx.Err())
	}
	current(t, i, g)
	if !errors.Is(g.Err(), context.DeadlineExceeded) || !errors.Is(g.Err(), host.ErrUnhealthy) {
		t.Errorf("the frozen generation's end: %v", g.Err())
	}
}

func TestAPluginThatSaysItFailedIsReplacedAndADegradedOneIsKept(t *testing.T) {
	b := open(t)
	failing := b.supervise(tester("fails"), host.Hooks{})
	g, _ := failing.Current()
	if err := call(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	current(t, failing, g)
	if !errors.Is(g.Err(), host.ErrUnhealthy) || !strings.Contains(g.Err().Error(), "disk is gone") {
		t.Errorf("its end: %v", g.Err())
	}
	block := tester("sick")
	block.Label = "sick"
	sick := b.supervise(block, host.Hooks{})
	g, _ = sick.Current()
	if err := call(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is degraded", func() bool { return sick.State().Phase == host.PhaseDegraded })
	if now, err := sick.Current(); err != nil || now != g || sick.State().Health.Message != "disk is slow" {
		t.Errorf("current is %v, %v, health %+v", now, err, sick.State().Health)
	}
}

func TestAFrozenPluginCanBeStopped(t *testing.T) {
	b := open(t)
	g := b.mustLaunch(tester(""))
	if err := syscall.Kill(g.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	g.Stop(t.Context())
	q := quick()
	if took, most := time.Since(began), q.Drain+q.Shutdown+q.Terminate+2*time.Second; took > most {
		t.Errorf("took %v, want less than %v", took, most)
	}
}

func TestACrashInACallIsReportedWithThePanic(t *testing.T) {
	b := open(t)
	i := b.supervise(tester("crash:2"), host.Hooks{})
	g, _ := i.Current()
	if err := call(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if err := call(t.Context(), g); err == nil {
		t.Error("the call that crashed the plugin was answered")
	}
	current(t, i, g)
	e := recorded(b.seen, &b.seen.exited)
	if len(e) != 1 || e[0].Asked || !strings.HasPrefix(e[0].Panic, "panic: crash as asked") || !strings.Contains(e[0].Panic, "goroutine") {
		t.Errorf("exits told: %+v", e)
	}
	if !b.log.has("plugin panicked") {
		t.Error("the panic is not in the log")
	}
}

func TestAPluginThatDiesTooOftenIsBrokenAndTriedAgainLater(t *testing.T) {
	b := open(t, func(c *host.Config) {
		c.Timings.BreakerDeaths, c.Timings.BreakerHalfOpen = 3, 100*time.Millisecond
	})
	flag := filepath.Join(b.dataDir, "state", "signer", "test", "configured")
	var broken bool
	var mu sync.Mutex
	block := tester("")
	i := b.supervise(block, host.Hooks{
		Changed: func(s host.State) {
			mu.Lock()
			defer mu.Unlock()
			broken = broken || s.Phase == host.PhaseBroken
		},
		Ready: func(context.Context, *host.Generation) error {
			mu.Lock()
			defer mu.Unlock()
			if raw, _ := os.ReadFile(flag); !broken && string(raw) != "1" {
				return errors.New("not yet")
			}
			return nil
		},
	})
	g, _ := i.Current()
	g.Kill(errors.New("test"))
	eventually(t, "it is broken", func() bool {
		_, err := i.Current()
		return errors.Is(err, host.ErrBroken)
	})
	if s := i.State(); s.Restarts != 3 || s.Retry.IsZero() {
		t.Errorf("state is %+v", s)
	}
	current(t, i, g)
}

func TestAFirstStartThatFailsLeavesNoInstanceUnlessItResumes(t *testing.T) {
	b := open(t)
	bad := tester("exit:1")
	digest := b.stage(bad)
	if _, err := b.Supervise(t.Context(), bad, digest, host.Hooks{}); !errors.Is(err, host.ErrExited) {
		t.Errorf("supervise: %v", err)
	}
	hook := host.Hooks{Ready: func(context.Context, *host.Generation) error { return errors.New("cannot catch up") }}
	if _, err := b.Supervise(t.Context(), tester(""), digest, hook); err == nil || !strings.Contains(err.Error(), "cannot catch up") {
		t.Errorf("supervise with a failing hook: %v", err)
	}
	if pids := descendants(b.dataDir); len(pids) > 0 {
		t.Errorf("processes left: %v", pids)
	}
	i, err := b.Resume(t.Context(), bad, digest, host.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it tries again", func() bool { return i.State().Restarts > 1 })
	if _, err := i.Current(); !errors.Is(err, host.ErrExited) || !errors.Is(err, host.ErrRestarting) && !errors.Is(err, host.ErrBroken) {
		t.Errorf("current: %v", err)
	}
	i.Stop(t.Context())
}

func TestAReadyHookEndsWithTheProcess(t *testing.T) {
	b := open(t)
	entered := make(chan *host.Generation, 1)
	errs := make(chan error, 1)
	digest := b.stage(tester(""))
	go func() {
		_, err := b.Supervise(t.Context(), tester(""), digest, host.Hooks{
			Ready: func(ctx context.Context, g *host.Generation) error {
				entered <- g
				<-ctx.Done()
				return context.Cause(ctx)
			},
		})
		errs <- err
	}()
	g := <-entered
	if err := syscall.Kill(g.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-errs; err == nil {
		t.Error("an instance came of a dead process")
	}
}

func TestDrainWaitsForCallsInFlight(t *testing.T) {
	b := open(t)
	g := b.mustLaunch(tester("work:300"))
	errs := make(chan error, 8)
	for range cap(errs) {
		go func() { errs <- call(t.Context(), g) }()
	}
	eventually(t, "the calls are in flight", func() bool { return g.Stats().InFlight == cap(errs) })
	g.Stop(t.Context())
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Errorf("a call in flight failed: %v", err)
		}
	}
}

func TestDrainHasADeadline(t *testing.T) {
	b := open(t)
	g := b.mustLaunch(tester("work:60000"))
	errs := make(chan error, 1)
	go func() { errs <- call(t.Context(), g) }()
	eventually(t, "the call is in flight", func() bool { return g.Stats().InFlight == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := g.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drain: %v", err)
	}
	g.Stop(t.Context())
	if err := <-errs; err == nil {
		t.Error("a call on a stopped plugin was answered")
	}
}

func TestAPluginThatEndsInDrainIsStoppedCleanly(t *testing.T) {
	b := open(t)
	i := b.supervise(tester("exit-drain"), host.Hooks{})
	i.Stop(t.Context())
	if s := i.State(); s.Phase != host.PhaseStopped || s.Restarts != 0 {
		t.Errorf("state is %+v", s)
	}
}

func TestChildrenOfAPluginEndWithIt(t *testing.T) {
	for _, how := range []string{"stop", "kill", "crash"} {
		t.Run(how, func(t *testing.T) {
			b := open(t)
			g := b.mustLaunch(tester("child"))
			eventually(t, "three processes run", func() bool { return len(descendants(b.dataDir)) == 3 })
			switch how {
			case "stop":
				g.Stop(t.Context())
			case "kill":
				g.Kill(errors.New("test"))
			case "crash":
				_ = syscall.Kill(g.PID, syscall.SIGKILL)
				<-g.Done()
			}
			eventually(t, "none is left", func() bool { return len(descendants(b.dataDir)) == 0 })
		})
	}
}

func TestCallsInFlightAreBoundedAndHealthIsNot(t *testing.T) {
	b := open(t, func(c *host.Config) { c.Limits.Calls = 2 })
	g := b.mustLaunch(tester("work:60000"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 {
		go func() { _ = call(ctx, g) }()
	}
	eventually(t, "two calls are in flight", func() bool { return g.Stats().InFlight == 2 })
	third, stop := context.WithTimeout(ctx, 100*time.Millisecond)
	defer stop()
	if err := call(third, g); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call without a place: %v", err)
	}
	if h, err := g.Health(ctx); err != nil || h.State != lifecycle.Ready {
		t.Errorf("health of a full plugin: %+v, %v", h, err)
	}
}

func TestAFloodOfLogsIsCutAndCounted(t *testing.T) {
	b := open(t, func(c *host.Config) { c.Limits.LogLines = 10 })
	g := b.mustLaunch(tester("flood:5000"))
	eventually(t, "lines are lost", func() bool { return g.Stats().LinesLost > 4000 })
	g.Stop(t.Context())
	if n := strings.Count(b.log.String(), `"@message":"flood"`); n > 100 {
		t.Errorf("%d lines came through", n)
	}
	if !b.log.has(`"dropped":`) {
		t.Error("nobody was told")
	}
}

func TestWhatAPluginPrintsIsInTheLogUnderItsName(t *testing.T) {
	b := open(t)
	g := b.mustLaunch(tester("prints"))
	for _, line := range []string{"a stray print", "a stray warning"} {
		eventually(t, line, func() bool { return b.log.has(line) })
	}
	for line := range strings.Lines(b.log.String()) {
		if strings.Contains(line, "stray") && !strings.Contains(line, `"@module":"signer.test"`) {
			t.Errorf("not under the plugin's name: %s", line)
		}
	}
	g.Stop(t.Context())
}

func TestHealthIsSampled(t *testing.T) {
	b := open(t)
	b.supervise(tester(""), host.Hooks{})
	eventually(t, "a sample is told", func() bool { return len(recorded(b.seen, &b.seen.samples)) > 1 })
	if s := recorded(b.seen, &b.seen.samples)[0]; s.Stats.RSS == 0 || s.Label != "test" {
		t.Errorf("sample is %+v", s)
	}
}

func TestCloseStopsEverythingAtOnce(t *testing.T) {
	b := open(t)
	for n := range 3 {
		block := tester("")
		block.Label = "n" + strconv.Itoa(n)
		b.supervise(block, host.Hooks{})
	}
	block := tester("")
	block.Label = "alone"
	b.mustLaunch(block)
	if p, err := b.Probe(t.Context(), tester("")); err != nil || p == nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if pids := descendants(b.dataDir); len(pids) > 0 {
		t.Errorf("processes left: %v", pids)
	}
	if err := b.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}
