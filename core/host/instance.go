package host

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/alys-node/alys/core/host/internal/supervise"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// Phase is where an instance stands.
type Phase = supervise.Phase

// The phases. There is a current generation in PhaseReady, PhaseLocked and PhaseDegraded.
const (
	PhaseStarting   = supervise.Starting
	PhaseReady      = supervise.Ready
	PhaseLocked     = supervise.Locked
	PhaseDegraded   = supervise.Degraded
	PhaseRestarting = supervise.Backoff
	PhaseBroken     = supervise.Broken
	PhaseDraining   = supervise.Draining
	PhaseStopped    = supervise.Stopped
)

// State is a snapshot of an instance.
type State struct {
	Kind       lifecycle.Kind
	Label      string
	Phase      Phase
	Since      time.Time // of the phase
	Generation uint64    // the latest one; 0 before the first
	Restarts   int       // deaths so far, failed starts included
	Reason     error     // why it is restarting or broken; else the last death, if any
	Retry      time.Time // of the next start, while restarting or broken
	Health     lifecycle.Health
}

// Hooks let the owner of an instance take part in its life.
type Hooks struct {
	// Ready runs before a generation becomes the current one, after every restart too: here an engine is caught up. The
	// start timeout does not bound it. Its context ends when the process dies or the instance is stopped, and before the
	// first generation with the one that Supervise was given. An error counts as a death. It may be nil.
	Ready func(ctx context.Context, g *Generation) error
	// Changed hears of every change, in order, from the instance's goroutine. It must not block. It may be nil.
	Changed func(State)
}

// Instance keeps one generation of a block alive.
type Instance struct {
	Block  Block
	Digest Digest

	host   *Host
	hooks  Hooks
	latest atomic.Pointer[Generation]
	super  *supervise.Supervisor[unit]
}

// Supervise launches a generation and, once it is up and made ready, keeps one alive until Stop. ctx bounds the first
// launch with its Ready hook only. When that fails there is no instance and nothing is left behind: a swap wants to know
// at once.
func (h *Host) Supervise(ctx context.Context, b Block, d Digest, hooks Hooks) (*Instance, error) {
	i := h.newInstance(ctx, b, d, hooks)
	if err := i.super.Start(ctx); err != nil {
		return nil, named(b, err)
	}
	if err := h.keep(i); err != nil {
		if g, err := i.Current(); err == nil {
			g.Kill(ErrClosed)
		}
		return nil, named(b, err)
	}
	return i, nil
}

// Resume is Supervise for a plugin that was running before, when the node starts: the instance is there at once, and a
// first launch that fails is one death like any other. So a dead signer stops signing, and not the node.
func (h *Host) Resume(ctx context.Context, b Block, d Digest, hooks Hooks) (*Instance, error) {
	i := h.newInstance(ctx, b, d, hooks)
	if err := h.keep(i); err != nil {
		return nil, named(b, err)
	}
	return i, nil
}

func (h *Host) newInstance(ctx context.Context, b Block, d Digest, hooks Hooks) *Instance {
	i := &Instance{Block: b, Digest: d, host: h, hooks: hooks}
	t := h.config.Timings
	c := supervise.Config[unit]{
		Launch: i.launch,
		Policy: supervise.Policy{
			Min: t.RestartMin, Max: t.RestartMax, Jitter: t.RestartJitter, Reset: t.RestartReset,
			Deaths: t.BreakerDeaths, Window: t.BreakerWindow, HalfOpen: t.BreakerHalfOpen,
		},
		Every:  t.HealthEvery,
		Fails:  t.HealthFailures,
		Polite: t.Drain + t.Shutdown,
		Sampled: func(u unit) {
			h.observer.PluginSampled(Sample{Name: u.w.name, Stats: u.Stats()})
		},
		Changed: i.changed,
	}
	if hooks.Ready != nil {
		c.Ready = func(ctx context.Context, u unit) error { return hooks.Ready(ctx, u.Generation) }
	}
	i.super = supervise.New(ctx, c)
	return i
}

func (i *Instance) launch(ctx context.Context) (unit, error) {
	g, err := i.host.Launch(ctx, i.Block, i.Digest)
	if err == nil {
		i.latest.Store(g)
	}
	return unit{g}, err
}

// keep runs the instance until Stop or Close.
func (h *Host) keep(i *Instance) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	h.instances[i] = struct{}{}
	h.running.Go(i.super.Run)
	return nil
}

// Current is the generation that serves now. While there is none the error says why: ErrRestarting, ErrBroken or
// ErrStopped, with the reason of the last death. Whoever holds a generation that dies asks again.
func (i *Instance) Current() (*Generation, error) {
	if u, up := i.super.Current(); up {
		return u.Generation, nil
	}
	s := i.super.State()
	e := &Error{Kind: i.Block.Kind, Label: i.Block.Label, Err: ErrRestarting, Cause: s.Reason}
	switch s.Phase {
	case PhaseBroken:
		e.Err = ErrBroken
		e.Hint = fmt.Sprintf("the next start is at %s", s.Retry.Format(time.TimeOnly))
	case PhaseStopped, PhaseDraining:
		e.Err, e.Cause = ErrStopped, nil
	default:
	}
	return nil, e
}

// State is the present state.
func (i *Instance) State() State { return i.state(i.super.State()) }

// Stop drains and ends the generation, or gives up a restart, and returns when nothing is left of it. ctx bounds the
// drain. It is idempotent.
func (i *Instance) Stop(ctx context.Context) {
	i.super.Stop(ctx)
	i.host.mu.Lock()
	defer i.host.mu.Unlock()
	delete(i.host.instances, i)
}

func (i *Instance) state(s supervise.State) State {
	out := State{
		Kind: i.Block.Kind, Label: i.Block.Label, Phase: s.Phase, Since: s.Since, Restarts: s.Restarts,
		Reason: s.Reason, Retry: s.Retry,
	}
	if g := i.latest.Load(); g != nil {
		out.Generation, out.Health = g.Number, g.LastHealth()
	}
	return out
}

func (i *Instance) changed(s supervise.State) {
	state := i.state(s)
	if log := i.host.config.Log.Named(string(state.Kind) + "." + state.Label); !s.Retry.IsZero() {
		log.Warn("plugin is started again later", "phase", s.Phase, "deaths", s.Restarts, "pause", time.Until(s.Retry).Round(time.Millisecond), "reason", s.Reason)
	}
	if i.hooks.Changed != nil {
		i.hooks.Changed(state)
	}
}
