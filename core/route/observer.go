package route

import "time"

// Called is one question put to one target.
type Called struct {
	Route    string
	Target   ID
	Position Position
	Took     time.Duration
	Err      error // nil, or why there was no answer; a refusal is an answer and has no error here
}

// Changed is a change of a route's state.
type Changed struct {
	Route    string
	From, To State
	Reason   string
}

// Alarm is something that a human must look at: a reply that failed its check, or a disagreement on correctness.
type Alarm struct {
	Route    string
	Target   ID
	Position Position
	Detached bool // the target is not asked any more and kept for inspection
	Reason   string
}

// Observer is told what happens on a route. Its methods are called without locks held, from many goroutines, and must
// return quickly.
type Observer interface {
	Called(Called)
	Compared(Comparison)
	Changed(Changed)
	Alarm(Alarm)
}

type silent struct{}

func (silent) Called(Called)       {}
func (silent) Compared(Comparison) {}
func (silent) Changed(Changed)     {}
func (silent) Alarm(Alarm)         {}
