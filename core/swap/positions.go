package swap

import "slices"

// positions finds the processes of a role's route. Without the processes in without, and without what does not run. When
// the primary is missing, the fallback takes its place.
func (c *Controller) positions(a Applied, role Role, without ...*running) Positions {
	route, ok := a.Roles[role]
	if !ok {
		return Positions{}
	}
	at := func(id PluginID) Process {
		r := c.process(a, id)
		if r == nil || slices.Contains(without, r) {
			return nil
		}
		return r.proc
	}
	p := Positions{Primary: at(route.Primary)}
	if route.Fallback != nil {
		p.Fallback = at(*route.Fallback)
	}
	if route.Shadow != nil {
		p.Shadow = at(*route.Shadow)
	}
	if route.Canary != nil {
		p.Canary, p.Percent, p.Step = at(route.Canary.Plugin), route.Canary.Percent, route.step(role)
	}
	if p.Primary == nil {
		p.Primary, p.Fallback = p.Fallback, nil
	}
	if p.Primary == nil {
		return Positions{}
	}
	if p.Shadow == p.Primary {
		p.Shadow = nil
	}
	if p.Canary == p.Primary {
		p.Canary = nil
	}
	return p
}

// step names the canary's draw: the migration's step, or the role and plugin, so that a larger share of the same canary
// contains the smaller one.
func (r Route) step(role Role) string {
	if r.Step != "" {
		return r.Step
	}
	return string(role) + "/" + r.Canary.Plugin.String()
}

// watched is positions in a probation: with the old primary kept warm.
func (c *Controller) watched(w *watch, role Role) Positions {
	p := c.positions(w.next, role)
	p.Probation = p.Primary != nil
	old, ok := w.old.Roles[role]
	if !ok || p.Primary == nil {
		return p
	}
	warm := c.process(w.old, old.Primary)
	if warm == nil || slices.Contains([]Process{p.Primary, p.Fallback, p.Shadow, p.Canary}, warm.proc) {
		return p
	}
	p.Warm = warm.proc
	return p
}

// set points roles at a state; what goes wrong is logged and returned.
func (c *Controller) set(role Role, p Positions) error {
	ctl, err := c.opts.Routes.Route(role)
	if err == nil {
		err = ctl.Set(p)
	}
	if err != nil {
		c.log.Error("set route", "role", string(role), "error", err)
	}
	return err
}

// steer calls f with the route of each role; the first error ends it.
func (c *Controller) steer(roles []Role, f func(Role, RouteControl) error) error {
	for _, r := range roles {
		ctl, err := c.opts.Routes.Route(r)
		if err == nil {
			err = f(r, ctl)
		}
		if err != nil {
			return &StepError{Role: r, Err: err}
		}
	}
	return nil
}

// hold makes the calls of roles wait; release lets them go on.
func (c *Controller) hold(roles []Role) {
	_ = c.steer(roles, func(_ Role, ctl RouteControl) error { ctl.Hold(); return nil })
}

func (c *Controller) release(roles []Role) {
	_ = c.steer(roles, func(_ Role, ctl RouteControl) error { ctl.Release(); return nil })
}
