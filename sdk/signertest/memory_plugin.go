package signertest

import (
	"context"
	"fmt"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/schema"
	"github.com/alys-node/alys/sdk/signer"
)

// Describe implements lifecycle.Plugin.
func (m *Memory) Describe() lifecycle.Description {
	return lifecycle.Description{
		Kind: lifecycle.Signer, Name: "memory", Version: "1.0.0", Deterministic: true,
		Capabilities: []lifecycle.Capability{
			lifecycle.CapBatch, lifecycle.CapFloor, lifecycle.CapEvents, lifecycle.CapKeyAdmin, lifecycle.CapUpdates,
		},
	}
}

// memoryConfig is Memory's config block.
type memoryConfig struct {
	Seeds []string `json:"seeds"`
}

// Schema implements lifecycle.Plugin.
func (m *Memory) Schema() schema.Block {
	return schema.Block{
		Doc: "A signer for tests: its keys are derived from seeds.",
		Attributes: []schema.Attribute{
			{Name: "seeds", Type: schema.StringList, Doc: "Texts; each gives an approval key and a Bitcoin key."},
		},
	}
}

// Validate implements lifecycle.Plugin.
func (m *Memory) Validate(_ context.Context, c lifecycle.Config) diag.Diagnostics {
	var cfg memoryConfig
	if err := c.Decode(&cfg); err != nil {
		return diag.Diagnostics{diag.Errorf(nil, "", "%s", err)}
	}
	for i, seed := range cfg.Seeds {
		if seed == "" {
			path := []string{"seeds", fmt.Sprint(i)}
			return diag.Diagnostics{diag.Errorf(path, "Give any text.", "a seed is empty")}
		}
	}
	return nil
}

// Configure implements lifecycle.Plugin: it adds the configured seeds, and takes the host's genesis when it has one.
func (m *Memory) Configure(_ context.Context, c lifecycle.Config) error {
	var cfg memoryConfig
	if err := c.Decode(&cfg); err != nil {
		return err
	}
	for _, seed := range cfg.Seeds {
		m.AddSeed(seed)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.Host.Genesis != (chain.Hash{}) {
		m.genesis = c.Host.Genesis
	}
	return nil
}

// Health implements lifecycle.Plugin.
func (m *Memory) Health(context.Context) (lifecycle.Health, error) {
	return lifecycle.Health{State: lifecycle.Ready}, nil
}

// Drain implements lifecycle.Plugin.
func (m *Memory) Drain(context.Context) error { return nil }

// Emit gives an event to Watch. It stays until a handler took it without error.
func (m *Memory) Emit(e signer.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e)
	close(m.changed)
	m.changed = make(chan struct{})
}

// Watch implements signer.SignerWithEvents. Several watchers share the events.
func (m *Memory) Watch(ctx context.Context, handle func(context.Context, signer.Event) error) error {
	for {
		m.mu.Lock()
		changed := m.changed
		var next *signer.Event
		if len(m.events) > 0 {
			e := m.events[0]
			next = &e
		}
		m.mu.Unlock()
		if next == nil {
			select {
			case <-changed:
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		if err := handle(ctx, *next); err != nil {
			return err
		}
		m.mu.Lock()
		if len(m.events) > 0 && m.events[0].ID == next.ID {
			m.events = m.events[1:]
		}
		m.mu.Unlock()
	}
}
