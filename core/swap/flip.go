package swap

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/alys-node/alys/sdk/lifecycle"
)

// admit asks for admission of everything that comes into a place that is new to it.
func (t *transition) admit(ctx context.Context) error {
	for _, a := range t.admissions() {
		if t.trusted && !t.isNew(a.New) {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, t.c.opts.Timeouts.Admit)
		err := t.c.opts.Admitter.Admit(limited, a)
		cancel()
		if err != nil {
			return &StepError{Role: a.Role, Plugin: a.New.Plugin(), Err: err}
		}
	}
	return t.c.append(ctx, Record{State: Admitted, Serial: t.serial})
}

func (t *transition) isNew(p Process) bool {
	return slices.ContainsFunc(t.launched, func(r *running) bool { return r.proc == p })
}

// admissions lists the processes that come into a place that is new to them: one for each role and process, with the
// place that matters most. From shadow to a place that answers is new; between places that answer is not.
func (t *transition) admissions() []Admission {
	var out []Admission
	for _, role := range t.roles {
		route, ok := t.to.Roles[role]
		if !ok {
			continue
		}
		before := t.c.answering(t.from, role)
		var old Process
		if r := t.c.process(t.from, t.from.Roles[role].Primary); r != nil {
			old = r.proc
		}
		seen := map[PluginID]bool{}
		for _, p := range route.places() {
			r := t.c.process(t.to, p.plugin)
			if r == nil || seen[p.plugin] {
				continue
			}
			seen[p.plugin] = true
			answered, known := before[r]
			if known && (answered || p.position == Shadow) {
				continue
			}
			a := Admission{Role: role, Position: p.position, New: r.proc, First: t.from.empty()}
			if old != r.proc {
				a.Old = old
			}
			out = append(out, a)
		}
	}
	return out
}

// answering maps the live processes of a role's route to whether they have a place that answers.
func (c *Controller) answering(a Applied, role Role) map[*running]bool {
	out := map[*running]bool{}
	for _, p := range a.Roles[role].places() {
		if r := c.process(a, p.plugin); r != nil {
			out[r] = out[r] || p.position != Shadow
		}
	}
	return out
}

// errAgain means that a try to flip ran out of its short time; the old routes serve.
var errAgain = errors.New("calls in flight or the newcomer did not come to rest in time")

// flip holds the routes, lets the newcomers draw level, makes the commit durable and points the routes at it. A try that
// would keep callers waiting too long is given up and repeated.
func (t *transition) flip(ctx context.Context) error {
	pause := 20 * time.Millisecond
	for try := 1; ; try++ {
		err := t.tryFlip(ctx)
		if !errors.Is(err, errAgain) || try >= t.c.opts.Timeouts.Tries {
			return err
		}
		timer := time.NewTimer(pause)
		pause = min(2*pause, time.Second)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

func (t *transition) tryFlip(ctx context.Context) error {
	started := time.Now()
	t.c.hold(t.roles)
	release := func(roles []Role) {
		t.c.release(roles)
		t.report.Held = time.Since(started)
	}
	if err := t.level(ctx); err != nil {
		release(slices.DeleteFunc(slices.Clone(t.roles), func(r Role) bool { return slices.Contains(t.held, r) }))
		return err
	}
	commit := Record{
		State: Flipped, Serial: t.serial, By: t.report.By, Reason: t.report.Cause, Roles: t.roles, Applied: &t.to,
		Previous: t.previous, Rejected: t.rejected, Probation: t.watching(),
	}
	if err := t.c.append(ctx, commit); err != nil {
		release(slices.DeleteFunc(slices.Clone(t.roles), func(r Role) bool { return slices.Contains(t.held, r) }))
		return err
	}
	t.point()
	release(append(slices.Clone(t.roles), t.held...))
	t.held = nil
	return nil
}

// level makes the newcomers equal to the old ones, within the time that callers can wait.
func (t *transition) level(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, t.c.opts.Timeouts.Hold)
	defer cancel()
	err := t.c.quiesce(limited, t.roles)
	for _, a := range t.admissions() {
		if err != nil {
			break
		}
		if err = t.c.opts.Admitter.BeforeFlip(limited, a); err != nil {
			err = &StepError{Role: a.Role, Plugin: a.New.Plugin(), Err: err}
		}
	}
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return errors.Join(errAgain, err)
	}
	return err
}

// quiesce waits for the writers among the roles: an engine changes hands between two blocks.
func (c *Controller) quiesce(ctx context.Context, roles []Role) error {
	return c.steer(roles, func(r Role, ctl RouteControl) error {
		if r.Kind() != lifecycle.Engine {
			return nil
		}
		return ctl.Quiesce(ctx)
	})
}

// point sets the routes to the committed state and opens the probation. A route that refuses keeps its old positions and
// is flipped back by the probation, or shown by status.
func (t *transition) point() {
	w := newWatch(t)
	for _, r := range t.roles {
		p := t.c.positions(t.to, r)
		if t.watching() {
			p = t.c.watched(w, r)
		}
		if err := t.c.set(r, p); err != nil {
			w.fault = "set route of role " + string(r) + ": " + err.Error()
		}
	}
	t.c.mu.Lock()
	before := t.c.watch
	t.c.watch = nil
	if t.watching() {
		t.c.watch = w
	}
	t.c.mu.Unlock()
	if before != nil {
		before.stop()
	}
}
