package migrate_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alys-node/alys/core/migrate"
)

// finish drives a run of short() from wherever it is to its end.
func (w *world) finish(c *migrate.Controller) {
	w.Helper()
	for range 100 {
		if len(c.Status()) > 0 && w.status(c).State.Ended() {
			return
		}
		live := w.route.Primary == "v5"
		w.pass(30 * time.Second)
		for range 40 {
			if live {
				w.sample(migrate.SourceLive, migrate.OutcomeOK)
			} else {
				w.sample(migrate.SourceShadow, migrate.OutcomeOK)
			}
		}
		w.look(c)
	}
	w.Fatalf("run does not end: %+v", w.status(c))
}

func TestCleanRunTakesEveryStepInOrder(t *testing.T) {
	w := newWorld(t)
	c := w.process()
	w.start(c, short())
	if o, ok := c.Owner("engine"); !ok || o.Name != "up" || !slices.Equal(o.Plugins, []string{"v4", "v5"}) {
		t.Errorf("owner %+v, %v", o, ok)
	}
	w.finish(c)
	w.want(c, migrate.StateFinished, "only")
	var want []migrate.Route
	for _, s := range short().Steps {
		want = append(want, s.Route)
	}
	if !slices.Equal(w.applies, want) {
		t.Errorf("applied %v, want %v", w.applies, want)
	}
	if w.backups != 3 {
		t.Errorf("%d backups, want one before each step", w.backups)
	}
	if _, ok := c.Owner("engine"); ok {
		t.Error("a finished run owns the role")
	}
}

func TestStepIsHeldBySoakSamplesAndMissingData(t *testing.T) {
	w := newWorld(t)
	c := w.process()
	w.start(c, short())
	w.look(c)
	w.want(c, migrate.StateSoaking, "shadow")
	w.pass(time.Hour)
	w.look(c) // soaked, and nothing measured
	w.want(c, migrate.StateSoaking, "shadow")
	e, err := c.Explain("up")
	if err != nil || len(e.Waits) != 3 { // min_samples and both gates
		t.Errorf("waits for %q, %v", e.Waits, err)
	}
	w.interval(c, 100)
	w.want(c, migrate.StateSoaking, "canary")
	w.good(100)
	w.look(c) // samples enough, and no time passed
	w.want(c, migrate.StateSoaking, "canary")
}

func TestFailureGoesBackByOneApply(t *testing.T) {
	for _, tc := range []struct {
		name string
		fail func(w *world, c *migrate.Controller)
		want string
	}{
		{"one disagreement", func(w *world, _ *migrate.Controller) { w.sample(migrate.SourceReplay, migrate.OutcomeDisagree) }, "correctness"},
		{"three errors in a row", func(w *world, _ *migrate.Controller) {
			for range 3 {
				w.sample(migrate.SourceLive, migrate.OutcomeError)
			}
		}, "3 errors in a row"},
		{"more than a tenth of twenty", func(w *world, _ *migrate.Controller) {
			for i := range 20 {
				o := migrate.OutcomeOK
				if i%7 == 3 {
					o = migrate.OutcomeError
				}
				w.sample(migrate.SourceReplay, o) // no gate counts it
			}
		}, "of the last 20 answers"},
		{"an answer that took too long", func(w *world, _ *migrate.Controller) {
			w.good(1)
			w.samples[0].Took = 5*time.Second + time.Millisecond
		}, "more than 5s"},
		{"the rate's gate", func(w *world, _ *migrate.Controller) { // two in a row: 2·ln 100 is above ln 19
			w.sample(migrate.SourceShadow, migrate.OutcomeError)
			w.good(1)
			w.sample(migrate.SourceShadow, migrate.OutcomeError)
		}, `gate "errors" failed`},
		{"a detached candidate", func(_ *world, c *migrate.Controller) {
			c.Notice(migrate.Event{Role: "engine", Plugin: "v5", Kind: migrate.EventDetached, Reason: "lied"})
		}, "detached: lied"},
		{"a flip back", func(w *world, c *migrate.Controller) {
			w.route = migrate.Route{Primary: "v4", Shadow: "v5"}
			c.Notice(migrate.Event{Role: "engine", Kind: migrate.EventFlippedBack, Reason: "crashed"})
		}, "flipped_back"},
		{"a flip back that nobody told", func(w *world, _ *migrate.Controller) { w.route = migrate.Route{Primary: "v4", Shadow: "v5"} }, "not the step's any more"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			c := w.process()
			w.start(c, short())
			for range 20 {
				if w.interval(c, 100); w.status(c).StepName == "canary" {
					break
				}
			}
			w.want(c, migrate.StateSoaking, "canary")
			before := len(w.applies)
			tc.fail(w, c)
			w.look(c)
			w.want(c, migrate.StateRolledBack, "")
			if s := w.status(c); !strings.Contains(s.Reason, tc.want) {
				t.Errorf("reason %q, want %q in it", s.Reason, tc.want)
			}
			if w.route != old || len(w.applies) != before+1 || w.rollbacks != 1 {
				t.Errorf("%v serves after %v", w.route, w.applies[before:])
			}
			if _, _, ok := c.Override("engine"); ok {
				t.Error("a run that went back holds the role against the file")
			}
			if len(w.alarms) == 0 {
				t.Error("no alarm")
			}
			if err := c.Rollback(t.Context(), "up", migrate.RollbackOptions{By: "bob"}); err != nil || w.rollbacks != 1 {
				t.Errorf("rolled back again: %v, %d rollbacks", err, w.rollbacks)
			}
		})
	}
}

