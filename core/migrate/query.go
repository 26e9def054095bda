package migrate

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Status lists the last run of every migration, in the order in which these runs began.
func (c *Controller) Status() []Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Status
	for _, x := range c.fold.runs {
		if c.fold.last(x.name) == x {
			out = append(out, c.status(x))
		}
	}
	return out
}

func (c *Controller) lastStatus(name string) (Status, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.fold.last(name)
	if x == nil {
		return Status{}, false
	}
	return c.status(x), true
}

// status describes a run; the caller holds c.mu.
func (c *Controller) status(x *run) Status {
	step, tally := x.schedule.Steps[x.step], x.tally
	if d := c.drivers[x.id]; d != nil {
		tally = d.tally
	}
	if !x.served() {
		tally = Tally{}
	}
	s := Status{
		Run: x.id, Name: x.name, Role: x.role, From: x.schedule.From, To: x.schedule.To, State: x.state, Reason: x.reason,
		Step: x.step, StepName: step.Name, Steps: len(x.schedule.Steps), Route: step.Route, Base: x.base,
		Soaked: tally.Soaked, Soak: step.Soak, Samples: tally.samples(), MinSamples: step.MinSamples, Rollbacks: x.rollbacks,
		Attempts: x.attempts, Progress: float64(x.step) / float64(len(x.schedule.Steps)), StartedBy: x.startedBy,
		StartedAt: x.startedAt, ChangedAt: x.changedAt,
	}
	switch x.state {
	case StateRollingBack, StateRolledBack:
		s.Route, s.Progress = x.base, 0
	case StateFinished:
		s.Progress = 1
	case StateAborted:
		if h := c.fold.held[x.role]; h != nil && h.run == x.id {
			s.Route = h.route
		}
	default:
	}
	return s
}

// History returns the records of a migration, or of all when the name is "". Of the progress records of a step only the
// newest is in it.
func (c *Controller) History(name string) []Record {
	c.mu.Lock()
	all := c.opts.Log.Records()
	c.mu.Unlock()
	newest := map[string]bool{}
	var out []Record
	for _, r := range slices.Backward(all) {
		if name != "" && r.Name != name {
			continue
		}
		if r.Kind == RecordProgress {
			key := fmt.Sprintf("%s/%d", r.Run, r.Step)
			if newest[key] {
				continue
			}
			newest[key] = true
		}
		out = append(out, r)
	}
	slices.Reverse(out)
	return out
}

// Explain says why the last run of a migration is where it is, gate by gate.
func (c *Controller) Explain(name string) (Explanation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.fold.last(name)
	if x == nil {
		return Explanation{}, fmt.Errorf("%w: %q was never started", ErrUnknown, name)
	}
	e := Explanation{Status: c.status(x), Gates: x.gates}
	d := c.drivers[x.id]
	if d == nil {
		return e, nil
	}
	switch x.current() {
	case StateSoaking, StateAwaitingApproval:
		if x.served() {
			e.Gates = d.judge.results(d.tally, x.rollbacks)
		}
	default:
	}
	e.Waits = x.waits(e)
	if d.probation && x.current() == StateSoaking {
		e.Waits = append(e.Waits, "the probation of the last change of the route")
	}
	return e, nil
}

// waits lists what has to happen before the run goes on.
func (x *run) waits(e Explanation) []string {
	s := e.Status
	var out []string
	switch x.current() {
	case StatePlanned, StatePreparing:
		out = append(out, fmt.Sprintf("step %q is being prepared", s.StepName))
	case StateAwaitingApproval:
		out = append(out, fmt.Sprintf("step %q needs a word: `alys migrate approve %s`", x.schedule.Steps[x.entering()].Name, x.name))
	case StateHolding:
		out = append(out, x.reason)
	case StateRollingBack:
		out = append(out, fmt.Sprintf("%s does not serve yet, %d attempts failed", x.base, x.attempts))
	default:
		out = soakWaits(s, e.Gates)
	}
	if x.state == StatePaused {
		out = append([]string{fmt.Sprintf("it is paused: `alys migrate resume %s`", x.name)}, out...)
	}
	return out
}

// entering is the step that an approval is about.
func (x *run) entering() int {
	if x.served() {
		return x.step + 1
	}
	return x.step
}

func soakWaits(s Status, gates []GateResult) []string {
	var out []string
	if s.Soaked < s.Soak {
		out = append(out, fmt.Sprintf("soak: %s of %s", s.Soaked.Round(time.Second), s.Soak))
	}
	if s.Samples < s.MinSamples {
		out = append(out, fmt.Sprintf("samples: %d of %d", s.Samples, s.MinSamples))
	}
	for _, g := range gates {
		if g.Answer == NotEnoughData {
			out = append(out, fmt.Sprintf("gate %q: %s", g.Gate, g.Text))
		}
	}
	return out
}

// String is the plan for people.
func (p Plan) String() string {
	var b strings.Builder
	s := p.Schedule
	fmt.Fprintf(&b, "Migration %q of role %s from %s to %s: %d steps, on failure %s.\n", s.Name, s.Role, s.From, s.To, len(p.Steps), s.OnFailure)
	fmt.Fprintf(&b, "Now: %s (serial %d)\n", p.From, p.Serial)
	for i, step := range p.Steps {
		fmt.Fprintf(&b, "%2d. %s: %s\n", i+1, step.Step.Name, step.Step.Route)
		fmt.Fprintf(&b, "    entered after %s at the earliest", step.Earliest)
		if step.Step.Approval {
			b.WriteString(", and on a human's word")
		}
		fmt.Fprintf(&b, "; left after %s and %d samples\n", step.Step.Soak, step.Step.MinSamples)
		for line := range strings.Lines(step.Text) {
			fmt.Fprintf(&b, "    | %s", line)
		}
		for _, n := range step.Needs {
			fmt.Fprintf(&b, "    gate %q: %s\n", n.Gate, n.Text)
		}
		for _, text := range step.NotJudged {
			fmt.Fprintf(&b, "    not judged here: %s\n", text)
		}
		if step.NoReturn != "" {
			fmt.Fprintf(&b, "    ! no way back after this step: %s\n", step.NoReturn)
		}
		for _, text := range step.Problems {
			fmt.Fprintf(&b, "    ! %s\n", text)
		}
	}
	for _, text := range p.Warnings {
		fmt.Fprintf(&b, "! %s\n", text)
	}
	for _, text := range p.Problems {
		fmt.Fprintf(&b, "! cannot start: %s\n", text)
	}
	return b.String()
}
