package swap

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Op says what an action does.
type Op string

// The operations, by the sign that a plan shows.
const (
	Create Op = "+"
	Change Op = "~"
	Remove Op = "-"
)

// Action is one line of a plan. It is about a plugin, or about a position of a role.
type Action struct {
	Op     Op
	Role   Role      `json:",omitempty"`
	Plugin *PluginID `json:",omitempty"`
	Text   string    // what happens, without secrets
}

// Gap is a moment in which nothing can answer for a role.
type Gap struct {
	Role   Role
	Plugin PluginID      // that has to close before its next generation opens
	Claim  string        // what both generations need for themselves
	AtMost time.Duration // how long the role is held at worst
}

// Plan is the difference between what runs and what is wanted.
type Plan struct {
	Serial   uint64 // of the applied state that it starts from
	Hash     string // of the plan: apply refuses it when another plan would be made now
	Actions  []Action
	Gaps     []Gap      `json:",omitempty"`
	Warnings []string   `json:",omitempty"`
	Rejected *Rejection `json:",omitempty"` // the wanted configuration was flipped back before
}

// NoOp reports that there is nothing to do.
func (p Plan) NoOp() bool { return len(p.Actions) == 0 }

// String is the plan for people: a line for each action, gap and warning, and a summary. It is the same for the same plan.
func (p Plan) String() string {
	var b strings.Builder
	if p.NoOp() {
		b.WriteString("No changes. What runs is what is wanted.\n")
	}
	count := map[Op]int{}
	for _, a := range p.Actions {
		count[a.Op]++
		fmt.Fprintf(&b, "%s %s\n", a.Op, a.Text)
	}
	for _, g := range p.Gaps {
		fmt.Fprintf(&b, "! role %q cannot answer for up to %s: both generations of %s need %s (apply needs --allow-gap)\n", g.Role, g.AtMost, g.Plugin, g.Claim)
	}
	if p.Rejected != nil {
		fmt.Fprintf(&b, "! this configuration was rejected at %s: %s (apply needs --retry)\n", p.Rejected.At.UTC().Format(time.RFC3339), p.Rejected.Reason)
	}
	for _, w := range p.Warnings {
		fmt.Fprintf(&b, "! %s\n", w)
	}
	if !p.NoOp() {
		fmt.Fprintf(&b, "Plan: %d to add, %d to change, %d to remove.\n", count[Create], count[Change], count[Remove])
	}
	return b.String()
}

// diff is what a plan is made from.
type diff struct {
	from, to Applied
	serial   uint64
	running  func(Block) bool // a process of this block runs
	atMost   time.Duration    // how long a handover may take
}

func (d diff) plan(desiredHash string) Plan {
	p := Plan{Serial: d.serial}
	p.Actions = append(d.pluginActions(), d.roleActions()...)
	if !p.NoOp() {
		p.Gaps = d.gaps()
	}
	text, _ := json.Marshal(struct { //nolint:errchkjson // strings and numbers only
		Plan    Plan
		Desired string
		To      Applied
	}{p, desiredHash, d.to})
	sum := sha256.Sum256(text)
	p.Hash = hex.EncodeToString(sum[:])
	return p
}

func (d diff) pluginActions() []Action {
	var out []Action
	for _, id := range sortedPlugins(d.to.Plugins) {
		next := d.to.Plugins[id]
		old, had := d.from.Plugins[id]
		switch {
		case had && old.same(next) && d.running(next):
		case had && old.same(next):
			out = append(out, action(Change, id, "start again, it does not run"))
		case had:
			out = append(out, action(Change, id, "new generation: "+strings.Join(old.changes(next), ", ")+" changed"))
		default:
			out = append(out, action(Create, id, "start, "+next.short()))
		}
	}
	for _, id := range sortedPlugins(d.from.Plugins) {
		if _, keep := d.to.Plugins[id]; !keep {
			out = append(out, action(Remove, id, "retire after probation"))
		}
	}
	return out
}

func action(op Op, id PluginID, text string) Action {
	return Action{Op: op, Plugin: &id, Text: id.String() + ": " + text}
}

func (d diff) roleActions() []Action {
	all := map[Role]bool{}
	for r := range d.from.Roles {
		all[r] = true
	}
	for r := range d.to.Roles {
		all[r] = true
	}
	var out []Action
	for _, r := range sortedRoles(all) {
		from, had := d.from.Roles[r]
		to, has := d.to.Roles[r]
		var was, is map[Position]string
		if had {
			was = from.describe()
		}
		if has {
			is = to.describe()
		}
		for _, p := range []Position{Primary, Fallback, Shadow, InCanary} {
			head := fmt.Sprintf("role %q: %s ", r, p)
			switch a, b := was[p], is[p]; {
			case a == b:
			case a == "":
				out = append(out, Action{Op: Create, Role: r, Text: head + b})
			case b == "":
				out = append(out, Action{Op: Remove, Role: r, Text: head + a})
			default:
				out = append(out, Action{Op: Change, Role: r, Text: head + a + " -> " + b})
			}
		}
	}
	return out
}

// describe names what is in each position.
func (r Route) describe() map[Position]string {
	out := map[Position]string{}
	for _, p := range r.places() {
		out[p.position] = p.plugin.String()
	}
	if r.Canary != nil {
		out[InCanary] += fmt.Sprintf(" at %g %%", r.Canary.Percent)
		if r.Step != "" {
			out[InCanary] += " (step " + r.Step + ")"
		}
	}
	return out
}

// gaps finds the roles that have to be held because a primary closes before its successor opens and no fallback is there.
func (d diff) gaps() []Gap {
	var out []Gap
	closing := d.closing()
	for _, r := range sortedRoles(d.from.Roles) {
		route := d.from.Roles[r]
		claim, closes := closing[route.Primary]
		if !closes {
			continue
		}
		if route.Fallback != nil {
			if _, too := closing[*route.Fallback]; !too && d.running(d.from.Plugins[*route.Fallback]) {
				continue
			}
		}
		out = append(out, Gap{Role: r, Plugin: route.Primary, Claim: claim, AtMost: d.atMost})
	}
	return out
}

// closing lists the running plugins that have to close before a new one opens, with what both claim.
func (d diff) closing() map[PluginID]string {
	out := map[PluginID]string{}
	for _, id := range sortedPlugins(d.to.Plugins) {
		next := d.to.Plugins[id]
		if d.running(next) {
			continue
		}
		for _, other := range sortedPlugins(d.from.Plugins) {
			old := d.from.Plugins[other]
			if old.same(next) || !d.running(old) {
				continue
			}
			if what, yes := conflicts(old, next); yes {
				out[other] = what
			}
		}
	}
	return out
}

// changes names what differs between two texts of a block, never the values.
func (b Block) changes(o Block) []string {
	var out []string
	note := func(differs bool, name string) {
		if differs {
			out = append(out, name)
		}
	}
	note(b.Command != o.Command, "command")
	note(!slices.Equal(b.Checksums, o.Checksums), "checksum")
	note(b.Digest != o.Digest, "binary")
	note(!bytes.Equal(b.Config, o.Config), "config")
	note(!slices.EqualFunc(b.Secrets, o.Secrets, func(x, y Secret) bool { return x.Expr == y.Expr && slices.Equal(x.Path, y.Path) }), "secrets")
	note(!slices.Equal(b.Resources, o.Resources), "resources")
	if len(out) == 0 {
		out = append(out, "block")
	}
	return out
}

func (b Block) short() string {
	if len(b.Digest) >= 12 {
		return "sha256:" + b.Digest[:12]
	}
	return b.Command
}
