// Command alys-sync-sequential is the plain sync strategy: one peer, one range at a time, the lowest heights first. It is
// the fallback that everything else is measured against.
package main

import (
	"context"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugin"
	"github.com/alys-node/alys/sdk/schema"
)

func main() {
	plugin.Serve(func(hclog.Logger) lifecycle.Plugin { return &sequential{} })
}

// Describe implements lifecycle.Plugin.
func (*sequential) Describe() lifecycle.Description {
	return lifecycle.Description{Kind: lifecycle.Sync, Name: "sequential", Version: "0.1.0"}
}

// Schema implements lifecycle.Plugin.
func (*sequential) Schema() schema.Block {
	return schema.Block{
		Doc: "One peer, one range at a time.",
		Attributes: []schema.Attribute{
			{Name: "batch", Type: schema.Number, Default: "128", Doc: "Heights that are asked for at once, 1 to 1024."},
		},
	}
}

// settings is the config block.
type settings struct {
	Batch uint64 `json:"batch"`
}

// maxBatch is the most that an order may name (syncer.Assign).
const maxBatch = 1024

// defaultBatch is used where the host does not apply the schema's default, in a test for instance.
const defaultBatch = 128

func read(c lifecycle.Config) (settings, diag.Diagnostics) {
	s := settings{Batch: defaultBatch}
	if ds := c.Check(&s); ds.HasErrors() {
		return s, ds
	}
	if s.Batch == 0 || s.Batch > maxBatch {
		return s, diag.Diagnostics{diag.Errorf([]string{"batch"}, "Choose a number from 1 to 1024.", "A batch of %d heights cannot be ordered", s.Batch)}
	}
	return s, nil
}

// Validate implements lifecycle.Plugin.
func (*sequential) Validate(_ context.Context, c lifecycle.Config) diag.Diagnostics {
	_, ds := read(c)
	return ds
}

// Configure implements lifecycle.Plugin.
func (p *sequential) Configure(_ context.Context, c lifecycle.Config) error {
	s, ds := read(c)
	if err := ds.Err(); err != nil {
		return err
	}
	p.batch.Store(s.Batch)
	return nil
}

// Health implements lifecycle.Plugin. Its progress counts orders.
func (p *sequential) Health(context.Context) (lifecycle.Health, error) {
	return lifecycle.Health{State: lifecycle.Ready, Progress: p.orders.Load()}, nil
}

// Drain implements lifecycle.Plugin. The host ends the session.
func (*sequential) Drain(context.Context) error { return nil }
