package wire

import (
	"context"

	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/schema"
	"github.com/alys-node/alys/sdk/wire/pluginv1"
)

// PluginClient is the common part of a plugin on the host's side: the methods of lifecycle.Plugin, with a context and
// an error on each of them, because a remote call can fail.
type PluginClient struct {
	c   *Client
	rpc pluginv1.PluginClient
}

// Describe asks who the plugin is. A plugin of another kind than the client's is a malformed reply.
func (p *PluginClient) Describe(ctx context.Context) (lifecycle.Description, error) {
	resp, err := invoke(ctx, p.c.at("Describe"), p.rpc.Describe, &pluginv1.DescribeRequest{})
	if err != nil {
		return lifecycle.Description{}, err
	}
	d, err := descriptionFromProto(resp, p.c.kind)
	if err != nil {
		return lifecycle.Description{}, p.c.malformed("Describe", err)
	}
	return d, nil
}

// Schema asks for the shape of the config block.
func (p *PluginClient) Schema(ctx context.Context) (schema.Block, error) {
	resp, err := invoke(ctx, p.c.at("Schema"), p.rpc.Schema, &pluginv1.SchemaRequest{})
	if err != nil {
		return schema.Block{}, err
	}
	b, err := blockFromProto(resp.GetBlock(), 0)
	if err != nil {
		return schema.Block{}, p.c.malformed("Schema", err)
	}
	return b, nil
}

// Validate checks a configuration and tells what the plugin would hold exclusively with it. The resources are those of
// a configuration without errors.
func (p *PluginClient) Validate(ctx context.Context, c lifecycle.Config) (diag.Diagnostics, []lifecycle.Resource, error) {
	resp, err := invoke(ctx, p.c.at("Validate"), p.rpc.Validate, &pluginv1.ValidateRequest{Config: configToProto(c)})
	if err != nil {
		return nil, nil, err
	}
	ds, rs, err := validationFromProto(resp)
	if err != nil {
		return nil, nil, p.c.malformed("Validate", err)
	}
	return ds, rs, nil
}

// Configure brings the plugin up.
func (p *PluginClient) Configure(ctx context.Context, c lifecycle.Config) error {
	_, err := invoke(ctx, p.c.at("Configure"), p.rpc.Configure, &pluginv1.ConfigureRequest{Config: configToProto(c)})
	return err
}

// Health asks for the state.
func (p *PluginClient) Health(ctx context.Context) (lifecycle.Health, error) {
	resp, err := invoke(ctx, p.c.at("Health"), p.rpc.Health, &pluginv1.HealthRequest{})
	if err != nil {
		return lifecycle.Health{}, err
	}
	h, err := healthFromProto(resp)
	if err != nil {
		return lifecycle.Health{}, p.c.malformed("Health", err)
	}
	return h, nil
}

// Drain refuses new work, finishes what runs and flushes.
func (p *PluginClient) Drain(ctx context.Context) error {
	_, err := invoke(ctx, p.c.at("Drain"), p.rpc.Drain, &pluginv1.DrainRequest{})
	return err
}