func TestWhatTheOldPluginDoesIsNotTheNewOnesFault(t *testing.T) {
	w := newWorld(t)
	c := w.process()
	w.start(c, short())
	w.look(c)
	for range 30 {
		w.sample(migrate.SourceLive, migrate.OutcomeError)
		w.samples[len(w.samples)-1].Plugin = "v4"
	}
	c.Notice(migrate.Event{Role: "engine", Plugin: "v4", Kind: migrate.EventFellBack})
	c.Notice(migrate.Event{Role: "signer", Plugin: "v5", Kind: migrate.EventBroken})
	w.interval(c, 1)
	w.want(c, migrate.StateSoaking, "shadow")
}

func TestFailedStepGoesBackOrHolds(t *testing.T) {
	for _, hold := range []bool{false, true} {
		w := newWorld(t)
		c := w.process()
		s := short()
		want := migrate.StateRolledBack
		if hold {
			s.OnFailure, want = migrate.OnFailureHold, migrate.StateHolding
		}
		w.refuse[s.Steps[1].Route.String()] = errRefused
		w.start(c, s)
		for range 5 {
			w.interval(c, 100)
		}
		w.want(c, want, "")
		if hold && w.route != s.Steps[0].Route || !hold && w.route != old {
			t.Errorf("hold %v: %v serves", hold, w.route)
		}
		if !hold {
			continue
		}
		w.refuse = nil
		if err := c.Resume(t.Context(), "up", "ann"); err != nil {
			t.Fatal(err)
		}
		w.finish(c)
		w.want(c, migrate.StateFinished, "only")
	}
}

func TestRollbackThatFailsIsTriedUntilTheOldRouteServes(t *testing.T) {
	w := newWorld(t)
	c := w.process()
	w.start(c, short())
	w.look(c)
	w.refuse[old.String()] = errRefused
	err := c.Rollback(t.Context(), "up", migrate.RollbackOptions{By: "bob", Reason: "smoke"})
	if !errors.Is(err, migrate.ErrRollbackPending) {
		t.Fatalf("rollback: %v", err)
	}
	w.want(c, migrate.StateRollingBack, "")
	w.look(c) // backs off
	if s := w.status(c); s.Attempts != 1 || s.Reason != "smoke" {
		t.Errorf("%d attempts, %q", s.Attempts, s.Reason)
	}
	w.pass(time.Second)
	w.look(c)
	if s := w.status(c); s.Attempts != 2 || len(w.alarms) < 2 {
		t.Errorf("%d attempts, alarms %v", s.Attempts, w.alarms)
	}
	w.refuse = nil
	c = w.process() // the node starts again meanwhile
	w.look(c)
	w.want(c, migrate.StateRolledBack, "")
	if w.route != old {
		t.Errorf("%v serves", w.route)
	}
}

func TestBusySwapIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	c := w.process()
	w.refuse[short().Steps[0].Route.String()] = migrate.ErrBusy
	w.start(c, short())
	w.look(c)
	w.look(c)
	w.want(c, migrate.StatePreparing, "shadow")
	w.refuse = nil
	w.look(c)
	w.want(c, migrate.StateSoaking, "shadow")
	if n := w.count(migrate.RecordApplying); n != 1 {
		t.Errorf("%d intents of one apply", n)
	}
}

func (w *world) count(k migrate.RecordKind) int {
	n := 0
	for _, r := range w.records {
		if r.Kind == k {
			n++
		}
	}
	return n
}

func TestPauseStopsProgressAndNotFailure(t *testing.T) {
	for _, hold := range []bool{false, true} {
		w := newWorld(t)
		c := w.process()
		w.start(c, short())
		w.look(c)
		if err := c.Pause(t.Context(), "up", migrate.PauseOptions{By: "ann", Hold: hold}); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			w.interval(c, 100)
		}
		w.want(c, migrate.StatePaused, "shadow")
		if s := w.status(c); s.Soaked != 0 {
			t.Errorf("soaked %s while paused", s.Soaked)
		}
		w.sample(migrate.SourceShadow, migrate.OutcomeDisagree)
		w.look(c)
		if hold {
			w.want(c, migrate.StateHolding, "shadow")
		} else {
			w.want(c, migrate.StateRolledBack, "")
		}
	}
}

func TestResumeGoesOnWhereItWas(t *testing.T) {
	w := newWorld(t)
	c := w.process()
	w.start(c, short())
	w.look(c)
	w.interval(c, 5)
	_ = c.Pause(t.Context(), "up", migrate.PauseOptions{By: "ann"})
	w.interval(c, 5)
	if err := c.Resume(t.Context(), "up", "ann"); err != nil {
		t.Fatal(err)
	}
	w.look(c)
	if s := w.status(c); s.State != migrate.StateSoaking || s.Soaked != 30*time.Second || s.Samples != 10 {
		t.Errorf("%+v", s)
	}
	if err := c.Resume(t.Context(), "up", "ann"); !errors.Is(err, migrate.ErrNothingToDo) {
		t.Errorf("resumed twice: %v", err)
	}
}

func TestApprovalIsForTheStepThatItEnters(t *testing.T) {
	w := newWorld(t)
	c := w.process()
	s := short()
	s.Steps[0].Approval, s.Steps[2].Approval = true, true
	w.start(c, s)
	w.look(c)
	w.want(c, migrate.StateAwaitingApproval, "shadow")
	if len(w.applies) > 0 {
		t.Fatalf("applied %v without a word", w.applies)
	}
	if err := c.Approve(t.Context(), "up", migrate.ApproveOptions{By: "ann"}); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		w.interval(c, 100)
	}
	w.want(c, migrate.StateAwaitingApproval, "canary")
	c = w.process()
	w.interval(c, 100)
	w.want(c, migrate.StateAwaitingApproval, "canary")
	if err := c.Approve(t.Context(), "up", migrate.ApproveOptions{By: "ann"}); err != nil {
		t.Fatal(err)
	}
	w.finish(c)
	if err := c.Approve(t.Context(), "up", migrate.ApproveOptions{By: "ann"}); !errors.Is(err, migrate.ErrEnded) {
		t.Errorf("approved after the end: %v", err)
	}
}

func TestFailureWhileAwaitingApprovalGoesBack(t *testing.T) {
	w := newWorld(t)
	c := w.process()
	s := short()
	s.Steps[1].Approval = true
	w.start(c, s)
	for range 5 {
		w.interval(c, 100)
	}
	w.want(c, migrate.StateAwaitingApproval, "shadow")
	w.sample(migrate.SourceShadow, migrate.OutcomeDisagree)
	w.look(c)
	w.want(c, migrate.StateRolledBack, "")
}

