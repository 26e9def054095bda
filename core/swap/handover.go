package swap

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// handOver closes the old generations that are in the way and opens the new ones. Meanwhile the fallback answers, or the
// route is held.
func (t *transition) handOver(ctx context.Context, over []Block, g Generation) error {
	if err := t.c.append(ctx, Record{State: Handover, Serial: t.serial}); err != nil {
		return err
	}
	old := t.c.allInTheWay(over)
	held, err := t.c.stepAside(ctx, t.from, old)
	t.held = held
	for _, r := range old {
		t.closed = append(t.closed, r.block) // from here on undo has to bring the route back
	}
	if err != nil {
		return err
	}
	for _, r := range old {
		t.c.end(ctx, r)
	}
	for _, b := range over {
		if err := t.launch(ctx, b, g); err != nil {
			return err
		}
		g++
	}
	return nil
}

// allInTheWay lists the live processes that hold what any of the blocks claims.
func (c *Controller) allInTheWay(blocks []Block) []*running {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*running
	for _, b := range blocks {
		for _, r := range c.inTheWay(b) {
			if !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	return out
}

// stepAside takes processes out of every route of a state and drains them. It returns the roles that it had to hold
// because nobody else can answer.
func (c *Controller) stepAside(ctx context.Context, a Applied, old []*running) (held []Role, err error) {
	var roles []Role
	for _, role := range sortedRoles(a.Roles) {
		if !slices.ContainsFunc(old, func(r *running) bool { return a.Roles[role].uses(r.block.ID) }) {
			continue
		}
		roles = append(roles, role)
		p := c.positions(a, role, old...)
		if p.Primary == nil {
			c.hold([]Role{role})
			held = append(held, role)
			continue
		}
		if err := c.set(role, p); err != nil {
			return held, &StepError{Role: role, Err: err}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeouts.Drain)
	defer cancel()
	for _, r := range old {
		err := c.steer(roles, func(_ Role, ctl RouteControl) error { return ctl.Drain(ctx, r.proc) })
		if err != nil {
			return held, fmt.Errorf("drain %s: %w", r.block.ID, err)
		}
	}
	return held, nil
}

// reopenOld brings back what the handover closed.
func (t *transition) reopenOld(ctx context.Context) {
	g := t.reopen
	for _, b := range t.closed {
		if t.c.running(b) {
			continue // it was not closed yet
		}
		if _, err := t.c.launch(ctx, b, g); err != nil {
			t.c.trouble(b.ID, fmt.Errorf("reopen after a failed handover: %w", err))
		}
		g++
	}
	for _, role := range sortedRoles(t.from.Roles) {
		_ = t.c.set(role, t.c.positions(t.from, role))
	}
	t.c.release(t.held)
	t.held = nil
}

func (c *Controller) running(b Block) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.find(b) != nil
}

// trouble notes that a plugin of the applied state does not run; Run tries it again.
func (c *Controller) trouble(id PluginID, err error) {
	c.log.Error("plugin does not run", "plugin", id.String(), "error", err)
	c.mu.Lock()
	c.troubles[id] = err
	c.mu.Unlock()
	c.wake()
}

// retire takes probation marks off the routes, drains and closes what the applied state does not use, and ends the
// journal's entry. was is the state before, whose routes may still have calls in flight. An error, which is logged, is
// about the journal: everything else is done all the same.
func (c *Controller) retire(ctx context.Context, was Applied) error {
	now := c.state().applied
	roles := map[Role]bool{}
	for r := range was.Roles {
		roles[r] = true
	}
	for r := range now.Roles {
		roles[r] = true
	}
	all := sortedRoles(roles)
	for _, r := range all {
		_ = c.set(r, c.positions(now, r))
	}
	c.endUnused(ctx, now, all)
	if err := c.note(ctx, Record{State: Done, Serial: c.state().serial}); err != nil {
		c.log.Error("the end of the swap is not in the journal: a restart would watch the change again", "error", err)
		return err
	}
	if err := c.compact(ctx); err != nil {
		c.log.Error("the swap journal was not shortened", "error", err)
	}
	if c.opts.Retired != nil {
		c.opts.Retired(c.Digests())
	}
	return nil
}

// endUnused drains and closes the processes that a state does not use.
func (c *Controller) endUnused(ctx context.Context, a Applied, roles []Role) {
	c.mu.Lock()
	var old []*running
	for _, r := range c.live {
		if b, ok := a.Plugins[r.block.ID]; !ok || !b.same(r.block) {
			old = append(old, r)
		}
	}
	c.mu.Unlock()
	for _, r := range old {
		drain, cancel := c.cleanup(ctx, c.opts.Timeouts.Drain)
		if err := c.steer(roles, func(_ Role, ctl RouteControl) error { return ctl.Drain(drain, r.proc) }); err != nil {
			c.log.Warn("old generation still had calls", "plugin", r.block.ID.String(), "error", err)
		}
		cancel()
		c.end(ctx, r)
		c.log.Info("retired plugin", "plugin", r.block.ID.String(), "generation", uint64(r.proc.Generation()))
	}
}

const compactAbove = 256

// compact shortens a long journal. When that fails, either the long one stays and takes records as before, or the journal
// refuses the next record and thus the next change.
func (c *Controller) compact(ctx context.Context) error {
	h := c.state()
	if h.records <= compactAbove || h.probation || h.open != nil {
		return nil
	}
	s := h.snapshot(time.Now())
	if err := c.opts.Journal.Compact(ctx, []Record{s}); err != nil {
		return fmt.Errorf("compact journal: %w", err)
	}
	c.mu.Lock()
	c.history.records = 1
	c.mu.Unlock()
	return nil
}
