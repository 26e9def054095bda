package swap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// running is one live generation.
type running struct {
	block Block
	proc  Process
	since time.Time
}

// Controller keeps what runs equal to what is wanted. Its methods may be called concurrently.
type Controller struct {
	opts      Options
	probation Probation
	log       hclog.Logger
	busy      chan struct{} // holds one token; who has it changes things
	applying  atomic.Bool   // an apply or rollback that somebody asked for runs
	kick      chan struct{} // wakes Run
	quit      chan struct{} // closed when Close begins: a change that has not flipped is given up
	quitOnce  sync.Once

	mu       sync.Mutex
	history  history    // guarded by mu, as all below
	owed     []Record   // that history has and the journal does not, oldest first
	live     []*running // in order of their start
	watch    *watch     // the probation that is open
	desired  *Desired   // what was to be applied last
	last     *Report
	loaded   bool // history is the journal's
	started  bool
	closed   bool
	troubles map[PluginID]error // why a plugin of the applied state does not run
	mended   time.Time          // when troubles are looked at next
}

// New makes a controller. It starts nothing.
func New(o Options) (*Controller, error) {
	if o.Launcher == nil || o.Routes == nil || o.Admitter == nil || o.Journal == nil {
		return nil, errors.New("swap needs a launcher, routes, an admitter and a journal")
	}
	o.Timeouts = o.Timeouts.withDefaults()
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Awaited == nil {
		o.Awaited = func(error) bool { return false }
	}
	p := DefaultProbation()
	if o.Probation != nil {
		p = *o.Probation
	}
	if p.Every <= 0 {
		p.Every = DefaultProbation().Every
	}
	return &Controller{
		opts: o, probation: p, log: o.Logger, busy: make(chan struct{}, 1), kick: make(chan struct{}, 1),
		quit:     make(chan struct{}),
		troubles: map[PluginID]error{},
	}, nil
}

// lock waits for the right to change things.
func (c *Controller) lock(ctx context.Context) error {
	select {
	case c.busy <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		<-c.busy
		return ErrClosed
	}
	return nil
}

func (c *Controller) unlock() { <-c.busy }

// ask is lock for a change that somebody asked for: one at a time. The context that it returns ends with Close, too: the
// admission of an engine may take minutes, and a host that was told to stop does not wait for it.
func (c *Controller) ask(ctx context.Context) (asked context.Context, done func(), err error) {
	if !c.applying.CompareAndSwap(false, true) {
		return nil, nil, ErrApplyInProgress
	}
	if err := c.lock(ctx); err != nil {
		c.applying.Store(false)
		return nil, nil, err
	}
	asked, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-c.quit:
			cancel(ErrClosed)
		case <-asked.Done():
		}
	}()
	return asked, func() { cancel(nil); c.unlock(); c.applying.Store(false) }, nil
}

