package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/schema"
)

// PluginConfig is the value of a block in the forms that its users need.
type PluginConfig struct {
	JSON     []byte      // an object, with sensitive values in clear: for the plugin only
	Redacted []byte      // the same object with "(sensitive)" for every sensitive value: for plans, logs and the journal
	Secrets  []SecretRef // how each covered value is found again: for the journal
}

// String never shows the clear form.
func (c PluginConfig) String() string { return string(c.Redacted) }

// GoString never shows the clear form.
func (c PluginConfig) GoString() string { return string(c.Redacted) }

// MarshalJSON leaves the clear form out.
func (c PluginConfig) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Redacted json.RawMessage `json:"redacted"`
		Secrets  []SecretRef     `json:"secrets"`
	}{c.Redacted, c.Secrets})
}

// UnmarshalJSON reads MarshalJSON's form; the clear form comes back by ResolveSecrets.
func (c *PluginConfig) UnmarshalJSON(b []byte) error {
	var form struct {
		Redacted json.RawMessage `json:"redacted"`
		Secrets  []SecretRef     `json:"secrets"`
	}
	if err := json.Unmarshal(b, &form); err != nil {
		return fmt.Errorf("decode plugin configuration: %w", err)
	}
	*c = PluginConfig{Redacted: form.Redacted, Secrets: form.Secrets}
	return nil
}

func newPluginConfig(value decoded) (PluginConfig, error) {
	clear, err := json.Marshal(value.clear)
	if err != nil {
		return PluginConfig{}, fmt.Errorf("encode block: %w", err)
	}
	redacted, err := json.Marshal(value.redacted)
	if err != nil {
		return PluginConfig{}, fmt.Errorf("encode block: %w", err)
	}
	return PluginConfig{JSON: clear, Redacted: redacted, Secrets: value.secrets}, nil
}

// DecodePlugin evaluates and type-checks a plugin's own config block by the plugin's schema: durations become integer
// milliseconds, sizes integer bytes, paths absolute. Every problem is reported at once, at its place.
func (c *Config) DecodePlugin(id PluginID, s schema.Block) (PluginConfig, Diagnostics) {
	p, ok := c.Plugin(id)
	if !ok {
		return PluginConfig{}, c.sources.finish(hcl.Diagnostics{noPlugin(id)})
	}
	b, err := fromSchema(s)
	if err != nil {
		return PluginConfig{}, c.sources.finish(hcl.Diagnostics{problem(CodePluginSchema, hclRange(p.Range),
			fmt.Sprintf("plugin.%s describes its configuration wrongly", id), err.Error()+". This is a defect of the plugin: tell its author.")})
	}
	d := decoder{src: c.sources, ctx: c.scope.context(), pluginType: newPluginType(), dir: c.Dir, unit: int64(time.Millisecond), public: devChain(c.Chain.Spec)}
	value, found := d.decode(p.config, b)
	if found.HasErrors() {
		return PluginConfig{}, c.sources.finish(found)
	}
	cfg, err := newPluginConfig(value)
	if err != nil {
		found = append(found, problem(CodePluginSchema, hclRange(p.Range), "The block cannot be handed over", err.Error()))
	}
	return cfg, c.sources.finish(found)
}

func noPlugin(id PluginID) *hcl.Diagnostic {
	return problem(CodeUnknownPlugin, hcl.Range{}, "Unknown plugin", fmt.Sprintf("There is no block plugin %q %q.", id.Kind, id.Name))
}

// Bounds of a schema, which comes from a process that is not trusted.
const (
	maxSchemaDepth = 8
	maxSchemaItems = 1000
)

// fromSchema checks a plugin's schema and turns it into a block of the language.
func fromSchema(s schema.Block) (block, error) {
	items := 0
	return convertSchema(s, 0, &items)
}

func convertSchema(s schema.Block, depth int, items *int) (block, error) {
	b := block{name: s.Name, repeated: s.Repeated, required: s.Required, doc: s.Doc}
	if depth > maxSchemaDepth {
		return b, errors.New("blocks are nested too deeply")
	}
	names := map[string]bool{}
	use := func(name string) error {
		*items++
		switch {
		case *items > maxSchemaItems:
			return errors.New("it has too many arguments")
		case !hclsyntax.ValidIdentifier(name):
			return fmt.Errorf("%q is not a name", name)
		case names[name]:
			return fmt.Errorf("%q is there twice", name)
		}
		names[name] = true
		return nil
	}
	for _, a := range s.Attributes {
		if err := use(a.Name); err != nil {
			return b, err
		}
		f := field{Attribute: a}
		if err := checkSchemaAttribute(f); err != nil {
			return b, err
		}
		b.fields = append(b.fields, f)
	}
	for _, nested := range s.Blocks {
		if err := use(nested.Name); err != nil {
			return b, err
		}
		n, err := convertSchema(nested, depth+1, items)
		if err != nil {
			return b, err
		}
		b.blocks = append(b.blocks, n)
	}
	return b, nil
}

