package migrate

import (
	"fmt"
	"slices"
	"strings"
)

// check lists everything that is wrong with a schedule that has its defaults; nothing: it can run.
func (s Schedule) check() []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if s.Name == "" || s.Role == "" {
		add("a migration needs a name and a role")
	}
	if s.From == "" || s.To == "" || s.From == s.To {
		add("a migration goes from one plugin to another: from is %q, to is %q", s.From, s.To)
	}
	if s.OnFailure != OnFailureRollback && s.OnFailure != OnFailureHold {
		add("on_failure is %q: rollback or hold", s.OnFailure)
	}
	if s.HealthInterval <= 0 || s.HealthInterval > MaxHealthInterval {
		add("health_interval is %s: more than nothing and at most %s", s.HealthInterval, MaxHealthInterval)
	}
	out = append(out, s.checkGates()...)
	if len(out) == 0 {
		out = s.checkSteps()
	}
	return out
}

func (s Schedule) checkGates() []string {
	var out []string
	seen := map[string]bool{}
	for _, g := range s.Gates {
		if text := g.problem(); text != "" {
			out = append(out, fmt.Sprintf("gate %q: %s", g.Name, text))
		}
		if seen[g.Name] {
			out = append(out, fmt.Sprintf("gate %q is there twice", g.Name))
		}
		seen[g.Name] = true
	}
	return out
}

// problem says why a gate could never decide; "" when it can.
func (g Gate) problem() string {
	for _, s := range g.Sources {
		if s != SourceLive && s != SourceShadow && s != SourceReplay {
			return fmt.Sprintf("unknown source %q: shadow, replay or live", s)
		}
	}
	if slices.Equal(g.Sources, []Source{SourceReplay}) {
		return "replay alone is no data source: at most half of what counts may be replay; add shadow or live"
	}
	if g.Alpha < 0 || g.Alpha > 0.5 || g.Beta < 0 || g.Beta > 0.5 {
		return "alpha and beta are probabilities of at most 0.5"
	}
	switch g.Metric {
	case MetricCorrectness:
		if g.Max != nil || g.Min != nil || g.Good != nil || g.Bad != nil {
			return "correctness has zero tolerance and takes no bounds"
		}
	case MetricErrorRate:
		if g.Good == nil || g.Bad == nil || *g.Good <= 0 || *g.Bad <= *g.Good || *g.Bad >= 1 {
			return "error_rate needs good and bad with 0 < good < bad < 1"
		}
	case MetricLatencyRatio, MetricLatencyP99:
		if g.Max == nil || *g.Max <= 0 || g.Min != nil {
			return g.Metric + " needs a max above 0, and takes no min"
		}
	case MetricMissedSlots, MetricRollbacks:
		if g.Max == nil || *g.Max < 0 || g.Min != nil {
			return g.Metric + " needs a max, and takes no min"
		}
	case MetricParticipation:
		if g.Min == nil || *g.Min < 0 || *g.Min > 1 || g.Max != nil {
			return "participation needs a min between 0 and 1, and takes no max"
		}
	default:
		return fmt.Sprintf("unknown metric %q: %s", g.Metric, strings.Join(metrics(), ", "))
	}
	return ""
}

func metrics() []string {
	return []string{
		MetricCorrectness, MetricErrorRate, MetricLatencyRatio, MetricLatencyP99, MetricMissedSlots, MetricParticipation,
		MetricRollbacks,
	}
}

func (s Schedule) checkSteps() []string {
	if len(s.Steps) == 0 {
		return []string{"there is no step"}
	}
	var out []string
	seen := map[string]bool{}
	for _, step := range s.Steps {
		if seen[step.Name] || step.Name == "" {
			out = append(out, fmt.Sprintf("step %q needs a name of its own", step.Name))
		}
		seen[step.Name] = true
		for _, text := range s.checkStep(step) {
			out = append(out, fmt.Sprintf("step %q: %s", step.Name, text))
		}
	}
	if last := s.Steps[len(s.Steps)-1].Route; last.Primary != s.To || last.Canary != "" {
		out = append(out, fmt.Sprintf("the last step does not reach the goal: its primary has to be %s, without a canary", s.To))
	}
	return append(out, s.neverJudged()...)
}

func (s Schedule) checkStep(step Step) []string {
	var out []string
	r := step.Route
	if step.Soak < 0 {
		out = append(out, "soak is negative")
	}
	for _, plugin := range []string{r.Primary, r.Fallback, r.Shadow, r.Canary} {
		if plugin != "" && plugin != s.From && plugin != s.To {
			out = append(out, fmt.Sprintf("%s is neither from nor to", plugin))
		}
	}
	if r.Primary == "" {
		out = append(out, "nobody is primary")
	}
	if (r.Canary == "") != (r.Percent == 0) || r.Percent < 0 || r.Percent >= 100 {
		out = append(out, "a canary needs a plugin and a percent between 0 and 100")
	}
	if step.MinSamples > 0 && len(sources(r, s.To)) == 0 {
		out = append(out, fmt.Sprintf("min_samples cannot be reached: %s is asked nothing", s.To))
	}
	for _, name := range step.Gates {
		i := slices.IndexFunc(s.Gates, func(g Gate) bool { return g.Name == name })
		if i < 0 {
			out = append(out, fmt.Sprintf("unknown gate %q", name))
		} else if why := unmeasurable(s.Gates[i], r, s.To); why != "" {
			out = append(out, fmt.Sprintf("gate %q has no data source: %s", name, why))
		}
	}
	return out
}

// neverJudged names gates that no step could measure.
func (s Schedule) neverJudged() []string {
	var out []string
	for _, g := range s.Gates {
		used := slices.ContainsFunc(s.Steps, func(step Step) bool {
			named := len(step.Gates) == 0 || slices.Contains(step.Gates, g.Name)
			return named && unmeasurable(g, step.Route, s.To) == ""
		})
		if !used {
			out = append(out, fmt.Sprintf("gate %q is judged in no step: no step names it and has a data source for it", g.Name))
		}
	}
	return out
}
