// Command alys-sync-parallel is the sync strategy for many peers: batches that fit each peer's measured speed, as many at
// once as the window of bytes allows, no peer and no network with more than half of them while others can serve, and a
// second peer asked where one holds everything up.
package main

import (
	"context"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugin"
	"github.com/alys-node/alys/sdk/schema"
)

func main() {
	plugin.Serve(func(hclog.Logger) lifecycle.Plugin { return &parallel{} })
}

// parallel is the plugin.
type parallel struct {
	settings atomic.Pointer[settings] // nil until configured
	orders   atomic.Uint64
}

// Describe implements lifecycle.Plugin.
func (*parallel) Describe() lifecycle.Description {
	return lifecycle.Description{Kind: lifecycle.Sync, Name: "parallel", Version: "0.1.0"}
}

// Schema implements lifecycle.Plugin.
func (*parallel) Schema() schema.Block {
	return schema.Block{
		Doc: "Many peers, batches that fit their speed, one asked beside another where it is slow.",
		Attributes: []schema.Attribute{
			{Name: "max_batch", Type: schema.Number, Default: "512", Doc: "Heights that are asked for at once at the most, 1 to 1024."},
			{Name: "batches_per_peer", Type: schema.Number, Default: "2", Doc: "Batches of one peer that are under way at once, 1 to 16."},
			{Name: "window", Type: schema.Size, Default: `"64MiB"`, Doc: "Bytes that are asked for or downloaded, and not imported, at least 1MiB."},
			{Name: "hedge", Type: schema.Bool, Default: "true", Doc: "Ask a second peer where a slow one holds everything up."},
			{Name: "scoring", Type: schema.Bool, Default: "true", Doc: "Prefer peers by measured latency, throughput and reliability; false: all are asked alike."},
		},
	}
}

// settings is the config block.
type settings struct {
	MaxBatch       uint64 `json:"max_batch"`
	BatchesPerPeer int    `json:"batches_per_peer"`
	Window         uint64 `json:"window"` // bytes
	Hedge          bool   `json:"hedge"`
	Scoring        bool   `json:"scoring"`
}

// maxRange is the most that an order may name (syncer.Assign).
const maxRange = 1024

// defaults are used where the host does not apply the schema's, in a test for instance.
func defaults() settings {
	return settings{MaxBatch: 512, BatchesPerPeer: 2, Window: 64 << 20, Hedge: true, Scoring: true}
}

func read(c lifecycle.Config) (settings, diag.Diagnostics) {
	s := defaults()
	if ds := c.Check(&s); ds.HasErrors() {
		return s, ds
	}
	var ds diag.Diagnostics
	if s.MaxBatch == 0 || s.MaxBatch > maxRange {
		ds = append(ds, diag.Errorf([]string{"max_batch"}, "Choose a number from 1 to 1024.", "A batch of %d heights cannot be ordered", s.MaxBatch))
	}
	if s.BatchesPerPeer < 1 || s.BatchesPerPeer > 16 {
		ds = append(ds, diag.Errorf([]string{"batches_per_peer"}, "Choose a number from 1 to 16.", "%d batches of one peer cannot be under way", s.BatchesPerPeer))
	}
	if s.Window < 1<<20 {
		ds = append(ds, diag.Errorf([]string{"window"}, "Choose at least 1MiB.", "A window of %d bytes holds too little", s.Window))
	}
	return s, ds
}

// Validate implements lifecycle.Plugin.
func (*parallel) Validate(_ context.Context, c lifecycle.Config) diag.Diagnostics {
	_, ds := read(c)
	return ds
}

// Configure implements lifecycle.Plugin.
func (p *parallel) Configure(_ context.Context, c lifecycle.Config) error {
	s, ds := read(c)
	if err := ds.Err(); err != nil {
		return err
	}
	p.settings.Store(&s)
	return nil
}

// Health implements lifecycle.Plugin. Its progress counts orders.
func (p *parallel) Health(context.Context) (lifecycle.Health, error) {
	return lifecycle.Health{State: lifecycle.Ready, Progress: p.orders.Load()}, nil
}

// Drain implements lifecycle.Plugin. The host ends the session.
func (*parallel) Drain(context.Context) error { return nil }