// Plan says what Apply would do. It changes nothing.
func (c *Controller) Plan(_ context.Context, d Desired) (Plan, error) {
	if err := d.validate(); err != nil {
		return Plan{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.plan(d), nil
}

// plan makes a plan; the caller holds c.mu.
func (c *Controller) plan(d Desired) Plan {
	df := c.diff(d.applied())
	p := df.plan(d.Hash)
	if rej, ok := c.history.rejection(d.Hash); ok && !p.NoOp() {
		p.Rejected = &rej
	}
	if c.watch != nil && !p.NoOp() {
		p.Warnings = append(p.Warnings, "a probation is open: this apply ends it, and its old generations are retired")
	}
	return p
}

// diff compares what runs with another state; the caller holds c.mu.
func (c *Controller) diff(to Applied) diff {
	return diff{
		from: c.history.applied, to: to, serial: c.history.serial,
		running: func(b Block) bool { return c.find(b) != nil },
		atMost:  c.opts.Timeouts.Drain + c.opts.Timeouts.Close + c.opts.Timeouts.Start,
	}
}

// find returns the live generation of a block, nil if there is none; the caller holds c.mu.
func (c *Controller) find(b Block) *running {
	i := slices.IndexFunc(c.live, func(r *running) bool { return r.block.same(b) })
	if i < 0 {
		return nil
	}
	return c.live[i]
}

// process is find for a plugin of a state, with the lock taken.
func (c *Controller) process(a Applied, id PluginID) *running {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := a.Plugins[id]
	if !ok {
		return nil
	}
	return c.find(b)
}

// append makes a record durable and counts it in. What is owed to the journal goes before it: without that, the record
// would follow another history on disk than it does here.
func (c *Controller) append(ctx context.Context, r Record) error {
	if err := c.payOwed(ctx); err != nil {
		return err
	}
	r.At = time.Now()
	if err := c.opts.Journal.Append(ctx, r); err != nil {
		return fmt.Errorf("journal %s: %w", r.State, err)
	}
	c.mu.Lock()
	c.history.add(r)
	c.mu.Unlock()
	return nil
}

// note is append for what has happened whether or not it can be written. When it cannot, the record is owed, and nothing
// else is written before it: no change begins until then.
func (c *Controller) note(ctx context.Context, r Record) error {
	err := c.append(ctx, r)
	if err == nil {
		return nil
	}
	r.At = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history.add(r)
	c.owed = append(c.owed, r)
	return err
}

// payOwed writes what is owed to the journal. The caller has the lock, so nobody else changes it.
func (c *Controller) payOwed(ctx context.Context) error {
	c.mu.Lock()
	owed := slices.Clone(c.owed)
	c.mu.Unlock()
	for _, r := range owed {
		if err := c.opts.Journal.Append(ctx, r); err != nil {
			return fmt.Errorf("journal %s, which was not written when it happened: %w", r.State, err)
		}
		c.mu.Lock()
		c.owed = c.owed[1:]
		c.mu.Unlock()
	}
	return nil
}

// launch starts the process of a block as the generation given. The launcher bounds the start of the process; what makes
// it ready after that, as the catching up of an engine does, has the time of an admission.
func (c *Controller) launch(ctx context.Context, b Block, g Generation) (*running, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeouts.Start+c.opts.Timeouts.Admit)
	defer cancel()
	return c.launchPatiently(ctx, b, g)
}

// launchPatiently is launch for a node that has nothing else to serve with: it waits as long as the plugin goes on making
// itself ready. An engine that is far behind must not end the node, and would not be nearer after another start.
func (c *Controller) launchPatiently(ctx context.Context, b Block, g Generation) (*running, error) {
	proc, err := c.opts.Launcher.Launch(ctx, LaunchRequest{Block: b, Generation: g})
	if err != nil {
		return nil, err
	}
	r := &running{block: b, proc: proc, since: time.Now()}
	c.mu.Lock()
	c.live = append(c.live, r)
	delete(c.troubles, b.ID)
	c.mu.Unlock()
	c.log.Info("started plugin", "plugin", b.ID.String(), "generation", uint64(g))
	return r, nil
}

// end closes a process and forgets it. What goes wrong is logged: there is nothing else to do about it.
func (c *Controller) end(ctx context.Context, r *running) {
	ctx, cancel := c.cleanup(ctx, c.opts.Timeouts.Close)
	defer cancel()
	if err := r.proc.Close(ctx); err != nil {
		c.log.Error("close plugin", "plugin", r.block.ID.String(), "generation", uint64(r.proc.Generation()), "error", err)
	}
	c.mu.Lock()
	c.live = slices.DeleteFunc(c.live, func(x *running) bool { return x == r })
	c.mu.Unlock()
}

// cleanup is a context for what has to be done even when the caller has gone.
func (c *Controller) cleanup(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}

// nextGeneration is the number after the highest that was handed out.
func (c *Controller) nextGeneration() Generation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.history.generation + 1
}

func (c *Controller) state() history {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.history
}

// wake makes Run look.
func (c *Controller) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// Digests lists the binaries that the journal names: they must be kept.
func (c *Controller) Digests() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := map[string]bool{}
	note := func(blocks map[PluginID]Block) {
		for _, b := range blocks {
			if b.Digest != "" {
				seen[b.Digest] = true
			}
		}
	}
	note(c.history.applied.Plugins)
	note(c.history.old.Plugins)
	if c.history.open != nil && c.history.open.Applied != nil {
		note(c.history.open.Applied.Plugins)
	}
	for _, states := range []map[Role]RoleState{c.history.previous, c.history.before} {
		for _, s := range states {
			note(s.Plugins)
		}
	}
	out := make([]string, 0, len(seen))
	for d := range seen {
		out = append(out, d)
	}
	slices.Sort(out)
	return out
}

// Close gives up a change that has not flipped, and ends every process. The journal notes that the stop was wanted, so an
// open probation does not count it as a death.
func (c *Controller) Close(ctx context.Context) error {
	c.quitOnce.Do(func() { close(c.quit) })
	if err := c.lock(ctx); err != nil {
		if errors.Is(err, ErrClosed) {
			return nil
		}
		return err
	}
	defer c.unlock()
	c.mu.Lock()
	started := c.started
	live := slices.Clone(c.live)
	c.mu.Unlock()
	var err error
	if started {
		err = c.append(ctx, Record{State: Stopped})
	}
	c.mu.Lock()
	c.closed = true
	w := c.watch
	c.watch = nil
	c.mu.Unlock()
	if w != nil {
		w.stop()
	}
	slices.Reverse(live)
	for _, r := range live {
		c.end(ctx, r)
	}
	c.wake()
	return err
}
