package swap

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// watch is an open probation.
type watch struct {
	old, next Applied
	before    map[Role]RoleState // what Rollback went back to before the change
	roles     []Role
	since     time.Time
	seats     []seat
	fresh     []newcomer // whose crash flips back
	over      chan struct{}
	once      sync.Once
	fault     string // found at the flip
}

// newcomer is a process that got a place that answers, or the place of the primary. It may have run before, as a shadow.
type newcomer struct {
	*running
	deaths int // before it got the place
}

// seat is a primary or canary whose calls are counted.
type seat struct {
	role     Role
	ctl      RouteControl
	now, old *running
	was      []time.Duration // the old primary's latencies before the flip
}

func (w *watch) stop() { w.once.Do(func() { close(w.over) }) }

func newWatch(t *transition) *watch {
	w := &watch{old: t.from, next: t.to, before: t.c.state().before, roles: t.roles, since: time.Now(), over: make(chan struct{})}
	t.c.fill(w)
	return w
}

// fill finds who is to be watched.
func (c *Controller) fill(w *watch) {
	for _, role := range w.roles {
		ctl, err := c.opts.Routes.Route(role)
		if err != nil {
			continue
		}
		old := c.process(w.old, w.old.Roles[role].Primary)
		for _, p := range w.next.Roles[role].places() {
			now := c.process(w.next, p.plugin)
			if now == nil || p.position == Shadow {
				continue
			}
			if !c.answering(w.old, role)[now] || p.position == Primary && now != old {
				n, _ := now.proc.Deaths()
				w.fresh = append(w.fresh, newcomer{now, n})
			}
			if p.position == Fallback || now == old {
				continue
			}
			s := seat{role: role, ctl: ctl, now: now, old: old}
			if old != nil {
				s.was = ctl.Stats(old.proc, time.Time{}).Latencies
			}
			w.seats = append(w.seats, s)
		}
	}
}

// follow wakes Run when a newcomer crashes. It is Run's own: the goroutines end with the probation or with Run.
func (c *Controller) follow(ctx context.Context, w *watch, wg *sync.WaitGroup) {
	for _, r := range w.fresh {
		wg.Go(func() {
			n, next := r.proc.Deaths()
			if n > r.deaths {
				c.wake()
				return
			}
			select {
			case <-next:
				c.wake()
			case <-w.over:
			case <-ctx.Done():
			}
		})
	}
}

// judge says why a change must be flipped back, or that its probation is over.
func (w *watch) judge(p Probation, now time.Time) (breach string, over bool) {
	if w.fault != "" {
		return w.fault, false
	}
	for _, r := range w.fresh {
		if n, _ := r.proc.Deaths(); n > r.deaths {
			return fmt.Sprintf("%s crashed", r.block.ID) + because(r.proc.Crash()), false
		}
	}
	enough := true
	for _, s := range w.seats {
		st := s.ctl.Stats(s.now.proc, w.since)
		if breach := s.judge(p, st, w.since); breach != "" {
			return fmt.Sprintf("role %q: %s %s", s.role, s.now.block.ID, breach), false
		}
		enough = enough && st.Calls >= p.Calls
	}
	age := now.Sub(w.since)
	return "", age >= p.Time && (enough || (p.Max > 0 && age >= p.Max))
}

func (s seat) judge(p Probation, st Stats, since time.Time) string {
	disputes := st.Disputes
	if s.old != nil { // an old plugin that is caught with a false reply is nobody to go back to
		old := s.ctl.Stats(s.old.proc, since)
		disputes += old.Disputes - old.Unsound
	}
	if disputes > 0 {
		return "disagrees with the old plugin on correctness"
	}
	if p.Failures > 0 && st.Failures >= p.Failures && st.Failures*max(p.Window, 1) >= p.Failures*st.Calls {
		return fmt.Sprintf("gave no good answer to %d of %d calls", st.Failures, st.Calls) + because(st.Last)
	}
	return s.slow(p, st)
}

