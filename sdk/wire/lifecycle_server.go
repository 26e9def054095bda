package wire

import (
	"context"
	"fmt"

	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/wire/pluginv1"
)

// pluginServer serves the common part of a plugin.
type pluginServer struct {
	pluginv1.UnimplementedPluginServer
	p lifecycle.Plugin
}

func (s *pluginServer) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	return descriptionToProto(s.p.Describe()), nil
}

func (s *pluginServer) Schema(context.Context, *pluginv1.SchemaRequest) (*pluginv1.SchemaResponse, error) {
	return &pluginv1.SchemaResponse{Block: blockToProto(s.p.Schema())}, nil
}

func (s *pluginServer) Validate(ctx context.Context, r *pluginv1.ValidateRequest) (*pluginv1.ValidateResponse, error) {
	c, err := configFromProto(r.GetConfig())
	if err != nil {
		return nil, badRequest(err)
	}
	ds := s.p.Validate(ctx, c)
	resp := &pluginv1.ValidateResponse{}
	if claimer, ok := s.p.(lifecycle.PluginWithResources); ok && !ds.HasErrors() {
		rs, err := claimer.Resources(ctx, c)
		if err != nil {
			ds = append(ds, diag.Errorf(nil, "", "%s", fmt.Errorf("list exclusive resources: %w", err)))
		}
		resp.Resources = each(rs, func(r lifecycle.Resource) *pluginv1.Resource {
			return &pluginv1.Resource{Kind: r.Kind, Value: r.Value}
		})
	}
	resp.Diagnostics = each(ds, diagnosticToProto)
	return resp, nil
}

func (s *pluginServer) Configure(ctx context.Context, r *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	c, err := configFromProto(r.GetConfig())
	if err != nil {
		return nil, badRequest(err)
	}
	if err := s.p.Configure(ctx, c); err != nil {
		return nil, EncodeError(err)
	}
	return &pluginv1.ConfigureResponse{}, nil
}

func (s *pluginServer) Health(ctx context.Context, _ *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	h, err := s.p.Health(ctx)
	if err != nil {
		return nil, EncodeError(err)
	}
	return &pluginv1.HealthResponse{State: string(h.State), Message: h.Message, Progress: h.Progress}, nil
}

func (s *pluginServer) Drain(ctx context.Context, _ *pluginv1.DrainRequest) (*pluginv1.DrainResponse, error) {
	if err := s.p.Drain(ctx); err != nil {
		return nil, EncodeError(err)
	}
	return &pluginv1.DrainResponse{}, nil
}
