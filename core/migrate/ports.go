package migrate

import (
	"context"
	"errors"
	"time"
)

// ErrBusy is what Roles.Apply answers while another apply runs: the controller tries again soon and counts no failure.
var ErrBusy = errors.New("another apply is in progress")

// Applied is what serves a role now.
type Applied struct {
	Route  Route
	Serial uint64 // of the swap journal
	// Probation says that a change of the role is being watched and may be flipped back: no step is left meanwhile.
	Probation bool
	// File is what alys.hcl says of the role as it was last read; the zero Route when nobody knows.
	File Route
}

// Preview is what an apply of a route would do. Nothing was changed for it.
type Preview struct {
	Text     string   // the swap's own plan, for people
	Problems []string // why it cannot be applied now; empty: it can
	// NoReturn, if not "", says why the route that is applied now could not be applied again after this one.
	NoReturn string
	// Forbidden, if not "", says why the host refuses the route for good from here, as v4 after the first Cancun block.
	Forbidden string
}

// ApplyOptions of one apply.
type ApplyOptions struct {
	By   string // for the swap journal: `migration NAME, RUN`, and who asked if a human did
	Step string // stable for a step of a run: the canary's hash is made of it
	// Rollback says that the old route returns: no probation may flip it away again to the plugin that failed.
	Rollback bool
}

// Roles is the one way in which a route is changed; the node adapts core/swap.
type Roles interface {
	// Current says what is applied. It does no I/O and is called often.
	Current(role string) (Applied, error)
	// Preview says what Apply would do.
	Preview(ctx context.Context, role string, r Route) (Preview, error)
	// Apply brings the role to the route and returns when it has flipped; the probation that follows may flip back later,
	// which is told by Notice(EventFlippedBack). On error what served before serves on. A route that is applied already is
	// no error. ErrBusy is tried again.
	Apply(ctx context.Context, role string, r Route, o ApplyOptions) error
}

// Outcome of one request to a plugin.
type Outcome string

// The outcomes.
const (
	OutcomeOK         Outcome = "ok"          // it answered, and agreed with what it was compared with
	OutcomeError      Outcome = "error"       // no answer, or one that failed the host's check
	OutcomeDisagree   Outcome = "disagree"    // two answers that cannot both be right
	OutcomeNotSampled Outcome = "not_sampled" // it was not asked, or too late to count
)

// Sample is one request that was put to a plugin of the role.
type Sample struct {
	At      time.Time
	Role    string
	Plugin  string // label
	Source  Source
	Outcome Outcome
	Took    time.Duration
	Paired  time.Duration // the old plugin's time on the same request; 0: none
	Request string        // for the log, when it decides something: a block's hash, a method
}

// Facts are what the node knows of a role since the last drain.
type Facts struct {
	Slots         uint64   // that passed in which this node had something to do: to author or to approve
	MissedSlots   uint64   // own slots without a block of ours; they are not among Slots
	Participation *float64 // share of the slots' certificates that this node's approval is in, 0 to 1; nil: not measured
	Reasons       []string // why something is not measured, for people
}

// Meter collects what happens on a role.
type Meter interface {
	// Drain returns what came since the last drain, oldest first, and forgets it. What the node lost (a full queue, a
	// restart) is not there: the controller counts what it has seen. It does no I/O.
	Drain(role string) ([]Sample, Facts)
}

// Backups makes a backup before a step. Verify opens it again.
type Backups interface {
	Make(ctx context.Context, reason string) (path string, err error)
	Verify(ctx context.Context, path string) error
}

// Clock tells two times: Now may jump, Mono only grows, at the rate of real time while this process runs.
type Clock interface {
	Now() time.Time
	Mono() time.Duration
}

// Log keeps the records; FileLog does it in a file. Only the controller appends.
type Log interface {
	// Append makes a record durable before it returns. On error nothing of it will be read back.
	Append(r Record) error
	// Records returns all of them, oldest first.
	Records() []Record
}

// EventKind is something that the controller looks at at once.
type EventKind string

// The kinds.
const (
	EventDetached    EventKind = "detached"     // what it said cannot be true: the route asks it no more, unless nobody else answers
	EventBroken      EventKind = "broken"       // its process is dead or its breaker is open
	EventFellBack    EventKind = "fell_back"    // the plugin gave no answer and the fallback serves
	EventFlippedBack EventKind = "flipped_back" // the probation of an apply ended in the route before it
)

// Event is told by the node with Controller.Notice.
type Event struct {
	At     time.Time `json:"at"`
	Role   string    `json:"role"`
	Plugin string    `json:"plugin,omitempty"` // label of who failed; only the new plugin's failures count, "" counts as it
	Kind   EventKind `json:"kind"`
	Reason string    `json:"reason"`
}

// Change is a run that goes from one state or step to another.
type Change struct {
	Run, Name, Role string
	From, To        State
	Step            string
	Reason          string
}

// Judgement is what a look at the gates came to.
type Judgement struct {
	Run, Name, Role string
	Step            string
	Answer          Answer
	Gates           []GateResult
	Soaked          time.Duration
	Samples         uint64
}

// Alarm is something that a human must look at.
type Alarm struct {
	Run, Name, Role string
	Reason          string
}

// Observer is told what happens, for metrics and logs. Its methods are called without locks held and must return quickly.
type Observer interface {
	Changed(Change)
	Judged(Judgement)
	Alarm(Alarm)
}
