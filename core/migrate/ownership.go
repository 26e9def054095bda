package migrate

import (
	"context"
	"fmt"
)

// Owner says which run drives a role now.
func (c *Controller) Owner(role string) (Ownership, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.fold.driving(role)
	if x == nil {
		return Ownership{}, false
	}
	return Ownership{
		Run: x.id, Name: x.name, State: x.state, Step: x.schedule.Steps[x.step].Name, Index: x.step,
		Plugins: []string{x.schedule.From, x.schedule.To}, To: x.schedule.To,
	}, true
}

// Override says which route holds instead of the file's: while a run is active what is applied, because only the run changes
// it, and after it its final route until it is released. base is what the file said at the start.
func (c *Controller) Override(role string) (route, base Route, ok bool) {
	c.mu.Lock()
	x, h := c.fold.driving(role), c.fold.held[role]
	if x == nil {
		defer c.mu.Unlock()
		if h == nil {
			return Route{}, Route{}, false
		}
		return h.route, h.base, true
	}
	route, base = x.serving(), x.file
	c.mu.Unlock()
	if now, err := c.opts.Roles.Current(role); err == nil { // without the lock: the node may ask us under one of its own
		route = now.Route
	}
	return route, base, true
}

// serving is the route that the log says serves: that of the step, or of the one before while it is prepared.
func (x *run) serving() Route {
	switch {
	case x.state == StateRollingBack:
		return x.base
	case x.served() && x.current() != StatePreparing:
		return x.schedule.Steps[x.step].Route
	case x.step > 0:
		return x.schedule.Steps[x.step-1].Route
	}
	return x.base
}

// FileSays tells what alys.hcl says of a role whenever it was read, before it is applied. After a run has ended, a file
// that says what is held, or something else than at the start, releases the role.
func (c *Controller) FileSays(_ context.Context, role string, file Route) error {
	return c.release(role, "", func(h *held) string {
		switch file {
		case h.route:
			return "alys.hcl says the same"
		case h.base:
			return ""
		}
		return fmt.Sprintf("alys.hcl was edited: %s", file)
	}, nil)
}

// Release lets alys.hcl decide about a role again whose run has ended: ErrNothingToDo when nothing is held, ErrOwned while
// a run is active.
func (c *Controller) Release(_ context.Context, role, by string) error {
	if o, owned := c.Owner(role); owned {
		return fmt.Errorf("%w: role %s by %s, step %q; abort it first", ErrOwned, role, o.Name, o.Step)
	}
	return c.release(role, by, func(*held) string { return "asked for" }, fmt.Errorf("%w: alys.hcl decides about role %s", ErrNothingToDo, role))
}

// release writes that a held role is free when why gives a reason. none is the answer when nothing is held.
func (c *Controller) release(role, by string, why func(*held) string, none error) error {
	return c.locked(func() (func(), error) {
		h := c.fold.held[role]
		if h == nil || c.fold.driving(role) != nil {
			return nothing, none
		}
		reason := why(h)
		if reason == "" {
			return nothing, nil
		}
		x := c.fold.run(h.run)
		r := x.record(RecordReleased, x.step)
		r.By, r.Reason, r.Route = by, reason, &h.route
		return c.appendLocked(r)
	})
}
