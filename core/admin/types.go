package admin

import (
	"encoding/json"
	"time"

	"github.com/alys-node/alys/sdk/chain"
)

// Status is what `alys status --json` prints. Its fields are a stable surface: they are added to, never renamed.
type Status struct {
	Name      string                `json:"name"`
	Version   string                `json:"version"`
	Chain     string                `json:"chain"`
	ChainID   uint64                `json:"chain_id"`
	Genesis   chain.Hash            `json:"genesis"`
	Slot      chain.Slot            `json:"slot"` // of the wall clock
	Head      chain.Ref             `json:"head"`
	Safe      chain.Ref             `json:"safe"`
	Finalized chain.Ref             `json:"finalized"`
	Ready     bool                  `json:"ready"`
	Reasons   []string              `json:"reasons,omitempty"` // why not ready
	Serial    uint64                `json:"serial"`            // of the applied configuration
	Hash      string                `json:"hash"`              // of the applied configuration
	Drift     bool                  `json:"drift"`             // the file differs from what runs
	Rejected  []Rejection           `json:"rejected,omitempty"`
	Roles     map[string]RoleStatus `json:"roles"`
	Listeners map[string]string     `json:"listeners"`
	Keys      []KeyStatus           `json:"keys,omitempty"`
	StartedAt time.Time             `json:"started_at"`
	MissedOwn uint64                `json:"missed_slots"`      // own slots without a notarized block of ours, since the start
	Authored  uint64                `json:"authored"`          // own blocks notarized, since the start
	Services  []ServiceStatus       `json:"services"`          // the node's own parts, in start order; plugins are under roles
	PeerID    string                `json:"peer_id,omitempty"` // our own; empty without a network
	Peers     []PeerStatus          `json:"peers,omitempty"`   // connected and on our chain
	Sync      SyncStatus            `json:"sync"`
}

// PeerStatus is one peer.
type PeerStatus struct {
	ID        string       `json:"id"`
	Address   string       `json:"address"`
	Inbound   bool         `json:"inbound"`
	Static    bool         `json:"static"`
	Head      chain.Height `json:"head"` // as it says
	Client    string       `json:"client"`
	RTTMillis int64        `json:"rtt_ms"`
	Since     time.Time    `json:"since"`
}

// SyncStatus is how far the node is behind the chain, and what it does about it.
type SyncStatus struct {
	Stage           string       `json:"stage"`
	Reason          string       `json:"reason,omitempty"`
	Cursor          chain.Height `json:"cursor"` // imported up to here
	Target          chain.Height `json:"target"` // the highest certified height that was seen
	Downloading     int          `json:"downloading"`
	BufferedBytes   uint64       `json:"buffered_bytes"`
	BlocksPerSecond uint32       `json:"blocks_per_second"`
	SecondsLeft     float64      `json:"seconds_left"` // 0: not known
}

// ServiceStatus is one part of the node's supervision tree.
type ServiceStatus struct {
	Name      string    `json:"name"`
	Group     string    `json:"group"` // core: its first error stops the node; services: started again, alone
	State     string    `json:"state"` // starting, running, restarting, stopped
	Restarts  int       `json:"restarts"`
	Panics    int       `json:"panics"` // in requests and in the service itself
	LastError string    `json:"last_error,omitempty"`
	Since     time.Time `json:"since"` // of the state
}

// The groups of a ServiceStatus.
const (
	GroupCore     = "core"
	GroupServices = "services"
)

// Rejection is a configuration that was flipped back and is not tried again until it changes.
type Rejection struct {
	Hash   string `json:"hash"`
	Reason string `json:"reason"`
}

// RoleStatus is one role's route and who serves it.
type RoleStatus struct {
	Route       RouteStatus        `json:"route"`
	States      []string           `json:"states"` // single, shadowing, canary, fallen_back, probation, held, broken
	Generations []GenerationStatus `json:"generations"`
	LastSwap    *SwapStatus        `json:"last_swap,omitempty"`
}

// RouteStatus names the plugins of a route by label; empty means none.
type RouteStatus struct {
	Primary       string `json:"primary"`
	Fallback      string `json:"fallback,omitempty"`
	Shadow        string `json:"shadow,omitempty"`
	Canary        string `json:"canary,omitempty"`
	CanaryPercent int    `json:"canary_percent,omitempty"`
}

// GenerationStatus is one process.
type GenerationStatus struct {
	Plugin      string        `json:"plugin"`
	Generation  uint64        `json:"generation"`
	Positions   []string      `json:"positions"` // primary, fallback, shadow, canary, warm
	State       string        `json:"state"`     // ready, locked, degraded, restarting, broken, draining
	Message     string        `json:"message,omitempty"`
	PID         int           `json:"pid"`
	Digest      string        `json:"digest"`
	Version     string        `json:"version,omitempty"`
	Restarts    int           `json:"restarts"`
	MemoryBytes uint64        `json:"memory_bytes"`
	Uptime      time.Duration `json:"uptime_ns"`
}

