// Package lifecycle is the contract that plugins of every kind share: who they are, what they want to be told, and how
// they come up and go down.
//
// The host calls, in this order: Describe and Schema (any time), Validate (any time, no side effects), Configure (once),
// then the kind's own methods with Health beside them, and at the end Drain. A plugin that never got Configure is a
// probe: it must not open, lock or write anything.
package lifecycle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/schema"
)

// Errors of the lifecycle. They keep their identity across the wire.
var (
	// ErrNotConfigured is returned by a kind's method before Configure has succeeded.
	ErrNotConfigured = errors.New("plugin is not configured")
	// ErrConfigured is returned by a second Configure: a new configuration is a new generation.
	ErrConfigured = errors.New("plugin is already configured")
	// ErrDraining is returned for new work once Drain was called.
	ErrDraining = errors.New("plugin is draining")
	// ErrUnsupported is returned by an optional method that this plugin does not have.
	ErrUnsupported = errors.New("plugin does not support this")
)

// Kind is what a plugin does for the node.
type Kind string

// The kinds.
const (
	Signer Kind = "signer"
	Engine Kind = "engine"
	Sync   Kind = "sync"
)

// Kinds lists every kind, in start order of their roles.
func Kinds() []Kind { return []Kind{Signer, Engine, Sync} }

// Capability names an optional ability, so that the host can plan with it before it calls.
type Capability string

// The capabilities that the host knows. Others are shown and ignored.
const (
	CapBatch    Capability = "signer.batch"     // signer.SignerWithBatch
	CapEvents   Capability = "signer.events"    // signer.SignerWithEvents
	CapKeyAdmin Capability = "signer.key_admin" // signer.SignerWithKeyAdmin
	CapFloor    Capability = "signer.floor"     // signer.SignerWithFloor
	CapUpdates  Capability = "signer.updates"   // signer.SignerWithUpdates
	CapPool     Capability = "engine.pool"      // engine.EngineWithPool

	// CapGuardBesideKey: the guard of approval keys is kept where the keys are (in the HSM's service), by key and not by
	// client. It outlives every instance of the plugin, so it needs no floor.
	CapGuardBesideKey Capability = "signer.guard_beside_key"
)

// Resource is something that two processes cannot hold at once.
type Resource struct {
	Kind  string // "path", "port", "token"
	Value string
}

// Description is what a plugin says of itself. It depends on nothing but the binary.
type Description struct {
	Kind          Kind
	Name          string // the implementation's name, not the label in alys.hcl
	Version       string // semantic version
	Capabilities  []Capability
	Deterministic bool // signer: the same request gives the same signature bytes
	Network       bool // reaches out beyond this machine
}

// Host is what the node tells a plugin about itself and the chain, beside the plugin's own configuration.
type Host struct {
	Label       string     // the plugin's label in alys.hcl
	Generation  uint64     // counts up over the life of the data folder
	DataDir     string     // absolute; a folder of this instance, kept over restarts; in a probe it may not exist yet, and nothing is opened there
	RunDir      string     // absolute and short; for sockets; removed when the process ends
	ChainID     uint64     // EVM chain id
	Genesis     chain.Hash // the chain's genesis block hash
	GenesisJSON []byte     // execution genesis, in geth's format; engines only
}

// Config is the plugin's own block, evaluated and type-checked by the host, with what the host adds.
type Config struct {
	JSON []byte // an object shaped by the plugin's schema; sensitive values in clear
	Host Host
}

// Decode reads the block into v, a pointer to a struct with json tags. A field that v does not have is an error, so a
// schema and its struct cannot drift apart in silence.
func (c Config) Decode(v any) error {
	dec := json.NewDecoder(bytes.NewReader(c.JSON))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("decode config: %w", err)
	}
	return nil
}

// Check is Decode for Validate: a value that does not fit is a finding at the argument that it was given to, so that the
// operator is shown the line. The host has checked the schema's types before; what it cannot know is that a number must
// be whole, say, or not negative.
func (c Config) Check(v any) diag.Diagnostics {
	err := c.Decode(v)
	if err == nil {
		return nil
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return diag.Diagnostics{diag.Errorf(strings.Split(wrong.Field, "."), "see the plugin's schema: alys plugin inspect",
			"%s cannot be a %s", wrong.Field, wrong.Value)}
	}
	return diag.Diagnostics{diag.Errorf(nil, "see the plugin's schema: alys plugin inspect", "%s", err)}
}

// State is how a plugin feels.
type State string

// The states. Only Ready serves; Locked waits for `alys keys unlock`; Starting is asked again until the start deadline.
const (
	Starting State = "starting"
	Ready    State = "ready"
	Locked   State = "locked"
	Degraded State = "degraded" // serves, with a reason worth an operator's look
	Failed   State = "failed"
	Draining State = "draining"
)

// Health is the answer to a health question. The host gives it a deadline; no answer is a failure.
type Health struct {
	State    State
	Message  string // why, when not Ready
	Progress uint64 // counts work done; a host that sees it stand still while work waits suspects a wedge
}

// Plugin is the common part of every plugin. Methods may be called concurrently.
type Plugin interface {
	// Describe says who this is. It is constant.
	Describe() Description
	// Schema is the shape of the plugin's config block. It is constant.
	Schema() schema.Block
	// Validate checks a configuration and reports every problem at once. It has no side effect and opens no network.
	Validate(ctx context.Context, c Config) diag.Diagnostics
	// Configure brings the plugin up. It returns when the plugin can answer Health; it is called at most once.
	Configure(ctx context.Context, c Config) error
	// Health reports the state.
	Health(ctx context.Context) (Health, error)
	// Drain refuses new work with ErrDraining, finishes what runs, and flushes. The process is ended after it.
	Drain(ctx context.Context) error
}

// PluginWithResources claims resources that depend on the configuration. Two generations that claim the same resource
// are swapped by handover: the old one closes before the new one opens.
type PluginWithResources interface {
	// Resources lists what a plugin with this configuration would hold exclusively. Like Validate, it has no side effect.
	Resources(ctx context.Context, c Config) ([]Resource, error)
}
