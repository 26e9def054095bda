package config

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/alys-node/alys/sdk/lifecycle"
)

// rawPlugin is a plugin block as it is written; what is nil falls back to the node's swap and restart blocks.
type rawPlugin struct {
	Command        string            `json:"command"`
	Checksum       []string          `json:"checksum"`
	Args           []string          `json:"args"`
	Env            map[string]Secret `json:"env"`
	LogLevel       string            `json:"log_level"`
	StartTimeout   *time.Duration    `json:"start_timeout"`
	HealthInterval *time.Duration    `json:"health_interval"`
	HealthTimeout  *time.Duration    `json:"health_timeout"`
	HealthFailures *int              `json:"health_failures"`
	DrainTimeout   *time.Duration    `json:"drain_timeout"`
	MaxMessage     *Bytes            `json:"max_message"`
	MaxInFlight    *int              `json:"max_in_flight"`
	Restart        *rawRestart       `json:"restart"`
}

type rawRestart struct {
	Initial         *time.Duration `json:"initial"`
	Factor          *float64       `json:"factor"`
	Max             *time.Duration `json:"max"`
	Jitter          *float64       `json:"jitter"`
	ResetAfter      *time.Duration `json:"reset_after"`
	BreakerFailures *int           `json:"breaker_failures"`
	BreakerWindow   *time.Duration `json:"breaker_window"`
	BreakerHalfOpen *time.Duration `json:"breaker_half_open"`
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func (r *rawPlugin) limits(node Limits) Limits {
	set(&node.StartTimeout, r.StartTimeout)
	set(&node.HealthInterval, r.HealthInterval)
	set(&node.HealthTimeout, r.HealthTimeout)
	set(&node.HealthFailures, r.HealthFailures)
	set(&node.DrainTimeout, r.DrainTimeout)
	set(&node.MaxMessage, r.MaxMessage)
	set(&node.MaxInFlight, r.MaxInFlight)
	return node
}

func (r *rawPlugin) restart(node Restart) Restart {
	if r.Restart == nil {
		return node
	}
	set(&node.Initial, r.Restart.Initial)
	set(&node.Factor, r.Restart.Factor)
	set(&node.Max, r.Restart.Max)
	set(&node.Jitter, r.Restart.Jitter)
	set(&node.ResetAfter, r.Restart.ResetAfter)
	set(&node.BreakerFailures, r.Restart.BreakerFailures)
	set(&node.BreakerWindow, r.Restart.BreakerWindow)
	set(&node.BreakerHalfOpen, r.Restart.BreakerHalfOpen)
	return node
}

// loadPlugins decodes every plugin block. A plugin with a good name exists for routes even when its block is wrong.
func (l *loader) loadPlugins() {
	first := map[PluginID]*hclsyntax.Block{}
	for _, b := range l.named("plugin") {
		id, ok := l.pluginID(b)
		if !ok {
			continue
		}
		if earlier, dup := first[id]; dup {
			l.add(duplicate(b, earlier))
			continue
		}
		first[id] = b
		l.cfg.Plugins = append(l.cfg.Plugins, l.loadPlugin(id, b))
	}
}

func (l *loader) pluginID(b *hclsyntax.Block) (PluginID, bool) {
	if len(b.Labels) != 2 {
		l.add(problem(CodeLabels, b.DefRange(), "A plugin block has two labels", "Write it as: plugin \"KIND\" \"NAME\" { … }"))
		return PluginID{}, false
	}
	kind, name := b.Labels[0], b.Labels[1]
	named := l.checkName(name, b.LabelRanges[1])
	if !validKind(kind) {
		l.add(problem(CodeUnknownKind, b.LabelRanges[0], fmt.Sprintf("Unknown kind %q", kind),
			"Kinds are signer, engine and sync."+didYouMean(kind, kindNames())))
		return PluginID{}, false
	}
	return PluginID{Kind: lifecycle.Kind(kind), Name: name}, named
}

func (l *loader) loadPlugin(id PluginID, b *hclsyntax.Block) *Plugin {
	p := &Plugin{ID: id, Range: rangeOf(b.DefRange()), own: b.Body, config: &hclsyntax.Body{SrcRange: b.Body.SrcRange}}
	l.place("plugin."+id.String(), b)
	ctx := l.scope.context()
	l.checkBody(b.Body, l.known(), ctx)
	configs := childrenOf(b.Body, "config")
	for i, c := range configs {
		l.noLabels(c)
		if i > 0 {
			l.add(duplicate(c, configs[0]))
			continue
		}
		p.config = c.Body
		l.guarded["plugin."+id.String()+".config"] = l.evaluate(c.Body, ctx)
	}
	l.loadPluginArguments(p, b, ctx)
	return p
}

func (l *loader) loadPluginArguments(p *Plugin, b *hclsyntax.Block, ctx *hcl.EvalContext) {
	shape := pluginBlock()
	shape.blocks = shape.blocks[:1] // without config, which belongs to the plugin
	value, found := l.decoder(ctx).decode(withoutBlock(b.Body, "config"), shape)
	l.add(found...)
	if value.clear == nil {
		return
	}
	key := "plugin." + p.ID.String()
	l.keep(key, value)
	var raw rawPlugin
	l.fill(key, value, &raw)
	p.Command, p.Checksum, p.Args, p.Env, p.LogLevel = raw.Command, raw.Checksum, raw.Args, raw.Env, raw.LogLevel
	p.Limits, p.Restart = raw.limits(l.cfg.Swap.Limits), raw.restart(l.cfg.Restart)
	p.Block = l.pluginConfig(value)
}

func (l *loader) pluginConfig(value decoded) PluginConfig {
	c, err := newPluginConfig(value)
	if err != nil {
		l.add(problem(CodeInvalidValue, hcl.Range{}, "The plugin block cannot be used", err.Error()))
	}
	return c
}

// withoutBlock is a body without the blocks of a name.
func withoutBlock(body *hclsyntax.Body, name string) *hclsyntax.Body {
	rest := &hclsyntax.Body{Attributes: body.Attributes, SrcRange: body.SrcRange, EndRange: body.EndRange}
	for _, b := range body.Blocks {
		if b.Type != name {
			rest.Blocks = append(rest.Blocks, b)
		}
	}
	return rest
}

// evaluate evaluates a body that has no schema yet, for what is wrong with its expressions, for the hash, and so that
// every file() and env() in it is read now.
func (l *loader) evaluate(body *hclsyntax.Body, ctx *hcl.EvalContext) map[string]any {
	out := map[string]any{}
	for _, name := range sortedNames(body.Attributes) {
		v, found := body.Attributes[name].Expr.Value(ctx)
		l.add(found...)
		if found.HasErrors() {
			continue
		}
		if v.ContainsMarked() {
			l.src.learn(v)
		}
		v, _ = v.UnmarkDeep()
		if v.IsWhollyKnown() {
			if raw, err := (ctyjson.SimpleJSONValue{Value: v}).MarshalJSON(); err == nil {
				out[name] = json.RawMessage(raw)
			}
		}
	}
	for i, b := range body.Blocks {
		out[fmt.Sprintf("%d %s", i, blockTitle(b))] = l.evaluate(b.Body, ctx)
	}
	return out
}
