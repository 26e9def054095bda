package config

import (
	"fmt"
	"sort"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
)

// loadRoutes decodes the role and migration blocks, whose expressions may name plugins; a role's also flags.
func (l *loader) loadRoutes() {
	first := map[RoleID]*hclsyntax.Block{}
	for _, b := range l.named("role") {
		id, ok := l.roleID(b)
		if !ok {
			continue
		}
		if earlier, dup := first[id]; dup {
			l.add(duplicate(b, earlier))
			continue
		}
		first[id] = b
		l.cfg.Roles = append(l.cfg.Roles, l.loadRole(id, b))
	}
	sort.SliceStable(l.cfg.Roles, func(i, j int) bool { return roleOrder(l.cfg.Roles[i].ID) < roleOrder(l.cfg.Roles[j].ID) })
	l.checkRoles(first)
	l.loadMigrations()
}

func roleOrder(id RoleID) string {
	for i, k := range lifecycle.Kinds() {
		if k == id.Kind {
			return fmt.Sprint(i, id.Purpose)
		}
	}
	return "9"
}

func (l *loader) roleID(b *hclsyntax.Block) (RoleID, bool) {
	if len(b.Labels) < 1 || len(b.Labels) > 2 {
		l.add(problem(CodeLabels, b.DefRange(), "A role block has one or two labels",
			"Write it as: role \"KIND\" { … }, or role \"signer\" \"approval\" { … }"))
		return RoleID{}, false
	}
	id := RoleID{Kind: lifecycle.Kind(b.Labels[0])}
	if !validKind(b.Labels[0]) {
		l.add(problem(CodeUnknownKind, b.LabelRanges[0], fmt.Sprintf("Unknown kind %q", b.Labels[0]),
			"Kinds are signer, engine and sync."+didYouMean(b.Labels[0], kindNames())))
		return RoleID{}, false
	}
	if len(b.Labels) == 1 {
		return id, true
	}
	id.Purpose = signer.Purpose(b.Labels[1])
	switch {
	case id.Kind != lifecycle.Signer:
		l.add(problem(CodeLabels, b.LabelRanges[1], "Only a signer role is narrowed",
			fmt.Sprintf("Write it as: role %q { … }", id.Kind)))
		return RoleID{}, false
	case !validPurpose(b.Labels[1]):
		l.add(problem(CodeUnknownKind, b.LabelRanges[1], fmt.Sprintf("Unknown purpose %q", b.Labels[1]),
			"Keys are for approval or bitcoin."+didYouMean(b.Labels[1], []string{"approval", "bitcoin"})))
		return RoleID{}, false
	}
	return id, true
}

// routeContext adds plugins, and for roles flags, to what expressions see.
func (l *loader) routeContext(flags bool) (*hcl.EvalContext, known) {
	k := l.known()
	k.routes = true
	byKind := map[string]map[string]cty.Value{}
	for _, kind := range kindNames() {
		byKind[kind] = map[string]cty.Value{}
	}
	for _, p := range l.cfg.Plugins {
		k.plugins = append(k.plugins, p.ID)
		byKind[string(p.ID.Kind)][p.ID.Name] = cty.CapsuleVal(l.pluginType, &p.ID)
	}
	kinds := map[string]cty.Value{}
	for kind, plugins := range byKind {
		kinds[kind] = object(plugins)
	}
	ctx := l.scope.context()
	ctx.Variables["plugin"] = object(kinds)
	if flags {
		values := map[string]cty.Value{}
		for _, f := range l.cfg.Flags {
			k.flags = append(k.flags, f.Name)
			values[f.Name] = cty.BoolVal(f.Value)
		}
		ctx.Variables["flag"] = object(values)
	} else {
		k.noFlags = true
	}
	return ctx, k
}

func (l *loader) loadRole(id RoleID, b *hclsyntax.Block) Role {
	r := Role{ID: id, Range: rangeOf(b.DefRange())}
	key := "role." + id.String()
	l.place(key, b)
	ctx, k := l.routeContext(true)
	l.checkBody(b.Body, k, ctx)
	l.checkFlagConditions(b.Body)
	d := l.decoder(ctx)
	l.decodeInto(d, roleBlock(), key, b.Body, &r.Route)
	l.checkRoute(r.Route, b.Body, id.Kind, fmt.Sprintf("role %q", id.Kind))
	return r
}

func (l *loader) checkFlagConditions(body *hclsyntax.Body) {
	for _, name := range sortedNames(body.Attributes) {
		for _, t := range body.Attributes[name].Expr.Variables() {
			flag, ok := member(t, 1)
			if f, found := l.cfg.Flag(flag); t.RootName() == "flag" && ok && found && f.Conditions != nil {
				l.add(problem(CodeFlagCondition, t.SourceRange(), "A flag with conditions cannot decide a route",
					fmt.Sprintf("flag %q has conditions, which change by themselves; a route changes by plan and apply only. Remove the conditions, or use a migration.", flag)))
			}
		}
	}
	for _, b := range body.Blocks {
		l.checkFlagConditions(b.Body)
	}
}