func TestAbortLeavesTheRouteAndHoldsItAgainstTheFile(t *testing.T) {
	w := newWorld(t)
	c := w.process()
	w.start(c, short())
	w.look(c)
	if err := c.Abort(t.Context(), "up", "ann"); err != nil {
		t.Fatal(err)
	}
	shadow := short().Steps[0].Route
	w.want(c, migrate.StateAborted, "")
	for range 2 { // also after a restart
		route, base, ok := c.Override("engine")
		if !ok || route != shadow || base != old {
			t.Fatalf("override %v over %v, %v", route, base, ok)
		}
		if err := c.FileSays(t.Context(), "engine", old); err != nil {
			t.Fatal(err)
		}
		c = w.process()
	}
	if err := c.Rollback(t.Context(), "up", migrate.RollbackOptions{By: "ann"}); err != nil || w.route != old {
		t.Errorf("rolled back after the abort: %v, %v serves", err, w.route)
	}
}

func TestFinalRouteHoldsUntilTheFileSaysSoOrSomethingElse(t *testing.T) {
	final := migrate.Route{Primary: "v5"}
	for _, tc := range []struct {
		name string
		file migrate.Route
		held bool
	}{
		{"the file as it was", old, true},
		{"the file with the final route", final, false},
		{"a deliberate edit", migrate.Route{Primary: "v4", Fallback: "v5"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			c := w.process()
			w.start(c, short())
			w.finish(c)
			if err := c.FileSays(t.Context(), "engine", tc.file); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if route, _, ok := c.Override("engine"); ok != tc.held || ok && route != final {
					t.Errorf("override %v, %v", route, ok)
				}
				c = w.process()
			}
			err := c.Release(t.Context(), "engine", "ann")
			if _, _, ok := c.Override("engine"); ok || (err == nil) != tc.held {
				t.Errorf("release: %v, held %v", err, ok)
			}
		})
	}
}

func TestASecondRunGoesBackToWhatTheFirstLeft(t *testing.T) {
	w := newWorld(t)
	c := w.process()
	w.start(c, short())
	w.finish(c)
	s := short()
	s.Name, s.From, s.To = "down", "v5", "v4"
	s.Steps = []migrate.Step{{Name: "back", Route: old, Soak: time.Hour}}
	s.Gates = []migrate.Gate{{Name: "calm", Metric: migrate.MetricRollbacks, Max: new(0.0)}}
	w.start(c, s)
	w.look(c)
	if err := c.Rollback(t.Context(), "down", migrate.RollbackOptions{By: "ann"}); err != nil {
		t.Fatal(err)
	}
	final := migrate.Route{Primary: "v5"}
	if route, base, ok := c.Override("engine"); !ok || route != final || base != old || w.route != final {
		t.Errorf("override %v over %v, %v", route, base, ok)
	}
	if err := c.Rollback(t.Context(), "up", migrate.RollbackOptions{By: "ann"}); err == nil {
		t.Error("a run was rolled back after a newer one had the role")
	}
}

func TestNoReturnNeedsAWord(t *testing.T) {
	only := short().Steps[2].Route.String()
	w := newWorld(t)
	w.noReturn[only] = "Cancun"
	c := w.process()
	if _, err := c.Start(t.Context(), short(), "ann"); !errors.Is(err, migrate.ErrNoReturn) {
		t.Fatalf("start: %v", err)
	}
	w.noReturn = map[string]string{} // it becomes so on the way
	w.start(c, short())
	w.noReturn[only] = "Cancun"
	for range 12 {
		w.interval(c, 100)
	}
	w.want(c, migrate.StateHolding, "only")
	if err := c.Approve(t.Context(), "up", migrate.ApproveOptions{By: "ann"}); !errors.Is(err, migrate.ErrNoReturn) {
		t.Errorf("approved without the word: %v", err)
	}
	if err := c.Approve(t.Context(), "up", migrate.ApproveOptions{By: "ann", NoReturn: true}); err != nil {
		t.Fatal(err)
	}
	w.look(c)
	w.want(c, migrate.StateSoaking, "only")
	w.forbidden[old.String()] = "v4 cannot read Cancun blocks"
	if err := c.Rollback(t.Context(), "up", migrate.RollbackOptions{By: "ann"}); !errors.Is(err, migrate.ErrNoWayBack) {
		t.Errorf("rollback: %v", err)
	}
	w.sample(migrate.SourceLive, migrate.OutcomeDisagree)
	w.look(c)
	w.want(c, migrate.StateHolding, "only")
	if s := w.status(c); !strings.Contains(s.Reason, "no way back") {
		t.Errorf("reason %q", s.Reason)
	}
}

