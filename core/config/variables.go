package config

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// variable is a block `variable "NAME"`.
type variable struct {
	name        string
	block       *hclsyntax.Block
	typ         cty.Type
	defaults    *typeexpr.Defaults
	fallback    cty.Value // the default; cty.NilVal when there is none
	sensitive   bool
	validations []*hclsyntax.Block
}

// given is a value for a variable from outside the configuration.
type given struct {
	value cty.Value
	text  string // when it is text that has yet to be read by the variable's type
	from  string // for messages
	at    hcl.Range
}

func variableSchema() *hcl.BodySchema {
	return &hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{
			{Name: "type"}, {Name: "default"}, {Name: "sensitive"}, {Name: "description"},
		},
		Blocks: []hcl.BlockHeaderSchema{{Type: "validation"}},
	}
}

// loadVariables reads the declarations, then takes each value from -var, -var-file, ALYS_VAR_name or the default.
func (l *loader) loadVariables() {
	declared := map[string]*variable{}
	for _, b := range l.named("variable") {
		v, ok := l.declare(b)
		if !ok {
			continue
		}
		if first, dup := declared[v.name]; dup {
			l.add(duplicate(b, first.block))
			continue
		}
		declared[v.name] = v
	}
	if len(declared) > maxNames {
		l.add(problem(CodeTooLarge, hcl.Range{}, "Too many variables", fmt.Sprintf("At most %d are allowed.", maxNames)))
		return
	}
	values := l.givenValues(declared)
	for _, name := range mapKeys(declared) {
		l.scope.vars[name] = l.valueOf(declared[name], values[name])
	}
}

func (l *loader) declare(b *hclsyntax.Block) (*variable, bool) {
	if !l.oneName(b) {
		return nil, false
	}
	content, found := b.Body.Content(variableSchema())
	v := &variable{name: b.Labels[0], block: b, typ: cty.DynamicPseudoType, fallback: cty.NilVal}
	if a, ok := content.Attributes["sensitive"]; ok {
		v.sensitive = true // whatever is written there, a secret must not show
		flag, more := a.Expr.Value(nil)
		found = append(found, more...)
		if !more.HasErrors() {
			if flag, err := convert.Convert(flag, cty.Bool); err == nil && flag.IsKnown() && !flag.IsNull() {
				v.sensitive = flag.True()
			} else {
				found = append(found, problem(CodeWrongType, a.Expr.Range(), "Not true or false", "sensitive is true or false."))
			}
		}
	}
	if a, ok := content.Attributes["description"]; ok {
		_, more := a.Expr.Value(nil)
		found = append(found, more...)
	}
	if a, ok := content.Attributes["type"]; ok {
		typ, defaults, more := typeexpr.TypeConstraintWithDefaults(a.Expr)
		found = append(found, more...)
		if !more.HasErrors() {
			v.typ, v.defaults = typ, defaults
		}
	}
	if a, ok := content.Attributes["default"]; ok {
		found = append(found, l.declareDefault(v, a)...)
	}
	for _, nested := range b.Body.Blocks {
		if nested.Type == "validation" {
			v.validations = append(v.validations, nested)
		}
	}
	l.add(found...)
	return v, true
}

func (l *loader) declareDefault(v *variable, a *hcl.Attribute) hcl.Diagnostics {
	if expr, ok := a.Expr.(hclsyntax.Expression); ok && v.sensitive {
		l.src.hide(expr.Range())
		l.src.hideLiterals(expr)
	}
	value, found := a.Expr.Value(nil)
	if found.HasErrors() {
		v.fallback = cty.DynamicVal
		return found
	}
	converted, err := v.convert(value)
	if err != nil {
		v.fallback = cty.DynamicVal
		return append(found, problem(CodeWrongType, a.Expr.Range(), "The default does not fit the type",
			fmt.Sprintf("variable %q is %s: %s.", v.name, typeexpr.TypeString(v.typ), v.reason(err))))
	}
	v.fallback = converted
	return found
}

func (v *variable) convert(value cty.Value) (cty.Value, error) {
	if v.defaults != nil && !value.IsNull() {
		value = v.defaults.Apply(value)
	}
	return convert.Convert(value, v.typ)
}

// reason is the text of a conversion error, without the value of a sensitive variable.
func (v *variable) reason(err error) string {
	if v.sensitive {
		return "the value has another type"
	}
	return err.Error()
}

