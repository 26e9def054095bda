package migrate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Errors of the controller's methods. Each comes wrapped, with what to do next.
var (
	ErrInvalid         = errors.New("the schedule cannot run")
	ErrUnknown         = errors.New("no such migration")
	ErrOwned           = errors.New("the role is driven by a migration")
	ErrEnded           = errors.New("the run has ended")
	ErrNothingToDo     = errors.New("there is nothing to do")
	ErrNoReturn        = errors.New("the step makes the way back impossible")
	ErrNoWayBack       = errors.New("there is no way back")
	ErrRollbackPending = errors.New("the rollback did not succeed yet and is tried again")
)

// errWord ends an act because a person said something else.
var errWord = errors.New("a person's word came")

// errEvent ends the apply of a step because something failed meanwhile.
var errEvent = errors.New("something failed meanwhile")

// Options of a Controller. Roles, Meter and Log are required.
type Options struct {
	Roles    Roles
	Meter    Meter
	Log      Log
	Backups  Backups      // nil: there are none, and each step says so in the log
	Clock    Clock        // nil: the system's
	Observer Observer     // nil: nobody looks
	Logger   hclog.Logger // nil: no logs
	// ApplyTimeout bounds one apply with its admission, and one backup; 0 is 15 min.
	ApplyTimeout time.Duration
	// RetryMin and RetryMax bound the wait between two attempts of a rollback; 0 is 1 s and 30 s.
	RetryMin, RetryMax time.Duration
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&o.ApplyTimeout, 15*time.Minute)
	set(&o.RetryMin, time.Second)
	set(&o.RetryMax, 30*time.Second)
	if o.Clock == nil {
		o.Clock = systemClock{start: time.Now()}
	}
	if o.Observer == nil {
		o.Observer = silent{}
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	return o
}

type silent struct{}

func (silent) Changed(Change)   {}
func (silent) Judged(Judgement) {}
func (silent) Alarm(Alarm)      {}

// Controller drives the runs. Its methods may be called concurrently.
type Controller struct {
	opts Options
	log  hclog.Logger
	kick chan struct{} // wakes Run: a run began

	mu      sync.Mutex
	fold    *fold              // guarded by mu, as all below
	drivers map[string]*driver // of active runs, by their id
	broken  error              // the log could not be written
}

// New makes a controller from what the log says. It starts nothing.
func New(o Options) (*Controller, error) {
	if o.Roles == nil || o.Meter == nil || o.Log == nil {
		return nil, errors.New("migrate needs roles, a meter and a log")
	}
	o = o.withDefaults()
	c := &Controller{opts: o, log: o.Logger, kick: make(chan struct{}, 1), fold: newFold(), drivers: map[string]*driver{}}
	for i, r := range o.Log.Records() {
		if err := c.fold.add(r); err != nil {
			return nil, fmt.Errorf("%w: record %d: %w", ErrLogBroken, i+1, err)
		}
	}
	for _, x := range c.fold.runs {
		if !x.state.Ended() {
			c.drivers[x.id] = c.newDriver(x)
		}
	}
	return c, nil
}

// Run drives every run until ctx ends. A failure of the log ends it with an error: nothing may be done that was not
// written down.
func (c *Controller) Run(outer context.Context) error {
	ctx, cancel := context.WithCancelCause(outer)
	defer cancel(nil)
	var group sync.WaitGroup
	defer group.Wait()
	driven := map[*driver]bool{} // not by id: a run that had ended is driven again to go back
	for {
		for _, d := range c.active() {
			if driven[d] {
				continue
			}
			driven[d] = true
			group.Go(func() {
				if err := c.drive(ctx, d); err != nil {
					cancel(err)
				}
			})
		}
		select {
		case <-c.kick:
		case <-ctx.Done():
			if outer.Err() != nil {
				return nil
			}
			return context.Cause(ctx)
		}
	}
}

// Look looks at every run once: drains, judges, decides and acts. Run does it at every health interval and at events; a
// caller that has no Run may do it by hand.
func (c *Controller) Look(ctx context.Context) error {
	for _, d := range c.active() {
		if err := c.look(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// active lists the drivers of active runs, oldest run first.
func (c *Controller) active() []*driver {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*driver
	for _, x := range c.fold.runs {
		if d := c.drivers[x.id]; d != nil {
			out = append(out, d)
		}
	}
	return out
}

// append makes a record durable and folds it in. What follows from it is told after the lock is free.
func (c *Controller) append(r Record) error {
	return c.locked(func() (func(), error) { return c.appendLocked(r) })
}

// locked calls f with c.mu held, and without it what f wants to have told. A panic of the log leaves no lock behind: what is
// deferred on its way up takes it.
func (c *Controller) locked(f func() (tell func(), err error)) error {
	tell, err := func() (func(), error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return f()
	}()
	tell()
	return err
}

func nothing() {}

// appendLocked is append for who holds c.mu; it returns what is to be told to the observer without the lock.
func (c *Controller) appendLocked(r Record) (tell func(), err error) {
	tell = nothing
	if c.broken != nil {
		return tell, c.broken
	}
	if err := c.fold.check(r); err != nil {
		return tell, fmt.Errorf("record %s of run %q: %w", r.Kind, r.Run, err)
	}
	r.At = c.opts.Clock.Now()
	if err := c.opts.Log.Append(r); err != nil {
		if errors.Is(err, ErrLogRefuses) {
			c.broken = err
		}
		return tell, err
	}
	from := State("")
	if x := c.fold.run(r.Run); x != nil {
		from = x.state
	}
	if err := c.fold.add(r); err != nil {
		return tell, err
	}
	x := c.fold.run(r.Run)
	if x == nil {
		return tell, nil
	}
	d := c.drivers[x.id]
	if d != nil {
		d.follow(r, x, c.opts.Clock)
	}
	switch {
	case x.state.Ended():
		delete(c.drivers, x.id)
	case d == nil:
		c.drivers[x.id] = c.newDriver(x)
		c.wake()
	}
	return c.telling(r, x, from), nil
}

// telling is what the observer and the log hear of a record.
func (c *Controller) telling(r Record, x *run, from State) func() {
	change := Change{
		Run: x.id, Name: x.name, Role: x.role, From: from, To: x.state, Step: x.schedule.Steps[x.step].Name, Reason: r.Reason,
	}
	alarm := r.Kind == RecordHolding || r.Kind == RecordRollbackFailed || r.Kind == RecordRollingBack && r.By == ""
	changed := from != x.state || r.Kind == RecordPassed || r.Kind == RecordApplied
	return func() {
		if alarm {
			c.log.Error("migration", "name", change.Name, "run", change.Run, "record", string(r.Kind), "step", change.Step, "reason", r.Reason)
			c.opts.Observer.Alarm(Alarm{Run: change.Run, Name: change.Name, Role: change.Role, Reason: r.Reason})
		}
		if changed {
			c.log.Info("migration", "name", change.Name, "run", change.Run, "state", string(change.To), "step", change.Step, "by", r.By)
			c.opts.Observer.Changed(change)
		}
	}
}

func (c *Controller) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}
