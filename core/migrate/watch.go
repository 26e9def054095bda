package migrate

import (
	"context"
	"errors"
	"fmt"
)

// watch counts what came, judges it and decides. A paused run is watched too: it does not get on, but it can fail. A run
// that holds was decided about: what comes is not counted any more.
func (c *Controller) watch(ctx context.Context, d *driver, x run) (again bool, err error) {
	samples, facts := c.opts.Meter.Drain(x.role)
	if x.state == StateHolding {
		return false, nil
	}
	now, current := c.opts.Roles.Current(x.role)
	step := x.schedule.Steps[x.step]
	serves := x.served()

	c.mu.Lock()
	d.judge.count(&d.tally, samples, facts)
	d.soak(c.opts.Clock, x.state == StateSoaking)
	d.probation = now.Probation
	tally := d.tally.clone()
	gates := d.judge.results(tally, x.rollbacks)
	due := c.opts.Clock.Mono()-d.written >= d.interval/2
	c.mu.Unlock()

	if !serves { // it waits on the way to the step: the gates are not this route's, the triggers are always on
		if reason := failure(x, tally, nil); reason != "" {
			return true, c.fail(ctx, &x, reason, nil, nil)
		}
		return false, nil
	}
	reason := failure(x, tally, gates)
	if reason == "" && current == nil && now.Route != step.Route && x.state != StatePaused {
		reason = fmt.Sprintf("the route is not the step's any more: %s serves", now.Route)
	}
	answer := together(gates)
	complete := tally.Soaked >= step.Soak && tally.samples() >= step.MinSamples && !now.Probation
	if answer == Pass && !complete {
		answer = NotEnoughData
	}
	if reason != "" {
		answer = Fail
	}
	c.opts.Observer.Judged(Judgement{
		Run: x.id, Name: x.name, Role: x.role, Step: step.Name, Answer: answer, Gates: gates, Soaked: tally.Soaked, Samples: tally.samples(),
	})
	switch {
	case answer == Fail:
		return true, c.fail(ctx, &x, reason, gates, &tally)
	case answer == Pass && x.state == StateSoaking:
		return true, c.append(x.pass(gates, tally))
	case due:
		r := x.record(RecordProgress, x.step)
		r.Tally = &tally
		return false, c.append(r)
	}
	return false, nil
}

// failure says what failed: an event, a trigger or a gate; "" for nothing.
func failure(x run, t Tally, gates []GateResult) string {
	if len(x.pending) > 0 {
		return eventText(x.pending[0])
	}
	if reason := trigger(t); reason != "" {
		return reason
	}
	return failures(gates)
}

// soak counts the time since the last count: the smaller of wall and monotonic progress. A clock that jumps ahead, a
// machine that slept and a node that was down earn nothing.
func (d *driver) soak(clock Clock, counts bool) {
	wall, mono := clock.Now(), clock.Mono()
	if !d.wall.IsZero() && counts {
		d.tally.Soaked += max(min(wall.Sub(d.wall), mono-d.mono), 0)
	}
	d.wall, d.mono = wall, mono
}

// pass is the decision that a step's gates have passed, with its numbers.
func (x *run) pass(gates []GateResult, t Tally) Record {
	r := x.record(RecordPassed, x.step)
	last := x.step == len(x.schedule.Steps)-1
	switch {
	case last:
		r.Kind = RecordFinished
		route := x.schedule.Steps[x.step].Route
		r.Route = &route
	case x.schedule.Steps[x.step+1].Approval:
		r = x.record(RecordAwaiting, x.step+1)
	}
	r.Gates, r.Tally = gates, &t
	return r
}

// fail decides what follows from a failure: back to the route at the start, or a hold.
func (c *Controller) fail(ctx context.Context, x *run, reason string, gates []GateResult, t *Tally) error {
	r := x.record(RecordRollingBack, x.step)
	r.Reason, r.Gates, r.Tally = reason, gates, t
	switch {
	case x.schedule.OnFailure == OnFailureHold:
		r.Kind, r.Reason = RecordHolding, reason+"; on_failure = hold: roll back, abort, or resume to try the step again"
	case x.state == StatePaused && x.holds:
		r.Kind, r.Reason = RecordHolding, reason+"; paused with hold: roll back, abort, or resume to try the step again"
	default:
		r.Route = &x.base
		if p, err := c.opts.Roles.Preview(ctx, x.role, x.base); err == nil && p.Forbidden != "" {
			r.Kind, r.Route = RecordHolding, nil
			r.Reason = fmt.Sprintf("%s; and there is no way back: %s", reason, p.Forbidden)
		}
	}
	return c.append(r)
}

// goBack makes one attempt to bring the route at the start back. It is over when that route serves, and not before.
func (c *Controller) goBack(ctx context.Context, d *driver, x run) error {
	if c.isBack(x) {
		return c.append(x.back())
	}
	c.mu.Lock()
	due := c.opts.Clock.Mono() >= d.retryAt
	c.mu.Unlock()
	if !due {
		return nil
	}
	act, end := context.WithTimeout(ctx, c.opts.ApplyTimeout)
	defer end()
	err := c.opts.Roles.Apply(act, x.role, x.base, ApplyOptions{By: x.by() + " rolled back", Step: x.id + "/rollback", Rollback: true})
	if err == nil && !c.isBack(x) {
		err = fmt.Errorf("the apply succeeded, but %s does not serve", x.base)
	}
	switch {
	case err == nil:
		return c.append(x.back())
	case errors.Is(err, ErrBusy):
		c.retry(d, c.opts.RetryMin)
		return nil
	case ctx.Err() != nil:
		return nil
	}
	return c.backFailed(ctx, d, x, err)
}

func (c *Controller) isBack(x run) bool {
	now, err := c.opts.Roles.Current(x.role)
	return err == nil && now.Route == x.base
}

func (x *run) back() Record {
	r := x.record(RecordRolledBack, x.step)
	r.Route = &x.base
	return r
}

// backFailed notes a failed attempt and says when the next is due; it gives up when the host refuses the route for good.
func (c *Controller) backFailed(ctx context.Context, d *driver, x run, why error) error {
	if p, err := c.opts.Roles.Preview(ctx, x.role, x.base); err == nil && p.Forbidden != "" {
		r := x.record(RecordHolding, x.step)
		r.Reason = fmt.Sprintf("%s; and there is no way back: %s", x.reason, p.Forbidden)
		return c.append(r)
	}
	r := x.record(RecordRollbackFailed, x.step)
	r.Reason, r.Attempt = why.Error(), x.attempts+1
	err := c.append(r)
	c.mu.Lock()
	d.backoff = min(max(2*d.backoff, c.opts.RetryMin), c.opts.RetryMax)
	wait := d.backoff
	c.mu.Unlock()
	c.retry(d, wait)
	return err
}
