// Package chaos breaks the plugins of a development chain while it runs: it kills, freezes and slows their processes and
// corrupts what they answer. What the node then does is the same code that a real fault meets.
//
// It chooses by a seed, so that a run can be told to somebody else; what the faults meet depends on time and is not
// repeatable. It signals a process only as long as the node lists it as its own.
package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Fault is one way to break a plugin.
type Fault string

// The faults.
const (
	Kill    Fault = "kill"    // SIGKILL
	Freeze  Fault = "freeze"  // SIGSTOP, until the host ends the process or thawAfter
	Slow    Fault = "slow"    // stopped three quarters of the time, for slowFor
	Corrupt Fault = "corrupt" // the next answers have one field changed
)

// faults in the order of their numbers.
var faults = []Fault{Kill, Freeze, Slow, Corrupt}

// How a fault is done.
const (
	thawAfter   = 40 * time.Second // longer than the host's health check needs to give a frozen process up
	slowFor     = 5 * time.Second
	slowStopped = 150 * time.Millisecond
	slowRunning = 50 * time.Millisecond
	maxCorrupt  = 5 // answers in a row
)

// DefaultEvery is the mean pause between two faults.
const DefaultEvery = 10 * time.Second

// Target is a plugin's process.
type Target struct {
	Plugin string // "signer.local"
	PID    int
}

// Options configure a Chaos. Targets is required.
type Options struct {
	Targets func() []Target // the processes that run now
	Seed    uint64          // 0 takes one from the clock
	Every   time.Duration   // mean pause between two faults; 0 is DefaultEvery
	Say     func(string)    // hears of every fault; nil: nobody does
	// Signal sends a signal to a process; nil is the system's.
	Signal func(pid int, s syscall.Signal) error
}

// Chaos breaks plugins until its Run ends.
type Chaos struct {
	opt Options

	mu      sync.Mutex // guards the rest
	rand    *rand.Rand
	busy    map[string]bool // plugins with a fault that goes on
	corrupt map[string]int  // answers still to be corrupted
	tally   map[Fault]int
}

// New makes a Chaos that has done nothing yet.
func New(o Options) *Chaos {
	if o.Seed == 0 {
		o.Seed = uint64(time.Now().UnixNano())
	}
	if o.Every <= 0 {
		o.Every = DefaultEvery
	}
	if o.Say == nil {
		o.Say = func(string) {}
	}
	if o.Signal == nil {
		o.Signal = syscall.Kill
	}
	return &Chaos{
		opt: o, rand: rand.New(rand.NewPCG(o.Seed, o.Seed)), //nolint:gosec // a seed that can be told
		busy: map[string]bool{}, corrupt: map[string]int{}, tally: map[Fault]int{},
	}
}

// Run does one fault after another until ctx ends; every process that it stopped runs again then.
func (c *Chaos) Run(ctx context.Context) error {
	c.opt.Say(fmt.Sprintf("chaos begins, seed %d, a fault every %s or so", c.opt.Seed, c.opt.Every))
	var going sync.WaitGroup
	defer going.Wait()
	for wait(ctx, c.pause()) {
		t, f, ok := c.choose()
		if !ok {
			continue
		}
		c.opt.Say(fmt.Sprintf("chaos: %s %s (pid %d)", f, t.Plugin, t.PID))
		going.Go(func() {
			c.do(ctx, t, f)
			c.mu.Lock()
			delete(c.busy, t.Plugin)
			c.mu.Unlock()
		})
	}
	return nil
}

// Summary says what was done.
func (c *Chaos) Summary() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	sum := 0
	for _, f := range faults {
		sum += c.tally[f]
		parts = append(parts, fmt.Sprintf("%s %d", f, c.tally[f]))
	}
	return fmt.Sprintf("chaos did %d faults with seed %d: %s", sum, c.opt.Seed, strings.Join(parts, ", "))
}

// pause is exponential, so that faults also come close together, within a tenth and three times the mean.
func (c *Chaos) pause() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(float64(c.opt.Every) * min(3, max(0.1, c.rand.ExpFloat64())))
}

// choose takes a plugin that is well, and a fault for it.
func (c *Chaos) choose() (Target, Fault, bool) {
	var well []Target
	targets := c.opt.Targets()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range targets {
		if t.PID > 1 && !c.busy[t.Plugin] {
			well = append(well, t)
		}
	}
	if len(well) == 0 {
		return Target{}, "", false
	}
	t, f := well[c.rand.IntN(len(well))], faults[c.rand.IntN(len(faults))]
	c.busy[t.Plugin] = true
	c.tally[f]++
	return t, f, true
}

func (c *Chaos) do(ctx context.Context, t Target, f Fault) {
	switch f {
	case Kill:
		c.signal(t, syscall.SIGKILL)
		c.whileRuns(ctx, t, thawAfter)
	case Freeze:
		c.signal(t, syscall.SIGSTOP)
		c.whileRuns(ctx, t, thawAfter)
		c.signal(t, syscall.SIGCONT)
	case Slow:
		for end := time.Now().Add(slowFor); time.Now().Before(end) && c.runs(t); {
			c.signal(t, syscall.SIGSTOP)
			wait(ctx, slowStopped)
			c.signal(t, syscall.SIGCONT)
			if !wait(ctx, slowRunning) {
				return
			}
		}
	case Corrupt:
		c.mu.Lock()
		c.corrupt[t.Plugin] = 1 + c.rand.IntN(maxCorrupt)
		c.mu.Unlock()
	}
}

// whileRuns waits as long as the process is the node's, at most for d.
func (c *Chaos) whileRuns(ctx context.Context, t Target, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end) && c.runs(t); {
		if !wait(ctx, 200*time.Millisecond) {
			return
		}
	}
}

// runs reports whether the node still lists the process: a number that it does not may be another's by now.
func (c *Chaos) runs(t Target) bool {
	return slices.Contains(c.opt.Targets(), t)
}

func (c *Chaos) signal(t Target, s syscall.Signal) {
	if !c.runs(t) {
		return
	}
	if err := c.opt.Signal(t.PID, s); err != nil {
		c.opt.Say(fmt.Sprintf("chaos: signal %s: %v", t.Plugin, err))
	}
}

// wait reports whether the time passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
