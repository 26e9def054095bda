package swap

import (
	"context"
	"maps"
	"slices"
	"time"
)

// State is what a journal record says.
type State string

// The states, in the order of a swap.
const (
	// Intent: a change is wanted. Nothing runs of it yet.
	Intent State = "intent"
	// Started: the new generations run beside the old ones.
	Started State = "started"
	// Handover: old generations are about to be closed so that new ones can open what they hold.
	Handover State = "handover"
	// Admitted: every newcomer was admitted.
	Admitted State = "admitted"
	// Flipped is the commit: from here on a host comes back with the new state.
	Flipped State = "flipped"
	// FlippedBack is the commit of the way back: from here on a host comes back with the old state.
	FlippedBack State = "flipped_back"
	// Done: probation is over and the old generations are retired.
	Done State = "done"
	// Failed: the change ended before its flip; the old state serves.
	Failed State = "failed"
	// HostStarted: a host came up on this journal. Deaths counts the hosts that died in the probation that is open.
	HostStarted State = "host_started"
	// Launched: plugins of the applied state that did not start with the host are started again.
	Launched State = "launched"
	// Stopped: the host was stopped on purpose, so the next start is not a death.
	Stopped State = "stopped"
	// Snapshot stands for everything before it; compaction writes it.
	Snapshot State = "snapshot"
)

// States lists every state that is written to a journal.
func States() []State {
	return []State{Intent, Started, Handover, Admitted, Flipped, FlippedBack, Done, Failed, HostStarted, Launched, Stopped, Snapshot}
}

// Rejection is a configuration that was flipped back. It is not tried again until the file changes or an apply retries it.
type Rejection struct {
	Hash   string
	Reason string
	At     time.Time
}

// Record is one entry of the journal.
type Record struct {
	State      State
	At         time.Time
	Serial     uint64             `json:",omitempty"` // of the commit that it belongs to
	By         string             `json:",omitempty"`
	Reason     string             `json:",omitempty"`
	Roles      []Role             `json:",omitempty"` // that change
	Applied    *Applied           `json:",omitempty"` // Intent: wanted; Flipped, FlippedBack, Snapshot: runs from here on
	Previous   map[Role]RoleState `json:",omitempty"` // with Applied of a commit: what Rollback goes back to
	Rejected   []Rejection        `json:",omitempty"` // with Applied of a commit: all of them
	Generation Generation         `json:",omitempty"` // the highest that was handed out
	Probation  bool               `json:",omitempty"` // Flipped: opens a probation
	Deaths     int                `json:",omitempty"` // HostStarted
}

// Journal keeps the records. Its methods are not called concurrently.
type Journal interface {
	// Append makes a record durable. On error nothing of it is left, or the journal refuses everything from then on.
	Append(ctx context.Context, r Record) error
	// Load returns all records, oldest first.
	Load(ctx context.Context) ([]Record, error)
	// Compact replaces all records, at once or not at all. On error the journal may refuse everything from then on.
	Compact(ctx context.Context, rs []Record) error
}

// history is what the records add up to.
type history struct {
	applied    Applied
	old        Applied // while probation: what it goes back to
	before     map[Role]RoleState
	previous   map[Role]RoleState
	rejected   []Rejection
	serial     uint64
	generation Generation
	probation  bool
	roles      []Role  // of the probation
	deaths     int     // in this probation
	open       *Record // an intent without an end
	clean      bool    // the last record says that the host was stopped on purpose
	records    int
}

// add takes the next record.
func (h *history) add(r Record) {
	h.records++
	h.clean = r.State == Stopped
	h.generation = max(h.generation, r.Generation)
	switch r.State {
	case Intent:
		h.open = &r
	case Started, Handover, Admitted, Launched, Stopped:
	case Flipped:
		h.old, h.before = h.applied, h.previous
		h.commit(r)
		h.probation, h.roles, h.deaths = r.Probation, r.Roles, 0
	case FlippedBack:
		h.commit(r)
		h.endProbation()
	case Snapshot:
		h.commit(r)
	case Done:
		h.endProbation()
	case Failed:
		h.open = nil
	case HostStarted:
		h.deaths = r.Deaths
	}
}

func (h *history) commit(r Record) {
	h.open = nil
	h.applied, h.previous, h.rejected, h.serial = Applied{}, r.Previous, r.Rejected, r.Serial
	if r.Applied != nil {
		h.applied = *r.Applied
	}
}

func (h *history) endProbation() {
	h.probation, h.roles, h.deaths, h.old, h.before = false, nil, 0, Applied{}, nil
}

func (h *history) rejection(hash string) (Rejection, bool) {
	i := slices.IndexFunc(h.rejected, func(r Rejection) bool { return r.Hash == hash })
	if i < 0 {
		return Rejection{}, false
	}
	return h.rejected[i], true
}

const keptRejections = 64

// reject returns the rejections with one more.
func (h *history) reject(hash, reason string, at time.Time) []Rejection {
	out := slices.DeleteFunc(slices.Clone(h.rejected), func(r Rejection) bool { return r.Hash == hash })
	if hash != "" {
		out = append(out, Rejection{Hash: hash, Reason: reason, At: at})
	}
	return out[max(0, len(out)-keptRejections):]
}

// advance returns what Rollback goes back to once the roles have changed.
func (h *history) advance(roles []Role) map[Role]RoleState {
	out := maps.Clone(h.previous)
	if out == nil {
		out = map[Role]RoleState{}
	}
	for _, r := range roles {
		if _, ok := h.applied.Roles[r]; ok {
			out[r] = h.applied.role(r)
		}
	}
	return out
}

// snapshot is the one record that stands for all, outside a probation.
func (h *history) snapshot(now time.Time) Record {
	a := h.applied
	return Record{State: Snapshot, At: now, Serial: h.serial, Applied: &a, Previous: h.previous, Rejected: h.rejected, Generation: h.generation}
}