func checkSchemaAttribute(f field) error {
	switch f.Type {
	case schema.String, schema.Number, schema.Bool, schema.StringList, schema.StringMap, schema.Duration, schema.Size, schema.Path:
	default:
		return fmt.Errorf("%q has the unknown type %q", f.Name, f.Type)
	}
	if f.Default == "" {
		return nil
	}
	if err := checkDefault(f); err != nil {
		return fmt.Errorf("the default of %q cannot be used: %w", f.Name, err)
	}
	return nil
}

// PluginDiagnostics maps what a plugin found, by attribute path, to the lines of the configuration. A path that leads
// nowhere is shown at the nearest block around it.
func (c *Config) PluginDiagnostics(id PluginID, ds diag.Diagnostics) Diagnostics {
	var found hcl.Diagnostics
	at := func([]string) hcl.Range { return hcl.Range{} }
	if p, ok := c.Plugin(id); ok {
		at = func(path []string) hcl.Range { return locate(p.config, hclRange(p.Range), path) }
	}
	for _, d := range ds {
		one := problem(CodePluginConfig, at(d.Path), d.Summary, d.Detail)
		if d.Severity == diag.Warning {
			one.Severity = hcl.DiagWarning
		}
		if one.Summary == "" {
			one.Summary = fmt.Sprintf("plugin.%s refuses its configuration", id)
		}
		found = append(found, one)
	}
	return c.sources.finish(found)
}

// locate follows a path of names and indexes through a body.
func locate(body *hclsyntax.Body, around hcl.Range, path []string) hcl.Range {
	if len(path) == 0 {
		return around
	}
	if a, ok := body.Attributes[path[0]]; ok {
		return element(a.Expr, path[1:])
	}
	children, rest := childrenOf(body, path[0]), path[1:]
	if len(children) == 0 {
		return around
	}
	i := 0
	if len(rest) > 0 {
		if n, ok := index(rest[0]); ok && n < len(children) {
			i, rest = n, rest[1:]
		}
	}
	return locate(children[i].Body, children[i].DefRange(), rest)
}

// element is a written element of a list or map, or the whole expression.
func element(expr hclsyntax.Expression, path []string) hcl.Range {
	if len(path) == 0 {
		return expr.Range()
	}
	switch e := expr.(type) {
	case *hclsyntax.TupleConsExpr:
		if n, ok := index(path[0]); ok && n < len(e.Exprs) {
			return element(e.Exprs[n], path[1:])
		}
	case *hclsyntax.ObjectConsExpr:
		for _, item := range e.Items {
			if hcl.ExprAsKeyword(item.KeyExpr) == path[0] || literalText(item.KeyExpr) == path[0] {
				return element(item.ValueExpr, path[1:])
			}
		}
	}
	return expr.Range()
}

func literalText(expr hcl.Expression) string {
	v, found := expr.Value(nil)
	if found.HasErrors() || !v.IsKnown() || v.IsNull() || v.Type().FriendlyName() != "string" {
		return ""
	}
	return v.AsString()
}

func index(s string) (int, bool) {
	n := 0
	for _, r := range s {
		if r < '0' || r > '9' || n > 1<<20 {
			return 0, false
		}
		n = n*10 + int(r-'0')
	}
	return n, s != ""
}

// Finding is something that a part of the node has found about a configuration.
type Finding struct {
	Severity diag.Severity
	Code     Code
	At       string // the argument, such as "chain.spec", "role.engine.primary" or "plugin.signer.local"; empty for no place
	Summary  string
	Detail   string
}

// Diagnose gives findings their places in the files.
func (c *Config) Diagnose(fs ...Finding) Diagnostics {
	var found hcl.Diagnostics
	for _, f := range fs {
		d := problem(f.Code, hclRange(c.At(f.At)), f.Summary, f.Detail)
		if f.Severity == diag.Warning {
			d.Severity = hcl.DiagWarning
		}
		found = append(found, d)
	}
	return c.sources.finish(found)
}

// At is the place of an argument or block, such as "chain.spec" or "plugin.signer.local"; of the block around it when it
// is not written; zero when there is none.
func (c *Config) At(path string) Range {
	for path != "" {
		if r, ok := c.ranges[path]; ok {
			return r
		}
		path = path[:max(0, strings.LastIndexByte(path, '.'))]
	}
	return Range{}
}

func decodeJSON(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return dec.Decode(into)
}
