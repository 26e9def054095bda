package swap

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// flip says why a probation is ended with the old state.
type flip struct {
	reason string
	by     string
	asked  bool // by somebody who gets the report; otherwise Options.Ended does
}

// flipBack ends an open probation with the old state; the caller has the lock. It is carried out even if a part of it
// fails, the journal included: a new generation that failed must not go on.
func (c *Controller) flipBack(ctx context.Context, w *watch, f flip) {
	ctx, cancel := c.cleanup(ctx, time.Minute)
	defer cancel()
	started := time.Now()
	h := c.state()
	missing := c.missing(w.old)
	rec := Record{
		State: FlippedBack, At: started, Serial: h.serial + 1, By: f.by, Reason: f.reason, Roles: w.roles, Applied: &w.old,
		Previous: w.before, Rejected: h.reject(w.next.Hash, f.reason, started), Generation: h.generation + Generation(len(missing)),
	}
	c.log.Error("flipping back", "reason", f.reason, "by", f.by)
	if err := c.note(ctx, rec); err != nil {
		c.log.Error("the flip back is not in the journal: a restart would try the change again", "error", err)
	}
	c.mu.Lock()
	c.watch = nil
	c.mu.Unlock()
	w.stop()
	c.report(w, rec, started)
	held := c.reopen(ctx, w, missing, h.generation+1)
	c.pointBack(ctx, w)
	c.release(held)
	if !f.asked {
		c.ended() // told at once: to end the new one may take as long as a drain
	}
	c.endUnused(ctx, w.old, c.affected(w.next, w.old))
	c.mu.Lock()
	defer c.mu.Unlock()
	r := *c.last
	r.Steps = append(slices.Clone(r.Steps), StepReport{StepRetire, time.Since(started)})
	c.last = &r
}

// missing lists the blocks of a state that do not run.
func (c *Controller) missing(a Applied) []Block {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Block
	for _, id := range sortedPlugins(a.Plugins) {
		if c.find(a.Plugins[id]) == nil {
			out = append(out, a.Plugins[id])
		}
	}
	return out
}

// reopen is a handover the other way: it starts the old generations that had to close for the new ones. It returns the
// roles that are held because nobody answers meanwhile.
func (c *Controller) reopen(ctx context.Context, w *watch, missing []Block, g Generation) []Role {
	if len(missing) == 0 {
		return nil
	}
	inTheWay := c.allInTheWay(missing)
	held, err := c.stepAside(ctx, w.next, inTheWay)
	if err != nil {
		c.log.Warn("calls were cut off at the flip back", "error", err)
	}
	for _, r := range inTheWay {
		c.end(ctx, r)
	}
	for i, b := range missing {
		if _, err := c.launch(ctx, b, g+Generation(i)); err != nil {
			c.trouble(b.ID, fmt.Errorf("reopen at the flip back: %w", err))
		}
	}
	return held
}

// pointBack sets the routes to the old state. The old generations draw level first as far as they can in the short time.
func (c *Controller) pointBack(ctx context.Context, w *watch) {
	c.hold(w.roles)
	defer c.release(w.roles)
	limited, cancel := context.WithTimeout(ctx, c.opts.Timeouts.Hold)
	defer cancel()
	if err := c.quiesce(limited, w.roles); err != nil {
		c.log.Warn("flip back did not wait for calls in flight", "error", err)
	}
	for _, role := range w.roles {
		p := c.positions(w.old, role)
		if p.Primary != nil {
			a := Admission{Role: role, Position: Primary, New: p.Primary}
			if r := c.process(w.next, w.next.Roles[role].Primary); r != nil && r.proc != p.Primary {
				a.Old = r.proc
			}
			if err := c.opts.Admitter.BeforeFlip(limited, a); err != nil {
				c.log.Warn("old plugin is not level with the new one", "role", string(role), "error", err)
			}
		}
		_ = c.set(role, p)
	}
}

func (c *Controller) report(w *watch, rec Record, started time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := Report{Cause: "start", Roles: w.roles, At: w.since}
	if c.last != nil && c.last.Result == ResultProbation {
		r = *c.last
	}
	r.Serial, r.Result, r.Problem = rec.Serial, ResultFlippedBack, rec.Reason
	r.Steps = append(append([]StepReport(nil), r.Steps...), StepReport{StepProbation, started.Sub(w.since)})
	c.last = &r
}

// Rollback points a role at its previous applied route, from the journal alone: alys.hcl may be broken. In a probation
// that this undoes, the warm old generation is back at once; otherwise the previous generation is started beside, admitted
// and flipped to like any other, without a probation. The configuration that is left is rejected. A plugin that the
// previous route had with another block goes back for every role that uses it. A gap is allowed. ErrNothingToRollBack when
// there is no previous route or it is the one that is applied.
func (c *Controller) Rollback(ctx context.Context, role Role, by string) (Report, error) {
	ctx, done, err := c.ask(ctx)
	if err != nil {
		return Report{}, err
	}
	defer done()
	h := c.state()
	if _, ok := h.applied.Roles[role]; !ok {
		return Report{}, fmt.Errorf("%w: %q", ErrUnknownRole, role)
	}
	prev, ok := h.previous[role]
	if !ok {
		return Report{}, fmt.Errorf("%w: %q", ErrNothingToRollBack, role)
	}
	to := h.applied.with(role, prev)
	if len(changedRoles(h.applied, to)) == 0 {
		return Report{}, fmt.Errorf("%w: %q", ErrNothingToRollBack, role)
	}
	reason := fmt.Sprintf("role %q was rolled back", role)
	w := c.open()
	if w != nil && len(changedRoles(to, w.old)) == 0 {
		c.flipBack(ctx, w, flip{reason: reason, by: by, asked: true})
		return *c.Status().LastSwap, nil
	}
	if err := to.validateResources(); err != nil { // what the other roles have now may claim what the old route needs
		return Report{}, &StepError{Step: StepPlan, Role: role, Err: err}
	}
	if w != nil && len(c.missing(to)) > 0 { // it would be a third generation
		c.endProbation(ctx)
	}
	to.Hash = fmt.Sprintf("rollback of %s at serial %d", role, h.serial)
	t := c.transition(to, "rollback", by)
	t.rejected = h.reject(h.applied.Hash, reason, time.Now())
	t.trusted = true
	return t.run(ctx)
}

// Promote puts a role's recovered primary back in its place after its fallback took over.
func (c *Controller) Promote(role Role) error {
	if _, ok := c.state().applied.Roles[role]; !ok {
		return fmt.Errorf("%w: %q", ErrUnknownRole, role)
	}
	ctl, err := c.opts.Routes.Route(role)
	if err != nil {
		return fmt.Errorf("promote %q: %w", role, err)
	}
	return ctl.Promote()
}
