package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
)

// Limits of a run, which is one order for the engine and moves the heads once. Building and judging wait for it, so it is
// short in time: gas is what takes the time.
const (
	runBlocks = 64
	runBytes  = 8 << 20
	runGas    = 64_000_000
	runsAhead = 2 // one that the engine executes, one before it that is stored
)

// Run verifies what is downloaded and imports it in the order of heights, until ctx ends: nil. It is called once.
func (f *Follower) Run(ctx context.Context) error {
	defer func() {
		f.mu.Lock()
		f.closed = true
		f.mu.Unlock()
		f.stop()
		f.loads.Wait()
	}()
	f.loads.Go(func() { f.verifyAll(ctx) })
	pause := time.NewTimer(time.Hour)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.wake:
		case <-pause.C:
		}
		if err := f.importDue(ctx); err != nil && ctx.Err() == nil {
			f.opt.Log.Warn("sync waits", "reason", err)
			pause.Reset(retryPause)
		}
	}
}

// line is what is handed to the importer: whole batches after each other, in runs.
type line struct {
	batch  *batch // of which rest is left
	rest   []*block.Block
	last   chain.Ref // the last block that was handed over; zero at the beginning
	flight []run     // begun, oldest first
}

// run is a part of a batch at the importer.
type run struct {
	batch  *batch
	blocks []*block.Block
	ends   bool // it is the batch's last
	wait   func(context.Context) error
}

// importDue imports what continues the chain, until that is all done. An error means that it can be tried again; what is
// wrong with a batch ends it.
func (f *Follower) importDue(ctx context.Context) error {
	var l line
	for {
		for len(l.flight) < runsAhead && f.begin(ctx, &l) {
		}
		if len(l.flight) == 0 {
			return ctx.Err()
		}
		r := l.flight[0]
		l.flight = l.flight[1:]
		err := r.wait(ctx)
		if err == nil {
			f.reached(r)
			continue
		}
		for _, after := range l.flight { // built on what failed
			_ = after.wait(ctx)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, ErrUnavailable) {
			f.wait(err.Error())
			return err
		}
		f.opt.Log.Error("certified blocks not imported", "from", r.blocks[0].Header.Height, "error", err)
		f.refuse(r.batch, err.Error(), false)
		l = line{}
	}
}

// begin hands the next run to the importer, and reports false where there is none.
func (f *Follower) begin(ctx context.Context, l *line) bool {
	if len(l.rest) == 0 && !f.nextBatch(ctx, l) {
		return false
	}
	n := runOf(l.rest)
	r := run{batch: l.batch, blocks: l.rest[:n], ends: n == len(l.rest)}
	qc := l.batch.qc
	if !r.ends {
		qc = l.rest[n].ParentQC
	}
	r.wait = f.opt.Importer.Import(r.blocks, qc)
	l.rest, l.last, l.flight = l.rest[n:], r.blocks[n-1].Ref(), append(l.flight, r)
	return true
}

func runOf(blocks []*block.Block) int {
	n, bytes, gas := 0, 0, uint64(0)
	for n < min(len(blocks), runBlocks) {
		p := blocks[n].Execution.Payload
		gas += p.GasUsed
		for _, tx := range p.Transactions {
			bytes += len(tx)
		}
		if n > 0 && (bytes > runBytes || gas > runGas) {
			break
		}
		n++
	}
	return n
}

// nextBatch takes the batch that continues the line.
func (f *Follower) nextBatch(ctx context.Context, l *line) bool {
	for {
		b := f.due(l)
		if b == nil {
			return false
		}
		blocks, err := f.joined(ctx, b, l)
		switch {
		case ctx.Err() != nil:
			return false
		case err != nil:
			f.refuse(b, err.Error(), errors.Is(err, ErrMisbehaved))
			continue
		case blocks == nil:
			return false
		}
		l.batch, l.rest = b, blocks
		return true
	}
}

// due is the downloaded batch that continues what is handed over, or what is imported.
func (f *Follower) due(l *line) *batch {
	f.mu.Lock()
	defer f.mu.Unlock()
	cursor, _ := f.place()
	next := max(cursor, l.last.Height) + 1
	for _, b := range f.batches {
		switch {
		case b.State != syncer.BatchDownloaded || !b.sound || b == l.batch || l.holds(b):
		case b.Range.To <= cursor: // consensus was faster
			f.end(b, syncer.BatchImported, "")
		case b.Range.From <= next && next <= b.Range.To:
			return b
		}
	}
	return nil
}

func (l *line) holds(b *batch) bool {
	return slices.ContainsFunc(l.flight, func(r run) bool { return r.batch == b })
}

// joined gives the blocks of a batch, and before them what they are built on and we do not have. nil while what is handed
// over has to be stored first.
func (f *Follower) joined(ctx context.Context, b *batch, l *line) ([]*block.Block, error) {
	if parent := b.blocks[0].Header.Parent; parent == l.last.Hash || f.opt.Has(parent) {
		return b.blocks, nil
	}
	if len(l.flight) > 0 {
		return nil, nil
	}
	before, err := f.bridge(ctx, b)
	return append(before, b.blocks...), err
}

// reached notes how far the import is.
func (f *Follower) reached(r run) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing = ""
	f.imported = r.blocks[len(r.blocks)-1].Header.Height
	f.rate.add(f.opt.Now(), len(r.blocks))
	f.opt.Publish(syncer.Event{Pressure: &syncer.Pressure{
		BufferedBytes: f.buffered, BufferLimit: f.window, ImportPerSecond: f.rate.perSecond(f.opt.Now()),
	}})
	if r.ends {
		f.end(r.batch, syncer.BatchImported, "")
		f.tip()
	}
}

