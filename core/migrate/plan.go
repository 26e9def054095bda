package migrate

import (
	"context"
	"fmt"
	"time"
)

// Plan says what a run of the schedule would do, whether or not one is active. It changes nothing. What is wrong is in
// Plan.Problems: only a schedule of an unknown kind is an error.
func (c *Controller) Plan(ctx context.Context, s Schedule) (Plan, error) {
	s, err := s.WithDefaults()
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Schedule: s, Problems: s.check()}
	now, err := c.opts.Roles.Current(s.Role)
	switch {
	case err != nil:
		p.Problems = append(p.Problems, fmt.Sprintf("role %s: %v", s.Role, err))
	case now.Route.Primary != s.From:
		p.Problems = append(p.Problems, fmt.Sprintf("role %s is served by %s and not by %s", s.Role, now.Route, s.From))
	}
	p.From, p.Serial = now.Route, now.Serial
	if o, owned := c.Owner(s.Role); owned {
		p.Problems = append(p.Problems, fmt.Sprintf("role %s is driven by migration %s, step %q: abort it first", s.Role, o.Name, o.Step))
	}
	if c.opts.Backups == nil {
		p.Warnings = append(p.Warnings, "no backup is made before a step")
	}
	if len(s.check()) > 0 {
		return p, nil
	}
	var earliest time.Duration
	for i, step := range s.Steps {
		planned := c.planStep(ctx, s, i)
		planned.Earliest = earliest
		earliest += step.Soak
		p.Steps = append(p.Steps, planned)
	}
	p.judge()
	return p, ctx.Err()
}

// judge says what of the steps speaks against a start: what the first cannot do now, and what no step may do ever.
func (p *Plan) judge() {
	for i, step := range p.Steps {
		for _, text := range step.Problems {
			text = fmt.Sprintf("step %q: %s", step.Step.Name, text)
			if i == 0 || step.forbidden {
				p.Problems = append(p.Problems, text)
			} else {
				p.Warnings = append(p.Warnings, text)
			}
		}
		if step.NoReturn != "" && step.Step.NoReturn {
			p.Warnings = append(p.Warnings, fmt.Sprintf("step %q cuts the way back: %s", step.Step.Name, step.NoReturn))
		}
	}
}

func (c *Controller) planStep(ctx context.Context, s Schedule, i int) PlannedStep {
	out := PlannedStep{Step: s.Steps[i]}
	view, err := c.opts.Roles.Preview(ctx, s.Role, s.Steps[i].Route)
	if err != nil {
		view.Problems = append(view.Problems, err.Error())
	}
	if view.Forbidden != "" {
		view.Problems, out.forbidden = append(view.Problems, "refused for good: "+view.Forbidden), true
	}
	out.Text, out.Problems, out.NoReturn = view.Text, view.Problems, view.NoReturn
	j := newJudge(s, i)
	out.NotJudged = j.left
	for _, g := range j.gates {
		out.Needs = append(out.Needs, g.need())
	}
	return out
}

// need says what a gate wants to see when nothing goes wrong.
func (g judged) need() Need {
	n := Need{Gate: g.Name}
	switch g.Metric {
	case MetricCorrectness:
		n.Text = "no disagreement, in at least one sample"
	case MetricErrorRate:
		n.Samples = g.test.cleanRun()
		n.Text = fmt.Sprintf("%d samples without an error (good %g, bad %g), from %s", n.Samples, *g.Good, *g.Bad, sourceList(g.from()))
		if g.takes[SourceReplay] {
			n.Text += ", of which at most half may be replay"
		}
	case MetricLatencyRatio:
		n.Samples = tailAfter + g.tail.cleanRun()
		n.Text = fmt.Sprintf("%d pairs: median and 99th percentile at most %g times the old one's", n.Samples, *g.Max)
	case MetricLatencyP99:
		n.Samples = g.test.cleanRun()
		n.Text = fmt.Sprintf("%d answers: 99th percentile at most %g ms", n.Samples, *g.Max)
	case MetricMissedSlots:
		n.Text = fmt.Sprintf("at most %g missed slots", *g.Max)
	case MetricParticipation:
		n.Samples = g.test.cleanRun()
		n.Text = fmt.Sprintf("%d slots: participation of at least %g", n.Samples, *g.Min)
	case MetricRollbacks:
		n.Text = fmt.Sprintf("at most %g rollbacks in this run", *g.Max)
	}
	return n
}
