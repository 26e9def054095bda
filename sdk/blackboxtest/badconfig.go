package blackboxtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/schema"
)

// badBlock is a block that is wrong, or may be.
type badBlock struct {
	what     string
	json     []byte
	mustFail bool // false: the plugin may find it good
	atPath   bool // what it finds is about an argument, so it names one
}

// maxConfigures bounds how many wrong blocks are tried with Configure, each in a process of its own.
const maxConfigures = 4

// checkBadConfig asks Validate about many wrong blocks. What it refuses, Configure must refuse too.
func checkBadConfig(c *check) {
	p := c.probe(launch{})
	var refused []badBlock
	for _, b := range c.s.badBlocks() {
		ds, _, err := p.client.Plugin().Validate(c.call(), p.config(b.json))
		if err != nil {
			c.fatal("Validate answers "+b.what+" with findings, not with an error of the call", "%s; %s", err, p.said())
		}
		if !ds.HasErrors() {
			if b.mustFail {
				c.failed("Validate finds "+b.what, "no error among its findings: %s", texts(ds))
			}
			continue
		}
		c.wantPaths(b, ds)
		refused = append(refused, b)
	}
	for _, b := range refused[:min(len(refused), maxConfigures)] {
		c.wantNotConfigured(b)
	}
}

// wantPaths wants findings at arguments that the schema has.
func (c *check) wantPaths(b badBlock, ds diag.Diagnostics) {
	c.Helper()
	named := false
	for _, d := range ds {
		if d.Severity != diag.Error {
			continue
		}
		named = named || len(d.Path) > 0
		if strings.TrimSpace(d.Summary) == "" {
			c.failed("each finding says what is wrong", "%s: a finding without a summary", b.what)
		}
		if len(d.Path) > 0 && !inSchema(c.s.schema, d.Path[0]) {
			c.failed("a finding's path begins with an argument or a block of the schema", "%s: %s", b.what, strings.Join(d.Path, "."))
		}
	}
	if b.atPath && !named {
		c.failed("a finding names the argument that it is about (Path), so that the operator is shown the line", "%s: %s", b.what, texts(ds))
	}
}

// wantNotConfigured wants Configure to fail and to leave a process that can be asked, and nothing on disk.
func (c *check) wantNotConfigured(b badBlock) {
	c.Helper()
	p := c.probe(launch{})
	before := snapshot(p.host.DataDir)
	err := p.client.Plugin().Configure(c.within(c.s.o.StartTimeout), p.config(b.json))
	switch {
	case err == nil:
		c.failed("Configure refuses what Validate refuses: "+b.what, "it succeeds")
		return
	case p.exited():
		c.failed("a refused configuration is an error of Configure, and the process stays to be asked", "%s: %s", b.what, p.said())
		return
	}
	h, err := p.client.Plugin().Health(c.call())
	if err != nil || h.State != lifecycle.Failed {
		c.failed("after a refused configuration Health says failed, and why", "%s: %q %v; %s", b.what, h.State, err, p.said())
	}
	if diff := changed(before, snapshot(p.host.DataDir)); diff != "" && b.mustFail {
		c.failed("a refused configuration writes nothing", "%s: %s", b.what, diff)
	}
}

func inSchema(b schema.Block, name string) bool {
	return slices.ContainsFunc(b.Attributes, func(a schema.Attribute) bool { return a.Name == name }) ||
		slices.ContainsFunc(b.Blocks, func(n schema.Block) bool { return n.Name == name })
}

func texts(ds diag.Diagnostics) string {
	if len(ds) == 0 {
		return "no finding"
	}
	var out []string
	for _, d := range ds {
		out = append(out, d.String())
	}
	return strings.Join(out, "; ")
}

// badBlocks are wrong blocks, made from the good one where there is one.
func (s *subject) badBlocks() []badBlock {
	good := map[string]json.RawMessage{}
	if json.Unmarshal(s.o.ConfigJSON, &good) != nil {
		good = map[string]json.RawMessage{}
	}
	with := func(name, value string) []byte {
		b := maps.Clone(good)
		b[name] = json.RawMessage(value)
		return must(json.Marshal(b))
	}
	out := []badBlock{
		{what: "a block that has an argument too many", json: with("no_such_argument", "1"), mustFail: true},
		{what: "a block that is not an object", json: []byte(`["a list"]`), mustFail: true},
		{what: "a block that is cut off", json: []byte(`{"a":`), mustFail: true},
	}
	for _, a := range s.schema.Attributes {
		if a.Required {
			b := maps.Clone(good)
			delete(b, a.Name)
			what := fmt.Sprintf("a block without the required argument %q", a.Name)
			out = append(out, badBlock{what: what, json: must(json.Marshal(b)), mustFail: true, atPath: true})
		}
		out = append(out, badBlock{what: fmt.Sprintf("%q of the wrong type", a.Name), json: with(a.Name, wrongType(a.Type)), mustFail: true})
	}
	if s.unconfigured != "" {
		return out // without a good block the wrong value of one argument is not all that is wrong
	}
	for _, a := range s.schema.Attributes {
		for _, v := range extremes(a.Type) {
			what := fmt.Sprintf("%q with the value %s", a.Name, v)
			out = append(out, badBlock{what: what, json: with(a.Name, v), atPath: true})
		}
	}
	return out
}

// wrongType is a JSON value that no argument of the type has.
func wrongType(t schema.Type) string {
	switch t {
	case schema.StringList, schema.StringMap, schema.Number, schema.Bool, schema.Duration, schema.Size:
		return `"a text"`
	case schema.String, schema.Path:
	}
	return `{"an": ["object"]}`
}

// extremes are values of the right type that few plugins can use. One that can may.
func extremes(t schema.Type) []string {
	switch t {
	case schema.Number:
		return []string{"-1", "0", "0.5", "1e300"}
	case schema.Duration, schema.Size:
		return []string{"-1", "9223372036854775807"}
	case schema.String:
		return []string{`""`, `"\u0000"`, `"no such choice"`}
	case schema.Path:
		return []string{`""`, `"/dev/null/nothing/is/here"`}
	case schema.StringList:
		return []string{`[""]`}
	case schema.StringMap:
		return []string{`{"":""}`}
	case schema.Bool:
	}
	return nil
}
