package swap

import (
	"fmt"
	"time"
)

// Step names a part of a swap, in errors and reports.
type Step string

// The steps.
const (
	StepPlan      Step = "plan"
	StepIntent    Step = "intent"
	StepStart     Step = "start"
	StepHandover  Step = "handover"
	StepAdmission Step = "admission"
	StepFlip      Step = "flip"
	StepProbation Step = "probation"
	StepRetire    Step = "retire"
)

// StepError says at which step a swap failed, and about what. The old route serves: what goes wrong after the flip is in
// Report.Problem.
type StepError struct {
	Step   Step
	Role   Role     // "" when it is not about one role
	Plugin PluginID // zero when it is not about one plugin
	Err    error
}

// Error is one line.
func (e *StepError) Error() string {
	s := "swap failed at " + string(e.Step)
	if e.Role != "" {
		s += fmt.Sprintf(", role %q", e.Role)
	}
	if e.Plugin != (PluginID{}) {
		s += ", " + e.Plugin.String()
	}
	return s + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *StepError) Unwrap() error { return e.Err }

// Result is how a change ended.
type Result string

// The results.
const (
	ResultNoOp        Result = "no_op"
	ResultFailed      Result = "failed"       // before the flip; the old route serves
	ResultProbation   Result = "probation"    // flipped, and watched
	ResultDone        Result = "done"         // flipped, old generations retired
	ResultFlippedBack Result = "flipped_back" // flipped, and back again
)

// StepReport is one step that was taken.
type StepReport struct {
	Step Step
	Took time.Duration
}

// Report tells one change from the plan to its end.
type Report struct {
	Serial  uint64 // of the commit; 0 when there was none
	Cause   string // "apply", "rollback", "start"
	By      string `json:",omitempty"`
	Roles   []Role
	At      time.Time
	Steps   []StepReport
	Held    time.Duration // how long callers of the changed roles had to wait at the flip
	Result  Result
	Problem string `json:",omitempty"` // why it failed or was flipped back; with ResultDone, what went wrong after the flip
}

func (r *Report) step(s Step, started time.Time) StepReport {
	done := StepReport{Step: s, Took: time.Since(started)}
	r.Steps = append(r.Steps, done)
	return done
}
