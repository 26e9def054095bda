package migrate

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// run is what the log says of one run.
type run struct {
	id, name, role string
	schedule       Schedule
	base           Route // applied at the start
	file           Route // what alys.hcl said at the start

	state    State
	before   State // of a pause: where it goes on
	holds    bool  // of a pause: a failure holds
	step     int   // being prepared, or serving
	backedUp bool
	applying bool // the intent is written
	applied  bool // the step's route was applied
	noReturn bool // a human accepted that this step cuts the way back
	asks     bool // of a hold: for that word
	tally    Tally
	gates    []GateResult // of the last decision
	pending  []Event      // not judged yet

	rollbacks, attempts  uint64
	reason, startedBy    string
	startedAt, changedAt time.Time
}

// held is a route that an ended run left: it holds against alys.hcl.
type held struct {
	route, base Route // base: what the file said at the start
	run         string
}

// fold is the state of all runs: a pure function of the log.
type fold struct {
	runs []*run // oldest first
	held map[string]*held
}

func newFold() *fold { return &fold{held: map[string]*held{}} }

// add folds one record in. A record that cannot have happened is an error and changes nothing.
func (f *fold) add(r Record) error {
	if err := f.check(r); err != nil {
		return fmt.Errorf("record %s of run %q: %w", r.Kind, r.Run, err)
	}
	if r.Kind == RecordStarted {
		f.start(r)
		return nil
	}
	if r.Kind == RecordReleased {
		delete(f.held, r.Role)
		return nil
	}
	x := f.run(r.Run)
	was := x.state
	f.move(x, r)
	if x.state != was || r.Kind == RecordApplied {
		x.changedAt = r.At
	}
	return nil
}

func (f *fold) run(id string) *run {
	i := slices.IndexFunc(f.runs, func(x *run) bool { return x.id == id })
	if i < 0 {
		return nil
	}
	return f.runs[i]
}

// last is the newest run of a migration, nil if there is none.
func (f *fold) last(name string) *run {
	for _, x := range slices.Backward(f.runs) {
		if x.name == name {
			return x
		}
	}
	return nil
}

// driving is the run that is active on a role, nil if there is none.
func (f *fold) driving(role string) *run {
	for _, x := range slices.Backward(f.runs) {
		if x.role == role && !x.state.Ended() {
			return x
		}
	}
	return nil
}

func (f *fold) start(r Record) {
	x := &run{
		id: r.Run, name: r.Name, role: r.Role, schedule: *r.Schedule, base: *r.Route, state: StatePlanned,
		startedBy: r.By, startedAt: r.At, changedAt: r.At,
	}
	if r.File != nil {
		x.file = *r.File
	}
	if h := f.held[r.Role]; h != nil { // the file said this before the run that left the role
		x.file = h.base
	}
	f.runs = append(f.runs, x)
}

// came lists from which states a record may come.
func came(k RecordKind) []State {
	switch k {
	case RecordBackup:
		return []State{StatePlanned, StatePreparing}
	case RecordBackedUp, RecordApplying, RecordApplied:
		return []State{StatePreparing, StatePaused}
	case RecordProgress:
		return []State{StateSoaking, StateAwaitingApproval, StatePaused}
	case RecordPassed, RecordFinished:
		return []State{StateSoaking}
	case RecordAwaiting:
		return []State{StatePlanned, StateSoaking}
	case RecordApproved:
		return []State{StateAwaitingApproval, StateHolding}
	case RecordPaused:
		return []State{StatePlanned, StatePreparing, StateSoaking, StateAwaitingApproval, StatePaused}
	case RecordResumed:
		return []State{StatePaused, StateHolding}
	case RecordRollbackFailed, RecordRolledBack:
		return []State{StateRollingBack}
	case RecordRollingBack:
		return append(active(), StateFinished, StateAborted)
	case RecordNoticed, RecordHolding, RecordAborted:
		return append(active(), StateRollingBack)
	default: // started and released have no state before them
		return nil
	}
}

func active() []State {
	return []State{StatePlanned, StatePreparing, StateSoaking, StateAwaitingApproval, StatePaused, StateHolding}
}

var (
	errRecordAlone  = errors.New("the record lacks what belongs to it")
	errRecordOrder  = errors.New("it cannot follow what is before it")
	errRecordNoRun  = errors.New("the run was never started")
	errRecordOwned  = errors.New("another run is active on the role")
	errRecordTwice  = errors.New("the run was started before")
	errRecordNoHold = errors.New("nothing is held")
)

func (f *fold) check(r Record) error {
	x := f.run(r.Run)
	switch {
	case r.Kind == RecordReleased:
		if f.held[r.Role] == nil || f.driving(r.Role) != nil {
			return errRecordNoHold
		}
		return nil
	case r.Kind == RecordStarted:
		return f.checkStarted(r, x)
	case x == nil:
		return errRecordNoRun
	case !slices.Contains(came(r.Kind), x.state):
		return fmt.Errorf("%w: the run is %s", errRecordOrder, x.state)
	}
	return f.checkMove(r, x)
}

func (f *fold) checkStarted(r Record, x *run) error {
	switch {
	case x != nil:
		return errRecordTwice
	case r.Schedule == nil || len(r.Schedule.Steps) == 0 || r.Route == nil:
		return errRecordAlone
	case f.driving(r.Role) != nil:
		return errRecordOwned
	}
	return nil
}