// position is one place of a route, and where it is written.
type position struct {
	name string
	id   PluginID
	at   hcl.Range
}

func positions(r Route, body *hclsyntax.Body) []position {
	var out []position
	add := func(name string, id PluginID, body *hclsyntax.Body, arg string) {
		if a, ok := body.Attributes[arg]; ok && !id.IsZero() {
			out = append(out, position{name, id, a.Expr.Range()})
		}
	}
	add("primary", r.Primary, body, "primary")
	add("fallback", r.Fallback, body, "fallback")
	add("shadow", r.Shadow, body, "shadow")
	if canary := childrenOf(body, "canary"); r.Canary != nil && len(canary) > 0 {
		add("canary", r.Canary.Plugin, canary[0].Body, "plugin")
	}
	return out
}

// checkRoute holds a route to the table of states: each place another plugin than the primary, all of the role's kind,
// no shadow beside a canary. fallback and shadow may be the same plugin, and so may fallback and canary.
func (l *loader) checkRoute(r Route, body *hclsyntax.Body, kind lifecycle.Kind, where string) {
	for _, p := range positions(r, body) {
		if p.id.Kind != kind {
			l.add(problem(CodeWrongKind, p.at, fmt.Sprintf("%s is not a plugin of kind %s", p.id, kind),
				fmt.Sprintf("%s needs a plugin of kind %s; plugin.%s is of kind %s.", where, kind, p.id, p.id.Kind)))
		}
		if p.name != "primary" && p.id == r.Primary {
			l.add(problem(CodeSamePlugin, p.at, fmt.Sprintf("plugin.%s is both primary and %s", p.id, p.name),
				samePluginHint(p.name)))
		}
	}
	if r.Canary != nil && !r.Shadow.IsZero() {
		l.add(problem(CodeCanaryConflict, body.Attributes["shadow"].SrcRange, "A canary and a shadow exclude each other",
			"A canary is a shadow too: the one that does not answer is compared. Remove shadow."))
	}
}

func samePluginHint(position string) string {
	switch position {
	case "fallback":
		return "A fallback answers when the primary does not, so it has to be another plugin."
	case "shadow":
		return "A shadow is compared with the primary, so it has to be another plugin."
	}
	return "A canary takes slots from the primary, so it has to be another plugin."
}

// checkRoles looks at the roles together.
func (l *loader) checkRoles(written map[RoleID]*hclsyntax.Block) {
	have := func(k lifecycle.Kind, p signer.Purpose) *hclsyntax.Block { return written[RoleID{Kind: k, Purpose: p}] }
	wide := have(lifecycle.Signer, "")
	approval, bitcoin := have(lifecycle.Signer, signer.PurposeApproval), have(lifecycle.Signer, signer.PurposeBitcoin)
	for _, narrow := range []*hclsyntax.Block{approval, bitcoin} {
		if wide != nil && narrow != nil {
			l.add(problem(CodeOverlappingRoles, narrow.DefRange(), "The signer role is there narrowed and not narrowed",
				"role \"signer\" at "+place(wide.DefRange())+" serves every key already. Keep it, or one role for each purpose."))
		}
	}
	if wide == nil && (approval == nil) != (bitcoin == nil) {
		one, other := approval, signer.PurposeBitcoin
		if one == nil {
			one, other = bitcoin, signer.PurposeApproval
		}
		l.add(warning(CodeUncoveredPurpose, one.DefRange(), fmt.Sprintf("No role serves the %s keys", other),
			fmt.Sprintf("Add role \"signer\" %q, unless this node has no such key.", other)))
	}
	for _, kind := range lifecycle.Kinds() {
		needed := kind != lifecycle.Signer || l.cfg.Validator != nil
		if needed && !l.anyRole(kind) {
			l.add(problem(CodeMissingRole, hcl.Range{}, fmt.Sprintf("The role %s is missing", kind), missingRoleHint(kind)))
		}
	}
}

// anyRole reports whether a role of the kind is written, rightly or wrongly.
func (l *loader) anyRole(kind lifecycle.Kind) bool {
	for _, b := range l.named("role") {
		if len(b.Labels) > 0 && b.Labels[0] == string(kind) {
			return true
		}
	}
	return false
}

func missingRoleHint(kind lifecycle.Kind) string {
	need := "The node"
	if kind == lifecycle.Signer {
		need = "A validator"
	}
	return fmt.Sprintf("%s needs it. Add: role %q { primary = plugin.%s.NAME }", need, kind, kind)
}
