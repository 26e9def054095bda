package config

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/alys-node/alys/sdk/schema"
)

// pluginType is the type of plugin.KIND.NAME in an expression.
func newPluginType() cty.Type { return cty.Capsule("plugin", reflect.TypeFor[PluginID]()) }

// decoder evaluates bodies by the language's blocks or a plugin's schema.
type decoder struct {
	src        *sources
	ctx        *hcl.EvalContext
	pluginType cty.Type
	dir        string
	unit       int64 // nanoseconds that a duration is handed over in
	public     bool  // the dev chain: its secrets are no secrets, and nobody is warned that they are written down
}

// decoded is the value of a body in the three forms that are needed. They are nil when the diagnostics hold errors.
type decoded struct {
	clear    map[string]any // as JSON, with secrets
	redacted map[string]any // as JSON, with a placeholder for secrets
	secrets  []SecretRef
}

// decode checks a body against a block, all of it, and gives its value.
func (d *decoder) decode(body *hclsyntax.Body, b block) (decoded, hcl.Diagnostics) {
	d.hideSensitive(body, b)
	value, found := hcldec.Decode(body, d.spec(b), d.ctx)
	found = append(structure(body, b), withoutStructure(found)...)
	if found.HasErrors() {
		return decoded{}, found
	}
	e := encoder{decoder: d}
	clear, redacted := e.block(value, b, body, nil)
	found = append(found, e.found...)
	if found.HasErrors() {
		return decoded{}, found
	}
	return decoded{clear: clear, redacted: redacted, secrets: e.secrets}, found
}

const nullSummary = "Value is null"

func nullValue(f field) *hcl.Diagnostic {
	d := bad(CodeInvalidValue, f, "it must not be null")
	d.Summary = nullSummary
	return d
}

// withoutStructure drops what structure has said already, and better.
func withoutStructure(found hcl.Diagnostics) hcl.Diagnostics {
	missing := map[hcl.Range]bool{}
	var kept, out hcl.Diagnostics
	for _, d := range found {
		switch d.Summary {
		case "Unsupported argument", "Unsupported block type":
		case "Missing required argument":
			missing[*d.Subject] = true
		default:
			kept = append(kept, d)
		}
	}
	for _, d := range kept {
		if d.Summary != nullSummary || !missing[*d.Subject] {
			out = append(out, d)
		}
	}
	return out
}

// hideSensitive covers what is written for sensitive arguments, before anything can be said about it.
func (d *decoder) hideSensitive(body *hclsyntax.Body, b block) {
	for _, f := range b.fields {
		if a, ok := body.Attributes[f.Name]; ok && f.Sensitive {
			d.src.hideLiterals(a.Expr)
			d.src.keepQuiet(a.Expr.Range())
		}
	}
	for _, nested := range b.blocks {
		for _, child := range body.Blocks {
			if child.Type == nested.name {
				d.hideSensitive(child.Body, nested)
			}
		}
	}
}

// spec is the block in hcldec's terms.
func (d *decoder) spec(b block) hcldec.ObjectSpec {
	spec := hcldec.ObjectSpec{}
	for _, f := range b.fields {
		spec[f.Name] = d.fieldSpec(f)
	}
	for _, nested := range b.blocks {
		spec[nested.name] = d.blockSpec(nested)
	}
	return spec
}

func (d *decoder) blockSpec(b block) hcldec.Spec {
	inner := d.spec(b)
	for i, label := range b.labels {
		inner[label] = &hcldec.BlockLabelSpec{Index: i, Name: label}
	}
	if !b.repeated {
		return &hcldec.BlockSpec{TypeName: b.name, Nested: inner, Required: b.required}
	}
	least := 0
	if b.required {
		least = 1
	}
	return &hcldec.BlockTupleSpec{TypeName: b.name, Nested: inner, MinItems: least}
}

func (d *decoder) fieldSpec(f field) hcldec.Spec {
	return &hcldec.ValidateSpec{
		Wrapped: &hcldec.AttrSpec{Name: f.Name, Type: d.typeOf(f.Type), Required: f.Required},
		Func:    func(v cty.Value) hcl.Diagnostics { return validateField(f, v) },
	}
}

