package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/host"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/schema"
	"github.com/alys-node/alys/sdk/wire"
)

// Inspection is what a plugin's program says of itself.
type Inspection struct {
	ID            string         `json:"id,omitempty"` // KIND.NAME in alys.hcl; empty for a program that was named by its path
	Command       string         `json:"command"`
	Digest        string         `json:"digest"` // "sha256:HEX"
	Kind          lifecycle.Kind `json:"kind"`
	Name          string         `json:"name"` // the implementation's own
	Version       string         `json:"version"`
	Protocol      int            `json:"protocol"` // what plugin and host have agreed on
	Capabilities  []string       `json:"capabilities"`
	Deterministic bool           `json:"deterministic"`
	Network       bool           `json:"network"`
	Schema        SchemaBlock    `json:"schema"`
}

// SchemaBlock is a block that a plugin takes; the outermost is its config block, without a name.
type SchemaBlock struct {
	Name       string            `json:"name,omitempty"`
	Repeated   bool              `json:"repeated"`
	Required   bool              `json:"required"`
	Doc        string            `json:"doc"`
	Attributes []SchemaAttribute `json:"attributes"`
	Blocks     []SchemaBlock     `json:"blocks"`
}

// SchemaAttribute is one argument of a block.
type SchemaAttribute struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	Required  bool   `json:"required"`
	Default   string `json:"default"` // an HCL expression; empty means none
	Sensitive bool   `json:"sensitive"`
	Doc       string `json:"doc"`
}

// InspectFile starts a program as a probe, which is asked questions and never configured, on a data folder of its own that
// is removed afterwards. What kind it is, is tried. It gets no environment.
func InspectFile(ctx context.Context, path string) (Inspection, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Inspection{}, fmt.Errorf("find %s: %w", path, err)
	}
	dir, err := os.MkdirTemp("", "alys-inspect-")
	if err != nil {
		return Inspection{}, fmt.Errorf("make a folder to run it from: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder in the temporary one
	h, err := host.New(host.Config{DataDir: dir, PluginDir: filepath.Dir(path)})
	if err != nil {
		return Inspection{}, fmt.Errorf("run it from the temporary folder (TMPDIR names another): %w", err)
	}
	defer h.Close() //nolint:errcheck // only its probes' folders are left to remove
	for _, kind := range lifecycle.Kinds() {
		var in Inspection
		in, err = inspect(ctx, h, host.Block{Kind: kind, Label: "inspected", Command: path})
		if err == nil {
			return in, nil
		}
		if !errors.Is(err, host.ErrWrongKind) {
			break
		}
	}
	if e, ok := errors.AsType[*host.Error](err); ok {
		e.Kind, e.Label = "", "" // no block names it
	}
	return Inspection{}, fmt.Errorf("%s: %w", path, err)
}

// InspectPlugin is InspectFile for a plugin block, with its environment. A pin that does not match is an error; a missing
// one is not.
func InspectPlugin(ctx context.Context, c *config.Config, p *config.Plugin) (Inspection, error) {
	h, err := proberHost(c)
	if err != nil {
		return Inspection{}, err
	}
	defer h.Close() //nolint:errcheck // only its probes' folders are left to remove
	in, err := inspect(ctx, h, hostBlock(p))
	in.ID = p.ID.String()
	return in, err
}

// inspect asks one program.
func inspect(ctx context.Context, h *host.Host, b host.Block) (Inspection, error) {
	probe, err := h.Probe(ctx, b)
	if err != nil {
		return Inspection{}, err
	}
	defer probe.Close() //nolint:errcheck // it is only ended
	d := probe.Description
	in := Inspection{
		Command: b.Command, Digest: string(probe.Digest), Kind: d.Kind, Name: d.Name, Version: d.Version,
		Protocol: wire.ProtocolVersion, Capabilities: []string{}, Deterministic: d.Deterministic, Network: d.Network,
		Schema: schemaBlock(probe.Schema),
	}
	for _, capability := range d.Capabilities {
		in.Capabilities = append(in.Capabilities, string(capability))
	}
	return in, nil
}

func schemaBlock(b schema.Block) SchemaBlock {
	out := SchemaBlock{
		Name: b.Name, Repeated: b.Repeated, Required: b.Required, Doc: b.Doc,
		Attributes: []SchemaAttribute{}, Blocks: []SchemaBlock{},
	}
	for _, a := range b.Attributes {
		out.Attributes = append(out.Attributes, SchemaAttribute{
			Name: a.Name, Type: string(a.Type), Required: a.Required, Default: a.Default, Sensitive: a.Sensitive, Doc: a.Doc,
		})
	}
	for _, child := range b.Blocks {
		out.Blocks = append(out.Blocks, schemaBlock(child))
	}
	return out
}
