package migrate_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alys-node/alys/core/migrate"
)

func TestAScheduleThatCannotRunIsRefusedInWords(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(s *migrate.Schedule)
		want  string
	}{
		{"an unknown metric", func(s *migrate.Schedule) { s.Gates[0].Metric = "eror_rate" }, `unknown metric "eror_rate"`},
		{"no bounds", func(s *migrate.Schedule) { s.Gates[1].Bad = nil }, "0 < good < bad"},
		{"replay alone", func(s *migrate.Schedule) { s.Gates[1].Sources = []migrate.Source{migrate.SourceReplay} }, "replay alone is no data source"},
		{"an unknown source", func(s *migrate.Schedule) { s.Gates[1].Sources = []migrate.Source{"canary"} }, `unknown source "canary"`},
		{"bounds on correctness", func(s *migrate.Schedule) { s.Gates[0].Max = new(1.0) }, "zero tolerance"},
		{"a ratio without a limit", func(s *migrate.Schedule) { s.Gates[1] = migrate.Gate{Name: "l", Metric: migrate.MetricLatencyRatio} }, "needs a max"},
		{"participation with a max", func(s *migrate.Schedule) {
			s.Gates[1] = migrate.Gate{Name: "p", Metric: migrate.MetricParticipation, Max: new(1.0)}
		}, "needs a min"},
		{"a gate twice", func(s *migrate.Schedule) { s.Gates[1].Name = "same" }, `gate "same" is there twice`},
		{"an unknown gate", func(s *migrate.Schedule) { s.Steps[0].Gates = []string{"sme"} }, `unknown gate "sme"`},
		{"a named gate without data", func(s *migrate.Schedule) {
			s.Gates = append(s.Gates, migrate.Gate{Name: "ratio", Metric: migrate.MetricLatencyRatio, Max: new(1.1)})
			s.Steps[2].Gates = []string{"ratio"}
		}, `gate "ratio" has no data source`},
		{"a gate that no step can judge", func(s *migrate.Schedule) {
			s.Gates[1].Sources = []migrate.Source{migrate.SourceShadow}
			s.Steps = s.Steps[2:]
		}, "judged in no step"},
		{"a last step short of the goal", func(s *migrate.Schedule) { s.Steps = s.Steps[:2] }, "does not reach the goal"},
		{"a stranger", func(s *migrate.Schedule) { s.Steps[0].Route.Fallback = "v6" }, "v6 is neither from nor to"},
		{"a canary of nothing", func(s *migrate.Schedule) { s.Steps[1].Route.Percent = 0 }, "a percent between 0 and 100"},
		{"nobody", func(s *migrate.Schedule) { s.Steps[0].Route.Primary = "" }, "nobody is primary"},
		{"samples of what is not asked", func(s *migrate.Schedule) { s.Steps[0].Route = migrate.Route{Primary: "v4", Fallback: "v5"} }, "min_samples cannot be reached"},
		{"a name twice", func(s *migrate.Schedule) { s.Steps[1].Name = "shadow" }, "a name of its own"},
		{"an interval too long", func(s *migrate.Schedule) { s.HealthInterval = time.Minute }, "health_interval is 1m0s"},
		{"another word for failure", func(s *migrate.Schedule) { s.OnFailure = "retry" }, "on_failure"},
		{"going nowhere", func(s *migrate.Schedule) { s.To = "v4" }, "from one plugin to another"},
		{"from who does not serve", func(s *migrate.Schedule) {
			s.From = "v3"
			for i := range s.Steps[:2] {
				s.Steps[i].Route.Primary = "v3"
			}
		}, "is served by v4 and not by v3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			c := w.process()
			s := short()
			tc.spoil(&s)
			if _, err := c.Start(t.Context(), s, "ann"); !errors.Is(err, migrate.ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q in it", err, tc.want)
			}
			if p, err := c.Plan(t.Context(), s); err != nil || len(p.Problems) == 0 {
				t.Errorf("plan: %v, problems %q", err, p.Problems)
			}
			if len(w.records) > 0 {
				t.Error("it is in the log")
			}
		})
	}
}

func TestWhatCannotBeDoneNowIsRefusedAtTheStart(t *testing.T) {
	w := newWorld(t)
	c := w.process()
	w.forbidden[short().Steps[1].Route.String()] = "no fork data"
	if _, err := c.Start(t.Context(), short(), "ann"); !errors.Is(err, migrate.ErrInvalid) || !strings.Contains(err.Error(), "no fork data") {
		t.Errorf("a later step that is refused for good: %v", err)
	}
	w.forbidden = map[string]string{}
	w.start(c, short())
	if _, err := c.Start(t.Context(), short(), "bob"); !errors.Is(err, migrate.ErrOwned) {
		t.Errorf("a second run on the role: %v", err)
	}
	if err := c.Release(t.Context(), "engine", "bob"); !errors.Is(err, migrate.ErrOwned) {
		t.Errorf("released while it is driven: %v", err)
	}
	if err := c.Abort(t.Context(), "down", "bob"); !errors.Is(err, migrate.ErrUnknown) {
		t.Errorf("unknown: %v", err)
	}
}

func TestDefaultsOfEveryKindCanRun(t *testing.T) {
	for kind, steps := range map[string]int{migrate.KindEngine: 8, migrate.KindSigner: 3, migrate.KindSync: 3} {
		w := newWorld(t)
		w.route = migrate.Route{Primary: "old"}
		s := migrate.Schedule{Name: "m", Role: kind, Kind: kind, From: "old", To: "new"}
		p, err := w.process().Plan(t.Context(), s)
		if err != nil || len(p.Problems) > 0 || len(p.Steps) != steps {
			t.Errorf("%s: %v\n%s", kind, err, p)
		}
		for _, step := range p.Steps {
			if len(step.NotJudged) > 0 {
				t.Errorf("%s, step %q: %q", kind, step.Step.Name, step.NotJudged)
			}
		}
	}
	if _, _, err := migrate.Defaults("peg", "a", "b"); !errors.Is(err, migrate.ErrInvalid) {
		t.Errorf("unknown kind: %v", err)
	}
}

func TestDefaultsFillWhatIsLeftOut(t *testing.T) {
	own := short()
	own.Steps = nil
	got, err := own.WithDefaults()
	if err != nil || len(got.Steps) != 8 || len(got.Steps[0].Gates) != 0 || len(got.Gates) != 2 {
		t.Errorf("own gates with default steps: %v, %+v", err, got)
	}
	own = short()
	own.Gates, own.Steps = nil, own.Steps[2:]
	got, err = own.WithDefaults()
	if err != nil || len(got.Gates) == 0 {
		t.Errorf("own steps with default gates: %v, %+v", err, got)
	}
	for _, g := range got.Gates {
		if g.Metric == migrate.MetricLatencyRatio {
			t.Error("a default gate that cannot be measured in any step is there")
		}
	}
}
