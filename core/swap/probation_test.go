package swap_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/core/swap"
)

// inProbation runs a test in a bubble of fake time, with a host that has just swapped local for second.
func inProbation(t *testing.T, f func(*testing.T, *world, *swap.Controller)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.start(signer("local", "1"))
		w.run(c)
		calls(w, 40)
		if r := mustApply(t, c, signer("second", "1")); r.Result != swap.ResultProbation {
			t.Fatalf("result %s", r.Result)
		}
		if got := w.labels(); got != "local second" {
			t.Fatalf("running: %s", got)
		}
		f(t, w, c)
	})
}

// TestUnwatchedApplyEndsAtOnce: the old generation is retired in the apply, although the controller has a probation.
func TestUnwatchedApplyEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.start(signer("local", "1"))
		w.run(c)
		r, err := apply(t, c, signer("second", "1"), swap.ApplyOptions{Unwatched: true})
		if err != nil || r.Result != swap.ResultDone {
			t.Fatalf("result %s, %v", r.Result, err)
		}
		if got := w.labels(); got != "second" || c.Status().Probation != nil {
			t.Errorf("running: %s, probation %+v", got, c.Status().Probation)
		}
	})
}

// run runs a controller until its host dies or the test ends.
func (w *world) run(c *swap.Controller) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx); err != nil {
			w.t.Errorf("run: %v", err)
		}
	}()
	stop := func() {
		cancel()
		<-done
	}
	w.stops = append(w.stops, stop)
	w.t.Cleanup(stop)
}

func calls(w *world, n int) {
	for range n {
		w.serves("signer")
	}
}

// pass lets fake time go on and waits until everybody is at rest.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (w *world) expect(t *testing.T, serves, running string) {
	t.Helper()
	if got := w.serves("signer"); got != serves {
		t.Errorf("answered by %q, want %q", got, serves)
	}
	if got := w.labels(); got != running {
		t.Errorf("running %q, want %q", got, running)
	}
}

func TestCleanProbationRetiresTheOld(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, c *swap.Controller) {
		calls(w, 40)
		pass(59 * time.Second)
		w.expect(t, "second-1", "local second")
		pass(2 * time.Second)
		w.expect(t, "second-1", "second")
		if s := c.Status(); s.Probation != nil || s.LastSwap.Result != swap.ResultDone || s.Roles[0].State != "single" {
			t.Errorf("status %+v", s)
		}
		w.wantEnded(t, swap.ResultDone)
	})
}

func TestProbationWaitsForItsCalls(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, _ *swap.Controller) {
		calls(w, 20)
		pass(5 * time.Minute)
		w.expect(t, "second-1", "local second")
		calls(w, 10)
		pass(time.Second)
		w.expect(t, "second-1", "second")
	})
}

func TestProbationWithoutCallsEnds(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, _ *swap.Controller) {
		pass(16 * time.Minute)
		w.expect(t, "second-1", "second")
	})
}

func TestTwoFailuresFlipBack(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, c *swap.Controller) {
		calls(w, 10)
		w.find("second").turn("HSM is away", 0)
		if got := w.serves("signer"); got != "local-1" {
			t.Errorf("a failing newcomer is answered for by %q, want the warm old one", got)
		}
		pass(time.Second)
		w.find("second").turn("ok", 0)
		w.expect(t, "second-1", "local second")
		w.find("second").turn("HSM is away", 0)
		calls(w, 1)
		pass(time.Second)
		w.expect(t, "local-1", "local")
		s := c.Status()
		if len(s.Rejected) != 1 || s.LastSwap.Result != swap.ResultFlippedBack || !strings.Contains(s.LastSwap.Problem, "2 of") || !strings.Contains(s.LastSwap.Problem, "HSM is away") {
			t.Errorf("status %+v", s)
		}
	})
}

// wantEnded checks how probations ended by themselves.
func (w *world) wantEnded(t *testing.T, want ...swap.Result) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.ended, want) {
		t.Errorf("told of probations that ended %v, want %v", w.ended, want)
	}
}

func TestFlipBackIsToldBeforeTheNewOneHasEnded(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, c *swap.Controller) {
		second := w.find("second")
		second.mu.Lock()
		second.drains = 5 * time.Second
		second.mu.Unlock()
		second.crash()
		pass(time.Second)
		if got := w.serves("signer"); got != "local-1" {
			t.Errorf("answered by %q, want the old one", got)
		}
		if s := c.Status(); s.LastSwap.Result != swap.ResultFlippedBack || s.LastSwap.Problem == "" {
			t.Errorf("while the new one is drained the status says %+v", s.LastSwap)
		}
		w.wantEnded(t, swap.ResultFlippedBack)
		pass(5 * time.Second)
		w.expect(t, "local-1", "local")
	})
}

