package config

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/alys-node/alys/sdk/schema"
)

// SecretRef says how a sensitive value is found again. It holds no secret and may be written to disk.
type SecretRef struct {
	Path []string    `json:"path"` // names and indexes from the block's top
	Type schema.Type `json:"type"`
	// Expr is the expression, such as `file("password.txt")`, `env("PIN")` or `var.token`. It is empty for a secret that
	// is written in the configuration itself: that one is found again at the same place, if it is still the same.
	Expr string `json:"expr,omitempty"`
	// Digest tells whether a written secret is still the same. It is slow to compute, so that it is no help in guessing.
	Digest string `json:"digest,omitempty"`
}

const digestRounds = 20_000

// digest is PBKDF2-HMAC-SHA256 of a secret's JSON, salted with its purpose and path.
func digest(salt string, v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	sum, err := pbkdf2.Key(sha256.New, string(raw), []byte("alys/config/1 "+salt), digestRounds, sha256.Size)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(sum)
}

func (e *encoder) refOf(a *hclsyntax.Attribute, t schema.Type, path []string, clear any) SecretRef {
	ref := SecretRef{Path: path, Type: t}
	if len(literalsOf(a.Expr)) > 0 {
		ref.Digest = digest(strings.Join(path, "."), clear)
		return ref
	}
	src := e.src.bytes[a.SrcRange.Filename]
	r := a.Expr.Range()
	ref.Expr = string(src[r.Start.Byte:r.End.Byte])
	return ref
}

// ResolveRequest asks for the clear form of a journalled block.
type ResolveRequest struct {
	ID     PluginID
	Config PluginConfig // Redacted and Secrets are used
	// Own says that this is the plugin block's own arguments (Plugin.Block), not the nested config block.
	Own bool
}

// ResolveSecrets evaluates the references of a journalled block again and gives its clear form. Unlike everything else
// here it reads files and the environment: that is what it is for. What cannot be found is an error that names the
// argument, never its value.
func (c *Config) ResolveSecrets(r ResolveRequest) ([]byte, Diagnostics) {
	var tree any
	if err := decodeJSON(r.Config.Redacted, &tree); err != nil {
		return nil, c.sources.finish(hcl.Diagnostics{problem(CodeInvalidValue, hcl.Range{},
			fmt.Sprintf("The journalled configuration of plugin.%s cannot be read", r.ID), err.Error())})
	}
	d := decoder{src: c.sources, ctx: c.scope.thawed().context(), dir: c.Dir, unit: int64(time.Millisecond)}
	if r.Own {
		d.unit = 1
	}
	var found hcl.Diagnostics
	for _, ref := range r.Config.Secrets {
		v, problem := c.resolve(&d, r, ref)
		if problem == nil && !put(tree, ref.Path, v) {
			problem = c.unresolved(r.ID, ref, "the journalled block has no such argument")
		}
		if problem != nil {
			found = append(found, problem)
		}
	}
	if found.HasErrors() {
		return nil, c.sources.finish(found)
	}
	clear, err := json.Marshal(tree)
	if err != nil {
		return nil, c.sources.finish(hcl.Diagnostics{problem(CodeInvalidValue, hcl.Range{}, "The block cannot be encoded", err.Error())})
	}
	return clear, nil
}

func (c *Config) unresolved(id PluginID, ref SecretRef, why string) *hcl.Diagnostic {
	return problem(CodeSecretChanged, hcl.Range{}, fmt.Sprintf("A secret of plugin.%s cannot be found again", id),
		fmt.Sprintf("%s: %s.", strings.Join(ref.Path, "."), why))
}

func (c *Config) resolve(d *decoder, r ResolveRequest, ref SecretRef) (any, *hcl.Diagnostic) {
	if ref.Expr == "" {
		return c.resolveWritten(d, r, ref)
	}
	if d := checkNesting("journal", []byte(ref.Expr)); d != nil {
		return nil, c.unresolved(r.ID, ref, "its reference is too long")
	}
	expr, found := hclsyntax.ParseExpression([]byte(ref.Expr), "journal", hcl.InitialPos)
	if found.HasErrors() {
		return nil, c.unresolved(r.ID, ref, "its reference cannot be read")
	}
	return c.evaluate(d, r, ref, expr)
}

