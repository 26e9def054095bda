package executor

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/plugins/internal/external"
	"github.com/alys-node/alys/plugins/internal/geth"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// Variant is what one engine plugin has of its own.
type Variant struct {
	Name string         // "v5"
	Last execution.Fork // the last fork that it executes
}

// Plugin is an engine plugin. Before Configure it holds nothing.
type Plugin struct {
	variant Variant
	log     hclog.Logger

	mu       sync.RWMutex // guards the rest
	engine   backend      // nil before Configure
	draining bool
}

// backend is what executes: the embedded geth or an external client.
type backend interface {
	engine.Engine
	engine.EngineWithPool
	Health() lifecycle.Health
	Close() error
}

var (
	_ lifecycle.Plugin              = (*Plugin)(nil)
	_ lifecycle.PluginWithResources = (*Plugin)(nil)
	_ engine.Engine                 = (*Plugin)(nil)
	_ engine.EngineWithPool         = (*Plugin)(nil)
)

// New makes a plugin that waits for Configure.
func New(v Variant, log hclog.Logger) *Plugin { return &Plugin{variant: v, log: log} }

// Describe implements lifecycle.Plugin.
func (p *Plugin) Describe() lifecycle.Description {
	return lifecycle.Description{
		Kind: lifecycle.Engine, Name: p.variant.Name, Version: "0.1.0",
		Capabilities: []lifecycle.Capability{lifecycle.CapPool},
	}
}

// Configure implements lifecycle.Plugin.
func (p *Plugin) Configure(ctx context.Context, c lifecycle.Config) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.draining:
		return lifecycle.ErrDraining
	case p.engine != nil:
		return lifecycle.ErrConfigured
	}
	s, g, err := p.load(c)
	if err != nil {
		return err
	}
	if s.external() {
		e, err := external.Open(ctx, s.externalConfig(g, c.Host), p.log)
		if err != nil {
			return err
		}
		p.engine = e
		return nil
	}
	conf := s.embeddedConfig(g, c.Host)
	conf.Name = "alys/engine-" + p.variant.Name
	e, err := geth.Open(conf, p.log)
	if err != nil {
		return err
	}
	p.engine = e
	return nil
}

// Health implements lifecycle.Plugin.
func (p *Plugin) Health(context.Context) (lifecycle.Health, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	switch {
	case p.draining:
		return lifecycle.Health{State: lifecycle.Draining}, nil
	case p.engine == nil:
		return lifecycle.Health{State: lifecycle.Starting, Message: "not configured"}, nil
	}
	return p.engine.Health(), nil
}

// Drain implements lifecycle.Plugin: it waits for running calls and closes the engine. An embedded geth writes the
// head's state; an external client goes on without us.
func (p *Plugin) Drain(ctx context.Context) error {
	p.mu.Lock()
	p.draining = true
	e := p.engine
	p.mu.Unlock()
	if e == nil {
		return nil
	}
	closed := make(chan error, 1)
	go func() { closed <- e.Close() }()
	select {
	case err := <-closed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("close engine: %w", ctx.Err())
	}
}

// serving is the engine that answers calls.
func (p *Plugin) serving() (backend, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	switch {
	case p.draining:
		return nil, lifecycle.ErrDraining
	case p.engine == nil:
		return nil, lifecycle.ErrNotConfigured
	}
	return p.engine, nil
}

// Status implements engine.Engine.
func (p *Plugin) Status(ctx context.Context) (engine.Status, error) {
	e, err := p.serving()
	if err != nil {
		return engine.Status{}, err
	}
	return e.Status(ctx)
}

// Build implements engine.Engine.
func (p *Plugin) Build(ctx context.Context, r engine.BuildRequest) (chain.ExecutionData, error) {
	e, err := p.serving()
	if err != nil {
		return chain.ExecutionData{}, err
	}
	return e.Build(ctx, r)
}

// Import implements engine.Engine.
func (p *Plugin) Import(ctx context.Context, r engine.ImportRequest) (engine.ImportResult, error) {
	e, err := p.serving()
	if err != nil {
		return engine.ImportResult{}, err
	}
	return e.Import(ctx, r)
}

// Payloads implements engine.Engine.
func (p *Plugin) Payloads(ctx context.Context, hashes []chain.Hash) ([]*chain.ExecutionData, error) {
	e, err := p.serving()
	if err != nil {
		return nil, err
	}
	return e.Payloads(ctx, hashes)
}

// Receipts implements engine.Engine.
func (p *Plugin) Receipts(ctx context.Context, hash chain.Hash) ([]chain.Receipt, error) {
	e, err := p.serving()
	if err != nil {
		return nil, err
	}
	return e.Receipts(ctx, hash)
}

// AddTransactions implements engine.EngineWithPool.
func (p *Plugin) AddTransactions(ctx context.Context, txs [][]byte) ([]engine.AddResult, error) {
	e, err := p.serving()
	if err != nil {
		return nil, err
	}
	return e.AddTransactions(ctx, txs)
}

// PendingTransactions implements engine.EngineWithPool.
func (p *Plugin) PendingTransactions(ctx context.Context, limit int) ([][]byte, error) {
	e, err := p.serving()
	if err != nil {
		return nil, err
	}
	return e.PendingTransactions(ctx, limit)
}
