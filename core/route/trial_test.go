package route_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alys-node/alys/core/route"
)

// newcomer says that b is on trial.
func newcomer(id route.ID) bool { return id.Plugin == "b" }

func trialWriter(t *testing.T, p positions) (*route.Writer[*plugin], *watcher) {
	t.Helper()
	r, w := newRoute(t, p, route.Options{OnTrial: newcomer})
	return route.NewWriter(r, route.WriterOptions[*plugin]{}), w
}

// detached are the targets that do not answer any more.
func detached(r *route.Route[*plugin]) string {
	var out []string
	for _, s := range r.Status().Targets {
		if s.Detached {
			out = append(out, s.ID.Plugin)
		}
	}
	return strings.Join(out, " ")
}

func TestPrimaryOnTrialIsOverruledByItsFallback(t *testing.T) {
	for name, verdicts := range map[string][2]string{
		"INVALID for a valid block": {"VALID", "INVALID"}, "VALID for an invalid one": {"INVALID", "VALID"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newPlugin("a").says(verdicts[0]).takes(50*time.Millisecond), newPlugin("b").says(verdicts[1])
				w, seen := trialWriter(t, positions{Primary: b, Fallback: a})
				got, err := write(t, w, 1)
				if got != verdicts[0] || err != nil {
					t.Errorf("answer %q, %v; want the fallback's", got, err)
				}
				synctest.Wait()
				if w.Route().State() != route.FallenBack || detached(w.Route()) != "b" {
					t.Errorf("state %s, detached %q", w.Route().State(), detached(w.Route()))
				}
				if c := seen.changes[len(seen.changes)-1]; !strings.Contains(c.Reason, "disagrees") || !strings.Contains(c.Reason, "slot 1") {
					t.Errorf("the change says %q", c.Reason)
				}
				if got, err := write(t, w, 2); got != verdicts[0] || err != nil || b.times() != 1 {
					t.Errorf("then %q, %v, the newcomer was asked %d times", got, err, b.times())
				}
			})
		})
	}
}

// A fallback that is too slow to overrule is not blamed for the disagreement, and takes over once it is there.
func TestLateFallbackStandsAgainstAPrimaryOnTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPlugin("a").says("VALID").takes(900*time.Millisecond), newPlugin("b").says("INVALID")
		w, _ := trialWriter(t, positions{Primary: b, Fallback: a})
		if got, err := write(t, w, 1); got != "INVALID" || err != nil {
			t.Errorf("answer %q, %v", got, err)
		}
		<-time.After(time.Second)
		synctest.Wait()
		if w.Route().State() != route.FallenBack || detached(w.Route()) != "b" {
			t.Errorf("state %s, detached %q", w.Route().State(), detached(w.Route()))
		}
	})
}

func TestPrimaryOnTrialIsOverruledByTheWarmOldOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPlugin("a").says("VALID"), newPlugin("b").says("INVALID")
		w, _ := trialWriter(t, positions{Primary: b, Warm: a, Probation: true})
		if got, err := write(t, w, 1); got != "VALID" || err != nil {
			t.Errorf("answer %q, %v", got, err)
		}
		synctest.Wait()
		if n := w.Route().Window(b.ID(), time.Time{}).Disputes; n != 1 {
			t.Errorf("%d disputes of the newcomer, by which the probation flips back", n)
		}
	})
}

// Two plugins that have both proved themselves: as before, the one that answers is believed.
func TestPrimaryThatHasProvedItselfIsNotOverruled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, c := newPlugin("a").says("VALID"), newPlugin("c").says("INVALID")
		w, _ := trialWriter(t, positions{Primary: a, Fallback: c})
		got, err := write(t, w, 1)
		synctest.Wait()
		if got != "VALID" || err != nil || detached(w.Route()) != "c" {
			t.Errorf("answer %q, %v, detached %q", got, err, detached(w.Route()))
		}
	})
}

