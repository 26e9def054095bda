package enginetest

import (
	"context"

	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/schema"
)

// Describe implements lifecycle.Plugin.
func (m *Memory) Describe() lifecycle.Description {
	return lifecycle.Description{
		Kind: lifecycle.Engine, Name: "memory", Version: "1.0.0",
		Capabilities: []lifecycle.Capability{lifecycle.CapPool},
	}
}

// Schema implements lifecycle.Plugin: there is nothing to configure.
func (m *Memory) Schema() schema.Block { return schema.Block{Doc: "An engine for tests."} }

// Validate implements lifecycle.Plugin.
func (m *Memory) Validate(_ context.Context, c lifecycle.Config) diag.Diagnostics {
	if err := c.Decode(&struct{}{}); err != nil {
		return diag.Diagnostics{diag.Errorf(nil, "", "%s", err)}
	}
	return nil
}

// Configure implements lifecycle.Plugin: it starts anew at the host's genesis, when the host has one.
func (m *Memory) Configure(ctx context.Context, c lifecycle.Config) error {
	if len(c.JSON) > 0 { // a test may leave the block out
		if err := m.Validate(ctx, c).Err(); err != nil {
			return err
		}
	}
	if len(c.Host.GenesisJSON) == 0 {
		return nil
	}
	return m.reset(c.Host.GenesisJSON)
}

// Health implements lifecycle.Plugin: its progress is the number of blocks.
func (m *Memory) Health(context.Context) (lifecycle.Health, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return lifecycle.Health{State: lifecycle.Ready, Progress: uint64(len(m.blocks))}, nil
}

// Drain implements lifecycle.Plugin.
func (m *Memory) Drain(context.Context) error { return nil }
