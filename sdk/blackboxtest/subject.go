package blackboxtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/schema"
	"github.com/alys-node/alys/sdk/wire/pluginv1"
)

// subject is the binary under test and what is known of it.
type subject struct {
	o     Options
	chain lifecycle.Host // what does not depend on the process

	kind        lifecycle.Kind
	description lifecycle.Description
	schema      schema.Block

	unreachable  error  // why there is no handshake as any kind
	unconfigured string // why the configuration is of no use
}

// Description is what a binary says of itself, for a program that wants to know before it runs the suite.
type Description struct {
	Kind         lifecycle.Kind         `json:"kind"`
	Name         string                 `json:"name"`
	Version      string                 `json:"version"`
	Capabilities []lifecycle.Capability `json:"capabilities"`
	Protocol     int                    `json:"protocol"`
	Schema       schema.Block           `json:"schema"`
}

// Describe finds out what a binary is and tells it by the attribute AttrDescribed, as JSON of a Description. A binary
// that is no plugin fails the test.
func Describe(t *testing.T, o Options) {
	t.Helper()
	s := &subject{o: o.withDefaults(), chain: testChain()}
	d, err := s.identify(t)
	if err != nil {
		t.Fatalf("%s", err)
	}
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	t.Attr(AttrDescribed, string(b))
}

func newSubject(t *testing.T, o Options) *subject {
	t.Helper()
	s := &subject{o: o, chain: testChain()}
	if _, s.unreachable = s.identify(t); s.unreachable == nil {
		s.unconfigured = s.findConfig(t)
	}
	return s
}

// testChain is the chain of the suite's own.
func testChain() lifecycle.Host {
	return lifecycle.Host{ChainID: chainID, Genesis: chain.TaggedHash("alys/conformance"), GenesisJSON: genesisJSON()}
}

// identify starts the binary as each kind until it answers as one.
func (s *subject) identify(t testing.TB) (Description, error) {
	t.Helper()
	kinds := lifecycle.Kinds()
	if s.o.Kind != "" {
		kinds = []lifecycle.Kind{s.o.Kind}
	}
	var why error
	for _, kind := range kinds {
		d, err := s.identifyAs(t, kind)
		if err == nil {
			return d, nil
		}
		why = errors.Join(why, fmt.Errorf("as %s: %w", kind, err))
	}
	return Description{}, why
}

func (s *subject) identifyAs(t testing.TB, kind lifecycle.Kind) (Description, error) {
	t.Helper()
	p, err := s.start(t, launch{kind: kind})
	if err != nil {
		return Description{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.o.CallTimeout)
	defer cancel()
	raw, err := pluginv1.NewPluginClient(p.conn).Describe(ctx, &pluginv1.DescribeRequest{})
	if err != nil {
		return Description{}, fmt.Errorf("describe: %w; %s", err, p.said())
	}
	if raw.GetKind() != string(kind) {
		return Description{}, fmt.Errorf("it describes itself as a plugin of kind %q", shorten(raw.GetKind()))
	}
	if s.description, err = p.client.Plugin().Describe(ctx); err != nil {
		return Description{}, err
	}
	if s.schema, err = p.client.Plugin().Schema(ctx); err != nil {
		return Description{}, err
	}
	s.kind = kind
	d := s.description
	return Description{d.Kind, d.Name, d.Version, d.Capabilities, p.version, s.schema}, nil
}

// findConfig says why the block of the options is of no use, or "".
func (s *subject) findConfig(t testing.TB) string {
	t.Helper()
	given := map[string]json.RawMessage{}
	if err := json.Unmarshal(s.o.ConfigJSON, &given); err != nil {
		return fmt.Sprintf("needs config: what was given is not a JSON object: %s", err)
	}
	for _, a := range s.schema.Attributes {
		if _, ok := given[a.Name]; a.Required && !ok {
			return fmt.Sprintf("needs config: the argument %q is required (%s)", a.Name, a.Doc)
		}
	}
	p, err := s.start(t, launch{})
	if err != nil {
		return "it does not start a second time: " + err.Error()
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.o.CallTimeout)
	defer cancel()
	ds, _, err := p.client.Plugin().Validate(ctx, p.config(s.o.ConfigJSON))
	if err == nil {
		err = ds.Err()
	}
	if err != nil {
		return "needs config: the plugin refuses this one: " + err.Error()
	}
	return ""
}

// up starts a configured process.
func (c *check) up(l launch) *plug {
	c.Helper()
	p, h := c.bringUp(l)
	if h.State == lifecycle.Locked {
		c.notRun("needs config: it comes up locked (" + h.Message + "); give a configuration that unlocks it")
	}
	return p
}

// bringUp starts and configures a process, which may be locked afterwards.
func (c *check) bringUp(l launch) (*plug, lifecycle.Health) {
	c.Helper()
	p := c.probe(l)
	ctx, cancel := context.WithTimeout(c.Context(), c.s.o.StartTimeout)
	defer cancel()
	h, err := p.bringUp(ctx, c.s.o.ConfigJSON)
	if err != nil {
		c.fatal("with a valid configuration it comes up: Configure succeeds and Health says ready", "%s", err)
	}
	return p, h
}

// probe starts a process that is not configured.
func (c *check) probe(l launch) *plug {
	c.Helper()
	p, err := c.s.start(c.T, l)
	if err != nil {
		c.fatal("it starts and makes the handshake", "%s", err)
	}
	return p
}

// within gives a context for one call.
func (c *check) within(d time.Duration) context.Context {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), d)
	c.Cleanup(cancel)
	return ctx
}

// call gives a context with the deadline that every call must keep.
func (c *check) call() context.Context {
	c.Helper()
	return c.within(c.s.o.CallTimeout)
}

// wantHealthy wants an answer of health that serves.
func (c *check) wantHealthy(p *plug, when string) {
	c.Helper()
	h, err := p.client.Plugin().Health(c.call())
	if err != nil {
		c.fatal(when+" it is healthy", "Health: %s; %s", err, p.said())
	}
	if h.State != lifecycle.Ready && h.State != lifecycle.Degraded && h.State != lifecycle.Locked {
		c.fatal(when+" it is healthy", "Health: %s %s; %s", h.State, h.Message, p.said())
	}
}
