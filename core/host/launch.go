package host

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/alys-node/alys/sdk/lifecycle"
)

// The pauses between health questions while a plugin is starting.
const (
	firstPoll = 5 * time.Millisecond
	lastPoll  = 250 * time.Millisecond
)

// Launch starts one process of a block from a staged binary, configures it and waits until it is ready, degraded or
// locked. The start timeout bounds all of it. On error no process, socket or folder is left behind; the error is an
// *Error that names the plugin.
func (h *Host) Launch(ctx context.Context, b Block, d Digest) (*Generation, error) {
	g, err := h.launch(ctx, b, d)
	return g, named(b, err)
}

func (h *Host) launch(ctx context.Context, b Block, d Digest) (*Generation, error) {
	if err := h.check(b); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.config.Timings.Start)
	defer cancel()
	bin, err := h.stage.get(ctx, d)
	if err != nil {
		return nil, err
	}
	state := h.stateDir(b)
	if err := ownDir(state); err != nil {
		return nil, fmt.Errorf("make state folder: %w", err)
	}
	number, err := h.counter.next()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	w, err := h.start(ctx, b, bin, number)
	if err != nil {
		return nil, err
	}
	g := &Generation{Number: number, Block: b, Digest: bin.Digest, PID: w.runner.proc.PID, w: w}
	if err := g.bringUp(ctx, state); err != nil {
		w.kill(err)
		return nil, err
	}
	w.ready()
	took := time.Since(began)
	w.log.Info("plugin started", "pid", g.PID, "name", g.Description.Name, "version", g.Description.Version, "took", took)
	h.observer.PluginStarted(Started{Name: w.name, PID: g.PID, Took: took})
	return g, nil
}

// bringUp takes a process from the handshake to readiness.
func (g *Generation) bringUp(ctx context.Context, state string) error {
	var err error
	if g.Description, err = g.w.describe(ctx); err != nil {
		return err
	}
	if err := g.w.client.Plugin().Configure(ctx, g.w.host.configuration(g.w, g.Block, state)); err != nil {
		return g.w.blame(ctx, ErrConfigure, err)
	}
	pause := firstPoll
	for {
		health, err := g.Health(ctx)
		if err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
			return g.w.blame(ctx, ErrUnhealthy, fmt.Errorf("%w (it was %s: %s)", err, g.LastHealth().State, g.LastHealth().Message))
		}
		switch health.State {
		case lifecycle.Ready, lifecycle.Locked, lifecycle.Degraded:
			return nil
		case lifecycle.Failed, lifecycle.Draining:
			return &Error{Err: ErrUnhealthy, Detail: fmt.Sprintf("it is %s: %s", health.State, health.Message), Output: g.w.out.Last(), Hint: "mend what it names, or see what it logged under its name"}
		case lifecycle.Starting: // asked again, as is one that is too busy to answer yet
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-g.w.runner.proc.Done():
		case <-ctx.Done():
			t.Stop()
			return timeoutOr(ctx, "it still is starting: "+g.LastHealth().Message)
		}
		pause = min(2*pause, lastPoll)
	}
}

// stateDir is the data folder of a plugin's instance.
func (h *Host) stateDir(b Block) string {
	return filepath.Join(h.config.DataDir, "state", string(b.Kind), b.Label)
}

// configuration is what a plugin is told. A probe has no generation.
func (h *Host) configuration(w *worker, b Block, state string) lifecycle.Config {
	c := lifecycle.Config{JSON: b.ConfigJSON, Host: lifecycle.Host{
		Label: b.Label, Generation: w.name.Generation, DataDir: state, RunDir: w.dir,
		ChainID: h.config.ChainID, Genesis: h.config.Genesis,
	}}
	if len(c.JSON) == 0 {
		c.JSON = []byte("{}")
	}
	if b.Kind == lifecycle.Engine {
		c.Host.GenesisJSON = h.config.GenesisJSON
	}
	return c
}