func TestFalseReplyOfAPrimaryInProbationDoesNotDetachItsFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPlugin("a").says("VALID"), newPlugin("b").says("forged")
		w, _ := newWriter(t, positions{Primary: b, Fallback: a, Probation: true}, route.WriterOptions[*plugin]{})
		got, err := write(t, w, 1)
		synctest.Wait()
		if got != "VALID" || err != nil || detached(w.Route()) != "" {
			t.Errorf("answer %q, %v, detached %q", got, err, detached(w.Route()))
		}
	})
}

// A shadow that hangs is told within the time of the write, once, and not when its own much longer time has passed.
func TestWriterTellsOfAShadowThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPlugin("a"), newPlugin("b").takes(time.Hour)
		w, seen := newWriter(t, positions{Primary: a, Shadow: b}, route.WriterOptions[*plugin]{})
		if _, err := write(t, w, 1); err != nil {
			t.Fatal(err)
		}
		<-time.After(1100 * time.Millisecond)
		synctest.Wait()
		if got := seen.comparisons(); got[route.Failed] != 1 {
			t.Errorf("comparisons %v after the budget of 1s", got)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if got := seen.comparisons(); got[route.Failed] != 1 || len(got) != 1 {
			t.Errorf("comparisons %v in the end", got)
		}
	})
}

// A disagreement is one, however late it comes.
func TestWriterTellsOfALateDisagreement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPlugin("a").says("VALID"), newPlugin("b").says("INVALID").takes(3*time.Second)
		w, seen := newWriter(t, positions{Primary: a, Shadow: b}, route.WriterOptions[*plugin]{})
		if _, err := write(t, w, 1); err != nil {
			t.Fatal(err)
		}
		<-time.After(4 * time.Second)
		synctest.Wait()
		if got := seen.comparisons(); got[route.Failed] != 1 || got[route.Disagree] != 1 || detached(w.Route()) != "b" {
			t.Errorf("comparisons %v, detached %q", got, detached(w.Route()))
		}
	})
}

func TestDistrust(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := newPlugin("a"), newPlugin("b"), newPlugin("c")
		w, seen := trialWriter(t, positions{Primary: b, Fallback: a, Shadow: c})
		r := w.Route()
		r.Distrust(route.ID{Plugin: "nobody"}, "unknown")
		if r.State() != route.Shadowing || len(seen.alarmed()) != 0 {
			t.Errorf("state %s after distrust of nobody, alarms %v", r.State(), seen.alarmed())
		}
		r.Distrust(c.ID(), "its payload is no good")
		if detached(r) != "c" || r.State() != route.Single {
			t.Errorf("state %s, detached %q", r.State(), detached(r))
		}
		r.Distrust(b.ID(), "its payload is no good")
		if r.State() != route.FallenBack || len(seen.alarmed()) != 2 || !strings.Contains(seen.changes[len(seen.changes)-1].Reason, "no good") {
			t.Errorf("state %s, changes %v, alarms %v", r.State(), seen.changes, seen.alarmed())
		}
	})
}

// A plugin that hangs does not keep the route from going on without it; one that is in time is waited for.
func TestQuiesceDoesNotWaitForAPluginThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := newPlugin("a"), newPlugin("b").takes(time.Hour), newPlugin("c").takes(time.Hour)
		w, _ := newWriter(t, positions{Primary: b, Fallback: a, Shadow: c}, route.WriterOptions[*plugin]{})
		if _, err := write(t, w, 1); err != nil {
			t.Fatal(err)
		}
		r := w.Route()
		r.Hold()
		started := time.Now()
		limited, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if err := r.Quiesce(limited); err == nil {
			t.Error("the shadow still has time, and was not waited for")
		}
		<-time.After(700*time.Millisecond - time.Since(started)) // 1.1 s after the write began
		again, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if err := r.Quiesce(again); err != nil {
			t.Errorf("after the time of the write: %v", err)
		}
		<-time.After(31 * time.Second) // both writes have ended by now
		if err := r.Quiesce(t.Context()); err != nil {
			t.Error(err)
		}
		r.Release()
	})
}
