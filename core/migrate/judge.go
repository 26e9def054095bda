package migrate

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// The tests of times. A median is above the limit when more than half of the pairs are: 40 % should pass, 60 % should fail. A
// 99th percentile is above it when more than 1 % are: 1 % should pass, 2 % should fail.
const (
	medianGood, medianBad = 0.4, 0.6
	tailGood, tailBad     = 0.01, 0.02
	tailAfter             = 100 // pairs until the old one's 99th percentile is known well enough
)

// judge knows how one step of a schedule is judged.
type judge struct {
	schedule Schedule
	step     Step
	gates    []judged // that can be measured in the step
	left     []string // gates that cannot, with the reason
}

// judged is a gate with its tests.
type judged struct {
	Gate
	test, tail sequential
	takes      map[Source]bool
}

func newJudge(s Schedule, step int) judge {
	j := judge{schedule: s, step: s.Steps[step]}
	for _, g := range s.Gates {
		if len(j.step.Gates) > 0 && !slices.Contains(j.step.Gates, g.Name) {
			continue
		}
		if why := unmeasurable(g, j.step.Route, s.To); why != "" {
			j.left = append(j.left, fmt.Sprintf("gate %q: %s", g.Name, why))
			continue
		}
		j.gates = append(j.gates, newJudged(g))
	}
	return j
}

// sources are those from which samples of a plugin come in a route, replay aside.
func sources(r Route, plugin string) []Source {
	var out []Source
	if plugin == r.Primary || plugin == r.Canary {
		out = append(out, SourceLive)
	}
	if plugin == r.Shadow || plugin == r.Canary { // a canary is compared in the slots that it does not answer
		out = append(out, SourceShadow)
	}
	return out
}

// unmeasurable says why nothing would ever reach a gate in a route; "" when something does.
func unmeasurable(g Gate, r Route, to string) string {
	switch g.Metric {
	case MetricMissedSlots, MetricParticipation, MetricRollbacks:
		return ""
	case MetricCorrectness:
		if len(sources(r, to)) == 0 {
			return fmt.Sprintf("%s is asked nothing in this step", to)
		}
		return ""
	}
	if !slices.ContainsFunc(sources(r, to), g.counts) {
		return fmt.Sprintf("no sample of %s from its sources (%s) comes in this step", to, sourceList(g.from()))
	}
	if g.Metric == MetricLatencyRatio && r.Shadow == "" && r.Canary == "" {
		return "only one plugin is asked in this step, so there is nothing to compare with"
	}
	return ""
}