func TestOldOneThatIsCaughtWithAFalseReplyIsNotGoneBackTo(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, c *swap.Controller) {
		errFalse := errors.New("signature does not verify")
		for range 3 {
			_, err := route.Call(t.Context(), w.control("signer").route, route.Request{Budget: time.Second},
				func(ctx context.Context, p *process) (string, error) { return p.serve(ctx) },
				route.Opts[string]{
					Check: func(reply string) error {
						if reply == "local-1" {
							return errFalse
						}
						return nil
					},
					Compare: func(_, _ string) route.Verdict { return route.Agree },
				})
			if err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Second)
		w.expect(t, "second-1", "local second")
		if s := c.Status(); s.LastSwap.Result != swap.ResultProbation {
			t.Errorf("last swap %+v, want the probation to go on", s.LastSwap)
		}
	})
}

func TestCrashOfTheNewOneFlipsBackAtOnce(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, _ *swap.Controller) {
		w.find("second").crash()
		synctest.Wait()
		w.expect(t, "local-1", "local")
	})
}

// A migration's step gives a plugin that runs already a greater place: what it died of before is not held against it, and
// a death in the new place is.
func TestCrashOfAPromotedPluginFlipsBackAtOnce(t *testing.T) {
	local, second := plugin("signer.local"), plugin("signer.second")
	for name, before := range map[string]swap.Route{
		"a shadow":   {Primary: local, Shadow: &second},
		"a canary":   {Primary: local, Canary: &swap.Canary{Plugin: second, Percent: 90}},
		"a fallback": {Primary: local, Fallback: &second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				c := w.start(wants("1", map[swap.Role]swap.Route{"signer": before}))
				w.run(c)
				w.find("second").crash()
				synctest.Wait()
				mustApply(t, c, wants("1", map[swap.Role]swap.Route{"signer": {Primary: second, Fallback: &local}}))
				pass(time.Second)
				if got := w.serves("signer"); got != "second-1" {
					t.Fatalf("answered by %q, want the promoted one", got)
				}
				w.find("second").crash()
				synctest.Wait()
				if got := w.serves("signer"); got != "local-1" {
					t.Errorf("answered by %q, want the old primary", got)
				}
			})
		})
	}
}

func TestSlowNewcomerFlipsBack(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, c *swap.Controller) {
		w.find("second").turn("ok", 30*time.Millisecond)
		calls(w, 40)
		pass(time.Second)
		w.expect(t, "local-1", "local")
		if got := c.Status().LastSwap.Problem; !strings.Contains(got, "slow") {
			t.Errorf("problem %q", got)
		}
	})
}

func TestOneSlowCallDoesNotFlipBack(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, _ *swap.Controller) {
		w.find("second").turn("ok", 30*time.Millisecond)
		calls(w, 1)
		w.find("second").turn("ok", 0)
		calls(w, 60)
		pass(time.Second)
		w.expect(t, "second-1", "local second")
	})
}

func TestRejectedConfigurationIsNotTriedAgain(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, c *swap.Controller) {
		w.find("second").crash()
		synctest.Wait()
		if _, err := c.Reload(t.Context(), signer("second", "1"), "watch"); !errors.Is(err, swap.ErrRejected) {
			t.Errorf("reload: %v", err)
		}
		_ = c.Close(t.Context())
		w.die()
		again := w.start(signer("second", "1"))
		w.expect(t, "local-1", "local")
		if s := again.Status(); len(s.Roles[0].Drift) == 0 || len(s.Rejected) != 1 {
			t.Errorf("status %+v", s)
		}
		if _, err := apply(t, again, signer("second", "1"), swap.ApplyOptions{Retry: true}); err != nil {
			t.Fatalf("retry: %v", err)
		}
		w.expect(t, "second-1", "local second")
		_ = again.Close(t.Context())
	})
}

func TestChangedFileIsTriedAfterARejection(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, c *swap.Controller) {
		w.find("second").crash()
		synctest.Wait()
		if _, err := c.Reload(t.Context(), signer("second", "2"), "watch"); err != nil {
			t.Fatal(err)
		}
		w.expect(t, "second-2", "local second")
	})
}

func TestApplyInProbationEndsIt(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, c *swap.Controller) {
		mustApply(t, c, signer("second", "2"))
		w.expect(t, "second-2", "second second")
		calls(w, 40)
		pass(2 * time.Minute)
		w.expect(t, "second-2", "second")
	})
}

