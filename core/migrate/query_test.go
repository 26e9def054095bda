package migrate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alys-node/alys/core/migrate"
)

func TestObserverHearsEveryStateInOrder(t *testing.T) {
	w := newWorld(t)
	c := w.process()
	w.start(c, short())
	w.finish(c)
	var got []string
	for _, ch := range w.changes {
		if ch.From != ch.To {
			got = append(got, string(ch.To)+" "+ch.Step)
		}
	}
	want := []string{
		"planned shadow", "preparing shadow", "soaking shadow", "preparing canary", "soaking canary", "preparing only", "soaking only", "finished only",
	}
	if !slices.Equal(got, want) {
		t.Errorf("heard %q", got)
	}
	last := w.judged[len(w.judged)-1]
	if last.Answer != migrate.Pass || last.Step != "only" || len(last.Gates) != 2 || last.Soaked < time.Minute {
		t.Errorf("the last judgement is %+v", last)
	}
}

func TestHistoryHasTheNewestCountsOfEachStepAndWhoSaidWhat(t *testing.T) {
	w := newWorld(t)
	c := w.process()
	w.start(c, short())
	w.look(c)
	for range 3 {
		w.interval(c, 1) // too few samples to go on
	}
	_ = c.Abort(t.Context(), "up", "bob")
	h := c.History("up")
	progress := slices.DeleteFunc(slices.Clone(h), func(r migrate.Record) bool { return r.Kind != migrate.RecordProgress })
	if len(progress) != 1 || progress[0].Tally.Soaked != 90*time.Second {
		t.Errorf("progress %+v", progress)
	}
	if h[0].By != "ann" || h[len(h)-1].By != "bob" || h[0].Schedule.Hash != "h1" {
		t.Errorf("first by %q, last by %q", h[0].By, h[len(h)-1].By)
	}
	if len(c.History("")) != len(h) || len(c.History("other")) != 0 {
		t.Error("another name has another history")
	}
}

func TestExplainSaysWhatEachStateWaitsFor(t *testing.T) {
	w := newWorld(t)
	c := w.process()
	waits := func(want string) {
		t.Helper()
		e, err := c.Explain("up")
		if err != nil || !strings.Contains(strings.Join(e.Waits, "\n"), want) {
			t.Errorf("in %s it waits for %q, want %q; %v", e.Status.State, e.Waits, want, err)
		}
	}
	if _, err := c.Explain("up"); !errors.Is(err, migrate.ErrUnknown) {
		t.Errorf("before the start: %v", err)
	}
	s := short()
	s.Steps[1].Approval = true
	w.refuse[s.Steps[0].Route.String()] = migrate.ErrBusy
	w.start(c, s)
	w.look(c)
	waits("is being prepared")
	w.refuse = map[string]error{}
	w.look(c)
	waits("soak: 0s of 1m0s")
	waits("29 more without a failure pass")
	_ = c.Pause(t.Context(), "up", migrate.PauseOptions{By: "ann"})
	waits("alys migrate resume up")
	_ = c.Resume(t.Context(), "up", "ann")
	for range 4 {
		w.interval(c, 100)
	}
	waits("alys migrate approve up")
	w.refuse[old.String()] = errRefused
	_ = c.Rollback(t.Context(), "up", migrate.RollbackOptions{By: "ann"})
	waits("1 attempts failed")
	_ = c.Abort(t.Context(), "up", "ann")
	if e, err := c.Explain("up"); err != nil || len(e.Waits) > 0 {
		t.Errorf("ended, it waits for %q, %v", e.Waits, err)
	}
}

func TestPlanListsWhatIsNotJudged(t *testing.T) {
	w := newWorld(t)
	s := short()
	s.Gates = append(s.Gates, migrate.Gate{Name: "ratio", Metric: migrate.MetricLatencyRatio, Max: new(1.1)})
	w.noReturn[s.Steps[2].Route.String()] = "Cancun"
	s.Steps[2].NoReturn = true
	p, err := w.process().Plan(t.Context(), s)
	if err != nil || len(p.Problems) > 0 {
		t.Fatalf("%v, %q", err, p.Problems)
	}
	for _, want := range []string{`not judged here: gate "ratio": only one plugin is asked`, "no way back after this step: Cancun", "cuts the way back"} {
		if !strings.Contains(p.String(), want) {
			t.Errorf("the plan does not say %q:\n%s", want, p)
		}
	}
}
