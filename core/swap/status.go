package swap

import (
	"slices"
	"time"
)

// GenerationStatus is one live process.
type GenerationStatus struct {
	Plugin     PluginID
	Generation Generation
	Digest     string
	Since      time.Time
	Positions  map[Role][]Position // empty: retiring
}

// RoleStatus is one role.
type RoleStatus struct {
	Role        Role
	Route       Route  // applied
	State       string // of the route
	Generations []GenerationStatus
	Drift       []string // what the file wants otherwise, as a plan would say it
	Previous    *Route   // what Rollback goes back to
	Trouble     string   // why a plugin of the role does not run
}

// ProbationStatus is an open probation.
type ProbationStatus struct {
	Roles  []Role
	Since  time.Time
	AtMost time.Time // zero: as long as the calls take
	Calls  map[Role]uint64
}

// Status is what runs and how it came there.
type Status struct {
	Serial    uint64
	Hash      string // of the configuration that is applied
	Wanted    string // of the configuration that was to be applied last
	Applying  bool
	Roles     []RoleStatus // in order
	Drift     []string     // of roles and plugins together
	Rejected  []Rejection
	Probation *ProbationStatus
	LastSwap  *Report
}

// Status reports the state. It does not wait for an apply.
func (c *Controller) Status() Status {
	c.mu.Lock()
	h, w := c.history, c.watch
	s := Status{Serial: h.serial, Hash: h.applied.Hash, Applying: c.applying.Load(), Rejected: slices.Clone(h.rejected)}
	if c.last != nil {
		last := *c.last
		s.LastSwap = &last
	}
	var drift []Action
	if c.desired != nil {
		s.Wanted = c.desired.Hash
		drift = c.plan(*c.desired).Actions
	}
	live := slices.Clone(c.live)
	c.mu.Unlock()
	for _, a := range drift {
		s.Drift = append(s.Drift, string(a.Op)+" "+a.Text)
	}
	if w != nil {
		s.Probation = w.status(c.probation)
	}
	for _, role := range sortedRoles(h.applied.Roles) {
		s.Roles = append(s.Roles, c.roleStatus(h, w, role, live, drift))
	}
	return s
}

func (c *Controller) roleStatus(h history, w *watch, role Role, live []*running, drift []Action) RoleStatus {
	route := h.applied.Roles[role]
	rs := RoleStatus{Role: role, Route: route}
	if ctl, err := c.opts.Routes.Route(role); err == nil {
		rs.State = ctl.State()
	}
	if prev, ok := h.previous[role]; ok {
		rs.Previous = &prev.Route
	}
	for _, r := range live {
		g := GenerationStatus{
			Plugin: r.block.ID, Generation: r.proc.Generation(), Digest: r.block.Digest, Since: r.since,
			Positions: map[Role][]Position{role: positionsOf(h, w, role, r)},
		}
		if len(g.Positions[role]) > 0 {
			rs.Generations = append(rs.Generations, g)
		}
	}
	for _, a := range drift {
		if a.Role == role || (a.Plugin != nil && route.uses(*a.Plugin)) {
			rs.Drift = append(rs.Drift, string(a.Op)+" "+a.Text)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range route.places() {
		if why := c.troubles[p.plugin]; why != nil {
			rs.Trouble = p.plugin.String() + ": " + why.Error()
		}
	}
	return rs
}

func positionsOf(h history, w *watch, role Role, r *running) []Position {
	var out []Position
	for _, p := range h.applied.Roles[role].places() {
		if b, ok := h.applied.Plugins[p.plugin]; ok && b.same(r.block) {
			out = append(out, p.position)
		}
	}
	if len(out) == 0 && w != nil {
		if b, ok := w.old.Plugins[w.old.Roles[role].Primary]; ok && b.same(r.block) {
			out = append(out, Warm)
		}
	}
	return out
}

func (w *watch) status(p Probation) *ProbationStatus {
	s := &ProbationStatus{Roles: w.roles, Since: w.since, Calls: map[Role]uint64{}}
	if p.Max > 0 {
		s.AtMost = w.since.Add(p.Max)
	}
	for _, seat := range w.seats {
		s.Calls[seat.role] += seat.ctl.Stats(seat.now.proc, w.since).Calls
	}
	return s
}