func (f *fold) checkMove(r Record, x *run) error {
	last := len(x.schedule.Steps) - 1
	preparing := x.state == StatePreparing || x.before == StatePreparing
	ok := true
	switch r.Kind {
	case RecordBackup:
		ok = r.Step == x.step && !x.backedUp
	case RecordBackedUp:
		ok = r.Step == x.step && preparing && !x.backedUp
	case RecordApplying:
		ok = r.Step == x.step && preparing && x.backedUp
	case RecordApplied:
		ok = r.Step == x.step && preparing && x.applying
	case RecordPassed:
		ok = r.Step == x.step && x.step < last && !x.schedule.Steps[x.step+1].Approval
	case RecordFinished:
		ok = r.Step == x.step && x.step == last
	case RecordAwaiting:
		enter := x.entering()
		ok = r.Step == enter && enter <= last && x.schedule.Steps[enter].Approval
	case RecordApproved:
		ok = x.state == StateAwaitingApproval || x.asks && r.NoReturn
	case RecordRollingBack:
		if x.state.Ended() && (f.driving(x.role) != nil || f.latest(x.role) != x) {
			return errRecordOwned
		}
	case RecordProgress:
		if r.Tally == nil {
			return errRecordAlone
		}
	case RecordNoticed:
		if r.Event == nil {
			return errRecordAlone
		}
	case RecordAborted:
		if r.Route == nil {
			return errRecordAlone
		}
	default:
	}
	if !ok {
		return fmt.Errorf("%w: step %d after step %d, %s", errRecordOrder, r.Step, x.step, x.state)
	}
	return nil
}

// latest is the newest run of a role.
func (f *fold) latest(role string) *run {
	for _, x := range slices.Backward(f.runs) {
		if x.role == role {
			return x
		}
	}
	return nil
}

// move carries out a record that was checked.
func (f *fold) move(x *run, r Record) {
	if r.Tally != nil {
		x.tally = r.Tally.clone()
	}
	if r.Gates != nil {
		x.gates = r.Gates
	}
	switch r.Kind {
	case RecordBackup:
		x.state = StatePreparing
	case RecordBackedUp:
		x.backedUp = true
	case RecordApplying:
		x.applying = true
	case RecordApplied:
		x.tally, x.gates, x.applied = Tally{}, nil, true
		x.settle(StateSoaking)
	case RecordPassed:
		x.prepare(r.Step + 1)
	case RecordAwaiting:
		x.state = StateAwaitingApproval
	case RecordApproved:
		x.approve(r)
	case RecordPaused:
		x.before, x.state, x.holds, x.reason = x.current(), StatePaused, r.Hold, r.Reason
	case RecordResumed:
		x.resume(r)
	case RecordNoticed:
		x.notice(*r.Event)
	case RecordHolding:
		x.state, x.before, x.reason, x.pending = StateHolding, "", r.Reason, nil
		x.asks = r.NoReturn
	case RecordRollingBack:
		if !slices.ContainsFunc(x.pending, wentBack) { // which counted already
			x.rollbacks++
		}
		x.state, x.before, x.reason, x.pending, x.attempts = StateRollingBack, "", r.Reason, nil, 0
	case RecordRollbackFailed:
		x.attempts++
	case RecordRolledBack, RecordFinished, RecordAborted:
		f.end(x, r)
	default:
	}
}

// settle gives the run its place, or the place that it goes back to after the pause.
func (x *run) settle(s State) {
	if x.state == StatePaused {
		x.before = s
		return
	}
	x.state = s
}

func (x *run) prepare(step int) {
	x.state, x.before, x.step, x.backedUp, x.applying = StatePreparing, "", step, false, false
	x.applied, x.noReturn, x.asks = false, false, false
}

// served reports that the step's own route was applied: an approval is for the next one then.
func (x *run) served() bool { return x.applied }

func (x *run) approve(r Record) {
	if x.state == StateAwaitingApproval {
		x.prepare(x.entering())
	} else {
		x.prepare(x.step)
	}
	x.noReturn, x.reason = r.NoReturn, ""
}

func (x *run) resume(r Record) {
	again := r.Again || x.state == StateHolding
	x.state, x.before, x.holds, x.reason = x.before, "", false, ""
	if again {
		noReturn := x.noReturn
		x.prepare(x.step)
		x.noReturn, x.tally, x.gates, x.pending = noReturn, Tally{}, nil, nil
		x.rollbacks = 0 // a person has looked at them, and wants the step tried again
	}
}

func (x *run) notice(e Event) {
	if x.state == StateHolding || x.state == StateRollingBack {
		return // it was acted upon already, or a human looks at it
	}
	x.pending = append(x.pending, e)
	if wentBack(e) {
		x.rollbacks++
	}
}

// wentBack reports that an event is a rollback by itself.
func wentBack(e Event) bool { return e.Kind == EventFlippedBack || e.Kind == EventFellBack }

// end ends a run and says what holds the role from now on.
func (f *fold) end(x *run, r Record) {
	x.before, x.pending = "", nil
	if r.Reason != "" {
		x.reason = r.Reason
	}
	left := x.schedule.Steps[len(x.schedule.Steps)-1].Route
	switch r.Kind {
	case RecordRolledBack:
		x.state, left = StateRolledBack, x.base
	case RecordAborted:
		x.state, left = StateAborted, *r.Route
	default:
		x.state = StateFinished
	}
	delete(f.held, x.role)
	if left != x.file {
		f.held[x.role] = &held{route: left, base: x.file, run: x.id}
	}
}

// current is the state that counts for what a run does: a paused one has the one before.
func (x *run) current() State {
	if x.state == StatePaused {
		return x.before
	}
	return x.state
}
