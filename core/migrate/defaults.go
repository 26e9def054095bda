package migrate

import (
	"fmt"
	"slices"
	"time"
)

// Names of the default gates.
const (
	gateCorrectness = "correctness"
	gateEarly       = "errors"        // gross breakage: 301 clean samples of an engine
	gateSteady      = "errors_steady" // 32,715 clean samples, of which at most half replay
	gateLive        = "errors_live"   // the same, live only
	gateLatency     = "latency"
	gateRollbacks   = "rollbacks"
)

// Defaults gives the migration plan's steps and gates for a kind of role (protocol-v1.md 8.6).
func Defaults(kind, from, to string) ([]Step, []Gate, error) {
	switch kind {
	case KindEngine:
		return engineSteps(from, to), engineGates(), nil
	case KindSigner:
		return signerSteps(from, to), signerGates(), nil
	case KindSync:
		return syncSteps(from, to), []Gate{{Name: gateRollbacks, Metric: MetricRollbacks, Max: new(0.0)}}, nil
	}
	return nil, nil, fmt.Errorf("%w: unknown kind %q of a role", ErrInvalid, kind)
}

// engineSteps: shadow, then a growing share, then primary with the way back warm, then alone on a human's word. The plan's
// 100 % for 24 hours is the step with the fallback.
func engineSteps(from, to string) []Step {
	early := []string{gateCorrectness, gateEarly, gateLatency, gateRollbacks}
	steps := []Step{{Name: "shadow", Route: Route{Primary: from, Shadow: to}, Soak: 6 * time.Hour, Gates: early}}
	for _, share := range []struct {
		percent float64
		hours   time.Duration
	}{{10, 6}, {25, 12}, {50, 24}, {75, 12}, {90, 6}} {
		step := Step{
			Name: fmt.Sprintf("canary-%g", share.percent), Route: Route{Primary: from, Canary: to, Percent: share.percent},
			Soak: share.hours * time.Hour, Gates: early,
		}
		if share.percent == 50 { // half of the slots: from here on it carries the chain
			step.Gates = []string{gateCorrectness, gateSteady, gateLatency, gateRollbacks}
		}
		steps = append(steps, step)
	}
	final := []string{gateCorrectness, gateLive, gateRollbacks}
	return append(
		steps,
		Step{Name: to + "-primary", Route: Route{Primary: to, Fallback: from}, Soak: 24 * time.Hour, Gates: final},
		Step{Name: to + "-only", Route: Route{Primary: to}, Approval: true, Gates: []string{gateCorrectness, gateRollbacks}},
	)
}

func engineGates() []Gate {
	return []Gate{
		{Name: gateCorrectness, Metric: MetricCorrectness},
		{Name: gateEarly, Metric: MetricErrorRate, Good: new(0.0001), Bad: new(0.01), Alpha: 0.01, Beta: 0.05},
		{
			Name: gateSteady, Metric: MetricErrorRate, Good: new(0.00001), Bad: new(0.0001),
			Sources: []Source{SourceShadow, SourceLive, SourceReplay},
		},
		{Name: gateLive, Metric: MetricErrorRate, Good: new(0.00001), Bad: new(0.0001), Sources: []Source{SourceLive}},
		{Name: gateLatency, Metric: MetricLatencyRatio, Max: new(1.2)},
		{Name: gateRollbacks, Metric: MetricRollbacks, Max: new(0.0)},
	}
}

// The signer's stages have the plan's times and counts; its limits of 1 % and 0.1 % are the bad rates, ten times less is
// good. Latency is absolute: 500 ms is a quarter of a slot of two seconds.
func signerSteps(from, to string) []Step {
	return []Step{
		{
			Name: "shadow", Route: Route{Primary: from, Shadow: to}, Soak: 24 * time.Hour, MinSamples: 1000,
			Gates: []string{gateCorrectness, gateEarly, gateLatency, gateRollbacks},
		},
		{
			Name: to + "-primary", Route: Route{Primary: to, Fallback: from}, Soak: 48 * time.Hour, MinSamples: 5000,
			Gates: []string{gateCorrectness, gateSteady, gateLatency, gateRollbacks},
		},
		{
			Name: to + "-only", Route: Route{Primary: to}, Soak: 168 * time.Hour, MinSamples: 10_000,
			Gates: []string{gateCorrectness, gateSteady, gateLatency, gateRollbacks},
		},
	}
}

func signerGates() []Gate {
	return []Gate{
		{Name: gateCorrectness, Metric: MetricCorrectness},
		{Name: gateEarly, Metric: MetricErrorRate, Good: new(0.001), Bad: new(0.01)},
		{Name: gateSteady, Metric: MetricErrorRate, Good: new(0.0001), Bad: new(0.001)},
		{Name: gateLatency, Metric: MetricLatencyP99, Max: new(500.0)},
		{Name: gateRollbacks, Metric: MetricRollbacks, Max: new(0.0)},
	}
}

// A node at the tip has nothing to order, so sync has no gate that needs samples: the triggers and the soak decide.
func syncSteps(from, to string) []Step {
	return []Step{
		{Name: "shadow", Route: Route{Primary: from, Shadow: to}, Soak: time.Hour},
		{Name: to + "-primary", Route: Route{Primary: to, Fallback: from}, Soak: 24 * time.Hour},
		{Name: to + "-only", Route: Route{Primary: to}},
	}
}

// WithDefaults fills in what the schedule leaves out. Default steps beside gates of the schedule's own have all of these;
// steps of its own beside default gates have those that can be measured in them.
func (s Schedule) WithDefaults() (Schedule, error) {
	if s.OnFailure == "" {
		s.OnFailure = OnFailureRollback
	}
	if s.HealthInterval == 0 {
		s.HealthInterval = MaxHealthInterval
	}
	s.Steps, s.Gates = slices.Clone(s.Steps), slices.Clone(s.Gates)
	if len(s.Steps) > 0 && len(s.Gates) > 0 {
		return s, nil
	}
	steps, gates, err := Defaults(s.Kind, s.From, s.To)
	if err != nil {
		return s, err
	}
	switch {
	case len(s.Steps) == 0 && len(s.Gates) == 0:
		s.Steps, s.Gates = steps, gates
	case len(s.Steps) == 0:
		for i := range steps {
			steps[i].Gates = nil
		}
		s.Steps = steps
	default:
		s.Gates = slices.DeleteFunc(gates, func(g Gate) bool { return Schedule{Steps: s.Steps, To: s.To, Gates: []Gate{g}}.neverJudged() != nil })
	}
	return s, nil
}