func (d *decoder) typeOf(t schema.Type) cty.Type {
	if t == typePlugin {
		return d.pluginType
	}
	return schemaType(t)
}

// schemaType is what an argument of a type is written as; any type for what is a string or a list.
func schemaType(t schema.Type) cty.Type {
	switch t {
	case schema.Number:
		return cty.Number
	case schema.Bool:
		return cty.Bool
	case schema.StringList:
		return cty.List(cty.String)
	case schema.StringMap:
		return cty.Map(cty.String)
	case schema.String, schema.Duration, schema.Size, schema.Path:
		return cty.String
	}
	return cty.DynamicPseudoType
}

// validateField applies the rules of the type and of the argument. The message never repeats the value.
func validateField(f field, v cty.Value) hcl.Diagnostics {
	secret := f.Sensitive || v.ContainsMarked()
	v, _ = v.UnmarkDeep()
	if v.IsNull() {
		if f.Required {
			return hcl.Diagnostics{nullValue(f)}
		}
		return nil
	}
	if !v.IsWhollyKnown() {
		return nil
	}
	if f.Type == typeStrings {
		if _, ok := stringList(v); !ok {
			return hcl.Diagnostics{bad(CodeWrongType, f, "it is a string or a list of strings")}
		}
	}
	if nullElement(v) {
		return hcl.Diagnostics{bad(CodeInvalidValue, f, "its elements must not be null")}
	}
	if code, text := checkType(f.Type, v); text != "" {
		return hcl.Diagnostics{bad(code, f, text)}
	}
	if f.check != nil {
		if text := f.check(v); text != "" {
			if secret {
				text = "it is not what this argument takes; it is sensitive, so no more is said"
			}
			return hcl.Diagnostics{bad(CodeInvalidValue, f, text)}
		}
	}
	return nil
}

func nullElement(v cty.Value) bool {
	if !v.CanIterateElements() {
		return false
	}
	for it := v.ElementIterator(); it.Next(); {
		if _, e := it.Element(); e.IsNull() {
			return true
		}
	}
	return false
}

func checkType(t schema.Type, v cty.Value) (Code, string) {
	if t == schema.Duration {
		if _, err := ParseDuration(v.AsString()); err != nil {
			return CodeWrongType, err.Error()
		}
	}
	if t == schema.Size {
		if _, err := ParseBytes(v.AsString()); err != nil {
			return CodeWrongType, err.Error()
		}
	}
	return "", ""
}

// bad has no subject: hcldec adds the argument's place.
func bad(code Code, f field, text string) *hcl.Diagnostic {
	detail := fmt.Sprintf("%q cannot be used as it is: %s", f.Name, text)
	if last := detail[len(detail)-1]; last != '.' && last != '?' {
		detail += "."
	}
	summary := "Invalid value"
	if code == CodeWrongType {
		summary = "Wrong type of value"
	}
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Extra: code}
}

// stringList makes a list of a string, a list or a tuple of strings.
func stringList(v cty.Value) (cty.Value, bool) {
	if v.Type() == cty.String {
		return cty.ListVal([]cty.Value{v}), true
	}
	if !v.CanIterateElements() || v.Type().IsMapType() || v.Type().IsObjectType() {
		return cty.NilVal, false
	}
	var out []cty.Value
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		if e.Type() != cty.String || e.IsNull() {
			return cty.NilVal, false
		}
		out = append(out, e)
	}
	if len(out) == 0 {
		return cty.ListValEmpty(cty.String), true
	}
	return cty.ListVal(out), true
}

// checkDefault says why a schema's default does not fit its own type.
func checkDefault(f field) error {
	v, found := defaultOf(f)
	if found.HasErrors() {
		return fmt.Errorf("%q is not a constant expression", f.Default)
	}
	if v.IsNull() {
		return nil
	}
	v, err := convert.Convert(v, schemaType(f.Type))
	if err != nil {
		return err
	}
	if nullElement(v) || !v.IsWhollyKnown() {
		return errors.New("its elements must not be null")
	}
	if _, text := checkType(f.Type, v); text != "" {
		return errors.New(text)
	}
	return nil
}
