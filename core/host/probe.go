package host

import (
	"context"
	"sync"

	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/schema"
)

// Probe is a process that is only asked questions: it is never configured. It is told where its data folder would be, so
// that it can name what a generation would hold there; the folder is not made, and a probe opens, locks and writes
// nothing. Close ends it.
type Probe struct {
	Digest      Digest
	Description lifecycle.Description
	Schema      schema.Block
	Diagnostics diag.Diagnostics     // of the block's config; empty when it had none
	Resources   []lifecycle.Resource // that a generation with the block's config would hold exclusively

	block Block
	w     *worker
	close sync.Once
}

// Probe checks and stages the command of a block, starts it, and asks who it is, what its config looks like and, when
// the block has a ConfigJSON, what it thinks of it. Findings about the config are not an error. The caller closes the
// probe; after an error there is nothing to close.
func (h *Host) Probe(ctx context.Context, b Block) (*Probe, error) {
	p, err := h.probe(ctx, b)
	return p, named(b, err)
}

func (h *Host) probe(ctx context.Context, b Block) (*Probe, error) {
	if err := h.check(b); err != nil {
		return nil, err
	}
	bin, err := h.Stage(ctx, b.Command, b.Checksums)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.config.Timings.Start)
	defer cancel()
	w, err := h.start(ctx, b, bin, 0)
	if err != nil {
		return nil, err
	}
	p := &Probe{Digest: bin.Digest, block: b, w: w}
	if err := p.ask(ctx); err != nil {
		w.kill(err)
		return nil, err
	}
	return p, nil
}

func (p *Probe) ask(ctx context.Context) error {
	var err error
	if p.Description, err = p.w.describe(ctx); err != nil {
		return err
	}
	if p.Schema, err = p.w.client.Plugin().Schema(ctx); err != nil {
		return p.w.blame(ctx, ErrHandshake, err)
	}
	if p.block.ConfigJSON == nil {
		return nil
	}
	p.Diagnostics, p.Resources, err = p.Validate(ctx, p.block.ConfigJSON)
	return err
}

// Validate asks the plugin about another value of its config, shaped by its schema.
func (p *Probe) Validate(ctx context.Context, configJSON []byte) (diag.Diagnostics, []lifecycle.Resource, error) {
	b := p.block
	b.ConfigJSON = configJSON
	ds, rs, err := p.w.client.Plugin().Validate(ctx, p.w.host.configuration(p.w, b, p.w.host.stateDir(b)))
	if err != nil {
		return nil, nil, named(b, p.w.blame(ctx, ErrConfigure, err))
	}
	return ds, rs, nil
}

// Close ends the process. It is idempotent.
func (p *Probe) Close() error {
	p.close.Do(func() { p.w.kill(ErrStopped) })
	return nil
}
