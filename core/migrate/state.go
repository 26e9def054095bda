package migrate

import "time"

// State of a run.
type State string

// The states.
const (
	StatePlanned          State = "planned"           // accepted, nothing done yet
	StatePreparing        State = "preparing"         // backup and apply of a step
	StateSoaking          State = "soaking"           // the step's route serves and is watched
	StateAwaitingApproval State = "awaiting_approval" // the next step needs a human's word; the step before it is watched on
	StatePaused           State = "paused"            // by a human; watched, but nothing goes on
	StateHolding          State = "holding"           // by itself; waits for a human
	StateRollingBack      State = "rolling_back"      // until the route at the start serves
	StateFinished         State = "finished"
	StateRolledBack       State = "rolled_back"
	StateAborted          State = "aborted" // ended by a human with the route that was applied
)

// States lists them all.
func States() []State {
	return []State{
		StatePlanned, StatePreparing, StateSoaking, StateAwaitingApproval, StatePaused, StateHolding, StateRollingBack,
		StateFinished, StateRolledBack, StateAborted,
	}
}

// Ended reports that nothing follows this state in the same run.
func (s State) Ended() bool {
	return s == StateFinished || s == StateRolledBack || s == StateAborted
}

// Status of a run, for people and metrics.
type Status struct {
	Run        string        `json:"run"` // unique over the life of the data folder
	Name       string        `json:"name"`
	Role       string        `json:"role"`
	From       string        `json:"from"`
	To         string        `json:"to"`
	State      State         `json:"state"`
	Reason     string        `json:"reason,omitempty"` // why it holds, went back or ended
	Step       int           `json:"step"`             // from 0
	StepName   string        `json:"step_name"`
	Steps      int           `json:"steps"`
	Route      Route         `json:"route"` // of the step; where it goes while it rolls back
	Base       Route         `json:"base"`  // at the start: where a rollback goes
	Soaked     time.Duration `json:"soaked"`
	Soak       time.Duration `json:"soak"`
	Samples    uint64        `json:"samples"` // counted in this step
	MinSamples uint64        `json:"min_samples"`
	Rollbacks  uint64        `json:"rollbacks"` // in this run, since a person last had a step tried again
	Attempts   uint64        `json:"attempts"`  // of the rollback that failed so far
	Progress   float64       `json:"progress"`  // 0 to 1: share of the steps left behind
	StartedBy  string        `json:"started_by"`
	StartedAt  time.Time     `json:"started_at"`
	ChangedAt  time.Time     `json:"changed_at"`
}

// Ownership of a role by the run that drives it.
type Ownership struct {
	Run     string   `json:"run"`
	Name    string   `json:"name"`
	State   State    `json:"state"`
	Step    string   `json:"step"`
	Index   int      `json:"index"`   // of the step, from 0
	Plugins []string `json:"plugins"` // labels that the run uses: from and to
	To      string   `json:"to"`      // label of the plugin that the run brings in
}

// Explanation says why a run is where it is.
type Explanation struct {
	Status Status       `json:"status"`
	Gates  []GateResult `json:"gates"` // of this step, as of now
	Waits  []string     `json:"waits"` // what has to happen before it goes on, one line each; empty: nothing
}

// Plan is what a run of a schedule would do.
type Plan struct {
	Schedule Schedule      `json:"schedule"` // with its defaults
	From     Route         `json:"from"`     // what is applied now
	Serial   uint64        `json:"serial"`
	Steps    []PlannedStep `json:"steps"`
	Problems []string      `json:"problems,omitempty"` // why Start would refuse it
	Warnings []string      `json:"warnings,omitempty"`
}

// PlannedStep is one line of a plan.
type PlannedStep struct {
	Step      Step          `json:"step"`
	Text      string        `json:"text"`                 // what the swap would do, seen from the route that is applied now
	Problems  []string      `json:"problems,omitempty"`   // why it could not be applied now
	NoReturn  string        `json:"no_return,omitempty"`  // why there would be no way back
	Earliest  time.Duration `json:"earliest"`             // from the start until this step can be entered: the soaks before it
	Needs     []Need        `json:"needs"`                // what leaving it takes
	NotJudged []string      `json:"not_judged,omitempty"` // gates that have no data source in this step, with the reason

	forbidden bool // one of the problems is for good
}

// Need is what one gate wants to see.
type Need struct {
	Gate    string `json:"gate"`
	Samples uint64 `json:"samples"` // of a run without a single failure; 0: not a matter of counts
	Text    string `json:"text"`
}
