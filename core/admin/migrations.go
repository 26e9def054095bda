package admin

import "encoding/json"

// What a MigrationRequest may ask for. The first group changes nothing.
const (
	MigrationPlan    = "plan"
	MigrationStatus  = "status"
	MigrationHistory = "history"
	MigrationExplain = "explain"
	MigrationVerify  = "verify"
	MigrationEdit    = "edit"

	MigrationStart    = "start"
	MigrationPause    = "pause"
	MigrationResume   = "resume"
	MigrationApprove  = "approve"
	MigrationAbort    = "abort"
	MigrationRollback = "rollback"
	MigrationRelease  = "release"
)

// MigrationRequest is an operator's word to a migration, or a question about it.
type MigrationRequest struct {
	Ask      string `json:"ask"`                 // one of the constants
	Name     string `json:"name,omitempty"`      // of the block in alys.hcl; empty: all, where a question allows it
	Source   Source `json:"source"`              // plan, start: where the block is
	By       string `json:"by,omitempty"`        // who asks, for the log
	Reason   string `json:"reason,omitempty"`    // pause, rollback
	Hold     bool   `json:"hold,omitempty"`      // pause: a failure keeps the route, too
	NoReturn bool   `json:"no_return,omitempty"` // approve: the way back may go
	Phase    string `json:"phase,omitempty"`     // verify: foundation, host, sync, engine or governance
}

// MigrationResponse is an answer for people and for machines.
type MigrationResponse struct {
	Text string          `json:"text"`
	Data json.RawMessage `json:"data,omitempty"` // the same as JSON; see core/migrate for its shapes
	Bad  bool            `json:"bad,omitempty"`  // plan: it cannot start; verify: a checkpoint failed
}