func TestBackupThatFailsHolds(t *testing.T) {
	w := newWorld(t)
	w.backupErr = errors.New("disk full")
	c := w.process()
	w.start(c, short())
	w.look(c)
	w.want(c, migrate.StateHolding, "shadow")
	if len(w.applies) > 0 {
		t.Errorf("applied %v without a backup", w.applies)
	}
	w.backupErr = nil
	if err := c.Resume(t.Context(), "up", "ann"); err != nil {
		t.Fatal(err)
	}
	w.finish(c)
}

func TestSoakIsTheSmallerOfBothClocks(t *testing.T) {
	for _, tc := range []struct {
		name       string
		wall, mono time.Duration
		want       time.Duration
	}{
		{"the wall clock jumps ahead", time.Hour, 10 * time.Second, 10 * time.Second},
		{"the wall clock is put back", -time.Hour, 10 * time.Second, 0},
		{"the machine slept", time.Hour, time.Second, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			c := w.process()
			w.start(c, short())
			w.look(c)
			w.now, w.mono = w.now.Add(tc.wall), w.mono+tc.mono
			w.look(c)
			if s := w.status(c); s.Soaked != tc.want {
				t.Errorf("soaked %s, want %s", s.Soaked, tc.want)
			}
		})
	}
}

func TestTimeWhileTheNodeIsDownDoesNotCount(t *testing.T) {
	w := newWorld(t)
	c := w.process()
	w.start(c, short())
	w.look(c)
	w.interval(c, 7)
	w.pass(time.Hour)
	w.mono = 0 // another process
	c = w.process()
	w.look(c)
	if s := w.status(c); s.Soaked != 30*time.Second || s.Samples != 7 || s.State != migrate.StateSoaking {
		t.Errorf("after the restart: %+v", s)
	}
}

func TestPlanSaysWhatItTakes(t *testing.T) {
	w := newWorld(t)
	c := w.process()
	s := short()
	s.Steps, s.Gates = nil, nil
	p, err := c.Plan(t.Context(), s)
	if err != nil || len(p.Problems) > 0 {
		t.Fatalf("%v, %q", err, p.Problems)
	}
	if len(p.Steps) != 8 || p.Steps[7].Earliest != 90*time.Hour || !p.Steps[7].Step.Approval {
		t.Errorf("steps:\n%s", p)
	}
	samples := map[string]uint64{}
	for _, step := range p.Steps {
		for _, n := range step.Needs {
			samples[n.Gate] = n.Samples
		}
	}
	if samples["errors"] != 301 || samples["errors_steady"] != 32715 || samples["errors_live"] != 32715 {
		t.Errorf("samples %v", samples)
	}
	for _, want := range []string{"canary v5 at 50 %", "32715 samples without an error", "at most half may be replay", "on a human's word"} {
		if !strings.Contains(p.String(), want) {
			t.Errorf("the plan does not say %q:\n%s", want, p)
		}
	}
	if len(w.records) > 0 || len(w.applies) > 0 {
		t.Error("a plan changed something")
	}
}

func TestWakeLooksBeforeTheHealthInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.process()
		w.start(c, short())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		synctest.Wait()
		begun := time.Now()
		for range 3 {
			w.sample(migrate.SourceShadow, migrate.OutcomeError)
		}
		c.Wake("signer") // nobody drives it
		c.Wake("engine")
		synctest.Wait()
		if s := w.status(c); s.State != migrate.StateRolledBack || !strings.Contains(s.Reason, "the newest: 0xabc") || time.Since(begun) > time.Second {
			t.Errorf("%s after %s: %s", s.State, time.Since(begun), s.Reason)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestAStepIsNotLeftWhileItsProbationIsOpen(t *testing.T) {
	w := newWorld(t)
	c := w.process()
	w.start(c, short())
	w.look(c)
	w.probation = true
	w.interval(c, 100)
	w.interval(c, 100)
	w.interval(c, 100)
	w.want(c, migrate.StateSoaking, "shadow")
	if e, err := c.Explain("up"); err != nil || !slices.ContainsFunc(e.Waits, func(s string) bool { return strings.Contains(s, "probation") }) {
		t.Errorf("waits for %q, %v", e.Waits, err)
	}
	w.probation = false
	w.interval(c, 1)
	w.want(c, migrate.StateSoaking, "canary")
}

// The last step's own probation may still go back, and so may that of an apply that an abort left.
func TestFlipBackAfterTheEndReleasesTheRole(t *testing.T) {
	w := newWorld(t)
	c := w.process()
	w.start(c, short())
	w.finish(c)
	c.Notice(migrate.Event{Role: "engine", Kind: migrate.EventFellBack, Plugin: "v5"})
	if _, _, ok := c.Override("engine"); !ok {
		t.Fatal("nothing is held, though the route has not changed")
	}
	c.Notice(migrate.Event{Role: "sync", Kind: migrate.EventFlippedBack})
	c.Notice(migrate.Event{Role: "engine", Kind: migrate.EventFlippedBack, Reason: "it crashed"})
	for range 2 {
		if route, _, ok := c.Override("engine"); ok {
			t.Errorf("%v is held, which has gone", route)
		}
		c = w.process()
	}
	if last := w.records[len(w.records)-1]; last.Kind != migrate.RecordReleased || !strings.Contains(last.Reason, "it crashed") {
		t.Errorf("last record %+v", last)
	}
}

// A person who has a step tried again after a flip back must not find a gate that can never pass.
func TestResumeAfterAFlipBackCanPass(t *testing.T) {
	w := newWorld(t)
	s := short()
	s.OnFailure = migrate.OnFailureHold
	s.Gates = append(s.Gates, migrate.Gate{Name: "steady", Metric: migrate.MetricRollbacks, Max: new(0.0)})
	c := w.process()
	w.start(c, s)
	w.look(c)
	c.Notice(migrate.Event{Role: "engine", Kind: migrate.EventFlippedBack, Reason: "it crashed"})
	w.look(c)
	w.want(c, migrate.StateHolding, "shadow")
	if n := w.status(c).Rollbacks; n != 1 {
		t.Errorf("%d rollbacks, want 1", n)
	}
	if err := c.Resume(t.Context(), "up", "ann"); err != nil {
		t.Fatal(err)
	}
	w.finish(c)
	w.want(c, migrate.StateFinished, "only")
}

func TestAFlipBackThatGoesBackIsOneRollback(t *testing.T) {
	w := newWorld(t)
	c := w.process()
	w.start(c, short())
	w.look(c)
	c.Notice(migrate.Event{Role: "engine", Kind: migrate.EventFlippedBack, Reason: "it crashed"})
	w.look(c)
	w.want(c, migrate.StateRolledBack, "")
	if n := w.status(c).Rollbacks; n != 1 {
		t.Errorf("%d rollbacks, want 1", n)
	}
}

func TestAPauseForgetsNoFailure(t *testing.T) {
	w := newWorld(t)
	s := short()
	s.Gates = s.Gates[:1] // errors are judged by the trigger alone: three in a row
	c := w.process()
	w.start(c, s)
	w.look(c)
	w.sample(migrate.SourceShadow, migrate.OutcomeError)
	w.sample(migrate.SourceShadow, migrate.OutcomeError)
	w.look(c)
	if err := errors.Join(c.Pause(t.Context(), "up", migrate.PauseOptions{By: "ann"}), c.Resume(t.Context(), "up", "ann")); err != nil {
		t.Fatal(err)
	}
	w.want(c, migrate.StateSoaking, "shadow")
	w.sample(migrate.SourceShadow, migrate.OutcomeError) // the third in a row
	w.look(c)
	w.want(c, migrate.StateRolledBack, "")
}
