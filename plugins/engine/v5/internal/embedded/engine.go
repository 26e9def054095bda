// Package embedded is the engine plugin around an embedded geth: settings, lifecycle, and the contract of sdk/engine
// passed through.
package embedded

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/internal/geth"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// Engine is the plugin. Before Configure it holds nothing.
type Engine struct {
	log hclog.Logger

	mu       sync.RWMutex // guards the rest
	geth     *geth.Engine // nil before Configure
	draining bool
}

var (
	_ lifecycle.Plugin              = (*Engine)(nil)
	_ lifecycle.PluginWithResources = (*Engine)(nil)
	_ engine.Engine                 = (*Engine)(nil)
	_ engine.EngineWithPool         = (*Engine)(nil)
)

// New makes a plugin that waits for Configure.
func New(log hclog.Logger) *Engine { return &Engine{log: log} }

// Describe implements lifecycle.Plugin.
func (*Engine) Describe() lifecycle.Description {
	return lifecycle.Description{
		Kind: lifecycle.Engine, Name: "v5", Version: "0.1.0",
		Capabilities: []lifecycle.Capability{lifecycle.CapPool},
	}
}

// Configure implements lifecycle.Plugin.
func (e *Engine) Configure(_ context.Context, c lifecycle.Config) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.draining:
		return lifecycle.ErrDraining
	case e.geth != nil:
		return lifecycle.ErrConfigured
	}
	conf, err := load(c)
	if err != nil {
		return err
	}
	e.geth, err = geth.Open(conf, e.log)
	return err
}

// Health implements lifecycle.Plugin.
func (e *Engine) Health(context.Context) (lifecycle.Health, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	switch {
	case e.draining:
		return lifecycle.Health{State: lifecycle.Draining}, nil
	case e.geth == nil:
		return lifecycle.Health{State: lifecycle.Starting, Message: "not configured"}, nil
	}
	h := lifecycle.Health{State: lifecycle.Ready, Progress: e.geth.Progress()}
	if err := e.geth.Check(); err != nil {
		h.State, h.Message = lifecycle.Failed, err.Error()
	}
	return h, nil
}

// Drain implements lifecycle.Plugin: it waits for running calls and closes geth, which writes the head's state.
func (e *Engine) Drain(ctx context.Context) error {
	e.mu.Lock()
	e.draining = true
	g := e.geth
	e.mu.Unlock()
	if g == nil {
		return nil
	}
	closed := make(chan error, 1)
	go func() { closed <- g.Close() }()
	select {
	case err := <-closed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("close geth: %w", ctx.Err())
	}
}

// serving is the engine that answers calls.
func (e *Engine) serving() (*geth.Engine, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	switch {
	case e.draining:
		return nil, lifecycle.ErrDraining
	case e.geth == nil:
		return nil, lifecycle.ErrNotConfigured
	}
	return e.geth, nil
}

// Status implements engine.Engine.
func (e *Engine) Status(ctx context.Context) (engine.Status, error) {
	g, err := e.serving()
	if err != nil {
		return engine.Status{}, err
	}
	return g.Status(ctx)
}

// Build implements engine.Engine.
func (e *Engine) Build(ctx context.Context, r engine.BuildRequest) (chain.ExecutionData, error) {
	g, err := e.serving()
	if err != nil {
		return chain.ExecutionData{}, err
	}
	return g.Build(ctx, r)
}

// Import implements engine.Engine.
func (e *Engine) Import(ctx context.Context, r engine.ImportRequest) (engine.ImportResult, error) {
	g, err := e.serving()
	if err != nil {
		return engine.ImportResult{}, err
	}
	return g.Import(ctx, r)
}

// Payloads implements engine.Engine.
func (e *Engine) Payloads(ctx context.Context, hashes []chain.Hash) ([]*chain.ExecutionData, error) {
	g, err := e.serving()
	if err != nil {
		return nil, err
	}
	return g.Payloads(ctx, hashes)
}

// Receipts implements engine.Engine.
func (e *Engine) Receipts(ctx context.Context, hash chain.Hash) ([]chain.Receipt, error) {
	g, err := e.serving()
	if err != nil {
		return nil, err
	}
	return g.Receipts(ctx, hash)
}

// AddTransactions implements engine.EngineWithPool.
func (e *Engine) AddTransactions(ctx context.Context, txs [][]byte) ([]engine.AddResult, error) {
	g, err := e.serving()
	if err != nil {
		return nil, err
	}
	return g.AddTransactions(ctx, txs)
}

// PendingTransactions implements engine.EngineWithPool.
func (e *Engine) PendingTransactions(ctx context.Context, limit int) ([][]byte, error) {
	g, err := e.serving()
	if err != nil {
		return nil, err
	}
	return g.PendingTransactions(ctx, limit)
}
