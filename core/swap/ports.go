package swap

import (
	"context"
	"time"
)

// Process is one running generation of a plugin, supervised by the host.
type Process interface {
	// Plugin is the block that it was started from.
	Plugin() PluginID
	// Generation counts the processes over the life of the data folder.
	Generation() Generation
	// Deaths counts how often the process has died by itself, though the host starts it again; next is closed at the next
	// time.
	Deaths() (n int, next <-chan struct{})
	// Crash says what the process died of last; nil when it never did, or nobody knows.
	Crash() error
	// Close drains and ends the process. It returns when nothing is left of it. It is idempotent.
	Close(ctx context.Context) error
}

// Generation counts processes over the life of the data folder.
type Generation uint64

// LaunchRequest is what a process is started from.
type LaunchRequest struct {
	Block      Block
	Generation Generation
}

// Launcher starts processes; the node adapts core/host.
type Launcher interface {
	// Launch checks the binary by the block's digest, starts it, configures it, waits until it is healthy and makes it
	// ready to serve: an engine is caught up. On error nothing of it is left. The start until it is healthy has a bound of
	// the launcher's own; ctx bounds all of it together, and not the life of the process.
	Launch(ctx context.Context, r LaunchRequest) (Process, error)
}

// Positions is a route of processes. A nil process is an empty position; no primary at all means that the role is gone.
type Positions struct {
	Primary, Fallback, Shadow, Canary Process
	Percent                           float64 // the canary's
	Step                              string  // the canary's
	Warm                              Process // the old primary, while in probation
	Probation                         bool
}

// Stats is what a process did for a role since a moment.
type Stats struct {
	Calls     uint64          // in answering positions
	Failures  uint64          // of the calls: no answer, or a reply that failed the host's check
	Last      error           // of the failures; nil without any
	Disputes  uint64          // disagreements on correctness with the one that answered
	Unsound   uint64          // of the disputes: its own reply failed the host's check
	Latencies []time.Duration // of answers, ascending
}

// RouteControl steers the route of one role; the node adapts core/route.
type RouteControl interface {
	// Set flips all positions at once.
	Set(p Positions) error
	// Hold makes new calls wait until Release.
	Hold()
	Release()
	// Quiesce waits, while held, until nothing is in flight.
	Quiesce(ctx context.Context) error
	// Drain waits until no call is on the process, which no position names any more.
	Drain(ctx context.Context, p Process) error
	// Stats counts what the process did since a moment.
	Stats(p Process, since time.Time) Stats
	// State is the route's state, for people.
	State() string
	// Promote puts the primary back after a fall back.
	Promote() error
}

// Routes finds the route of a role, made when it is new. A role that was set to no positions stays known.
type Routes interface {
	Route(role Role) (RouteControl, error)
}

// Admission is a process that is to take a position.
type Admission struct {
	Role     Role
	Position Position
	New      Process
	Old      Process // the primary until now; nil at the first start, or when it had to close first (handover)
	First    bool    // nothing was applied before: there is nothing to compare with
}

// Admitter decides by kind whether a process may take a position. Both methods may change the newcomer (replay blocks
// into an engine, raise a signer's floor) and never the old process.
type Admitter interface {
	// Admit checks the newcomer thoroughly while the old route serves.
	Admit(ctx context.Context, a Admission) error
	// BeforeFlip makes the newcomer equal to the old process: an engine's head, a signer's floor. The role's route is
	// held, so it must be quick. It is also called, best effort, before a flip back.
	BeforeFlip(ctx context.Context, a Admission) error
}