func sourceList(all []Source) string {
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

// from are a gate's sources; by default what is measured now.
func (g Gate) from() []Source {
	if len(g.Sources) == 0 {
		return []Source{SourceShadow, SourceLive}
	}
	return g.Sources
}

func (g Gate) counts(s Source) bool { return slices.Contains(g.from(), s) }

func newJudged(g Gate) judged {
	j := judged{Gate: g, takes: map[Source]bool{}}
	for _, s := range g.from() {
		j.takes[s] = true
	}
	switch g.Metric {
	case MetricErrorRate:
		j.test = newSequential(*g.Good, *g.Bad, g.Alpha, g.Beta)
	case MetricLatencyRatio:
		j.test = newSequential(medianGood, medianBad, g.Alpha, g.Beta)
		j.tail = newSequential(tailGood, tailBad, g.Alpha, g.Beta)
	case MetricLatencyP99:
		j.test = newSequential(tailGood, tailBad, g.Alpha, g.Beta)
	case MetricParticipation: // misses: as many as are allowed should pass, twice as many should fail
		good := 1 - *g.Min
		bad := min(2*good, 1)
		if good == 0 {
			bad = 1
		}
		j.test = newSequential(good, bad, g.Alpha, g.Beta)
	}
	return j
}

// count adds what the meter had since the last time.
func (j judge) count(t *Tally, samples []Sample, f Facts) {
	p99 := time.Duration(0)
	if t.Old.count() >= tailAfter {
		p99 = t.Old.quantile(0.99)
	}
	gates := j.tallies(*t)
	for _, s := range samples {
		if s.Role != j.schedule.Role || s.Plugin != j.schedule.To {
			continue
		}
		t.note(s)
		for i, g := range j.gates {
			gates[i].sample(g, s, p99)
		}
		if paired(s) {
			if t.Old == nil {
				t.Old = histogram{}
			}
			t.Old.add(s.Paired)
		}
	}
	j.facts(t, f, gates)
	t.Gates = map[string]GateTally{}
	for i, g := range j.gates {
		t.Gates[g.Name] = *gates[i]
	}
}

// tallies are the counts of the step's gates, in their order.
func (j judge) tallies(t Tally) []*GateTally {
	out := make([]*GateTally, len(j.gates))
	for i, g := range j.gates {
		gt := t.Gates[g.Name]
		out[i] = &gt
	}
	return out
}

func (j judge) facts(t *Tally, f Facts, gates []*GateTally) {
	t.Slots += f.Slots
	t.Missed += f.MissedSlots
	if f.Participation != nil {
		t.Measured, t.Unmeasured = true, nil
	} else if f.Slots > 0 || !t.Measured {
		t.Measured, t.Unmeasured = false, slices.Clone(f.Reasons)
	}
	if f.Participation == nil || f.Slots == 0 {
		return
	}
	missed := min(uint64(math.Round((1-*f.Participation)*float64(f.Slots))), f.Slots)
	for i, g := range j.gates {
		if g.Metric == MetricParticipation {
			gates[i].Trial.add(g.test, true, missed)
			gates[i].Trial.add(g.test, false, f.Slots-missed)
		}
	}
}

// paired reports that the times of both plugins are known and were taken side by side: a replay runs in bulk.
func paired(s Sample) bool {
	return s.Paired > 0 && s.Outcome == OutcomeOK && s.Source != SourceReplay
}

// sample gives one sample to a gate that may want it.
func (gt *GateTally) sample(g judged, s Sample, oldP99 time.Duration) {
	if !g.takes[s.Source] || (s.Outcome != OutcomeOK && s.Outcome != OutcomeError) {
		return
	}
	switch g.Metric {
	case MetricErrorRate:
		failed := s.Outcome == OutcomeError
		if s.Source == SourceReplay {
			gt.wait(failed)
		} else {
			gt.Trial.add(g.test, failed, 1)
		}
		gt.release(g.test)
	case MetricLatencyP99:
		if s.Outcome == OutcomeOK && s.Source != SourceReplay {
			gt.Trial.add(g.test, millis(s.Took) > *g.Max, 1)
		}
	case MetricLatencyRatio:
		if !paired(s) {
			return
		}
		gt.Trial.add(g.test, float64(s.Took) > *g.Max*float64(s.Paired), 1)
		if oldP99 > 0 {
			gt.Tail.add(g.tail, float64(s.Took) > *g.Max*float64(oldP99), 1)
		}
	}
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// trigger says which of the triggers that are always on has fired (protocol-v1.md 8.6); "" when none has.
func trigger(t Tally) string {
	recent, n := t.recentFailures(), t.RecentN
	switch {
	case t.disagreed() > 0:
		return "correctness: disagreed on " + t.Dispute
	case t.Streak >= triggerStreak:
		return fmt.Sprintf("%d errors in a row", t.Streak) + t.newest()
	case n >= triggerRateAfter && float64(recent) > triggerRate*float64(n):
		return fmt.Sprintf("%d of the last %d answers failed, more than %g %%", recent, n, triggerRate*100) + t.newest()
	case t.Slowest > triggerSlow:
		return fmt.Sprintf("an answer took %s, more than %s", t.Slowest.Round(time.Millisecond), triggerSlow)
	}
	return ""
}

// newest is the newest failure, to go after what it explains.
func (t Tally) newest() string {
	if t.Failure == "" {
		return ""
	}
	return ", the newest: " + t.Failure
}

// The triggers.
const (
	triggerStreak    = 3
	triggerRate      = 0.1
	triggerRateAfter = 20
	triggerSlow      = 5 * time.Second
)
