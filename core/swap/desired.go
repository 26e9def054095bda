package swap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/alys-node/alys/sdk/lifecycle"
)

// Errors of the controller.
var (
	// ErrApplyInProgress is returned while another apply or rollback runs.
	ErrApplyInProgress = errors.New("another apply is in progress")
	// ErrStalePlan means that something was applied, or the file changed, after the plan was made.
	ErrStalePlan = errors.New("plan is stale: make a new one")
	// ErrGap means that the plan has a moment in which nothing can answer, and the apply does not allow it.
	ErrGap = errors.New("plan has a gap: allow it explicitly")
	// ErrRejected means that this configuration was flipped back before and has not changed since.
	ErrRejected = errors.New("configuration was rejected before: change it, or retry explicitly")
	// ErrNothingToRollBack means that the role has no earlier route.
	ErrNothingToRollBack = errors.New("role has no earlier route")
	// ErrUnknownRole means that the role is not applied.
	ErrUnknownRole = errors.New("role is not applied")
	// ErrBadDesired means that the desired state contradicts itself.
	ErrBadDesired = errors.New("desired state is not consistent")
	// ErrClosed means that the controller was closed.
	ErrClosed = errors.New("the node is stopping")
)

// PluginID names a plugin block of alys.hcl.
type PluginID struct {
	Kind  lifecycle.Kind
	Label string
}

// String is "plugin.signer.local", as in alys.hcl.
func (id PluginID) String() string { return "plugin." + string(id.Kind) + "." + id.Label }

// MarshalText is String's form, so that an id can be a key of a JSON object.
func (id PluginID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads String's form.
func (id *PluginID) UnmarshalText(b []byte) error {
	parts := strings.SplitN(string(b), ".", 3)
	if len(parts) != 3 || parts[0] != "plugin" || parts[1] == "" || parts[2] == "" {
		return fmt.Errorf("%q is not plugin.KIND.LABEL", b)
	}
	*id = PluginID{Kind: lifecycle.Kind(parts[1]), Label: parts[2]}
	return nil
}

// Role is what the node needs of a kind: "signer", "engine", "sync", or narrowed: "signer/approval".
type Role string

// Kind is the kind of the plugins that can serve the role.
func (r Role) Kind() lifecycle.Kind {
	kind, _, _ := strings.Cut(string(r), "/")
	return lifecycle.Kind(kind)
}

// Canary gives a share of the slots to a plugin.
type Canary struct {
	Plugin  PluginID
	Percent float64 // above 0 and below 100
}

// Route is which plugin answers for a role, with which helpers.
type Route struct {
	Primary  PluginID
	Fallback *PluginID `json:",omitempty"`
	Shadow   *PluginID `json:",omitempty"`
	Canary   *Canary   `json:",omitempty"`
	// Step names the canary's step in a migration, so that another step draws other slots; empty: the controller names it.
	Step string `json:",omitempty"`
}

// Position is a place in a route, by the names of core/route.
type Position string

// The positions.
const (
	Primary  Position = "primary"
	Fallback Position = "fallback"
	Shadow   Position = "shadow"
	InCanary Position = "canary"
	Warm     Position = "warm"
)

// place is one position of a route with its plugin.
type place struct {
	position Position
	plugin   PluginID
}

// places lists the positions of the route, in a fixed order.
func (r Route) places() []place {
	out := []place{{Primary, r.Primary}}
	if r.Fallback != nil {
		out = append(out, place{Fallback, *r.Fallback})
	}
	if r.Shadow != nil {
		out = append(out, place{Shadow, *r.Shadow})
	}
	if r.Canary != nil {
		out = append(out, place{InCanary, r.Canary.Plugin})
	}
	return out
}

// uses reports that the plugin has a position in the route.
func (r Route) uses(id PluginID) bool {
	for _, p := range r.places() {
		if p.plugin == id {
			return true
		}
	}
	return false
}

// Secret is a value that the host puts into a plugin's configuration when it starts it. It is kept as a reference.
type Secret struct {
	Path []string // in the configuration
	Expr string   // where it comes from, as written in alys.hcl; never the value
}

// Block is one plugin block, resolved: enough to start the same plugin again without alys.hcl.
type Block struct {
	ID        PluginID
	Command   string               // as written, or an absolute path
	Checksums []string             `json:",omitempty"`
	Digest    string               // SHA-256 of the binary that was checked, lower-case hex
	Config    json.RawMessage      `json:",omitempty"` // secrets are placeholders
	Secrets   []Secret             `json:",omitempty"`
	Resources []lifecycle.Resource `json:",omitempty"` // held by one process at a time
	Hash      string               // of the block's text; another hash or digest is another generation
}

// same reports that a running process of one block serves the other.
func (b Block) same(o Block) bool { return b.ID == o.ID && b.Hash == o.Hash && b.Digest == o.Digest }

// Desired is what alys.hcl wants.
type Desired struct {
	Roles   map[Role]Route
	Plugins map[PluginID]Block // may hold plugins that no role uses
	Hash    string             // of the configuration as far as it matters here
	Source  string             // the file, for people
}

// validate reports the first contradiction. The configuration loader has said all of this better, with positions.
func (d Desired) validate() error {
	for _, role := range sortedRoles(d.Roles) {
		route := d.Roles[role]
		for _, p := range route.places() {
			if p.plugin.Kind != role.Kind() {
				return fmt.Errorf("%w: role %q: %s is a plugin of another kind", ErrBadDesired, role, p.plugin)
			}
			if b, ok := d.Plugins[p.plugin]; !ok || b.ID != p.plugin {
				return fmt.Errorf("%w: role %q: %s has no block", ErrBadDesired, role, p.plugin)
			}
			if p.position != Primary && p.plugin == route.Primary {
				return fmt.Errorf("%w: role %q: %s is primary and %s", ErrBadDesired, role, p.plugin, p.position)
			}
		}
		if c := route.Canary; c != nil && !(c.Percent >= 0.01 && c.Percent <= 99.99) {
			return fmt.Errorf("%w: role %q: canary percent %v is not between 0.01 and 99.99", ErrBadDesired, role, c.Percent)
		}
	}
	return d.applied().validateResources()
}

// withRole is the state with one role, and the blocks of its plugins, replaced.
func (d Desired) withRole(role Role, s RoleState) Desired {
	d.Roles, d.Plugins = maps.Clone(d.Roles), maps.Clone(d.Plugins)
	d.Roles[role] = s.Route
	maps.Copy(d.Plugins, s.Plugins)
	return d
}

// applied is the part of the desired state that its roles use.
func (d Desired) applied() Applied {
	a := Applied{Hash: d.Hash, Roles: map[Role]Route{}, Plugins: map[PluginID]Block{}}
	for role, route := range d.Roles {
		a.Roles[role] = route
		for _, p := range route.places() {
			b := d.Plugins[p.plugin]
			b.Config = compact(b.Config)
			a.Plugins[p.plugin] = b
		}
	}
	return a
}

// compact is the form that a configuration has after a way through the journal.
func compact(config json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, config) != nil {
		return config
	}
	return b.Bytes()
}
