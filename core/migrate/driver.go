package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// driver is the moving part of one active run.
type driver struct {
	id    string
	role  string
	judge judge         // of the step that serves
	busy  chan struct{} // holds one token; who has it acts
	kick  chan struct{} // wakes drive

	// Guarded by the controller's mu.
	tally    Tally                   // with what came since the last progress record
	wall     time.Time               // of the last count of time; zero: there was none
	mono     time.Duration           // the same
	written  time.Duration           // monotonic time of the last progress record
	retryAt  time.Duration           // monotonic time of the next attempt
	backoff  time.Duration           // 0: nothing failed
	queue    []Event                 // not written yet
	words    int                     // of persons who wait for the token
	stop     context.CancelCauseFunc // of the apply of a step or a backup; nil: none is under way
	interval time.Duration

	probation bool // was open at the last look
}

func (c *Controller) newDriver(x *run) *driver {
	return &driver{
		id: x.id, role: x.role, judge: newJudge(x.schedule, x.step), busy: make(chan struct{}, 1), kick: make(chan struct{}, 1),
		tally: x.tally.clone(), interval: x.schedule.HealthInterval,
	}
}

// follow keeps the driver in step with a record; the caller holds the controller's mu.
func (d *driver) follow(r Record, x *run, clock Clock) {
	switch r.Kind {
	case RecordResumed:
		d.wall = time.Time{} // what was counted stays, unless the step is prepared again
		if r.Again {
			d.begin(x, clock)
		}
	case RecordApplied, RecordApproved, RecordPassed:
		d.begin(x, clock)
	case RecordProgress:
		d.written = clock.Mono()
	case RecordPaused:
		d.wall, d.retryAt = time.Time{}, 0
	case RecordHolding, RecordRollingBack:
		d.retryAt, d.backoff = 0, 0
	default:
	}
}

// begin counts for the step that the run is in now, from what the log has of it; the caller holds the controller's mu.
func (d *driver) begin(x *run, clock Clock) {
	d.judge = newJudge(x.schedule, x.step)
	d.tally = x.tally.clone()
	d.wall, d.mono, d.written = time.Time{}, 0, clock.Mono()
}

func (d *driver) wake() {
	select {
	case d.kick <- struct{}{}:
	default:
	}
}

// drive looks at one run until it ends, at every health interval and when it is woken.
func (c *Controller) drive(ctx context.Context, d *driver) error {
	for {
		err := c.look(ctx, d)
		switch {
		case c.failed() != nil:
			return c.failed()
		case !c.drives(d):
			return nil
		case err != nil && !over(ctx):
			c.log.Error("migration", "run", d.id, "error", err) // a full disk: tried again
		}
		timer := time.NewTimer(c.pause(d))
		select {
		case <-timer.C:
		case <-d.kick:
		case <-ctx.Done():
		}
		timer.Stop()
		if over(ctx) {
			return nil
		}
	}
}

// over reports that the node stops. That is no failure of a run: the next start goes on.
func over(ctx context.Context) bool { return ctx.Err() != nil }

func (c *Controller) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

func (c *Controller) drives(d *driver) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drivers[d.id] == d
}

// pause is how long until the next look.
func (c *Controller) pause(d *driver) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.retryAt == 0 {
		return d.interval
	}
	return min(max(d.retryAt-c.opts.Clock.Mono(), time.Millisecond), d.interval)
}

