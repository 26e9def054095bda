package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// givenValues collects the values from outside, the strongest source last: environment, files in order, -var.
func (l *loader) givenValues(declared map[string]*variable) map[string]*given {
	values := map[string]*given{}
	for name, v := range declared {
		if l.opts.Env == nil {
			break
		}
		if text, ok := l.opts.Env("ALYS_VAR_" + name); ok {
			l.learnGiven(v, cty.StringVal(text))
			values[name] = &given{value: cty.NilVal, text: text, from: "ALYS_VAR_" + name}
		}
	}
	for _, file := range l.opts.VarFiles {
		l.readVarFile(file, declared, values)
	}
	names := mapKeys(declared)
	for _, name := range mapKeys(l.opts.Vars) {
		v, ok := declared[name]
		if !ok {
			l.add(problem(CodeUnknownVariable, hcl.Range{}, fmt.Sprintf("-var names an unknown variable %q", name),
				"No variable block declares it."+didYouMean(name, names)))
			continue
		}
		l.learnGiven(v, cty.StringVal(l.opts.Vars[name]))
		values[name] = &given{value: cty.NilVal, text: l.opts.Vars[name], from: "-var " + name}
	}
	return values
}

// learnGiven keeps a sensitive value out of messages, also when it turns out to be unusable.
func (l *loader) learnGiven(v *variable, value cty.Value) {
	if v.sensitive {
		l.src.learn(value)
	}
}

// readVarFile reads NAME = VALUE lines. Values are constants.
func (l *loader) readVarFile(name string, declared map[string]*variable, values map[string]*given) {
	src, err := readBounded(name)
	if err != nil {
		d := unreadable(name, err)
		if d.Extra == CodeMissingFile {
			d.Detail = "Check the path after -var-file."
		}
		l.add(d)
		return
	}
	parsed := newSources()
	found := parsed.parse(name, src)
	l.src.bytes[name], l.src.bodies[name] = src, parsed.bodies[name]
	body := parsed.bodies[name]
	if body == nil {
		delete(l.src.bodies, name)
		l.add(found...)
		return
	}
	l.hideVarFile(body, declared)
	l.add(found...)
	for _, b := range body.Blocks {
		l.add(problem(CodeUnknownBlock, b.TypeRange, "Unexpected block", "A file for -var-file holds NAME = VALUE only."))
	}
	names := mapKeys(declared)
	for _, key := range sortedNames(body.Attributes) {
		a := body.Attributes[key]
		if _, ok := declared[key]; !ok {
			l.add(problem(CodeUnknownVariable, a.NameRange, fmt.Sprintf("Unknown variable %q", key),
				"No variable block declares it."+didYouMean(key, names)))
			continue
		}
		value, found := a.Expr.Value(nil)
		l.add(found...)
		if !found.HasErrors() {
			l.learnGiven(declared[key], value)
			values[key] = &given{value: value, from: name, at: a.Expr.Range()}
		}
	}
}

func (l *loader) hideVarFile(body *hclsyntax.Body, declared map[string]*variable) {
	for key, a := range body.Attributes {
		if v, ok := declared[key]; !ok || v.sensitive {
			l.src.hide(a.Expr.Range())
			l.src.hideLiterals(a.Expr)
		}
	}
}
