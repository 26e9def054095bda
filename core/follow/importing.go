package follow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
)

// Run imports what is downloaded, in the order of heights, until ctx ends: nil. It is called once.
func (f *Follower) Run(ctx context.Context) error {
	defer func() {
		f.mu.Lock()
		f.closed = true
		f.mu.Unlock()
		f.stop()
		f.loads.Wait()
	}()
	pause := time.NewTimer(time.Hour)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.wake:
		case <-pause.C:
		}
		for {
			b := f.due()
			if b == nil {
				break
			}
			if err := f.importBatch(ctx, b); err != nil {
				if ctx.Err() != nil {
					return nil // the stop came first
				}
				f.opt.Log.Warn("sync waits", "height", b.Range.From, "reason", err)
				pause.Reset(retryPause)
				break
			}
		}
	}
}

// due is the downloaded batch that continues what is imported.
func (f *Follower) due() *batch {
	f.mu.Lock()
	defer f.mu.Unlock()
	cursor, _ := f.place()
	for _, b := range f.batches {
		if b.State != syncer.BatchDownloaded {
			continue
		}
		if b.Range.To <= cursor { // consensus was faster
			f.end(b, syncer.BatchImported, "")
			continue
		}
		if b.Range.From <= cursor+1 {
			return b
		}
	}
	return nil
}

// importBatch verifies and imports a batch. An error means that it can be tried again; what is wrong with the batch itself
// ends it.
func (f *Follower) importBatch(ctx context.Context, b *batch) error {
	last := b.blocks[len(b.blocks)-1].Header
	if !f.certifies(consensus.Certificate{Header: last, QC: b.qc}) {
		f.opt.Network.Misbehaved(b.Peer, "a range whose certificate does not verify")
		f.refuse(b, "the certificate of the last block does not verify", true)
		return nil
	}
	if err := f.bridge(ctx, b); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f.refuse(b, err.Error(), errors.Is(err, ErrMisbehaved))
		return nil
	}
	for rest := b.blocks; len(rest) > 0; {
		n := min(len(rest), importBlocks)
		part, qc := rest[:n], b.qc
		if n < len(rest) {
			qc = rest[n].ParentQC
		}
		switch err := f.opt.Importer.Import(ctx, part, qc); {
		case errors.Is(err, ErrUnavailable):
			f.wait(err.Error())
			return err
		case err != nil:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			f.opt.Log.Error("certified blocks not imported", "from", part[0].Header.Height, "error", err)
			f.refuse(b, err.Error(), false)
			return nil
		}
		f.wait("")
		f.reached(part)
		rest = rest[n:]
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end(b, syncer.BatchImported, "")
	f.tip()
	return nil
}

// reached notes how far the import is.
func (f *Follower) reached(part []*block.Block) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.imported = part[len(part)-1].Header.Height
	f.rate.add(f.opt.Now(), len(part))
	f.opt.Publish(syncer.Event{Pressure: &syncer.Pressure{
		BufferedBytes: f.buffered, BufferLimit: f.window, ImportPerSecond: f.rate.perSecond(f.opt.Now()),
	}})
}

// bridge puts before a batch what it is built on and we do not have: our head may be on a branch that the federation left,
// and branches part above the safe block only. The batch's own certificate covers what its first block names as parent.
func (f *Follower) bridge(ctx context.Context, b *batch) error {
	first := b.blocks[0].Header
	if f.opt.Has(first.Parent) {
		return nil
	}
	_, safe := f.opt.Heads()
	if first.Height <= safe.Height+1 {
		return fmt.Errorf("block %d is built on %s, which is not our safe block", first.Height, first.Parent.Short())
	}
	a := syncer.Assign{Range: syncer.Range{From: safe.Height + 1, To: first.Height - 1}, Peer: b.Peer}
	got, err := f.ask(ctx, a)
	if err != nil {
		return fmt.Errorf("blocks %d to %d before it: %w", a.Range.From, a.Range.To, err)
	}
	if got.blocks[0].Header.Parent != safe.Hash {
		return fmt.Errorf("block %d is not built on our safe block", a.Range.From)
	}
	if last := got.blocks[len(got.blocks)-1].Header.Hash(); last != first.Parent {
		return errMoved
	}
	b.blocks = append(got.blocks, b.blocks...)
	return nil
}

// refuse ends a batch that cannot be imported.
func (f *Follower) refuse(b *batch, reason string, blame bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b.Blame = blame
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
	next := false
	for _, b := range f.batches {
		switch b.State {
		case syncer.BatchAssigned:
			p.Downloading++
		case syncer.BatchDownloaded:
			next = next || b.Range.From <= p.Cursor+1
		case syncer.BatchImported, syncer.BatchFailed, syncer.BatchCancelled:
		}
	}
	switch {
	case p.Cursor >= p.Target:
	case f.failing != "":
		p.Stage, p.Reason = StageEngine, f.failing
	case next:
		p.Stage = StageImporting
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