// bridge fetches what a batch is built on and we do not have: our head may be on a branch that the federation left, and
// branches part above the safe block only. The batch's own certificate covers what its first block names as parent.
func (f *Follower) bridge(ctx context.Context, b *batch) ([]*block.Block, error) {
	first := b.blocks[0].Header
	_, safe := f.opt.Heads()
	if first.Height <= safe.Height+1 {
		return nil, fmt.Errorf("block %d is built on %s, which is not our safe block", first.Height, first.Parent.Short())
	}
	a := syncer.Assign{Range: syncer.Range{From: safe.Height + 1, To: first.Height - 1}, Peer: b.Peer}
	got, err := f.ask(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("blocks %d to %d before it: %w", a.Range.From, a.Range.To, err)
	}
	if got.blocks[0].Header.Parent != safe.Hash {
		return nil, fmt.Errorf("block %d is not built on our safe block", a.Range.From)
	}
	if last := got.blocks[len(got.blocks)-1].Header.Hash(); last != first.Parent {
		return nil, errMoved
	}
	if err := f.bodies(got.blocks); err != nil {
		f.opt.Network.Misbehaved(b.Peer, err.Error())
		return nil, fmt.Errorf("%w: %w", ErrMisbehaved, err)
	}
	return got.blocks, nil
}

// refuse ends a batch that cannot be imported.
func (f *Follower) refuse(b *batch, reason string, blame bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b.Blame = blame
	if s := f.peers[b.Peer]; s != nil && blame {
		s.failing = true
	}
	f.end(b, syncer.BatchFailed, reason)
	f.tip()
}

func (f *Follower) wait(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing = reason
}

// Stage is what sync does, or waits for.
type Stage string

// The stages.
const (
	StageSynced      Stage = "synced"
	StageNoPeers     Stage = "waiting for peers that have the next block"
	StageStrategy    Stage = "waiting for the sync strategy"
	StageDownloading Stage = "downloading"
	StageVerifying   Stage = "verifying"
	StageImporting   Stage = "importing"
	StageEngine      Stage = "waiting for the engine"
)

// Progress is how far sync is.
type Progress struct {
	Stage         Stage
	Reason        string // of a stage that waits; for people
	Cursor        chain.Height
	Target        chain.Height
	Peers         int
	Downloading   int // batches
	BufferedBytes uint64
	PerSecond     uint32 // blocks imported a second, lately
}

// Left is how long the rest takes at the present rate; 0 when that is not known.
func (p Progress) Left() time.Duration {
	if p.PerSecond == 0 || p.Target <= p.Cursor {
		return 0
	}
	return time.Duration(float64(p.Target-p.Cursor) / float64(p.PerSecond) * float64(time.Second))
}

// String is a line for people.
func (p Progress) String() string {
	if p.Stage == StageSynced {
		return fmt.Sprintf("synced, %d peers", p.Peers)
	}
	s := fmt.Sprintf("%d of %d, %s, %d blocks/s, %d peers", p.Cursor, p.Target, p.Stage, p.PerSecond, p.Peers)
	if left := p.Left(); left > 0 {
		s += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	if p.Reason != "" {
		s += ": " + p.Reason
	}
	return s
}

// Progress tells how far sync is, and names the stage that it waits for.
func (f *Follower) Progress() Progress {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := Progress{Peers: len(f.peers), BufferedBytes: f.buffered, PerSecond: f.rate.perSecond(f.opt.Now()), Stage: StageSynced}
	p.Cursor, p.Target = f.place()
	next, sound := false, false
	for _, b := range f.batches {
		switch b.State {
		case syncer.BatchAssigned:
			p.Downloading++
		case syncer.BatchDownloaded:
			if b.Range.From <= p.Cursor+1 {
				next, sound = true, sound || b.sound
			}
		case syncer.BatchImported, syncer.BatchFailed, syncer.BatchCancelled:
		}
	}
	switch {
	case p.Cursor >= p.Target:
	case f.failing != "":
		p.Stage, p.Reason = StageEngine, f.failing
	case sound:
		p.Stage = StageImporting
	case next:
		p.Stage = StageVerifying
	case p.Downloading > 0:
		p.Stage = StageDownloading
	case !f.canServe(p.Cursor + 1):
		p.Stage = StageNoPeers
	default:
		p.Stage = StageStrategy
	}
	return p
}

// rate counts blocks over the last seconds.
type rate struct {
	at     []time.Time
	blocks []int
}

func (r *rate) add(now time.Time, blocks int) {
	r.at, r.blocks = append(r.at, now), append(r.blocks, blocks)
	r.forget(now)
}

func (r *rate) forget(now time.Time) {
	n := 0
	for n < len(r.at) && now.Sub(r.at[n]) > ratesKept {
		n++
	}
	r.at, r.blocks = r.at[n:], r.blocks[n:]
}

// perSecond is the rate since the oldest import that counts, which itself does not: it began before.
func (r *rate) perSecond(now time.Time) uint32 {
	r.forget(now)
	if len(r.at) < 2 {
		return 0
	}
	sum := 0
	for _, n := range r.blocks[1:] {
		sum += n
	}
	return uint32(float64(sum) / max(now.Sub(r.at[0]).Seconds(), 1e-3))
}
