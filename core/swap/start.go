package swap

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Start brings up what the journal says runs, every plugin from its journalled block, and then treats the desired state
// like a changed file: a swap that fails, is rejected or has a gap leaves the applied state running, and Status tells.
// An error means that a role has nobody to answer and nobody who is awaited (Options.Awaited), or that nothing was ever applied and the desired state does not come up.
func (c *Controller) Start(ctx context.Context, d Desired) (Report, error) {
	ctx, done, err := c.ask(ctx)
	if err != nil {
		return Report{}, err
	}
	defer done()
	if err := c.resume(ctx); err != nil {
		return Report{}, err
	}
	report, err := c.startDesired(ctx, d)
	if c.state().applied.empty() {
		return report, err
	}
	if err != nil {
		c.log.Warn("alys.hcl is not applied", "reason", err)
	}
	return report, c.unserved()
}

// startDesired applies the desired state after the applied one has come up; the caller has the lock. The report says so,
// too, when nothing of it was begun.
func (c *Controller) startDesired(ctx context.Context, d Desired) (Report, error) {
	r, err := c.tryDesired(ctx, d)
	if err != nil && r.Result == "" {
		r = Report{Cause: "start", By: "start", At: time.Now(), Result: ResultFailed, Problem: err.Error()}
	}
	return r, err
}

func (c *Controller) tryDesired(ctx context.Context, d Desired) (Report, error) {
	if err := d.validate(); err != nil {
		return Report{}, &StepError{Step: StepPlan, Err: err}
	}
	h := c.state()
	c.mu.Lock()
	c.desired = &d
	p := c.plan(d)
	c.mu.Unlock()
	if len(changedRoles(h.applied, d.applied())) == 0 {
		return Report{Serial: h.serial, Cause: "start", At: time.Now(), Result: ResultNoOp}, nil
	}
	return c.apply(ctx, p, d, ApplyOptions{By: "start"}, "start")
}

// resume folds the journal and brings its state up.
func (c *Controller) resume(ctx context.Context) error {
	c.mu.Lock()
	again := c.started
	c.started = true
	c.mu.Unlock()
	if again {
		return errors.New("swap controller was started already")
	}
	if err := c.load(ctx); err != nil {
		return err
	}
	h := c.state()
	if h.open != nil {
		if err := c.append(ctx, Record{State: Failed, Serial: h.open.Serial, Reason: "the host ended before the flip"}); err != nil {
			return err
		}
	}
	if err := c.countDeaths(ctx, h); err != nil {
		return err
	}
	return c.bringUpApplied(ctx)
}

// Load reads the journal before Start does, for who has to know what is applied to say what is desired.
func (c *Controller) Load(ctx context.Context) error {
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.unlock()
	return c.load(ctx)
}