// take gets the right to act on a run.
func (d *driver) take(ctx context.Context) error {
	select {
	case d.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *driver) give() { <-d.busy }

// look takes one run as far as it goes now.
func (c *Controller) look(ctx context.Context, d *driver) error {
	if err := d.take(ctx); err != nil {
		return err
	}
	defer d.give()
	for {
		again, err := c.advance(ctx, d)
		if err != nil || !again {
			return err
		}
	}
}

// advance makes one move and reports that another may follow at once. The caller has the token.
func (c *Controller) advance(ctx context.Context, d *driver) (again bool, err error) {
	if over(ctx) {
		return false, nil
	}
	if err := c.writeEvents(d); err != nil {
		return false, err
	}
	x, ok := c.snapshot(d)
	if !ok {
		return false, nil
	}
	switch x.state {
	case StatePlanned:
		if first := x.schedule.Steps[0]; first.Approval {
			return false, c.append(x.record(RecordAwaiting, 0))
		}
		return c.prepare(ctx, d, x)
	case StatePreparing:
		return c.prepare(ctx, d, x)
	case StateSoaking, StateAwaitingApproval, StatePaused, StateHolding:
		return c.watch(ctx, d, x)
	case StateRollingBack:
		return false, c.goBack(ctx, d, x)
	case StateFinished, StateRolledBack, StateAborted:
	}
	return false, nil
}

// snapshot copies a run that is driven and that no person waits for.
func (c *Controller) snapshot(d *driver) (run, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drivers[d.id] != d || d.words > 0 {
		return run{}, false
	}
	return *c.fold.run(d.id), true
}

// record begins a record about a step of the run.
func (x *run) record(k RecordKind, step int) Record {
	return Record{Kind: k, Run: x.id, Name: x.name, Role: x.role, Step: step, StepName: x.schedule.Steps[step].Name}
}

// by is how the run's applies are named in the swap journal.
func (x *run) by() string { return fmt.Sprintf("migration %s, run %s", x.name, x.id) }

// writeEvents makes what was noticed durable.
func (c *Controller) writeEvents(d *driver) error {
	for more := true; more; {
		err := c.locked(func() (func(), error) {
			x := c.fold.run(d.id)
			if more = len(d.queue) > 0 && !x.state.Ended(); !more {
				return nothing, nil
			}
			e := d.queue[0]
			r := x.record(RecordNoticed, x.step)
			r.Event, r.Reason = &e, e.Reason
			tell, err := c.appendLocked(r)
			if err == nil {
				d.queue = d.queue[1:]
			}
			return tell, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Notice tells the controller what happened on a route. It returns at once; Run looks at it at once, and the apply of a
// step is given up for it. After the end of a run, a flip back of what it left releases the role.
func (c *Controller) Notice(e Event) {
	if _, owned := c.Owner(e.Role); !owned && e.Kind == EventFlippedBack {
		err := c.release(e.Role, "", func(*held) string { return "its probation went back: " + e.Reason }, nil)
		if err != nil {
			c.log.Error("migration", "role", e.Role, "error", err)
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.fold.driving(e.Role)
	if x == nil || e.Kind != EventFlippedBack && e.Plugin != "" && e.Plugin != x.schedule.To {
		return
	}
	d := c.drivers[x.id]
	if len(d.queue) < maxQueue {
		d.queue = append(d.queue, e)
	}
	if d.stop != nil {
		d.stop(errEvent)
	}
	d.wake()
}

// Wake has the run that drives a role looked at before its health interval ends: the meter has something that may decide. It
// returns at once.
func (c *Controller) Wake(role string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x := c.fold.driving(role); x != nil {
		c.drivers[x.id].wake()
	}
}

// maxQueue bounds the events that are not written yet: one is enough to decide.
const maxQueue = 64

// acting gives an act a context that a word or an event can end.
func (c *Controller) acting(ctx context.Context, d *driver) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ctx, done := context.WithTimeout(ctx, c.opts.ApplyTimeout)
	c.mu.Lock()
	d.stop = cancel
	switch {
	case d.words > 0:
		cancel(errWord)
	case len(d.queue) > 0: // it came after the look at the events, and before there was something to stop
		cancel(errEvent)
	}
	c.mu.Unlock()
	return ctx, func() {
		c.mu.Lock()
		d.stop = nil
		c.mu.Unlock()
		done()
		cancel(nil)
	}
}

// stopped reports that an act was ended by a word, an event or the end of the node, and did not end by itself.
func stopped(outer, act context.Context) bool {
	return outer.Err() != nil || errors.Is(act.Err(), context.Canceled)
}
