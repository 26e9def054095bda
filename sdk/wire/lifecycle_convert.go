package wire

import (
	"errors"
	"fmt"
	"slices"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/schema"
	"github.com/alys-node/alys/sdk/wire/pluginv1"
)

func descriptionToProto(d lifecycle.Description) *pluginv1.DescribeResponse {
	return &pluginv1.DescribeResponse{
		Kind:          string(d.Kind),
		Name:          d.Name,
		Version:       d.Version,
		Capabilities:  each(d.Capabilities, func(c lifecycle.Capability) string { return string(c) }),
		Deterministic: d.Deterministic,
		Network:       d.Network,
	}
}

func descriptionFromProto(m *pluginv1.DescribeResponse, want lifecycle.Kind) (lifecycle.Description, error) {
	d := lifecycle.Description{
		Kind:          lifecycle.Kind(m.GetKind()),
		Name:          m.GetName(),
		Version:       m.GetVersion(),
		Capabilities:  each(m.GetCapabilities(), func(c string) lifecycle.Capability { return lifecycle.Capability(c) }),
		Deterministic: m.GetDeterministic(),
		Network:       m.GetNetwork(),
	}
	err := errors.Join(
		text("name", d.Name, maxName),
		text("version", d.Version, maxName),
		atMost("capabilities", len(d.Capabilities), maxCapabilities),
	)
	for _, c := range d.Capabilities {
		err = errors.Join(err, text("capability", string(c), maxName))
	}
	if d.Kind != want {
		err = errors.Join(err, fmt.Errorf("plugin is of kind %q, want %q", errorText(m.GetKind()), want))
	}
	if d.Name == "" || d.Version == "" {
		err = errors.Join(err, errors.New("name or version is empty"))
	}
	return d, err
}

func blockToProto(b schema.Block) *pluginv1.Block {
	return &pluginv1.Block{
		Name:     b.Name,
		Repeated: b.Repeated,
		Required: b.Required,
		Doc:      b.Doc,
		Attributes: each(b.Attributes, func(a schema.Attribute) *pluginv1.Attribute {
			return &pluginv1.Attribute{
				Name: a.Name, Type: string(a.Type), Required: a.Required,
				Default: a.Default, Sensitive: a.Sensitive, Doc: a.Doc,
			}
		}),
		Blocks: each(b.Blocks, blockToProto),
	}
}

// blockFromProto checks a schema: bounded in depth and size, names present and unique, types known.
func blockFromProto(m *pluginv1.Block, depth int) (schema.Block, error) {
	if m == nil {
		return schema.Block{}, errors.New("schema is missing")
	}
	b := schema.Block{Name: m.GetName(), Repeated: m.GetRepeated(), Required: m.GetRequired(), Doc: m.GetDoc()}
	if err := errors.Join(
		atMost("depth of blocks", depth, maxSchemaDepth),
		atMost("attributes and blocks", len(m.GetAttributes())+len(m.GetBlocks()), maxSchemaItems),
		text("name", b.Name, maxName),
		text("doc", b.Doc, maxText),
	); err != nil {
		return b, err
	}
	names := make(map[string]bool)
	unique := func(name string) error {
		if name == "" || names[name] {
			return fmt.Errorf("name %q is empty or used twice in block %q", name, b.Name)
		}
		names[name] = true
		return nil
	}
	var err error
	b.Attributes, err = convert("attribute", m.GetAttributes(), func(a *pluginv1.Attribute) (schema.Attribute, error) {
		return attributeFromProto(a, unique)
	})
	if err != nil {
		return b, err
	}
	b.Blocks, err = convert("block", m.GetBlocks(), func(child *pluginv1.Block) (schema.Block, error) {
		if err := unique(child.GetName()); err != nil {
			return schema.Block{}, err
		}
		return blockFromProto(child, depth+1)
	})
	return b, err
}

