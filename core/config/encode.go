package config

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/alys-node/alys/sdk/schema"
)

// encoder walks a decoded value beside its block and its body, and makes JSON of it.
type encoder struct {
	*decoder
	found   hcl.Diagnostics
	secrets []SecretRef
}

// block encodes one body. body is nil for a block that is not written.
func (e *encoder) block(v cty.Value, b block, body *hclsyntax.Body, path []string) (clear, redacted map[string]any) {
	clear, redacted = map[string]any{}, map[string]any{}
	for _, f := range b.fields {
		clear[f.Name], redacted[f.Name] = e.field(v.GetAttr(f.Name), f, body, join(path, f.Name))
	}
	for _, nested := range b.blocks {
		children := childrenOf(body, nested.name)
		value := v.GetAttr(nested.name)
		if nested.repeated {
			clear[nested.name], redacted[nested.name] = e.list(value, nested, children, join(path, nested.name))
			continue
		}
		clear[nested.name], redacted[nested.name] = nil, nil
		if !value.IsNull() && len(children) > 0 {
			clear[nested.name], redacted[nested.name] = e.block(value, nested, children[0].Body, join(path, nested.name))
		}
	}
	return clear, redacted
}

func (e *encoder) list(v cty.Value, b block, children []*hclsyntax.Block, path []string) (clear, redacted []any) {
	clear, redacted = []any{}, []any{}
	i := 0
	for it := v.ElementIterator(); it.Next() && i < len(children); i++ {
		_, element := it.Element()
		c, r := e.block(element, b, children[i].Body, join(path, strconv.Itoa(i)))
		for l, label := range b.labels {
			c[label], r[label] = children[i].Labels[l], children[i].Labels[l]
		}
		clear, redacted = append(clear, c), append(redacted, r)
	}
	return clear, redacted
}

func childrenOf(body *hclsyntax.Body, name string) []*hclsyntax.Block {
	var out []*hclsyntax.Block
	if body != nil {
		for _, b := range body.Blocks {
			if b.Type == name {
				out = append(out, b)
			}
		}
	}
	return out
}

func join(path []string, name string) []string {
	return append(append(make([]string, 0, len(path)+1), path...), name)
}

// field encodes one argument, and notes it when it is secret.
func (e *encoder) field(v cty.Value, f field, body *hclsyntax.Body, path []string) (clear, redacted any) {
	var attr *hclsyntax.Attribute
	if body != nil {
		attr = body.Attributes[f.Name]
	}
	secret := f.Sensitive || v.ContainsMarked()
	v, _ = v.UnmarkDeep()
	if v.IsNull() {
		fallback, found := defaultOf(f)
		e.found = append(e.found, found...)
		v, attr, secret = fallback, nil, false
	}
	if v.IsNull() || !v.IsWhollyKnown() {
		return nil, nil
	}
	clear, text := e.value(v, f.Type)
	if text != "" {
		d := bad(CodeInvalidValue, f, text)
		at := attr.Expr.Range()
		d.Subject = &at
		e.found = append(e.found, d)
	}
	if !secret || attr == nil {
		return clear, clear
	}
	e.src.learn(v)
	ref := e.refOf(attr, f.Type, path, clear)
	e.secrets = append(e.secrets, ref)
	if ref.Expr == "" && !e.public && f.Type != schema.StringMap { // a map such as env mostly holds what is no secret
		e.found = append(e.found, warning(CodeLiteralSecret, attr.NameRange, "A secret is written in the configuration",
			fmt.Sprintf("Keep %q elsewhere: file(\"…\"), env(\"…\"), or a variable with sensitive = true.", f.Name)))
	}
	return clear, secretText
}

// defaultOf is the value of an argument that is absent or null.
func defaultOf(f field) (cty.Value, hcl.Diagnostics) {
	null := cty.NullVal(cty.DynamicPseudoType)
	if f.Default == "" {
		return null, nil
	}
	v, found := parseValue(f.Default)
	if found.HasErrors() {
		return null, found
	}
	if want := schemaType(f.Type); want != cty.DynamicPseudoType && !v.IsNull() {
		if converted, err := convert.Convert(v, want); err == nil {
			v = converted
		}
	}
	return v, nil
}

// value encodes a known value by its type. A text says why it cannot be.
func (e *encoder) value(v cty.Value, t schema.Type) (out any, problem string) {
	switch t {
	case schema.Number:
		return json.Number(v.AsBigFloat().Text('f', -1)), ""
	case schema.Bool:
		return v.True(), ""
	case schema.StringList, typeStrings:
		return stringsOf(v), ""
	case schema.StringMap:
		return stringMapOf(v), ""
	case schema.Duration:
		return e.duration(v.AsString())
	case schema.Size:
		n, _ := ParseBytes(v.AsString())
		return int64(n), ""
	case schema.Path:
		return absolute(e.dir, v.AsString()), ""
	case schema.String:
		return v.AsString(), ""
	}
	if id, ok := v.EncapsulatedValue().(*PluginID); ok { // typePlugin
		return id.String(), ""
	}
	return nil, "it has a type that cannot be handed over"
}

func (e *encoder) duration(text string) (any, string) {
	d, _ := ParseDuration(text)
	if int64(d)%e.unit != 0 {
		return nil, "it must be a whole number of " + time.Duration(e.unit).String()
	}
	return int64(d) / e.unit, ""
}

// absolute leaves an empty path empty.
func absolute(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func stringsOf(v cty.Value) []any {
	if list, ok := stringList(v); ok {
		v = list
	}
	out := []any{}
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		out = append(out, e.AsString())
	}
	return out
}

func stringMapOf(v cty.Value) map[string]any {
	out := map[string]any{}
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		out[k.AsString()] = e.AsString()
	}
	return out
}
