package swap

import (
	"time"

	"github.com/hashicorp/go-hclog"
)

// Probation says how long a change is watched, and what ends it.
type Probation struct {
	Time  time.Duration // at least this long; 0 with Calls 0: no probation
	Calls uint64        // at least so many calls of every new primary and canary
	Max   time.Duration // ends a clean probation whose calls do not come; 0: never
	// Failures of at most Window calls flip back.
	Failures uint64
	Window   uint64
	// Slower than LatencyRatio times the old p99 (at least LatencyFloor) in more than 1 % of the calls, and in two calls at
	// least, flips back. It is judged when both sides have LatencyCalls answers.
	LatencyRatio float64
	LatencyFloor time.Duration
	LatencyCalls int
	Every        time.Duration // how often it looks
}

// DefaultProbation is 60 s or 30 calls, whichever is later, and 2 failures of 300 or p99 above twice the old one.
func DefaultProbation() Probation {
	return Probation{
		Time: time.Minute, Calls: 30, Max: 15 * time.Minute, Failures: 2, Window: 300,
		LatencyRatio: 2, LatencyFloor: 10 * time.Millisecond, LatencyCalls: 30, Every: 250 * time.Millisecond,
	}
}

func (p Probation) none() bool { return p.Time <= 0 && p.Calls == 0 }

// Timeouts bound the parts of a swap.
type Timeouts struct {
	Start time.Duration // of one plugin until it is healthy, as the launcher bounds it; 0 is 10 s
	Admit time.Duration // of one admission, and of what comes before it in a launch; 0 is 10 min, because an engine may have to replay
	Hold  time.Duration // of one try to flip, in which callers wait; 0 is 500 ms
	Tries int           // to flip, when a try ran out of time; 0 is 20
	Drain time.Duration // of calls on an old generation; 0 is 5 s
	Close time.Duration // of the end of a process; 0 is 10 s
	Retry time.Duration // until a plugin that did not start with the node is tried again; 0 is 30 s
}

func (t Timeouts) withDefaults() Timeouts {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&t.Start, 10*time.Second)
	set(&t.Admit, 10*time.Minute)
	set(&t.Hold, 500*time.Millisecond)
	set(&t.Drain, 5*time.Second)
	set(&t.Close, 10*time.Second)
	set(&t.Retry, 30*time.Second)
	if t.Tries <= 0 {
		t.Tries = 20
	}
	return t
}

// Options of a Controller. Launcher, Routes, Admitter and Journal are required.
type Options struct {
	Launcher  Launcher
	Routes    Routes
	Admitter  Admitter
	Journal   Journal
	Logger    hclog.Logger // nil: no logs
	Probation *Probation   // nil: DefaultProbation
	Timeouts  Timeouts
	// Awaited, if not nil, says of the reason why a plugin of the applied state did not start that the plugin is on its way:
	// a start goes on without it, and Run tries it again.
	Awaited func(error) bool
	// Retired, if not nil, hears after old generations have ended which binaries the journal may start again: no other is
	// needed. Nothing is launched during the call.
	Retired func(digests []string)
	// Ended, if not nil, hears how a probation ended by itself: done or flipped back. The call is short.
	Ended func(Report)
}

// ApplyOptions of one apply.
type ApplyOptions struct {
	AllowGap  bool   // go on although for a moment nothing can answer
	Retry     bool   // try a configuration that was flipped back before
	Unwatched bool   // no probation follows: for a measurement, which goes on to the next swap at once
	By        string // who asked, for the journal
	// Progress, if not nil, hears of each step when it is done. The call is short.
	Progress func(roles []Role, s StepReport)
}