func attributeFromProto(m *pluginv1.Attribute, unique func(string) error) (schema.Attribute, error) {
	a := schema.Attribute{
		Name: m.GetName(), Type: schema.Type(m.GetType()), Required: m.GetRequired(),
		Default: m.GetDefault(), Sensitive: m.GetSensitive(), Doc: m.GetDoc(),
	}
	err := errors.Join(
		text("name", a.Name, maxName),
		text("default", a.Default, maxText),
		text("doc", a.Doc, maxText),
		unique(a.Name),
	)
	known := []schema.Type{
		schema.String, schema.Number, schema.Bool, schema.StringList, schema.StringMap,
		schema.Duration, schema.Size, schema.Path,
	}
	if !slices.Contains(known, a.Type) {
		err = errors.Join(err, fmt.Errorf("attribute %q has the unknown type %q", a.Name, errorText(m.GetType())))
	}
	return a, err
}

func configToProto(c lifecycle.Config) *pluginv1.Config {
	return &pluginv1.Config{
		Json: c.JSON,
		Host: &pluginv1.Host{
			Label:       c.Host.Label,
			Generation:  c.Host.Generation,
			DataDir:     c.Host.DataDir,
			RunDir:      c.Host.RunDir,
			ChainId:     c.Host.ChainID,
			Genesis:     c.Host.Genesis[:],
			GenesisJson: c.Host.GenesisJSON,
		},
	}
}

func configFromProto(m *pluginv1.Config) (lifecycle.Config, error) {
	h := m.GetHost()
	genesis, err := fixedBytes[chain.Hash]("genesis", h.GetGenesis())
	if err != nil {
		return lifecycle.Config{}, err
	}
	return lifecycle.Config{
		JSON: m.GetJson(),
		Host: lifecycle.Host{
			Label:       h.GetLabel(),
			Generation:  h.GetGeneration(),
			DataDir:     h.GetDataDir(),
			RunDir:      h.GetRunDir(),
			ChainID:     h.GetChainId(),
			Genesis:     genesis,
			GenesisJSON: h.GetGenesisJson(),
		},
	}, nil
}

func diagnosticToProto(d diag.Diagnostic) *pluginv1.Diagnostic {
	return &pluginv1.Diagnostic{Severity: uint32(d.Severity), Summary: d.Summary, Detail: d.Detail, Path: d.Path}
}

func diagnosticFromProto(m *pluginv1.Diagnostic) (diag.Diagnostic, error) {
	if s := m.GetSeverity(); s != uint32(diag.Error) && s != uint32(diag.Warning) {
		return diag.Diagnostic{}, fmt.Errorf("severity %d is unknown", s)
	}
	d := diag.Diagnostic{
		Severity: diag.Severity(m.GetSeverity()),
		Summary:  m.GetSummary(), Detail: m.GetDetail(), Path: m.GetPath(),
	}
	return d, errors.Join(
		text("summary", d.Summary, maxText),
		text("detail", d.Detail, maxText),
		atMost("path", len(d.Path), maxPath),
	)
}

func resourceFromProto(m *pluginv1.Resource) (lifecycle.Resource, error) {
	r := lifecycle.Resource{Kind: m.GetKind(), Value: m.GetValue()}
	if !slices.Contains([]string{"path", "port", "token"}, r.Kind) || r.Value == "" {
		return r, fmt.Errorf("resource %q %q is unknown or empty", errorText(r.Kind), errorText(r.Value))
	}
	return r, text("resource", r.Value, maxText)
}

func validationFromProto(m *pluginv1.ValidateResponse) (diag.Diagnostics, []lifecycle.Resource, error) {
	if err := errors.Join(
		atMost("diagnostics", len(m.GetDiagnostics()), maxDiagnostics),
		atMost("resources", len(m.GetResources()), maxResources),
	); err != nil {
		return nil, nil, err
	}
	ds, err := convert("diagnostic", m.GetDiagnostics(), diagnosticFromProto)
	if err != nil {
		return nil, nil, err
	}
	rs, err := convert("resource", m.GetResources(), resourceFromProto)
	return ds, rs, err
}

func healthFromProto(m *pluginv1.HealthResponse) (lifecycle.Health, error) {
	h := lifecycle.Health{State: lifecycle.State(m.GetState()), Message: m.GetMessage(), Progress: m.GetProgress()}
	switch h.State {
	case lifecycle.Starting, lifecycle.Ready, lifecycle.Locked, lifecycle.Degraded, lifecycle.Failed, lifecycle.Draining:
		return h, text("message", h.Message, maxText)
	}
	return h, fmt.Errorf("state %q is unknown", errorText(m.GetState()))
}
