package blackboxtest

import (
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/schema"
)

var (
	// semver is the pattern of semver.org, without its groups.
	semver = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)
	// identifier is what names an argument in alys.hcl.
	identifier = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	// secretName is how arguments are named that hold a secret.
	secretName = regexp.MustCompile(`(^|_)(password|passphrase|passwd|pin|secret|token|mnemonic|seed_phrase|private_key|api_key)$`)
)

// checkDescription wants the same words twice from one process and from another.
func checkDescription(c *check) {
	p := c.probe(launch{})
	for range 2 {
		d, err := p.client.Plugin().Describe(c.call())
		if err != nil {
			c.fatal("Describe is answered", "%s; %s", err, p.said())
		}
		if !reflect.DeepEqual(d, c.s.description) {
			c.failed("the same description each time: it depends on nothing but the binary", "%+v, before %+v", d, c.s.description)
		}
	}
	d := c.s.description
	if !semver.MatchString(d.Version) {
		c.failed("a semantic version, such as 1.2.3", "%q", d.Version)
	}
	if strings.TrimSpace(d.Name) != d.Name || strings.ContainsAny(d.Name, "/\\\n\x00") {
		c.failed("a plain name", "%q", d.Name)
	}
	for i, cap := range d.Capabilities {
		if !strings.HasPrefix(string(cap), string(d.Kind)+".") {
			c.failed("capabilities of its own kind ("+string(d.Kind)+".…)", "%q", cap)
		}
		if slices.Contains(d.Capabilities[:i], cap) {
			c.failed("each capability once", "%q twice", cap)
		}
	}
	if d.Kind == lifecycle.Signer && !slices.Contains(d.Capabilities, lifecycle.CapFloor) && !slices.Contains(d.Capabilities, lifecycle.CapGuardBesideKey) {
		c.note("it has neither %s nor %s: the node takes it as a shadow only", lifecycle.CapFloor, lifecycle.CapGuardBesideKey)
	}
}

// checkSchema wants a schema that the node can turn into a block of alys.hcl, a reference page and hints.
func checkSchema(c *check) {
	p := c.probe(launch{})
	again, err := p.client.Plugin().Schema(c.call())
	if err != nil {
		c.fatal("Schema is answered", "%s; %s", err, p.said())
	}
	if !reflect.DeepEqual(again, c.s.schema) {
		c.failed("the same schema each time", "%+v, before %+v", again, c.s.schema)
	}
	c.wantBlock(c.s.schema, "config")
}

func (c *check) wantBlock(b schema.Block, path string) {
	c.Helper()
	for _, a := range b.Attributes {
		at := path + "." + a.Name
		if !identifier.MatchString(a.Name) {
			c.failed("names in lower case with underscores", "%s", at)
		}
		if strings.TrimSpace(a.Doc) == "" {
			c.failed("a sentence on every argument (Doc): it is its reference page and its hint", "none on %s", at)
		}
		if a.Required && a.Default != "" {
			c.failed("a required argument has no default", "%s is required and has the default %s", at, a.Default)
		}
		if a.Type == schema.String && secretName.MatchString(a.Name) && !a.Sensitive {
			c.failed("an argument that holds a secret is sensitive, so that plans, logs and errors never show it", "%s is not", at)
		}
	}
	for _, nested := range b.Blocks {
		if !identifier.MatchString(nested.Name) {
			c.failed("names in lower case with underscores", "%s.%s", path, nested.Name)
		}
		c.wantBlock(nested, path+"."+nested.Name)
	}
}