// load folds the journal, once; the caller has the lock.
func (c *Controller) load(ctx context.Context) error {
	c.mu.Lock()
	loaded := c.loaded
	c.mu.Unlock()
	if loaded {
		return nil
	}
	records, err := c.opts.Journal.Load(ctx)
	if err != nil {
		return fmt.Errorf("load swap journal: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range records {
		c.history.add(r)
	}
	c.loaded = true
	return nil
}

// maxDeaths in one probation come back old.
const maxDeaths = 2

func (c *Controller) countDeaths(ctx context.Context, h history) error {
	if !h.probation {
		return nil
	}
	deaths := h.deaths
	if !h.clean {
		deaths++
	}
	if deaths < maxDeaths {
		return c.append(ctx, Record{State: HostStarted, Serial: h.serial, Deaths: deaths, Generation: h.generation})
	}
	const reason = "the host died twice in the probation"
	old := h.old
	return c.append(ctx, Record{
		State: FlippedBack, Serial: h.serial + 1, Reason: reason, Roles: h.roles, Applied: &old, Previous: h.before,
		Rejected: h.reject(h.applied.Hash, reason, time.Now()), Generation: h.generation,
	})
}

// bringUpApplied starts the plugins of the applied state, and in a probation the old ones beside them, and sets the routes.
func (c *Controller) bringUpApplied(ctx context.Context) error {
	h := c.state()
	blocks := c.missing(h.applied)
	if h.probation {
		for _, b := range c.missing(h.old) {
			if other, ok := h.applied.Plugins[b.ID]; (!ok || !other.same(b)) && !claimed(blocks, b) {
				blocks = append(blocks, b)
			}
		}
	}
	if len(blocks) > 0 {
		next := Record{State: HostStarted, Serial: h.serial, Deaths: h.deaths, Generation: h.generation + Generation(len(blocks))}
		if err := c.append(ctx, next); err != nil {
			return err
		}
	}
	for i, b := range blocks {
		if _, err := c.launchPatiently(ctx, b, h.generation+1+Generation(i)); err != nil {
			if applied, ok := h.applied.Plugins[b.ID]; ok && applied.same(b) {
				c.trouble(b.ID, err)
			} else {
				c.log.Warn("old generation is not kept warm", "plugin", b.ID.String(), "error", err)
			}
		}
	}
	if h.probation {
		c.resumeProbation(ctx, h)
		return nil
	}
	for _, r := range sortedRoles(h.applied.Roles) {
		_ = c.set(r, c.positions(h.applied, r))
	}
	return nil
}

func claimed(blocks []Block, b Block) bool {
	for _, o := range blocks {
		if _, yes := conflicts(o, b); yes {
			return true
		}
	}
	return false
}

// resumeProbation starts the clock of an open probation again. A new generation that does not come up has crashed.
func (c *Controller) resumeProbation(ctx context.Context, h history) {
	w := &watch{old: h.old, next: h.applied, before: h.before, roles: h.roles, since: time.Now(), over: make(chan struct{})}
	c.fill(w)
	for _, r := range sortedRoles(h.applied.Roles) {
		_ = c.set(r, c.watched(w, r))
	}
	c.mu.Lock()
	c.watch = w
	c.mu.Unlock()
	for _, role := range h.roles {
		for _, p := range h.applied.Roles[role].places() {
			if p.position != Shadow && c.process(h.applied, p.plugin) == nil {
				c.flipBack(ctx, w, flip{reason: fmt.Sprintf("%s did not start again", p.plugin), by: "start"})
				return
			}
		}
	}
	c.wake()
}

// unserved is an error that names the roles that nobody answers for, nor will as things are.
func (c *Controller) unserved() error {
	a := c.state().applied
	var errs []error
	for _, r := range sortedRoles(a.Roles) {
		if c.positions(a, r).Primary != nil {
			continue
		}
		c.mu.Lock()
		why := c.troubles[a.Roles[r].Primary]
		c.mu.Unlock()
		if why == nil {
			why = errors.New("it has ended")
		} else if c.opts.Awaited(why) {
			continue
		}
		errs = append(errs, fmt.Errorf("role %q: %s does not start: %w", r, a.Roles[r].Primary, why))
	}
	return errors.Join(errs...)
}

// mend starts again what the applied state needs and what did not start with the node.
func (c *Controller) mend(ctx context.Context) {
	c.mu.Lock()
	due := len(c.troubles) > 0 && c.watch == nil && !c.mended.After(time.Now())
	c.mu.Unlock()
	if !due || c.lock(ctx) != nil {
		return
	}
	defer c.unlock()
	c.mu.Lock()
	c.mended = time.Now().Add(c.opts.Timeouts.Retry)
	h := c.history
	c.troubles = map[PluginID]error{}
	c.mu.Unlock()
	blocks := c.missing(h.applied)
	if len(blocks) == 0 {
		return
	}
	err := c.append(ctx, Record{State: Launched, Serial: h.serial, Generation: h.generation + Generation(len(blocks))})
	if err != nil {
		c.log.Error("start plugins again", "error", err)
		return
	}
	for i, b := range blocks {
		if _, err := c.launch(ctx, b, h.generation+1+Generation(i)); err != nil {
			c.trouble(b.ID, err)
		}
	}
	for _, r := range sortedRoles(h.applied.Roles) {
		_ = c.set(r, c.positions(h.applied, r))
	}
}
