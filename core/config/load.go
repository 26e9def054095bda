package config

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Options are what a configuration may depend on besides its files.
type Options struct {
	Vars     map[string]string // -var NAME=VALUE; the strongest source
	VarFiles []string          // -var-file, later ones win over earlier ones
	// Env looks up the environment: ALYS_VAR_name and env(). nil is an empty environment.
	Env func(name string) (string, bool)
	// Specs are the names of the built-in chains. When empty, any name is taken and left to the chain to find.
	Specs []string
	// Dev allows plugins without a checksum on any chain. They are always allowed on the chain "dev".
	Dev bool
}

// Load reads a file, or all *.hcl files of a folder as one configuration. It reports every problem at once; the Config
// is nil when one of them is an error.
func Load(path string, opts Options) (*Config, Diagnostics) {
	l := newLoader(opts)
	dir, found := l.src.readPath(path)
	l.add(found...)
	return l.load(path, dir)
}

// LoadBytes is Load for a text that is not in a file: name stands for it in messages, and paths are relative to dir.
func LoadBytes(name, dir string, src []byte, opts Options) (*Config, Diagnostics) {
	l := newLoader(opts)
	l.add(l.src.parse(name, src)...)
	return l.load(name, dir)
}

// Bare is a configuration without any block, for ResolveSecrets when today's alys.hcl cannot be loaded: file() and env()
// work, variables and locals do not exist. dir is the folder of the configuration.
func Bare(dir string, opts Options) *Config {
	l := newLoader(opts)
	return &Config{Dir: dir, scope: newScope(dir, opts.Env, l.src.learn), sources: l.src, ranges: map[string]Range{}}
}

// loader holds what is gathered on the way.
type loader struct {
	opts       Options
	src        *sources
	scope      *scope
	pluginType cty.Type
	cfg        *Config
	found      hcl.Diagnostics
	tainted    map[string][]span
	marked     int
	redacted   map[string]any // values by block, with secrets covered
	guarded    map[string]any // values that enter the hash through a slow derivation
}

func newLoader(opts Options) *loader {
	return &loader{
		opts: opts, src: newSources(), pluginType: newPluginType(), tainted: map[string][]span{},
		redacted: map[string]any{}, guarded: map[string]any{},
	}
}

// maxFindings bounds what one configuration reports: nobody reads on, and a hostile file would fill the memory.
const maxFindings = 500

func (l *loader) add(found ...*hcl.Diagnostic) {
	for _, d := range found {
		if len(l.found) < maxFindings && !l.follows(d) {
			l.found = append(l.found, d)
		}
	}
}

// taint notes an expression whose references are wrong: what the evaluation says about it only repeats that.
func (l *loader) taint(at hcl.Range) {
	if len(l.found) >= maxFindings {
		return // nothing is added any more that could follow from it
	}
	l.tainted[at.Filename] = append(l.tainted[at.Filename], span{at.Start.Byte, at.End.Byte})
}

func (l *loader) follows(d *hcl.Diagnostic) bool {
	if _, ours := d.Extra.(Code); ours || d.Subject == nil {
		return false
	}
	for _, t := range l.tainted[d.Subject.Filename] {
		if t.start <= d.Subject.Start.Byte && d.Subject.End.Byte <= t.end {
			return true
		}
	}
	return false
}

func (l *loader) mark()                 { l.marked = len(l.found) }
func (l *loader) failedSinceMark() bool { return l.found[l.marked:].HasErrors() }

func (l *loader) finish() (*Config, Diagnostics) {
	ds := l.src.finish(l.found)
	if ds.HasErrors() {
		return nil, ds
	}
	return l.cfg, ds
}

