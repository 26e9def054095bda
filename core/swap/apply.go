package swap

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Apply carries out a plan: ErrStalePlan when another one would be made now, ErrApplyInProgress beside another apply,
// ErrRejected and ErrGap unless the options allow it, and a StepError when a step failed: then the old routes serve. It
// returns when the routes have flipped; Run watches the probation after it.
func (c *Controller) Apply(ctx context.Context, p Plan, d Desired, o ApplyOptions) (Report, error) {
	if err := d.validate(); err != nil {
		return Report{}, &StepError{Step: StepPlan, Err: err}
	}
	ctx, done, err := c.ask(ctx)
	if err != nil {
		return Report{}, err
	}
	defer done()
	return c.apply(ctx, p, d, o, "apply")
}

// Reload is Plan and Apply in one, for a changed file: a rejected configuration or a plan with a gap is left alone, with
// its error.
func (c *Controller) Reload(ctx context.Context, d Desired, by string) (Report, error) {
	p, err := c.Plan(ctx, d)
	if err != nil {
		return Report{}, &StepError{Step: StepPlan, Err: err}
	}
	return c.Apply(ctx, p, d, ApplyOptions{By: by})
}

// Drive brings one role to a route without a file, for who changes routes by a schedule: an ordinary apply with its
// admission and probation, of the applied state with that role replaced. name tells the change from others in the journal
// and in rejections. A route that is applied already is no error. A gap is refused: ErrGap.
func (c *Controller) Drive(ctx context.Context, role Role, s RoleState, name string, o ApplyOptions) (Report, error) {
	ctx, done, err := c.ask(ctx)
	if err != nil {
		return Report{}, err
	}
	defer done()
	d, err := c.driven(role, s, name)
	if err != nil {
		return Report{}, err
	}
	c.mu.Lock()
	p, wanted := c.plan(d), c.desired
	c.mu.Unlock()
	report, err := c.apply(ctx, p, d, o, "migration")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.desired = wanted
	if err == nil && wanted != nil { // no drift: in this role the file does not decide
		w := wanted.withRole(role, s)
		c.desired = &w
	}
	return report, err
}