// valueOf is the variable's value: given, or the default; unknown after an error, so that nothing follows from it.
func (l *loader) valueOf(v *variable, g *given) cty.Value {
	value, at := v.fallback, v.block.DefRange()
	switch {
	case g != nil:
		var d *hcl.Diagnostic
		if value, d = v.read(g); d != nil {
			l.add(d)
			return cty.DynamicVal
		}
	case value == cty.NilVal:
		l.add(problem(CodeMissingVariable, at, "The variable has no value",
			fmt.Sprintf("Give it with -var %s=…, in a file for -var-file, as ALYS_VAR_%s in the environment, or write a default.", v.name, v.name)))
		return cty.DynamicVal
	}
	if v.sensitive {
		l.src.learn(value)
	}
	if size(value) > maxValue {
		l.add(problem(CodeTooLarge, at, "The value is too large", "A variable holds at most 1 MiB."))
		return cty.DynamicVal
	}
	if !l.validate(v, value) {
		return cty.DynamicVal
	}
	if v.sensitive {
		value = value.Mark(sensitive)
	}
	return value
}

// read brings a given value to the variable's type. Text is taken as it is for a string, and as an expression for a
// list, map or object.
func (v *variable) read(g *given) (cty.Value, *hcl.Diagnostic) {
	value := g.value
	if value == cty.NilVal {
		value = cty.StringVal(g.text)
		if !v.typ.IsPrimitiveType() && v.typ != cty.DynamicPseudoType {
			parsed, found := parseValue(g.text)
			if found.HasErrors() {
				return cty.DynamicVal, problem(CodeWrongType, v.block.DefRange(), "The value is not an expression",
					fmt.Sprintf("%s gives %q a value that cannot be read as %s; write it as in the configuration, such as '[\"a\", \"b\"]'.",
						g.from, v.name, typeexpr.TypeString(v.typ)))
			}
			value = parsed
		}
	}
	converted, err := v.convert(value)
	if err == nil {
		return converted, nil
	}
	at := v.block.DefRange()
	if g.at.Filename != "" {
		at = g.at
	}
	return cty.DynamicVal, problem(CodeWrongType, at, "The value does not fit the variable's type",
		fmt.Sprintf("%s gives variable %q, which is %s, a wrong value: %s.", g.from, v.name, typeexpr.TypeString(v.typ), v.reason(err)))
}

func parseValue(text string) (cty.Value, hcl.Diagnostics) {
	if d := checkNesting("", []byte(text)); d != nil {
		return cty.DynamicVal, hcl.Diagnostics{d}
	}
	expr, found := hclsyntax.ParseExpression([]byte(text), "", hcl.InitialPos)
	if found.HasErrors() {
		return cty.DynamicVal, found
	}
	return expr.Value(nil)
}

// validate evaluates the validation blocks; they see the variable itself and the functions.
func (l *loader) validate(v *variable, value cty.Value) bool {
	shown := value
	if v.sensitive {
		shown = value.Mark(sensitive)
	}
	ctx := &hcl.EvalContext{
		Variables: map[string]cty.Value{"var": cty.ObjectVal(map[string]cty.Value{v.name: shown})},
		Functions: l.scope.functions(),
	}
	k := known{vars: []string{v.name}}
	ok := true
	for _, b := range v.validations {
		ok = l.validateOne(v, b, k, ctx) && ok
	}
	return ok
}

func (l *loader) validateOne(v *variable, b *hclsyntax.Block, k known, ctx *hcl.EvalContext) bool {
	content, found := b.Body.Content(&hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "condition", Required: true}, {Name: "error_message", Required: true}},
	})
	l.add(found...)
	if found.HasErrors() {
		return false
	}
	l.mark()
	l.checkBody(b.Body, k, ctx)
	if l.failedSinceMark() {
		return false
	}
	condition, found := content.Attributes["condition"].Expr.Value(ctx)
	l.add(found...)
	if found.HasErrors() || !condition.IsKnown() {
		return false
	}
	condition, _ = condition.Unmark()
	at := content.Attributes["condition"].Expr.Range()
	holds, err := convert.Convert(condition, cty.Bool)
	if err != nil || holds.IsNull() || !holds.IsKnown() {
		l.add(problem(CodeWrongType, at, "Not a condition", "The condition of a validation is true or false."))
		return false
	}
	if holds.True() {
		return true
	}
	l.add(problem(CodeValidation, v.block.DefRange(), fmt.Sprintf("Invalid value for variable %q", v.name),
		l.validationMessage(content.Attributes["error_message"].Expr, ctx)+" (checked at "+place(at)+")"))
	return false
}

func (l *loader) validationMessage(expr hcl.Expression, ctx *hcl.EvalContext) string {
	message, found := expr.Value(ctx)
	l.add(found...)
	if !found.HasErrors() && !message.ContainsMarked() {
		if text, err := convert.Convert(message, cty.String); err == nil && text.IsKnown() && !text.IsNull() {
			return strings.TrimSpace(text.AsString())
		}
	}
	return "The value is not allowed; its error_message cannot be shown."
}
