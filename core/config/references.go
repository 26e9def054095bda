package config

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/alys-node/alys/sdk/lifecycle"
)

// DidYouMean is ` Did you mean "x"?` for the option that is nearest to what was given, or empty.
func DidYouMean(given string, options []string) string { return didYouMean(given, options) }

// didYouMean is ` Did you mean "x"?` for the nearest of the options, or empty.
func didYouMean(given string, options []string) string {
	best, distance := "", 3
	for _, o := range options {
		d := levenshtein.Distance(strings.ToLower(given), strings.ToLower(o), nil)
		if d < distance && d < len(given) {
			best, distance = o, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", best)
}

// known says which names an expression may use, so that a wrong one is reported with the nearest right one before the
// expression is evaluated.
type known struct {
	vars, locals []string
	plugins      []PluginID // used when routes is set
	flags        []string
	routes       bool // plugin is allowed: the expression is part of a route
	noFlags      bool // flag is not
}

// checkBody checks the references of every expression in a body and its nested blocks. Expressions that are in order
// are remembered by their place; the others are returned as tainted.
func (l *loader) checkBody(body *hclsyntax.Body, k known, ctx *hcl.EvalContext) {
	for _, name := range sortedNames(body.Attributes) {
		l.checkExpr(body.Attributes[name].Expr, k, ctx)
	}
	for _, b := range body.Blocks {
		l.checkBody(b.Body, k, ctx)
	}
}

func sortedNames(attrs hclsyntax.Attributes) []string {
	names := make([]string, 0, len(attrs))
	for name := range attrs {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// checkExpr reports every reference of an expression that does not resolve, and whether all do.
func (l *loader) checkExpr(expr hclsyntax.Expression, k known, ctx *hcl.EvalContext) bool {
	ok := true
	for _, t := range expr.Variables() {
		if d := k.check(t); d != nil {
			l.add(d)
			ok = false
		}
	}
	l.src.exprs[expr.Range().String()] = placedExpr{expr, ctx}
	l.src.hideSensitiveCalls(expr)
	if !ok {
		l.taint(expr.Range())
	}
	return ok
}

// check is nil when the traversal names something.
func (k known) check(t hcl.Traversal) *hcl.Diagnostic {
	root := t.RootName()
	switch root {
	case "var":
		return checkMember(t, "variable", "variable", k.vars)
	case "local":
		return checkMember(t, "local value", "locals", k.locals)
	case "plugin", "flag":
		if !k.routes {
			return problem(CodeUnknownReference, t.SourceRange(), fmt.Sprintf("%q cannot be used here", root),
				"Plugins and flags are named in role and migration blocks only.")
		}
		if root == "flag" && k.noFlags {
			return problem(CodeUnknownReference, t.SourceRange(), "A flag cannot be used here", "Flags are for role blocks only.")
		}
		if root == "flag" {
			return checkMember(t, "flag", "flag", k.flags)
		}
		return k.checkPlugin(t)
	}
	roots := []string{"var", "local"}
	if k.routes {
		roots = append(roots, "plugin", "flag")
	}
	detail := fmt.Sprintf("An expression may use %s.", strings.Join(roots, ", "))
	if hint := didYouMean(root, roots); hint != "" {
		detail += hint
	} else if len(t) == 1 {
		detail += fmt.Sprintf(" If a text is meant, put it in quotes: %q.", root)
	}
	return problem(CodeUnknownReference, t.SourceRange(), fmt.Sprintf("Unknown name %q", root), detail)
}

func checkMember(t hcl.Traversal, what, block string, names []string) *hcl.Diagnostic {
	name, ok := member(t, 1)
	if !ok {
		return problem(CodeUnknownReference, t.SourceRange(), "Incomplete reference",
			fmt.Sprintf("Write %s.NAME.", t.RootName()))
	}
	if slices.Contains(names, name) {
		return nil
	}
	detail := fmt.Sprintf("There is no %s %q.", what, name)
	if hint := didYouMean(name, names); hint != "" {
		detail += hint
	} else {
		detail += fmt.Sprintf(" Declare it in a %s block.", block)
	}
	return problem(CodeUnknownReference, t.SourceRange(), "Unknown "+what, detail)
}

// member is the name at a step of a traversal, written .name or ["name"].
func member(t hcl.Traversal, i int) (string, bool) {
	if len(t) <= i {
		return "", false
	}
	switch step := t[i].(type) {
	case hcl.TraverseAttr:
		return step.Name, true
	case hcl.TraverseIndex:
		if step.Key.Type().FriendlyName() == "string" && step.Key.IsKnown() && !step.Key.IsNull() {
			return step.Key.AsString(), true
		}
	}
	return "", false
}

func (k known) checkPlugin(t hcl.Traversal) *hcl.Diagnostic {
	kind, ok := member(t, 1)
	name, named := member(t, 2)
	at := t.SourceRange()
	switch {
	case !ok || !named || len(t) > 3:
		return problem(CodeUnknownPlugin, at, "Not a plugin", "Write plugin.KIND.NAME, such as plugin.signer.local.")
	case !validKind(kind):
		return problem(CodeUnknownPlugin, at, fmt.Sprintf("Unknown kind %q", kind),
			"Kinds are signer, engine and sync."+didYouMean(kind, kindNames()))
	}
	var same []string
	for _, p := range k.plugins {
		if p.Kind == lifecycle.Kind(kind) {
			same = append(same, p.Name)
			if p.Name == name {
				return nil
			}
		}
	}
	detail := fmt.Sprintf("There is no block plugin %q %q.", kind, name)
	if hint := didYouMean(name, same); hint != "" {
		detail += hint
	} else if len(same) > 0 {
		detail += " Declared are: " + strings.Join(same, ", ") + "."
	}
	return problem(CodeUnknownPlugin, at, "Unknown plugin", detail)
}

func kindNames() []string {
	var names []string
	for _, k := range lifecycle.Kinds() {
		names = append(names, string(k))
	}
	return names
}
