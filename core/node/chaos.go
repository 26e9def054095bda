package node

import (
	"context"
	"fmt"
	"time"

	"github.com/alys-node/alys/core/chaos"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// Chaos says how the plugins of a development chain are broken.
type Chaos struct {
	Seed  uint64        // 0 takes one from the clock
	Every time.Duration // mean pause between two faults; 0 is 10 s
}

// openChaos makes what breaks plugins, when it is asked for: never beside a chain with value on it.
func (n *Node) openChaos() error {
	o := n.opt.Chaos
	switch {
	case o == nil:
		return nil
	case !n.spec.Dev:
		return fmt.Errorf("%w: chaos on chain %s: it is for development chains", ErrUnsupported, n.spec.Name)
	}
	n.chaos = chaos.New(chaos.Options{Seed: o.Seed, Every: o.Every, Targets: n.targets, Say: func(text string) {
		n.log.Warn(text)
		n.watch.say(text)
	}})
	return nil
}

// runChaos waits until the node is up: what it does with a plugin that dies in its first start is to say so and end.
func (n *Node) runChaos(ctx context.Context) error {
	select {
	case <-n.up:
		return n.chaos.Run(ctx)
	case <-ctx.Done():
		return nil
	}
}

// targets are the plugin processes that run now.
func (n *Node) targets() []chaos.Target {
	var out []chaos.Target
	for _, kind := range lifecycle.Kinds() {
		for _, p := range n.live.all(kind) {
			if g, err := p.instance.Current(); err == nil {
				out = append(out, chaos.Target{Plugin: pluginName(kind, p.id.Label), PID: g.PID})
			}
		}
	}
	return out
}

// ChaosSummary says what was broken; empty when nothing was to be.
func (n *Node) ChaosSummary() string {
	if n.chaos == nil {
		return ""
	}
	missed, authored := n.watch.missed.Load(), n.watch.authored.Load()
	return fmt.Sprintf("%s; %d blocks made, %d slots missed", n.chaos.Summary(), authored, missed)
}

func pluginName(kind lifecycle.Kind, label string) string { return string(kind) + "." + label }
