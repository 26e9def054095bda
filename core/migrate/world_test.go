package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/alys-node/alys/core/migrate"
)

// world is everything around a controller: it outlives the process, which the tests let die.
type world struct {
	*testing.T
	now  time.Time
	mono time.Duration

	route     migrate.Route // applied
	file      migrate.Route
	serial    uint64
	applies   []migrate.Route
	calls     int              // of Apply
	currents  int              // calls of Current
	rollbacks int              // applies that were marked as such
	refuse    map[string]error // of an apply, by the route's text
	probation bool
	forbidden map[string]string
	noReturn  map[string]string

	samples []migrate.Sample
	facts   migrate.Facts
	during  func(ctx context.Context) error // of an apply, before anything changes; nil: nothing

	backups   int
	backupErr error

	records []migrate.Record
	dieAt   int // the process ends right after this record (from 1); 0: never
	dieIn   int // the process ends inside this apply, after the flip (from 1)
	alarms  []migrate.Alarm
	changes []migrate.Change
	judged  []migrate.Judgement
}

type killed struct{}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{
		T: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), route: old, file: old, serial: 7,
		refuse: map[string]error{}, forbidden: map[string]string{}, noReturn: map[string]string{},
	}
}

var old = migrate.Route{Primary: "v4"}

func (w *world) Now() time.Time      { return w.now }
func (w *world) Mono() time.Duration { return w.mono }

func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	w.mono += d
}

func (w *world) Current(string) (migrate.Applied, error) {
	w.currents++
	return migrate.Applied{Route: w.route, Serial: w.serial, Probation: w.probation, File: w.file}, nil
}

func (w *world) Preview(_ context.Context, _ string, r migrate.Route) (migrate.Preview, error) {
	return migrate.Preview{Text: "to " + r.String(), NoReturn: w.noReturn[r.String()], Forbidden: w.forbidden[r.String()]}, nil
}

func (w *world) Apply(ctx context.Context, _ string, r migrate.Route, o migrate.ApplyOptions) error {
	if w.during != nil && !o.Rollback {
		if err := w.during(ctx); err != nil {
			return err
		}
	}
	w.calls++
	if err := w.refuse[r.String()]; err != nil {
		return err
	}
	if o.Rollback {
		w.rollbacks++
	}
	if r != w.route {
		w.serial++
		w.applies = append(w.applies, r)
	}
	w.route = r
	if w.dieIn > 0 && len(w.applies) == w.dieIn {
		w.dieIn = 0
		panic(killed{})
	}
	return nil
}

func (w *world) Drain(string) ([]migrate.Sample, migrate.Facts) {
	s, f := w.samples, w.facts
	w.samples, w.facts = nil, migrate.Facts{}
	return s, f
}

func (w *world) Make(context.Context, string) (string, error) {
	w.backups++
	return fmt.Sprintf("backup-%d", w.backups), w.backupErr
}
func (w *world) Verify(context.Context, string) error { return nil }

func (w *world) Append(r migrate.Record) error {
	w.records = append(w.records, r)
	if w.dieAt == len(w.records) {
		w.dieAt = 0
		panic(killed{})
	}
	return nil
}
func (w *world) Records() []migrate.Record { return slices.Clone(w.records) }

func (w *world) Changed(c migrate.Change)   { w.changes = append(w.changes, c) }
func (w *world) Judged(j migrate.Judgement) { w.judged = append(w.judged, j) }
func (w *world) Alarm(a migrate.Alarm)      { w.alarms = append(w.alarms, a) }

// process starts a controller on what the world remembers.
func (w *world) process() *migrate.Controller {
	w.Helper()
	c, err := migrate.New(migrate.Options{Roles: w, Meter: w, Log: w, Backups: w, Clock: w, Observer: w})
	if err != nil {
		w.Fatal(err)
	}
	return c
}

// until runs f and reports that the process died in it.
func until(f func()) (dead bool) {
	defer func() {
		switch r := recover(); r.(type) {
		case nil:
		case killed:
			dead = true
		default:
			panic(r)
		}
	}()
	f()
	return false
}

func (w *world) look(c *migrate.Controller) {
	w.Helper()
	if err := c.Look(context.Background()); err != nil {
		w.Fatal(err)
	}
}

// good puts n good answers of the new plugin in.
func (w *world) good(n int) {
	for range n {
		w.sample(migrate.SourceShadow, migrate.OutcomeOK)
	}
}

func (w *world) sample(s migrate.Source, o migrate.Outcome) {
	w.samples = append(w.samples, migrate.Sample{
		At: w.now, Role: "engine", Plugin: "v5", Source: s, Outcome: o, Took: 8 * time.Millisecond, Paired: 8 * time.Millisecond, Request: "0xabc",
	})
}

// interval lets 30 s pass with n good answers, and looks.
func (w *world) interval(c *migrate.Controller, n int) {
	w.Helper()
	w.pass(30 * time.Second)
	w.good(n)
	w.facts.Slots += 15
	w.look(c)
}

func (w *world) status(c *migrate.Controller) migrate.Status {
	w.Helper()
	all := c.Status()
	if len(all) == 0 {
		w.Fatal("no run")
	}
	return all[len(all)-1]
}

func (w *world) want(c *migrate.Controller, state migrate.State, step string) {
	w.Helper()
	if s := w.status(c); s.State != state || step != "" && s.StepName != step {
		w.Fatalf("run is %s in step %q (%s), want %s in %q", s.State, s.StepName, s.Reason, state, step)
	}
}

func (w *world) start(c *migrate.Controller, s migrate.Schedule) {
	w.Helper()
	if _, err := c.Start(context.Background(), s, "ann"); err != nil {
		w.Fatal(err)
	}
}

// short is a schedule of three steps: shadow, canary and only, a minute each.
func short() migrate.Schedule {
	return migrate.Schedule{
		Name: "up", Role: "engine", Kind: migrate.KindEngine, From: "v4", To: "v5", Hash: "h1",
		Steps: []migrate.Step{
			{Name: "shadow", Route: migrate.Route{Primary: "v4", Shadow: "v5"}, Soak: time.Minute, MinSamples: 10},
			{Name: "canary", Route: migrate.Route{Primary: "v4", Canary: "v5", Percent: 10}, Soak: time.Minute, MinSamples: 10},
			{Name: "only", Route: migrate.Route{Primary: "v5"}, Soak: time.Minute},
		},
		Gates: []migrate.Gate{
			{Name: "same", Metric: migrate.MetricCorrectness},
			{Name: "errors", Metric: migrate.MetricErrorRate, Good: new(0.001), Bad: new(0.1)},
		},
	}
}

var errRefused = errors.New("admission refused")