// PlanDrive says what Drive would do. It changes nothing.
func (c *Controller) PlanDrive(role Role, s RoleState) (Plan, error) {
	d, err := c.driven(role, s, "")
	if err != nil {
		return Plan{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.plan(d), nil
}

// driven is the desired state of Drive.
func (c *Controller) driven(role Role, s RoleState, name string) (Desired, error) {
	h := c.state()
	if _, ok := h.applied.Roles[role]; !ok {
		return Desired{}, fmt.Errorf("%w: %q", ErrUnknownRole, role)
	}
	to := h.applied.with(role, s)
	d := Desired{Roles: to.Roles, Plugins: to.Plugins, Hash: name, Source: name}
	if err := d.validate(); err != nil {
		return Desired{}, &StepError{Step: StepPlan, Role: role, Err: err}
	}
	return d, nil
}

// AppliedRole is a role's applied route with the blocks in it; false when the role is not applied.
func (c *Controller) AppliedRole(role Role) (RoleState, uint64, bool) {
	h := c.state()
	_, ok := h.applied.Roles[role]
	return h.applied.role(role), h.serial, ok
}

// apply checks a plan and carries it out; the caller has the lock.
func (c *Controller) apply(ctx context.Context, p Plan, d Desired, o ApplyOptions, cause string) (Report, error) {
	to := d.applied()
	c.mu.Lock()
	c.desired = &d
	now := c.plan(d)
	h := c.history
	c.mu.Unlock()
	switch {
	case now.Serial != p.Serial || now.Hash != p.Hash:
		return Report{}, fmt.Errorf("%w (made at serial %d, now %d)", ErrStalePlan, p.Serial, now.Serial)
	case now.NoOp():
		return Report{Serial: h.serial, Cause: cause, By: o.By, At: time.Now(), Result: ResultNoOp}, nil
	case now.Rejected != nil && !o.Retry:
		return Report{}, fmt.Errorf("%w: %s", ErrRejected, now.Rejected.Reason)
	case len(now.Gaps) > 0 && !o.AllowGap:
		return Report{}, fmt.Errorf("%w: role %q cannot answer for up to %s", ErrGap, now.Gaps[0].Role, now.Gaps[0].AtMost)
	}
	c.endProbation(ctx)
	t := c.transition(to, cause, o.By)
	t.rejected = nil // another configuration: the file has changed
	t.watched = !o.Unwatched && len(changedRoles(t.from, t.to)) > 0
	t.progress = o.Progress
	return t.run(ctx)
}

// transition is one change on its way.
type transition struct {
	c        *Controller
	from, to Applied
	roles    []Role // that change
	serial   uint64
	previous map[Role]RoleState
	rejected []Rejection
	watched  bool // probation follows
	trusted  bool // what runs already is not admitted again

	launched []*running
	closed   []Block // by handover
	held     []Role  // since the handover
	reopen   Generation
	report   *Report
	progress func([]Role, StepReport) // nil: nobody looks
}

func (c *Controller) transition(to Applied, cause, by string) *transition {
	h := c.state()
	roles := c.affected(h.applied, to)
	// A role whose plugin is only started again keeps what it goes back to.
	previous := h.advance(changedRoles(h.applied, to))
	return &transition{
		c: c, from: h.applied, to: to, roles: roles, serial: h.serial + 1, previous: previous, rejected: h.rejected,
		report: &Report{Cause: cause, By: by, Roles: roles, At: time.Now()},
	}
}

// affected lists the roles that change, and those with a plugin that does not run.
func (c *Controller) affected(from, to Applied) []Role {
	set := map[Role]bool{}
	for _, r := range changedRoles(from, to) {
		set[r] = true
	}
	for r, route := range to.Roles {
		for _, p := range route.places() {
			if c.process(to, p.plugin) == nil {
				set[r] = true
			}
		}
	}
	return sortedRoles(set)
}

// run takes the steps from the intent to the flip, and to the end when no probation follows.
func (t *transition) run(ctx context.Context) (Report, error) {
	beside, over := t.launches()
	first := t.c.nextGeneration()
	highest := first + Generation(len(beside)+len(over)) - 1
	t.reopen = highest + 1
	intent := Record{
		State: Intent, Serial: t.serial, By: t.report.By, Reason: t.report.Cause, Roles: t.roles, Applied: &t.to,
		Generation: highest + Generation(len(t.from.Plugins)),
	}
	err := t.step(StepIntent, func() error { return t.c.append(ctx, intent) })
	if err == nil {
		err = t.bringUp(ctx, beside, over, first)
	}
	if err == nil {
		err = t.step(StepAdmission, func() error { return t.admit(ctx) })
	}
	if err == nil {
		err = t.step(StepFlip, func() error { return t.flip(ctx) })
	}
	if err != nil {
		if errors.Is(context.Cause(ctx), ErrClosed) && !errors.Is(err, ErrClosed) {
			err = fmt.Errorf("%w: %w", err, ErrClosed) // whatever else it says, this is why
		}
		t.undo(ctx, err)
		return t.finish(ResultFailed, err), err
	}
	return t.settle(ctx), nil
}

// step runs one step, takes its time and names it in its error.
func (t *transition) step(s Step, f func() error) error {
	started := time.Now()
	err := f()
	done := t.report.step(s, started)
	if t.progress != nil {
		t.progress(t.roles, done)
	}
	if err == nil {
		return nil
	}
	var e *StepError
	if !errors.As(err, &e) {
		e = &StepError{Err: err}
	}
	if e.Step == "" {
		e.Step = s
	}
	return e
}

func (t *transition) finish(r Result, err error) Report {
	t.report.Result = r
	if err != nil {
		t.report.Problem = err.Error()
	}
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	t.c.last = t.report
	return *t.report
}

// launches lists what has to be started: beside what runs, and over it where both claim the same.
func (t *transition) launches() (beside, over []Block) {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	for _, id := range sortedPlugins(t.to.Plugins) {
		b := t.to.Plugins[id]
		if t.c.find(b) != nil {
			continue
		}
		if len(t.c.inTheWay(b)) > 0 {
			over = append(over, b)
		} else {
			beside = append(beside, b)
		}
	}
	return beside, over
}

// inTheWay lists the live processes that hold what a block claims; the caller holds c.mu.
func (c *Controller) inTheWay(b Block) []*running {
	var out []*running
	for _, r := range c.live {
		if _, yes := conflicts(r.block, b); yes && !r.block.same(b) {
			out = append(out, r)
		}
	}
	return out
}

// bringUp starts the new generations.
func (t *transition) bringUp(ctx context.Context, beside, over []Block, g Generation) error {
	err := t.step(StepStart, func() error {
		for _, b := range beside {
			if err := t.launch(ctx, b, g); err != nil {
				return err
			}
			g++
		}
		return t.c.append(ctx, Record{State: Started, Serial: t.serial})
	})
	if err != nil || len(over) == 0 {
		return err
	}
	return t.step(StepHandover, func() error { return t.handOver(ctx, over, g) })
}

func (t *transition) launch(ctx context.Context, b Block, g Generation) error {
	launch := t.c.launch
	if t.from.empty() {
		launch = t.c.launchPatiently
	}
	r, err := launch(ctx, b, g)
	if err != nil {
		return &StepError{Plugin: b.ID, Err: err}
	}
	t.launched = append(t.launched, r)
	return nil
}

// undo goes back to the state before the intent.
func (t *transition) undo(ctx context.Context, why error) {
	ctx, cancel := t.c.cleanup(ctx, time.Minute)
	defer cancel()
	for _, r := range t.launched {
		t.c.end(ctx, r)
	}
	if len(t.closed) > 0 {
		t.reopenOld(ctx)
	}
	if t.state() == "" { // the intent itself was not written
		return
	}
	if err := t.c.append(ctx, Record{State: Failed, Serial: t.serial, Reason: why.Error()}); err != nil {
		t.c.log.Error("note failed swap", "error", err)
	}
	t.c.log.Error("swap failed, what ran before runs on", "error", why)
}

// state is the intent's place in the journal: "" when there is none.
func (t *transition) state() State {
	if t.c.state().open == nil {
		return ""
	}
	return Intent
}

// settle goes on after the flip: probation, or the end. Nothing that goes wrong here takes the flip back.
func (t *transition) settle(ctx context.Context) Report {
	t.report.Serial = t.serial
	if t.watching() {
		t.c.wake()
		return t.finish(ResultProbation, nil)
	}
	err := t.step(StepRetire, func() error { return t.c.retire(ctx, t.from) })
	if e, ok := errors.AsType[*StepError](err); ok {
		err = e.Err // "swap failed" would not be true
	}
	return t.finish(ResultDone, err)
}

// watching reports that a probation follows.
func (t *transition) watching() bool {
	return t.watched && !t.c.probation.none() && !t.from.empty()
}
