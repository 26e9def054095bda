package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alys-node/alys/core/host/internal/process"
	"github.com/alys-node/alys/core/host/internal/supervise"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/wire"
)

// Generation is one running process of a block, configured and up. Its fields do not change.
type Generation struct {
	Number      uint64 // counts up over the life of the data folder
	Block       Block
	Digest      Digest
	PID         int
	Description lifecycle.Description

	w      *worker
	health atomic.Pointer[lifecycle.Health]
	fails  atomic.Int32 // health failures in a row

	draining sync.Once
	drainErr error
}

// Client speaks to the process. Its calls end with their context, and fail at once when the process is dead.
func (g *Generation) Client() *wire.Client { return g.w.client }

// Done is closed when the process is dead and everything of it is cleaned up.
func (g *Generation) Done() <-chan struct{} { return g.w.done }

// Err says, after Done, why the process ended: ErrStopped when it was stopped on purpose, ErrCrashed with its last
// output otherwise. Before, it is nil.
func (g *Generation) Err() error {
	select {
	case <-g.w.done:
		return g.w.err
	default:
		return nil
	}
}

// Health asks for the state of the plugin, with a deadline of its own. A plugin that says it failed has answered.
func (g *Generation) Health(ctx context.Context) (lifecycle.Health, error) {
	h, err := g.w.client.Plugin().Health(ctx)
	if err != nil {
		g.fails.Add(1)
		return h, err
	}
	g.fails.Store(0)
	g.health.Store(&h)
	return h, nil
}

// LastHealth is the latest answer.
func (g *Generation) LastHealth() lifecycle.Health {
	if h := g.health.Load(); h != nil {
		return *h
	}
	return lifecycle.Health{State: lifecycle.Starting}
}

// Stats is what the process uses now. Memory and time are 0 when it is dead.
func (g *Generation) Stats() Stats {
	s := Stats{
		Uptime: time.Since(g.w.since), InFlight: g.w.calls.inFlight(), Calls: g.w.calls.total.Load(),
		Errors: g.w.calls.failed.Load(), LinesLost: g.w.out.Lost(), HealthFails: int(g.fails.Load()),
	}
	u, err := process.UsageOf(g.PID)
	if err != nil || g.Err() != nil {
		return s
	}
	s.RSS, s.CPU, s.OpenFiles = u.RSS, u.CPU, u.OpenFiles
	return s
}

// Drain waits for the calls in flight to end, and then tells the plugin to finish and flush. The drain timeout and ctx
// bound both together. Whoever routes calls must have taken the generation out of the route before. A second Drain
// returns the first one's result.
func (g *Generation) Drain(ctx context.Context) error {
	g.draining.Do(func() { g.drainErr = g.drain(ctx) })
	return g.drainErr
}

func (g *Generation) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, g.w.host.config.Timings.Drain)
	defer cancel()
	select {
	case <-g.w.calls.idle():
	case <-g.w.runner.proc.Done():
		return fmt.Errorf("drain %s generation %d: %w", g.Block, g.Number, ErrCrashed)
	case <-ctx.Done():
		return fmt.Errorf("drain %s generation %d: %d calls still in flight: %w", g.Block, g.Number, g.w.calls.inFlight(), ctx.Err())
	}
	if err := g.w.client.Plugin().Drain(ctx); err != nil {
		return fmt.Errorf("drain %s generation %d: %w", g.Block, g.Number, err)
	}
	return nil
}

// Stop drains the plugin if nobody has, and ends the process: politely, then by SIGTERM, then by SIGKILL to its group.
// It returns when nothing of it is left. When ctx ends, the rest of the polite part is skipped.
func (g *Generation) Stop(ctx context.Context) {
	if err := g.Drain(ctx); err != nil && !errors.Is(err, ErrCrashed) {
		g.w.log.Warn("plugin did not drain", "error", err)
	}
	g.w.stop(ctx)
}

// Kill ends the process at once, also a frozen one, and returns when nothing of it is left. Err will be why.
func (g *Generation) Kill(why error) { g.w.kill(why) }

// unit is a generation as the supervisor sees it.
type unit struct{ *Generation }

// Check asks for health and judges the answer.
func (u unit) Check(ctx context.Context) (supervise.Phase, error) {
	h, err := u.Health(ctx)
	if err != nil {
		return "", err
	}
	switch h.State {
	case lifecycle.Ready:
		return supervise.Ready, nil
	case lifecycle.Locked:
		return supervise.Locked, nil
	case lifecycle.Degraded:
		return supervise.Degraded, nil
	default:
		u.fails.Add(1)
		return "", fmt.Errorf("%w: it is %s: %s", ErrUnhealthy, h.State, h.Message)
	}
}
