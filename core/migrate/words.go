package migrate

import (
	"context"
	"fmt"
	"strings"
)

// Start begins a run and returns its id; Run drives it. ErrInvalid with every problem in words, ErrOwned, or ErrNoReturn
// for a step that would cut the way back without saying so.
func (c *Controller) Start(ctx context.Context, s Schedule, by string) (run string, err error) {
	p, err := c.Plan(ctx, s)
	if err != nil {
		return "", err
	}
	if o, owned := c.Owner(s.Role); owned {
		return "", fmt.Errorf("%w: role %s by %s, step %q; abort it first", ErrOwned, s.Role, o.Name, o.Step)
	}
	if len(p.Problems) > 0 {
		return "", fmt.Errorf("%w: %s", ErrInvalid, strings.Join(p.Problems, "; "))
	}
	for _, step := range p.Steps {
		if step.NoReturn != "" && !step.Step.NoReturn {
			return "", fmt.Errorf("%w: step %q: %s; say allow_no_return = true in it", ErrNoReturn, step.Step.Name, step.NoReturn)
		}
	}
	now, err := c.opts.Roles.Current(s.Role)
	if err != nil {
		return "", fmt.Errorf("role %s: %w", s.Role, err)
	}
	err = c.locked(func() (func(), error) {
		run = fmt.Sprintf("%s-%d", s.Name, c.fold.count(s.Name)+1)
		return c.appendLocked(Record{
			Kind: RecordStarted, Run: run, Name: s.Name, Role: s.Role, By: by, StepName: p.Schedule.Steps[0].Name,
			Route: &now.Route, File: &now.File, Serial: now.Serial, Schedule: &p.Schedule,
		})
	})
	if err != nil {
		return "", err
	}
	return run, nil
}

func (f *fold) count(name string) int {
	n := 0
	for _, x := range f.runs {
		if x.name == name {
			n++
		}
	}
	return n
}

// say records a person's word about the last run of a migration and wakes its driver. make may refuse.
func (c *Controller) say(name string, make func(x *run) (Record, error)) error {
	return c.locked(func() (func(), error) {
		x := c.fold.last(name)
		if x == nil {
			return nothing, fmt.Errorf("%w: %q was never started", ErrUnknown, name)
		}
		r, err := make(x)
		if err != nil {
			return nothing, err
		}
		if d := c.drivers[x.id]; d != nil {
			d.wake()
		}
		return c.appendLocked(r)
	})
}

// ended refuses a word to a run that has ended.
func (x *run) ended() error {
	if x.state.Ended() {
		return fmt.Errorf("%w: %s is %s; start a new one", ErrEnded, x.id, x.state)
	}
	return nil
}

// PauseOptions of a pause.
type PauseOptions struct {
	By     string
	Reason string
	// Hold makes a failure while paused hold the run, too. Without it a paused run is rolled back by a failing gate or a
	// trigger as any other: a pause is no reason to leave a bad plugin in place.
	Hold bool
}

// Pause stops progress: no soak, no gate passes. What fails still fails (PauseOptions). A step that is being applied is
// applied first. Pausing a paused run changes what a failure does.
func (c *Controller) Pause(_ context.Context, name string, o PauseOptions) error {
	return c.say(name, func(x *run) (Record, error) {
		if err := x.ended(); err != nil {
			return Record{}, err
		}
		if x.state == StateRollingBack || x.state == StateHolding {
			return Record{}, fmt.Errorf("%w: %s is %s, which does not go on by itself", ErrNothingToDo, x.id, x.state)
		}
		if x.state == StatePaused && x.holds == o.Hold {
			return Record{}, fmt.Errorf("%w: %s is paused", ErrNothingToDo, x.id)
		}
		r := x.record(RecordPaused, x.step)
		r.By, r.Hold, r.Reason = o.By, o.Hold, o.Reason
		return r, nil
	})
}

// Resume goes on after a pause or a hold. After a hold, or when another route is applied than the step's, the step is
// prepared again and counts from zero.
func (c *Controller) Resume(_ context.Context, name, by string) error {
	other := false
	if s, ok := c.lastStatus(name); ok {
		now, err := c.opts.Roles.Current(s.Role)
		other = err == nil && now.Route != s.Route
	}
	return c.say(name, func(x *run) (Record, error) {
		if err := x.ended(); err != nil {
			return Record{}, err
		}
		if x.state != StatePaused && x.state != StateHolding {
			return Record{}, fmt.Errorf("%w: %s is %s", ErrNothingToDo, x.id, x.state)
		}
		r := x.record(RecordResumed, x.step)
		r.By = by
		r.Again = x.state == StateHolding || other && x.served()
		return r, nil
	})
}

