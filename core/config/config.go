package config

import (
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Config is a checked configuration with every default filled in. It does not change after Load.
type Config struct {
	Path string // what Load was given
	Dir  string // absolute; relative paths of the configuration start here
	Hash string // 64 hex digits over every value; equal when the configurations mean the same

	Node       Node
	Validator  *Validator // nil: signs with whatever authority keys the signer holds
	Chain      Chain
	Plugins    []*Plugin // in the order of the files
	Roles      []Role    // signer, engine, sync; a narrowed signer role after another by purpose
	Network    Network
	Bitcoin    *Bitcoin // nil: no Bitcoin node
	Listeners  Listeners
	Telemetry  Telemetry
	Log        Log
	Swap       Swap
	Restart    Restart
	Migrations []Migration
	Flags      []Flag
	Backup     Backup

	// Redacted is the whole configuration as JSON, block by block, with sensitive values covered and without the
	// plugins' own config blocks: what a plan may show and a journal may keep.
	Redacted []byte

	scope   *scope
	sources *sources
	ranges  map[string]Range
}

// Plugin looks up a plugin block.
func (c *Config) Plugin(id PluginID) (*Plugin, bool) {
	for _, p := range c.Plugins {
		if p.ID == id {
			return p, true
		}
	}
	return nil, false
}

// Role looks up a role block.
func (c *Config) Role(id RoleID) (Role, bool) {
	for _, r := range c.Roles {
		if r.ID == id {
			return r, true
		}
	}
	return Role{}, false
}

// Flag looks up a flag block.
func (c *Config) Flag(name string) (Flag, bool) {
	for _, f := range c.Flags {
		if f.Name == name {
			return f, true
		}
	}
	return Flag{}, false
}

// Node is the block `node`: this process.
type Node struct {
	Name        string `json:"name"`
	DataDir     string `json:"data_dir"`     // absolute
	PluginDir   string `json:"plugin_dir"`   // absolute; empty: `plugins` beside the executable
	AdminSocket string `json:"admin_socket"` // absolute; by default alys.sock in the data folder
	Environment string `json:"environment"`  // free text that flags may target
	Watch       bool   `json:"watch"`        // apply a saved file by itself
	// StopTimeout bounds each stage of an orderly stop.
	StopTimeout time.Duration `json:"stop_timeout"`
}

// Validator is the block `validator`: how this node signs.
type Validator struct {
	Enabled        bool          `json:"enabled"`
	ApprovalKey    string        `json:"approval_key"` // 96 hex digits; empty: every authority key that the signer holds
	BitcoinKey     string        `json:"bitcoin_key"`  // 66 hex digits; empty: every federation key that the signer holds
	FeeAddress     string        `json:"fee_address"`  // 0x and 40 hex digits; empty: the spec's
	ExtraData      string        `json:"extra_data"`   // at most 32 bytes, into blocks of our own
	Doppelganger   time.Duration `json:"doppelganger_wait"`
	MaxBitcoinRate int           `json:"max_bitcoin_fee_rate"` // sat/vB that we propose at most; 0: the spec's limit
}

// DefaultDoppelgangerWait is how long an authority listens for approvals by its own keys before it signs.
const DefaultDoppelgangerWait = 8 * time.Second

// DoppelgangerWait is how long this node listens for approvals by its own keys before it signs; 0: it does not wait.
func (c *Config) DoppelgangerWait() time.Duration {
	if c.Validator == nil {
		return DefaultDoppelgangerWait
	}
	return c.Validator.Doppelganger
}

// Chain is the block `chain`.
type Chain struct {
	Spec     string        `json:"spec"`      // a built-in name, or the path as written
	SpecPath string        `json:"-"`         // absolute; empty for a built-in spec
	MaxDrift time.Duration `json:"max_drift"` // how far ahead of its slot a block is held, not dropped
}

// Plugin is a block `plugin "KIND" "NAME"`, without the plugin's own config block.
type Plugin struct {
	ID       PluginID
	Command  string            // a file name in the plugin folder, or an absolute path
	Checksum []string          // each "sha256:" and 64 hex digits; any may match; empty only on the dev chain
	Args     []string          // further arguments
	Env      map[string]Secret // the only environment that the process gets
	LogLevel string            // empty: the node's
	Limits   Limits            // with the node's defaults filled in
	Restart  Restart           // with the node's defaults filled in
	// Block is this block's own arguments as they are journalled. It does not hold the nested config block.
	Block PluginConfig
	Range Range

	config *hclsyntax.Body // the nested config block; an empty body when there is none
	own    *hclsyntax.Body // the block itself
}

// Limits are the deadlines and bounds of one plugin.
type Limits struct {
	StartTimeout   time.Duration `json:"start_timeout"`
	HealthInterval time.Duration `json:"health_interval"`
	HealthTimeout  time.Duration `json:"health_timeout"`
	HealthFailures int           `json:"health_failures"` // in a row
	DrainTimeout   time.Duration `json:"drain_timeout"`
	MaxMessage     Bytes         `json:"max_message"`
	MaxInFlight    int           `json:"max_in_flight"`
}

// Restart is the block `restart`: what happens when a plugin dies.
type Restart struct {
	Initial         time.Duration `json:"initial"`
	Factor          float64       `json:"factor"`
	Max             time.Duration `json:"max"`
	Jitter          float64       `json:"jitter"` // 0.2: ±20 %
	ResetAfter      time.Duration `json:"reset_after"`
	BreakerFailures int           `json:"breaker_failures"`
	BreakerWindow   time.Duration `json:"breaker_window"`
	BreakerHalfOpen time.Duration `json:"breaker_half_open"`
}

// Swap is the block `swap`: how one generation replaces another. Its Limits are the defaults of every plugin.
type Swap struct {
	Limits
	AdmissionTimeout time.Duration `json:"admission_timeout"`
	AdmissionSamples int           `json:"admission_samples"` // verified shadow signatures, where a key cannot be challenged
	HandoverTimeout  time.Duration `json:"handover_timeout"`
	Probation        time.Duration `json:"probation"`
	ProbationCalls   int           `json:"probation_calls"` // probation ends after both
	FlipBackFailures int           `json:"flip_back_failures"`
	FlipBackCalls    int           `json:"flip_back_calls"`   // the failures are counted over this many calls
	FlipBackLatency  float64       `json:"flip_back_latency"` // p99 of the new over p99 of the old
	ShadowQueue      int           `json:"shadow_queue"`
	ShadowBytes      Bytes         `json:"shadow_bytes"`
	PrimaryShare     float64       `json:"primary_share"`  // of a slot
	FallbackShare    float64       `json:"fallback_share"` // of a slot
}

// Route says who answers. A zero PluginID is "nobody".
type Route struct {
	Primary  PluginID `json:"primary"`
	Fallback PluginID `json:"fallback"`
	Shadow   PluginID `json:"shadow"`
	Canary   *Canary  `json:"canary"`
}

// Canary answers a share of the slots; the others are compared, as by a shadow.
type Canary struct {
	Plugin  PluginID `json:"plugin"`
	Percent int      `json:"percent"` // 1 to 99
}

// Plugins lists the plugins of the route, each once, the primary first.
func (r Route) Plugins() []PluginID {
	all := []PluginID{r.Primary, r.Fallback, r.Shadow}
	if r.Canary != nil {
		all = append(all, r.Canary.Plugin)
	}
	var out []PluginID
	seen := map[PluginID]bool{{}: true}
	for _, id := range all {
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}

// Role is a block `role "KIND"` or `role "signer" "PURPOSE"`.
type Role struct {
	ID    RoleID
	Route Route
	Range Range
}