func TestRollbackInProbationIsAtOnce(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, c *swap.Controller) {
		old := w.find("local")
		launched := len(w.procs)
		r, err := c.Rollback(t.Context(), "signer", "on-call")
		if err != nil || r.Result != swap.ResultFlippedBack {
			t.Fatalf("%+v %v", r, err)
		}
		w.expect(t, "local-1", "local")
		if w.find("local") != old || len(w.procs) != launched {
			t.Error("rollback started a process instead of using the warm one")
		}
		w.wantEnded(t) // who asked has the report
	})
}

func TestRollbackOfOneRoleKeepsTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		both := func(s, y string) swap.Desired {
			return wants("1", map[swap.Role]swap.Route{"signer": {Primary: plugin("signer." + s)}, "sync": {Primary: plugin("sync." + y)}})
		}
		c := w.start(both("local", "sequential"))
		w.run(c)
		mustApply(t, c, both("second", "parallel"))
		if _, err := c.Rollback(t.Context(), "signer", "on-call"); err != nil {
			t.Fatal(err)
		}
		w.expect(t, "local-1", "local parallel")
		if got := w.serves("sync"); got != "parallel-1" {
			t.Errorf("sync answered by %q", got)
		}
	})
}

func TestRollbackAfterProbationWorksWithABrokenFile(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, c *swap.Controller) {
		calls(w, 40)
		pass(2 * time.Minute)
		w.expect(t, "second-1", "second")
		_ = c.Close(t.Context())
		w.die()
		again := w.host()
		if _, err := again.Start(t.Context(), brokenFile()); err != nil {
			t.Fatal(err)
		}
		if _, err := again.Rollback(t.Context(), "signer", "on-call"); err != nil {
			t.Fatal(err)
		}
		w.expect(t, "local-1", "local")
		if _, err := again.Reload(t.Context(), signer("second", "1"), "watch"); !errors.Is(err, swap.ErrRejected) {
			t.Errorf("the file that was rolled back: %v", err)
		}
		_ = again.Close(t.Context())
	})
}

func TestRollbackGoesPastAPluginThatWasOnlyStartedAgain(t *testing.T) {
	w := newWorld(t).noProbation()
	c := w.start(signer("local", "1"))
	mustApply(t, c, signer("second", "1"))
	w.die()
	w.fail["second"] = errors.New("HSM is away")
	c = w.host()
	if _, err := c.Start(t.Context(), signer("second", "1")); err == nil {
		t.Fatal("start with nobody to sign says nothing")
	}
	delete(w.fail, "second")
	mustApply(t, c, signer("second", "1"))
	w.expect(t, "second-1", "second")
	if _, err := c.Rollback(t.Context(), "signer", ""); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "local-1", "local")
}

func TestRollbackThatTwoRolesClaimOneThingForIsRefused(t *testing.T) {
	w := newWorld(t).noProbation()
	local, second, gov := plugin("signer.local"), plugin("signer.second"), plugin("signer.governance")
	roles := func(approval, bitcoin swap.PluginID) map[swap.Role]swap.Route {
		return map[swap.Role]swap.Route{"signer/approval": {Primary: approval}, "signer/bitcoin": {Primary: bitcoin}}
	}
	c := w.start(wants("1", roles(local, second), "local=/keys"))
	mustApply(t, c, wants("1", roles(second, second)))
	mustApply(t, c, wants("1", roles(second, gov), "governance=/keys"))
	before := w.journal.states()
	if _, err := c.Rollback(t.Context(), "signer/approval", ""); !errors.Is(err, swap.ErrBadDesired) {
		t.Errorf("rollback to a folder that is taken: %v", err)
	}
	if got := w.journal.states(); got != before || w.labels() != "governance second" {
		t.Errorf("running %s, journal %s", w.labels(), got)
	}
}

func TestRollbackWithoutHistoryIsRefused(t *testing.T) {
	w := newWorld(t)
	c := w.start(signer("local", "1"))
	if _, err := c.Rollback(t.Context(), "signer", ""); !errors.Is(err, swap.ErrNothingToRollBack) {
		t.Errorf("no earlier route: %v", err)
	}
	if _, err := c.Rollback(t.Context(), "engine", ""); !errors.Is(err, swap.ErrUnknownRole) {
		t.Errorf("no such role: %v", err)
	}
}

func TestHostKilledInProbationComesBackNewAndRestartsTheClock(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, dead *swap.Controller) {
		pass(50 * time.Second)
		w.die()
		c := w.host()
		if _, err := c.Start(t.Context(), brokenFile()); err != nil {
			t.Fatal(err)
		}
		w.run(c)
		w.expect(t, "second-1", "local second")
		calls(w, 40)
		pass(50 * time.Second)
		w.expect(t, "second-1", "local second")
		pass(11 * time.Second)
		w.expect(t, "second-1", "second")
		_ = dead
	})
}

