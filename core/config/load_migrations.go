package config

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// loadMigrations decodes the migration blocks.
func (l *loader) loadMigrations() {
	first := map[string]*hclsyntax.Block{}
	for _, b := range l.named("migration") {
		if !l.oneName(b) {
			continue
		}
		name := b.Labels[0]
		if earlier, dup := first[name]; dup {
			l.add(duplicate(b, earlier))
			continue
		}
		first[name] = b
		l.cfg.Migrations = append(l.cfg.Migrations, l.loadMigration(name, b))
	}
}

func (l *loader) loadMigration(name string, b *hclsyntax.Block) Migration {
	m := Migration{Name: name, Range: rangeOf(b.DefRange())}
	key := "migration." + name
	l.place(key, b)
	ctx, k := l.routeContext(false)
	l.checkBody(b.Body, k, ctx)
	if l.decodeInto(l.decoder(ctx), migrationBlock(), key, b.Body, &m) {
		l.checkMigration(m, b)
	}
	return m
}

func (l *loader) checkMigration(m Migration, b *hclsyntax.Block) {
	where := fmt.Sprintf("migration %q", m.Name)
	for _, end := range []struct {
		name string
		id   PluginID
	}{{"from", m.From}, {"to", m.To}} {
		if end.id.Kind != m.Role.Kind {
			l.add(problem(CodeWrongKind, b.Body.Attributes[end.name].Expr.Range(),
				fmt.Sprintf("%s is not a plugin of kind %s", end.id, m.Role.Kind), where+" is about the role "+m.Role.String()+"."))
		}
	}
	if m.From == m.To {
		l.add(problem(CodeSamePlugin, b.Body.Attributes["to"].Expr.Range(), "from and to are the same plugin", "A migration goes from one plugin to another."))
	}
	gates := l.checkGates(m, childrenOf(b.Body, "gate"))
	l.checkSteps(m, childrenOf(b.Body, "step"), gates, where)
}

func (l *loader) checkGates(m Migration, written []*hclsyntax.Block) []string {
	var names []string
	for i, g := range m.Gates {
		b := written[i]
		if l.checkName(g.Name, b.LabelRanges[0]) && slices.Contains(names, g.Name) {
			l.add(problem(CodeDuplicateBlock, b.DefRange(), fmt.Sprintf("Gate %q is there twice", g.Name), "Give each gate a name of its own."))
		}
		names = append(names, g.Name)
		if text := gateProblem(g); text != "" {
			l.add(problem(CodeMigration, b.DefRange(), fmt.Sprintf("Gate %q cannot decide", g.Name), text))
		}
	}
	return names
}

func gateProblem(g Gate) string {
	switch {
	case g.Metric == "correctness":
		if g.Max != nil || g.Min != nil || g.Good != nil || g.Bad != nil {
			return "correctness has zero tolerance and takes no bounds."
		}
	case g.Metric == "error_rate":
		if g.Good == nil || g.Bad == nil || *g.Good >= *g.Bad || *g.Good <= 0 {
			return "error_rate needs good and bad with 0 < good < bad: the rates that should pass and fail."
		}
	case g.Max == nil && g.Min == nil:
		return g.Metric + " needs max, min or both."
	case g.Max != nil && g.Min != nil && *g.Min > *g.Max:
		return "min is above max."
	}
	return ""
}

func (l *loader) checkSteps(m Migration, written []*hclsyntax.Block, gates []string, where string) {
	var names []string
	for i, s := range m.Steps {
		b := written[i]
		if l.checkName(s.Name, b.LabelRanges[0]) && slices.Contains(names, s.Name) {
			l.add(problem(CodeDuplicateBlock, b.DefRange(), fmt.Sprintf("Step %q is there twice", s.Name), "Give each step a name of its own."))
		}
		names = append(names, s.Name)
		for _, g := range s.GateNames {
			if !slices.Contains(gates, g) {
				l.add(problem(CodeMigration, b.Body.Attributes["gates"].Expr.Range(), fmt.Sprintf("Unknown gate %q", g),
					"The migration has no such gate block."+didYouMean(g, gates)))
			}
		}
		l.checkRoute(s.Route, b.Body, m.Role.Kind, where)
		for _, p := range positions(s.Route, b.Body) {
			if p.id != m.From && p.id != m.To && p.id.Kind == m.Role.Kind {
				l.add(problem(CodeMigration, p.at, fmt.Sprintf("plugin.%s is neither from nor to", p.id),
					fmt.Sprintf("The steps of %s use plugin.%s and plugin.%s only.", where, m.From, m.To)))
			}
		}
	}
	if n := len(m.Steps); n > 0 && (m.Steps[n-1].Primary != m.To || m.Steps[n-1].Canary != nil) {
		l.add(problem(CodeMigration, written[n-1].DefRange(), "The last step does not reach the goal",
			fmt.Sprintf("Its primary has to be plugin.%s, without a canary.", m.To)))
	}
}
