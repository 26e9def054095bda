package config

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/alys-node/alys/sdk/schema"
)

// DecodeBlock reads a file that holds a plugin's own block alone, without a node around it: what stands between the braces
// of config, or that block itself. It is checked and evaluated as DecodePlugin does; there are no variables. An empty path
// is an empty block, which has the schema's defaults.
func DecodeBlock(path string, s schema.Block, opts Options) (PluginConfig, Diagnostics) {
	l := newLoader(opts)
	body, dir := &hclsyntax.Body{}, "."
	if path != "" {
		l.add(l.src.readFile(path)...)
		if l.found.HasErrors() {
			return PluginConfig{}, l.src.finish(l.found)
		}
		body, dir = l.src.bodies[path], filepath.Dir(path)
		if configs := childrenOf(body, "config"); len(configs) == 1 && len(body.Blocks) == 1 && len(body.Attributes) == 0 {
			body = configs[0].Body
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return PluginConfig{}, l.src.finish(hcl.Diagnostics{unreadable(path, err)})
	}
	b, err := fromSchema(s)
	if err != nil {
		return PluginConfig{}, l.src.finish(hcl.Diagnostics{problem(CodePluginSchema, hcl.Range{},
			"The plugin describes its configuration wrongly", err.Error()+". This is a defect of the plugin.")})
	}
	sc := newScope(dir, opts.Env, l.src.learn)
	d := decoder{src: l.src, ctx: sc.context(), pluginType: l.pluginType, dir: dir, unit: int64(time.Millisecond), public: true}
	value, found := d.decode(body, b)
	if found.HasErrors() {
		return PluginConfig{}, l.src.finish(found)
	}
	cfg, err := newPluginConfig(value)
	if err != nil {
		found = append(found, problem(CodePluginSchema, hcl.Range{}, "The block cannot be handed over", fmt.Sprint(err)))
	}
	return cfg, l.src.finish(found)
}