func TestTwoHostDeathsInOneProbationComeBackOld(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, _ *swap.Controller) {
		w.die()
		c := w.start(signer("second", "1"))
		w.expect(t, "second-1", "local second")
		w.die()
		_ = c
		again := w.start(signer("second", "1"))
		w.expect(t, "local-1", "local")
		if s := again.Status(); len(s.Rejected) != 1 || !strings.Contains(s.Rejected[0].Reason, "twice") {
			t.Errorf("rejected %+v", s.Rejected)
		}
	})
}

func TestWantedStopInProbationIsNoDeath(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, c *swap.Controller) {
		for range 3 {
			_ = c.Close(t.Context())
			w.die()
			c = w.start(signer("second", "1"))
			w.expect(t, "second-1", "local second")
		}
	})
}

func TestNewOneThatDoesNotStartAgainFlipsBack(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, _ *swap.Controller) {
		w.die()
		w.fail["second"] = errors.New("keystore is gone")
		w.start(signer("second", "1"))
		w.expect(t, "local-1", "local")
	})
}

func TestFlipBackAfterAHandoverReopensTheOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.start(signer("local", "1", "local=/keys"))
		w.run(c)
		if _, err := apply(t, c, signer("local", "2", "local=/keys"), swap.ApplyOptions{AllowGap: true}); err != nil {
			t.Fatal(err)
		}
		w.expect(t, "local-2", "local")
		w.find("local").crash()
		synctest.Wait()
		w.expect(t, "local-1", "local")
	})
}

func TestFlipBackIsCarriedOutWithAFullDisk(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, c *swap.Controller) {
		errFull := errors.New("disk is full")
		w.journal.fail = map[swap.State]error{swap.FlippedBack: errFull}
		w.find("second").crash()
		synctest.Wait()
		w.expect(t, "local-1", "local")
		var step *swap.StepError
		if _, err := apply(t, c, signer("third", "1"), swap.ApplyOptions{}); !errors.As(err, &step) || step.Step != swap.StepIntent || !errors.Is(err, errFull) {
			t.Errorf("an apply on a history that is not in the journal: %v", err)
		}
		w.expect(t, "local-1", "local")
		w.journal.fail = nil
		mustApply(t, c, signer("third", "1"))
		if got := w.journal.states(); !strings.Contains(got, "flipped flipped_back intent") {
			t.Errorf("journal %s", got)
		}
		w.die()
		again := w.start(brokenFile())
		w.expect(t, "third-1", "local third")
		if s := again.Status(); len(s.Roles) != 1 || s.Roles[0].Previous == nil || s.Roles[0].Previous.Primary != plugin("signer.local") {
			t.Errorf("status %+v", s)
		}
	})
}

func TestProbationEndsWithAFullDisk(t *testing.T) {
	inProbation(t, func(t *testing.T, w *world, c *swap.Controller) {
		w.journal.fail = map[swap.State]error{swap.Done: errors.New("disk is full")}
		calls(w, 40)
		pass(2 * time.Minute)
		w.expect(t, "second-1", "second")
		if s := c.Status(); s.Probation != nil || s.LastSwap.Result != swap.ResultDone || !strings.Contains(s.LastSwap.Problem, "disk is full") {
			t.Errorf("status %+v", s.LastSwap)
		}
		w.wantEnded(t, swap.ResultDone)
		w.journal.fail = nil
		mustApply(t, c, signer("third", "1"))
		w.expect(t, "third-1", "second third")
		if got := w.journal.states(); !strings.Contains(got, "flipped done intent") {
			t.Errorf("journal %s", got)
		}
	})
}

func TestKilledAtTheFlipBackComesBackOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.killAt(swap.FlippedBack, 1)
		c := w.start(signer("local", "1"))
		mustApply(t, c, signer("second", "1"))
		if !until(func() { _, _ = c.Rollback(context.Background(), "signer", "") }) {
			t.Fatal("not killed")
		}
		w.die()
		w.start(signer("second", "1"))
		w.expect(t, "local-1", "local")
	})
}

func TestPluginThatDoesNotStartWithTheNodeIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.start(signer("local", "1"))
		_ = c.Close(t.Context())
		w.die()
		w.fail["local"] = errors.New("HSM is away")
		c = w.host()
		if _, err := c.Start(t.Context(), signer("local", "1")); err == nil {
			t.Fatal("start with nobody to sign says nothing")
		}
		w.run(c)
		pass(10 * time.Second)
		if got := c.Status().Roles[0].Trouble; !strings.Contains(got, "HSM is away") {
			t.Errorf("trouble %q", got)
		}
		w.mu.Lock()
		delete(w.fail, "local")
		w.mu.Unlock()
		pass(time.Minute)
		w.expect(t, "local-1", "local")
	})
}
