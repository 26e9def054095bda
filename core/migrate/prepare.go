package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// prepare makes the next move on the way to a step's route: the backup, the intent, the apply.
func (c *Controller) prepare(ctx context.Context, d *driver, x run) (again bool, err error) {
	if len(x.pending) > 0 { // it failed while something was prepared
		return true, c.fail(ctx, &x, eventText(x.pending[0]), nil, nil)
	}
	step := x.schedule.Steps[x.step]
	now, err := c.opts.Roles.Current(x.role)
	if err == nil && now.Route == step.Route && x.applying {
		return true, c.applied(d, x, now) // before a crash
	}
	if !x.backedUp {
		return c.backUp(ctx, d, x)
	}
	p, err := c.opts.Roles.Preview(ctx, x.role, step.Route)
	if over(ctx) {
		return false, nil
	}
	switch {
	case err != nil:
		return true, c.fail(ctx, &x, fmt.Sprintf("step %q cannot be previewed: %v", step.Name, err), nil, nil)
	case p.Forbidden != "":
		return true, c.fail(ctx, &x, fmt.Sprintf("step %q is refused for good: %s", step.Name, p.Forbidden), nil, nil)
	case p.NoReturn != "" && !step.NoReturn && !x.noReturn:
		r := x.record(RecordHolding, x.step)
		r.Reason = fmt.Sprintf("step %q makes the way back impossible: %s; approve it with --allow-no-return, or abort", step.Name, p.NoReturn)
		r.NoReturn = true
		return true, c.append(r)
	}
	return c.apply(ctx, d, x, step)
}

// backUp makes and verifies the step's backup.
func (c *Controller) backUp(ctx context.Context, d *driver, x run) (again bool, err error) {
	if err := c.append(x.record(RecordBackup, x.step)); err != nil {
		return false, err
	}
	done := x.record(RecordBackedUp, x.step)
	if c.opts.Backups == nil {
		done.Reason = "there is no backup: the node makes none before a step"
		return true, c.append(done)
	}
	act, end := c.acting(ctx, d)
	defer end()
	done.Backup, err = c.opts.Backups.Make(act, fmt.Sprintf("before step %q of migration %s", x.schedule.Steps[x.step].Name, x.name))
	if err == nil {
		err = c.opts.Backups.Verify(act, done.Backup)
	}
	switch {
	case err != nil && stopped(ctx, act):
		return errors.Is(context.Cause(act), errEvent), nil
	case err != nil:
		r := x.record(RecordHolding, x.step)
		r.Reason = fmt.Sprintf("no verified backup before step %q: %v; mend it, then resume", x.schedule.Steps[x.step].Name, err)
		return true, c.append(r)
	}
	return true, c.append(done)
}

// apply writes the intent and applies the step's route.
func (c *Controller) apply(ctx context.Context, d *driver, x run, step Step) (again bool, err error) {
	if !x.applying { // after a crash or a busy swap it is there
		intent := x.record(RecordApplying, x.step)
		intent.Route = &step.Route
		if err := c.append(intent); err != nil {
			return false, err
		}
	}
	act, end := c.acting(ctx, d)
	defer end()
	err = c.opts.Roles.Apply(act, x.role, step.Route, ApplyOptions{By: x.by(), Step: x.id + "/" + step.Name})
	switch {
	case err == nil:
		now, err := c.opts.Roles.Current(x.role)
		if err != nil {
			now = Applied{Route: step.Route}
		}
		return true, c.applied(d, x, now)
	case errors.Is(err, ErrBusy):
		c.retry(d, c.opts.RetryMin)
		return false, nil
	case stopped(ctx, act):
		return errors.Is(context.Cause(act), errEvent), nil
	}
	return true, c.fail(ctx, &x, fmt.Sprintf("step %q could not be applied: %v", step.Name, err), nil, nil)
}

// retry says when the next attempt is due.
func (c *Controller) retry(d *driver, in time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d.retryAt = c.opts.Clock.Mono() + in
}

// applied notes that the step's route serves. What the meter had until now belongs to the step before, but not the slots: a
// slot that was missed in the flip is this step's doing; and a disagreement is one whenever it was seen.
func (c *Controller) applied(d *driver, x run, now Applied) error {
	r := x.record(RecordApplied, x.step)
	r.Route, r.Serial = &now.Route, now.Serial
	if err := c.append(r); err != nil {
		return err
	}
	samples, facts := c.opts.Meter.Drain(x.role)
	var disputes []Sample
	for _, s := range samples {
		if s.Outcome == OutcomeDisagree {
			disputes = append(disputes, s)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	d.retryAt = 0
	d.judge.count(&d.tally, disputes, facts)
	d.wall, d.mono = c.opts.Clock.Now(), c.opts.Clock.Mono()
	return nil
}

func eventText(e Event) string {
	who := e.Plugin
	if who == "" {
		who = "the route"
	}
	text := fmt.Sprintf("%s: %s", who, e.Kind)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}