// SwapStatus is the last change of a role.
type SwapStatus struct {
	Outcome  string     `json:"outcome"` // done, failed, flipped_back, rolled_back, probation
	Reason   string     `json:"reason,omitempty"`
	At       time.Time  `json:"at"`
	Duration float64    `json:"duration_seconds"`
	Steps    []SwapStep `json:"steps,omitempty"`
}

// SwapStep is how long one step of a swap took.
type SwapStep struct {
	Step    string  `json:"step"`
	Seconds float64 `json:"seconds"`
}

// KeyStatus is one key that the node's signers hold.
type KeyStatus struct {
	ID         string `json:"id"`
	Purpose    string `json:"purpose"`
	Label      string `json:"label,omitempty"`
	Plugin     string `json:"plugin"`
	State      string `json:"state"`
	Set        string `json:"set,omitempty"`        // see KeyInSet; empty: nobody knows, because no node runs
	Possession string `json:"possession,omitempty"` // hex, for a chain spec
}

// What a key is in the chain's authority set, or for a Bitcoin key in its federation.
const (
	KeyInSet    = "current" // a member at the node's head
	KeyComing   = "coming"  // a member from a later height on, as the chain spec schedules it
	KeyNotInSet = "none"
)

// Source is where the node is to read its configuration: the caller's file and variables.
type Source struct {
	Path     string            `json:"path,omitempty"` // absolute; empty uses the node's own
	Vars     map[string]string `json:"vars,omitempty"`
	VarFiles []string          `json:"var_files,omitempty"`
}

// PlanResponse is a plan, for people and for `apply FILE`.
type PlanResponse struct {
	Serial      uint64          `json:"serial"`
	Hash        string          `json:"hash"`
	NoOp        bool            `json:"no_op"`
	Text        string          `json:"text"`
	Gap         bool            `json:"gap"`                   // needs --allow-gap
	Restart     []string        `json:"restart,omitempty"`     // changes that take effect at the next start only
	Plan        json.RawMessage `json:"plan"`                  // opaque to the client
	Diagnostics json.RawMessage `json:"diagnostics,omitempty"` // findings, with positions
	Rendered    string          `json:"rendered,omitempty"`    // the findings as text
	Invalid     bool            `json:"invalid"`               // the findings have errors: there is no plan
}

// ApplyRequest applies what a plan said. Serial and Hash must still be those of the plan.
type ApplyRequest struct {
	Source   Source `json:"source"`
	Serial   uint64 `json:"serial"`
	Hash     string `json:"hash"`
	AllowGap bool   `json:"allow_gap,omitempty"`
	Retry    bool   `json:"retry,omitempty"`
	By       string `json:"by,omitempty"` // who asks, for the journal
}

// Progress is one line of an apply: a step done, or the end.
type Progress struct {
	Role    string  `json:"role,omitempty"`
	Plugin  string  `json:"plugin,omitempty"`
	Step    string  `json:"step,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	Done    bool    `json:"done,omitempty"`
	Outcome string  `json:"outcome,omitempty"`
	Error   *Error  `json:"error,omitempty"`
}

// RollbackRequest goes back to the route that a role had before.
type RollbackRequest struct {
	Role string `json:"role"`
	By   string `json:"by,omitempty"`
}

// UnlockRequest opens a plugin's sealed keys.
type UnlockRequest struct {
	Plugin   string `json:"plugin"` // a signer's label; empty when there is only one that is locked
	Password []byte `json:"password"`
}

// CreateKeyRequest makes or brings in a key.
type CreateKeyRequest struct {
	Plugin         string `json:"plugin"`
	Purpose        string `json:"purpose"`
	Label          string `json:"label,omitempty"`
	Password       []byte `json:"password,omitempty"`        // seals the key in the signer; empty: the signer's own
	Import         []byte `json:"import,omitempty"`          // an EIP-2335 keystore
	ImportPassword []byte `json:"import_password,omitempty"` // opens the import
}

// ExportKeyRequest takes a copy of a key out, sealed.
type ExportKeyRequest struct {
	Plugin   string `json:"plugin"` // a signer's label; empty when only one holds the key
	Key      string `json:"key"`
	Password []byte `json:"password"` // seals the copy
}

// ExportKeyResponse is the copy.
type ExportKeyResponse struct {
	Keystore []byte `json:"keystore"` // an EIP-2335 keystore
}

// GuardImportResponse says what an import changed.
type GuardImportResponse struct {
	Keys   int `json:"keys"`
	Raised int `json:"raised"`
}

// Error is a failure with what to do next.
type Error struct {
	Code    string `json:"code"` // stable: unavailable, invalid, conflict, refused, unknown, internal
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Error is the message and, when there is one, the hint.
func (e *Error) Error() string {
	if e.Hint != "" {
		return e.Message + "\n  " + e.Hint
	}
	return e.Message
}
