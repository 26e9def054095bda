package config

import (
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// scope is what expressions see. Once frozen it reads nothing from outside.
type scope struct {
	dir    string
	env    func(string) (string, bool)
	learn  func(cty.Value)
	frozen bool
	files  map[string]lookup
	envs   map[string]lookup
	vars   map[string]cty.Value
	locals map[string]cty.Value
}

func newScope(dir string, env func(string) (string, bool), learn func(cty.Value)) *scope {
	return &scope{
		dir: dir, env: env, learn: learn, files: map[string]lookup{}, envs: map[string]lookup{},
		vars: map[string]cty.Value{}, locals: map[string]cty.Value{},
	}
}

// context is the evaluation context of everything that is not part of a route.
func (s *scope) context() *hcl.EvalContext {
	return &hcl.EvalContext{
		Variables: map[string]cty.Value{"var": object(s.vars), "local": object(s.locals)},
		Functions: s.functions(),
	}
}

// thawed is a scope with the same values that reads files and the environment anew.
func (s *scope) thawed() *scope {
	t := newScope(s.dir, s.env, s.learn)
	t.vars, t.locals = s.vars, s.locals
	return t
}

func object(values map[string]cty.Value) cty.Value {
	if len(values) == 0 {
		return cty.EmptyObjectVal
	}
	return cty.ObjectVal(values)
}

// maxValue bounds a local value, so that locals that double each other cannot fill the memory.
const maxValue = 1 << 20

// maxNames bounds how many variables and how many locals there may be.
const maxNames = 1000

// size estimates the bytes of a value.
func size(v cty.Value) int {
	plain, _ := v.UnmarkDeep()
	n := 0
	_ = cty.Walk(plain, func(_ cty.Path, e cty.Value) (bool, error) {
		n += 16
		if e.IsKnown() && !e.IsNull() && e.Type() == cty.String {
			n += len(e.AsString())
		}
		return n <= maxValue, nil
	})
	return n
}

// loadLocals evaluates the locals blocks in the order of their references.
func (l *loader) loadLocals() {
	attrs := map[string]*hclsyntax.Attribute{}
	for _, b := range l.named("locals") {
		l.noLabels(b)
		for _, nested := range b.Body.Blocks {
			l.add(problem(CodeUnknownBlock, nested.TypeRange, "Unexpected block", "A locals block holds arguments only: NAME = VALUE."))
		}
		for _, name := range sortedNames(b.Body.Attributes) {
			a := b.Body.Attributes[name]
			if first, ok := attrs[name]; ok {
				l.add(problem(CodeDuplicateKey, a.NameRange, "Local value set twice", "local."+name+" is set first at "+place(first.NameRange)+"."))
				continue
			}
			attrs[name] = a
		}
	}
	if len(attrs) > maxNames {
		l.add(problem(CodeTooLarge, hcl.Range{}, "Too many local values", fmt.Sprintf("At most %d are allowed.", maxNames)))
		return
	}
	order := localOrder{attrs: attrs, state: map[string]int{}}
	for _, name := range mapKeys(attrs) {
		l.scope.locals[name] = cty.DynamicVal
		order.visit(name, nil)
	}
	l.reportCycles(order)
	for _, name := range order.sorted {
		l.loadLocal(attrs[name])
	}
}

func (l *loader) reportCycles(order localOrder) {
	for _, c := range order.cycles {
		l.add(problem(CodeLocalsCycle, order.attrs[c[0]].NameRange, "Locals refer to each other in a circle",
			"local."+strings.Join(c, " → local.")+". Break the circle."))
	}
}

func (l *loader) loadLocal(a *hclsyntax.Attribute) {
	ctx := l.scope.context()
	if !l.checkExpr(a.Expr, l.known(), ctx) {
		return
	}
	v, found := a.Expr.Value(ctx)
	l.add(found...)
	if found.HasErrors() {
		return
	}
	if size(v) > maxValue {
		l.add(problem(CodeTooLarge, a.Expr.Range(), "The value is too large", "A local value holds at most 1 MiB."))
		return
	}
	if v.ContainsMarked() {
		l.src.learn(v)
	}
	l.scope.locals[a.Name] = v
}

// localOrder sorts locals so that each comes after what it refers to.
type localOrder struct {
	attrs  map[string]*hclsyntax.Attribute
	state  map[string]int // 1: being visited, 2: done
	sorted []string
	cycles [][]string
}

func (o *localOrder) visit(name string, path []string) {
	a, ok := o.attrs[name]
	if !ok || o.state[name] == 2 {
		return
	}
	if o.state[name] == 1 {
		for i, p := range path {
			if p == name {
				o.cycles = append(o.cycles, append(append([]string(nil), path[i:]...), name))
			}
		}
		return
	}
	o.state[name] = 1
	for _, t := range a.Expr.Variables() {
		if t.RootName() != "local" {
			continue
		}
		if next, ok := member(t, 1); ok {
			o.visit(next, append(path, name))
		}
	}
	o.state[name] = 2
	o.sorted = append(o.sorted, name)
}

func mapKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