func (c *Config) evaluate(d *decoder, r ResolveRequest, ref SecretRef, expr hclsyntax.Expression) (any, *hcl.Diagnostic) {
	v, found := expr.Value(d.ctx)
	if found.HasErrors() {
		return nil, c.unresolved(r.ID, ref, "the reference "+ref.Expr+" cannot be evaluated: "+strings.TrimSuffix(found[0].Detail, "."))
	}
	c.sources.learn(v)
	v, _ = v.UnmarkDeep()
	if want := d.typeOf(ref.Type); want != cty.DynamicPseudoType {
		converted, err := convert.Convert(v, want)
		if err != nil {
			return nil, c.unresolved(r.ID, ref, "it has another type now")
		}
		v = converted
	}
	if v.IsNull() || !v.IsWhollyKnown() || nullElement(v) {
		return nil, c.unresolved(r.ID, ref, "it has no value now")
	}
	if _, text := checkType(ref.Type, v); text != "" {
		return nil, c.unresolved(r.ID, ref, "it has another type now")
	}
	e := encoder{decoder: d}
	clear, text := e.value(v, ref.Type)
	if text != "" {
		return nil, c.unresolved(r.ID, ref, "its value cannot be used now")
	}
	return clear, nil
}

// resolveWritten takes a secret from the place in today's configuration, if it is the one that was journalled.
func (c *Config) resolveWritten(d *decoder, r ResolveRequest, ref SecretRef) (any, *hcl.Diagnostic) {
	p, ok := c.Plugin(r.ID)
	if !ok {
		return nil, c.unresolved(r.ID, ref, "it was written in the configuration, which no longer has this plugin")
	}
	body := p.config
	if r.Own {
		body = p.own
	}
	a := attributeAt(body, ref.Path)
	if a == nil {
		return nil, c.unresolved(r.ID, ref, "it was written in the configuration and is no longer there")
	}
	v, found := c.evaluate(d, r, ref, a.Expr)
	if found != nil {
		return nil, found
	}
	if !hmac.Equal([]byte(digest(strings.Join(ref.Path, "."), v)), []byte(ref.Digest)) {
		return nil, c.unresolved(r.ID, ref, "it was written in the configuration and is another one now")
	}
	return v, nil
}

// attributeAt follows a path to an argument.
func attributeAt(body *hclsyntax.Body, path []string) *hclsyntax.Attribute {
	for len(path) > 1 {
		children := childrenOf(body, path[0])
		path = path[1:]
		n := 0
		if i, ok := index(path[0]); ok {
			n, path = i, path[1:]
		}
		if n >= len(children) || len(path) == 0 {
			return nil
		}
		body = children[n].Body
	}
	if len(path) == 0 {
		return nil
	}
	return body.Attributes[path[0]]
}

// put sets an existing member of a JSON tree.
func put(tree any, path []string, v any) bool {
	for i, name := range path {
		last := i == len(path)-1
		switch node := tree.(type) {
		case map[string]any:
			next, ok := node[name]
			if !ok {
				return false
			}
			if last {
				node[name] = v
				return true
			}
			tree = next
		case []any:
			n, err := strconv.Atoi(name)
			if err != nil || n < 0 || n >= len(node) || last {
				return false
			}
			tree = node[n]
		default:
			return false
		}
	}
	return false
}

// seal computes Redacted and the hash.
func (c *Config) seal(l *loader) {
	redacted, err := json.Marshal(l.redacted)
	if err != nil {
		l.add(problem(CodeInvalidValue, hcl.Range{}, "The configuration cannot be encoded", err.Error()))
		return
	}
	c.Redacted = redacted
	sum := sha256.New()
	sum.Write([]byte("alys/config-hash/1\x00"))
	sum.Write(redacted)
	if len(l.guarded) > 0 {
		sum.Write([]byte("\x00" + digest("hash", l.guarded)))
	}
	c.Hash = hex.EncodeToString(sum.Sum(nil))
}