// ApproveOptions of an approval.
type ApproveOptions struct {
	By string
	// NoReturn accepts that the step makes the way back impossible.
	NoReturn bool
}

// Approve gives the word that a run waits for: ErrNothingToDo when it waits for none.
func (c *Controller) Approve(_ context.Context, name string, o ApproveOptions) error {
	return c.say(name, func(x *run) (Record, error) {
		if err := x.ended(); err != nil {
			return Record{}, err
		}
		if x.state == StateHolding && x.asks && !o.NoReturn {
			return Record{}, fmt.Errorf("%w: %s; say --allow-no-return", ErrNoReturn, x.reason)
		}
		if x.state != StateAwaitingApproval && (x.state != StateHolding || !x.asks) {
			return Record{}, fmt.Errorf("%w: %s is %s and waits for no word", ErrNothingToDo, x.id, x.state)
		}
		step := x.step
		if x.state == StateAwaitingApproval {
			step = x.entering()
		}
		r := x.record(RecordApproved, step)
		r.By, r.NoReturn = o.By, o.NoReturn
		return r, nil
	})
}

// Abort ends the run and leaves the route that is applied, which holds against alys.hcl as that of a finished run does
// until Release, or until the file says the same or something new.
func (c *Controller) Abort(ctx context.Context, name, by string) error {
	return c.alone(ctx, name, func(x run) error {
		if err := x.ended(); err != nil {
			return err
		}
		now, err := c.opts.Roles.Current(x.role)
		if err != nil {
			return fmt.Errorf("role %s: %w", x.role, err)
		}
		r := x.record(RecordAborted, x.step)
		r.By, r.Route, r.Serial = by, &now.Route, now.Serial
		r.Reason = fmt.Sprintf("aborted in step %q; left %s", r.StepName, now.Route)
		return c.append(r)
	})
}

// alone gives up what is being applied for a run, and calls f when nothing acts on it any more.
func (c *Controller) alone(ctx context.Context, name string, f func(x run) error) error {
	c.mu.Lock()
	x := c.fold.last(name)
	if x == nil {
		c.mu.Unlock()
		return fmt.Errorf("%w: %q was never started", ErrUnknown, name)
	}
	d := c.drivers[x.id]
	if d == nil {
		copied := *x
		c.mu.Unlock()
		return f(copied)
	}
	d.words++
	if d.stop != nil {
		d.stop(errWord)
	}
	c.mu.Unlock()
	err := d.take(ctx)
	c.mu.Lock()
	d.words--
	copied := *c.fold.last(name)
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("what is being applied for %s did not end: %w", name, err)
	}
	defer d.wake() // whatever the word was, the driver looks again
	defer d.give()
	return f(copied)
}

// RollbackOptions of a rollback.
type RollbackOptions struct {
	By     string
	Reason string
}

// Rollback goes to the run's starting route by one apply, whatever step it is in, and returns when that route serves. It is
// idempotent, also on a run that has ended, as long as no newer run had the role. When it fails the run keeps trying:
// ErrRollbackPending with the reason. ErrNoWayBack when the host refuses the old route for good.
func (c *Controller) Rollback(ctx context.Context, name string, o RollbackOptions) error {
	var d *driver
	err := c.alone(ctx, name, func(x run) error {
		var err error
		d, err = c.beginRollback(ctx, x, o)
		return err
	})
	if err != nil || d == nil {
		return err
	}
	if err := c.look(ctx, d); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch x := c.fold.run(d.id); x.state {
	case StateRolledBack:
		return nil
	case StateHolding:
		return fmt.Errorf("%w: %s", ErrNoWayBack, x.reason)
	default:
		return fmt.Errorf("%w: %d attempts; `alys migrate explain %s` says why", ErrRollbackPending, x.attempts, name)
	}
}

// beginRollback writes the word down. A nil driver: there is nothing to do.
func (c *Controller) beginRollback(ctx context.Context, x run, o RollbackOptions) (*driver, error) {
	if x.state == StateRolledBack {
		return nil, nil
	}
	if x.state != StateRollingBack {
		if p, err := c.opts.Roles.Preview(ctx, x.role, x.base); err == nil && p.Forbidden != "" {
			return nil, fmt.Errorf("%w to %s: %s", ErrNoWayBack, x.base, p.Forbidden)
		}
		r := x.record(RecordRollingBack, x.step)
		r.By, r.Route, r.Reason = o.By, &x.base, o.Reason
		if r.Reason == "" {
			r.Reason = "asked for"
		}
		if err := c.append(r); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.drivers[x.id]
	if d != nil {
		d.retryAt = 0 // a person does not wait for the backoff
	}
	return d, nil
}