// because is the first line of an error, to go after what it explains.
func because(err error) string {
	if err == nil {
		return ""
	}
	first, _, _ := strings.Cut(err.Error(), "\n  ") // a host's error goes on with the plugin's output
	return ": " + strings.ReplaceAll(first, "\n", ": ")
}

// slow compares tail latencies: a p99 above the limit is more than 1 % of the calls above it.
func (s seat) slow(p Probation, st Stats) string {
	if p.LatencyRatio <= 0 || len(s.was) < max(p.LatencyCalls, 1) || len(st.Latencies) < max(p.LatencyCalls, 1) {
		return ""
	}
	was := s.was[(len(s.was)*99+99)/100-1]
	limit := max(time.Duration(float64(was)*p.LatencyRatio), p.LatencyFloor)
	slower := 0
	for _, l := range st.Latencies {
		if l > limit {
			slower++
		}
	}
	if slower < 2 || slower*100 <= len(st.Latencies) {
		return ""
	}
	return fmt.Sprintf("is slow: %d of %d calls above %s (p99 was %s)", slower, len(st.Latencies), limit, was)
}

// Run watches probations, and starts again what did not start with the node, until ctx ends or Close; then it returns nil.
func (c *Controller) Run(ctx context.Context) error {
	var followers sync.WaitGroup
	defer followers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var followed *watch
	for {
		if w := c.open(); w != nil && w != followed {
			followed = w
			c.follow(ctx, w, &followers)
		}
		timer := time.NewTimer(c.pause())
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-c.kick:
			timer.Stop()
		case <-timer.C:
		}
		c.mu.Lock()
		closed := c.closed
		c.mu.Unlock()
		if closed {
			return nil
		}
		c.look(ctx)
		c.mend(ctx)
	}
}

// pause is how long Run may sleep.
func (c *Controller) pause() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.watch != nil:
		return c.probation.Every
	case len(c.troubles) > 0:
		return c.opts.Timeouts.Retry
	}
	return time.Hour
}

// look judges the open probation.
func (c *Controller) look(ctx context.Context) {
	w := c.open()
	if w == nil {
		return
	}
	breach, over := w.judge(c.probation, time.Now())
	if breach == "" && !over {
		return
	}
	if c.lock(ctx) != nil {
		return
	}
	defer c.unlock()
	if c.open() != w {
		return // ended while we waited
	}
	if breach != "" {
		c.flipBack(ctx, w, flip{reason: breach})
		return
	}
	c.endProbation(ctx)
	c.ended()
}

// ended tells how a probation ended that nobody asked to end.
func (c *Controller) ended() {
	c.mu.Lock()
	last := c.last
	c.mu.Unlock()
	if c.opts.Ended != nil && last != nil {
		c.opts.Ended(*last)
	}
}

func (c *Controller) open() *watch {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.watch
}

// OnProbation reports whether a change of the role is being watched.
func (c *Controller) OnProbation(role Role) bool {
	w := c.open()
	return w != nil && slices.Contains(w.roles, role)
}

// endProbation retires the old generations of an open probation; the caller has the lock. It is over even when the journal
// cannot say so: the new generations have passed, and the old ones are gone.
func (c *Controller) endProbation(ctx context.Context) {
	c.mu.Lock()
	w := c.watch
	c.watch = nil
	last := c.last
	c.mu.Unlock()
	if w == nil {
		return
	}
	w.stop()
	started := time.Now()
	err := c.retire(ctx, w.old)
	c.mu.Lock()
	defer c.mu.Unlock()
	if last != nil && last.Result == ResultProbation {
		r := *last
		r.Steps = append(append([]StepReport(nil), last.Steps...),
			StepReport{StepProbation, started.Sub(w.since)}, StepReport{StepRetire, time.Since(started)})
		r.Result = ResultDone
		if err != nil {
			r.Problem = err.Error()
		}
		c.last = &r
	}
}
