package migrate

import "time"

// RecordKind says what a record is: an intent, a decision, a person's word or what happened.
type RecordKind string

// The kinds.
const (
	RecordStarted        RecordKind = "started"         // word: the schedule and the route at the start
	RecordBackup         RecordKind = "backup"          // intent
	RecordBackedUp       RecordKind = "backed_up"       // made and verified, or there is none and why
	RecordApplying       RecordKind = "applying"        // intent
	RecordApplied        RecordKind = "applied"         // the step's route serves; its counts begin
	RecordProgress       RecordKind = "progress"        // the counts of a step at a health interval
	RecordNoticed        RecordKind = "noticed"         // an event
	RecordPassed         RecordKind = "passed"          // decision: the step's gates passed
	RecordAwaiting       RecordKind = "awaiting"        // the next step needs a word
	RecordApproved       RecordKind = "approved"        // word
	RecordPaused         RecordKind = "paused"          // word
	RecordResumed        RecordKind = "resumed"         // word
	RecordHolding        RecordKind = "holding"         // decision
	RecordRollingBack    RecordKind = "rolling_back"    // decision or word, and intent
	RecordRollbackFailed RecordKind = "rollback_failed" // one attempt
	RecordRolledBack     RecordKind = "rolled_back"     // the route at the start serves
	RecordFinished       RecordKind = "finished"        // the last step passed
	RecordAborted        RecordKind = "aborted"         // word
	RecordReleased       RecordKind = "released"        // alys.hcl decides about the role again
)

// Record is one entry of the log.
type Record struct {
	At       time.Time    `json:"at"` // wall clock
	Kind     RecordKind   `json:"kind"`
	Run      string       `json:"run"`
	Name     string       `json:"name"`
	Role     string       `json:"role"`
	By       string       `json:"by,omitempty"` // who said it; "" for the controller itself
	Step     int          `json:"step"`         // from 0
	StepName string       `json:"step_name,omitempty"`
	Reason   string       `json:"reason,omitempty"`
	Route    *Route       `json:"route,omitempty"`
	File     *Route       `json:"file,omitempty"` // what alys.hcl said
	Serial   uint64       `json:"serial,omitempty"`
	Schedule *Schedule    `json:"schedule,omitempty"`
	Tally    *Tally       `json:"tally,omitempty"`
	Gates    []GateResult `json:"gates,omitempty"`
	Event    *Event       `json:"event,omitempty"`
	Backup   string       `json:"backup,omitempty"`
	Hold     bool         `json:"hold,omitempty"`      // of a pause: a failure holds instead of going back
	NoReturn bool         `json:"no_return,omitempty"` // of an approval: the way back may go
	Again    bool         `json:"again,omitempty"`     // of a resume: the step is prepared again
	Attempt  uint64       `json:"attempt,omitempty"`   // of a rollback
}

func recordKinds() []RecordKind {
	return []RecordKind{
		RecordStarted, RecordBackup, RecordBackedUp, RecordApplying, RecordApplied, RecordProgress, RecordNoticed, RecordPassed,
		RecordAwaiting, RecordApproved, RecordPaused, RecordResumed, RecordHolding, RecordRollingBack, RecordRollbackFailed,
		RecordRolledBack, RecordFinished, RecordAborted, RecordReleased,
	}
}