// load goes through the language in the order in which things depend on each other.
func (l *loader) load(path, dir string) (*Config, Diagnostics) {
	if l.found.HasErrors() {
		return l.finish() // what is not read or not parsed makes everything else look wrong
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		l.add(unreadable(path, err))
		return l.finish()
	}
	if l.src.blocks() == 0 {
		l.add(problem(CodeEmpty, wholeFile(path), "The configuration is empty", emptyHint))
		return l.finish()
	}
	l.cfg = &Config{Path: path, Dir: abs, ranges: map[string]Range{}, sources: l.src}
	l.scope = newScope(abs, l.opts.Env, l.src.learn)
	l.cfg.scope = l.scope
	l.topLevel()
	l.loadVariables()
	l.loadLocals()
	l.loadBlocks()
	l.loadPlugins()
	l.loadRoutes()
	l.crossChecks()
	l.scope.frozen = true
	if !l.found.HasErrors() {
		l.cfg.seal(l)
	}
	return l.finish()
}

// topLevel reports what may not stand at the top of a file.
func (l *loader) topLevel() {
	names := []string{"variable", "locals"}
	for _, b := range blocks() {
		names = append(names, b.name)
	}
	for _, file := range l.src.order {
		body := l.src.bodies[file]
		for _, name := range sortedNames(body.Attributes) {
			l.add(problem(CodeUnknownKey, body.Attributes[name].NameRange, fmt.Sprintf("Unexpected argument %q", name),
				"Arguments stand inside a block, such as node { … }."+didYouMean(name, names)))
		}
		for _, b := range body.Blocks {
			if !slices.Contains(names, b.Type) {
				l.add(problem(CodeUnknownBlock, b.TypeRange, fmt.Sprintf("Unknown block %q", b.Type), blockHint(b.Type, names)))
			}
		}
	}
}

func blockHint(given string, names []string) string {
	if hint := didYouMean(given, names); hint != "" {
		return "There is no such block." + hint
	}
	return "There is no such block; examples/full.hcl shows them all."
}

// named lists the blocks of a type, in the order of the files.
func (l *loader) named(kind string) []*hclsyntax.Block {
	var out []*hclsyntax.Block
	for _, file := range l.src.order {
		out = append(out, childrenOf(l.src.bodies[file], kind)...)
	}
	return out
}

func (l *loader) noLabels(b *hclsyntax.Block) {
	if len(b.Labels) > 0 {
		l.add(problem(CodeLabels, b.LabelRanges[0], fmt.Sprintf("A %s block has no label", b.Type),
			fmt.Sprintf("Write it as: %s { … }", b.Type)))
	}
}

// oneName checks that a block has one label that may be a name.
func (l *loader) oneName(b *hclsyntax.Block) bool {
	if len(b.Labels) != 1 {
		l.add(problem(CodeLabels, b.DefRange(), fmt.Sprintf("A %s block has one label", b.Type),
			fmt.Sprintf("Write it as: %s \"NAME\" { … }", b.Type)))
		return false
	}
	return l.checkName(b.Labels[0], b.LabelRanges[0])
}

func (l *loader) checkName(name string, at hcl.Range) bool {
	if validName(name) {
		return true
	}
	l.add(problem(CodeInvalidName, at, "The name cannot be used", "A name is "+nameRule+": it becomes part of paths and expressions."))
	return false
}

func duplicate(b, first *hclsyntax.Block) *hcl.Diagnostic {
	return problem(CodeDuplicateBlock, b.DefRange(), fmt.Sprintf("Block %s is there twice", blockTitle(b)),
		"The first is at "+place(first.DefRange())+". Join the two.")
}

func place(r hcl.Range) string { return rangeOf(r).String() }

// known is what expressions outside of routes may refer to.
func (l *loader) known() known {
	return known{vars: mapKeys(l.scope.vars), locals: mapKeys(l.scope.locals)}
}

func (l *loader) decoder(ctx *hcl.EvalContext) *decoder {
	return &decoder{src: l.src, ctx: ctx, pluginType: l.pluginType, dir: l.cfg.Dir, unit: 1, public: devChain(l.cfg.Chain.Spec)}
}
