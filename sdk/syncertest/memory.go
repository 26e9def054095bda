package syncertest

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync/atomic"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/schema"
	"github.com/alys-node/alys/sdk/syncer"
)

// batchSize is how many heights Memory orders at once.
const batchSize = 128

// Memory is a plain strategy: it gives every idle peer the lowest heights that nobody has, and when there are none left
// it lets the peer hedge a batch of another one. It passes Run.
type Memory struct {
	sessions atomic.Uint64
}

// NewMemory makes a strategy.
func NewMemory() *Memory { return &Memory{} }

// Run implements syncer.Strategy.
func (m *Memory) Run(ctx context.Context, s syncer.Session) error {
	m.sessions.Add(1)
	v := newView()
	for {
		e, err := s.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		v.see(e)
		for _, o := range v.decide() {
			if err := s.Send(ctx, o); err != nil {
				return err
			}
		}
	}
}

// view is what a session's events have told.
type view struct {
	epoch     syncer.Epoch
	credits   uint32
	cursor    chain.Height
	target    chain.Height
	peers     map[syncer.PeerID]syncer.Peer
	order     []syncer.PeerID
	live      map[syncer.BatchID]syncer.Batch
	avoid     map[chain.Height][]syncer.PeerID // who failed for the range that begins here, or was refused
	lastID    syncer.BatchID
	completed bool
}

func newView() *view {
	return &view{
		peers: make(map[syncer.PeerID]syncer.Peer),
		live:  make(map[syncer.BatchID]syncer.Batch),
		avoid: make(map[chain.Height][]syncer.PeerID),
	}
}

func (v *view) see(e syncer.Event) {
	v.credits += e.Credits
	v.epoch = e.Epoch
	switch {
	case e.Snapshot != nil:
		v.cursor, v.target = e.Snapshot.Cursor, e.Snapshot.Target
		for _, p := range e.Snapshot.Peers {
			v.seePeer(p)
		}
		for _, b := range e.Snapshot.Batches {
			v.lastID = max(v.lastID, b.ID)
			v.live[b.ID] = b
		}
	case e.Peer != nil:
		v.seePeer(*e.Peer)
	case e.Batch != nil:
		v.seeBatch(*e.Batch)
	case e.Tip != nil:
		v.completed = v.completed && v.target == e.Tip.Target
		v.cursor, v.target = e.Tip.Cursor, e.Tip.Target
	case e.Refused != nil:
		if b, ok := v.live[e.Refused.Batch]; ok {
			if b.HedgeOf == 0 { // else the batch that it hedged has just ended
				v.shun(b)
			}
			delete(v.live, b.ID)
		}
	}
}

func (v *view) seePeer(p syncer.Peer) {
	if _, known := v.peers[p.ID]; !known {
		v.order = append(v.order, p.ID)
	}
	v.peers[p.ID] = p
}

func (v *view) seeBatch(b syncer.Batch) {
	switch b.State {
	case syncer.BatchAssigned, syncer.BatchDownloaded:
		v.live[b.ID] = b
	case syncer.BatchFailed:
		v.shun(b)
		delete(v.live, b.ID)
	case syncer.BatchImported:
		delete(v.live, b.ID)
		v.cursor = max(v.cursor, b.Range.To)
	case syncer.BatchCancelled:
		delete(v.live, b.ID)
	}
}

// shun leaves a peer out for a range until everybody who has it was tried.
func (v *view) shun(b syncer.Batch) {
	from := b.Range.From
	v.avoid[from] = append(v.avoid[from], b.Peer)
	for id, p := range v.peers {
		if !p.Gone && p.Low <= from && p.Head.Height >= from && !slices.Contains(v.avoid[from], id) {
			return
		}
	}
	v.avoid[from] = []syncer.PeerID{b.Peer}
}

func (v *view) decide() []syncer.Order {
	var out []syncer.Order
	for _, id := range v.order {
		if v.credits == 0 {
			return out
		}
		if a, ok := v.assignment(v.peers[id]); ok {
			v.credits--
			v.lastID++
			v.live[a.Batch] = syncer.Batch{
				ID: a.Batch, Range: a.Range, Peer: a.Peer, State: syncer.BatchAssigned, HedgeOf: a.HedgeOf,
			}
			out = append(out, syncer.Order{Epoch: v.epoch, Sequence: uint64(a.Batch), Assign: &a})
		}
	}
	if v.cursor >= v.target && !v.completed && v.credits > 0 {
		v.credits--
		v.completed = true
		out = append(out, syncer.Order{Epoch: v.epoch, Complete: &syncer.Complete{Target: v.target}})
	}
	return out
}

// assignment is the lowest free range for an idle peer.
func (v *view) assignment(p syncer.Peer) (syncer.Assign, bool) {
	for _, b := range v.live {
		if b.Peer == p.ID && b.State == syncer.BatchAssigned {
			return syncer.Assign{}, false
		}
	}
	r := v.freeRange()
	if r.Len() == 0 {
		return v.hedge(p)
	}
	if p.Gone || r.From < p.Low || r.From > p.Head.Height {
		return syncer.Assign{}, false
	}
	r.To = min(r.To, p.Head.Height)
	if slices.Contains(v.avoid[r.From], p.ID) && v.anotherServes(p.ID, r) {
		return syncer.Assign{}, false
	}
	return syncer.Assign{Batch: v.lastID + 1, Range: r, Peer: p.ID}, true
}

// hedge asks an idle peer for the lowest batch that another one is slow with.
func (v *view) hedge(p syncer.Peer) (syncer.Assign, bool) {
	var first syncer.Batch
	for _, b := range v.live {
		fits := b.Range.From >= p.Low && b.Range.To <= p.Head.Height && !slices.Contains(v.avoid[b.Range.From], p.ID)
		if b.State != syncer.BatchAssigned || b.HedgeOf != 0 || b.Peer == p.ID || !fits || v.hedged(b.ID) {
			continue
		}
		if first.ID == 0 || b.Range.From < first.Range.From {
			first = b
		}
	}
	if p.Gone || first.ID == 0 {
		return syncer.Assign{}, false
	}
	return syncer.Assign{Batch: v.lastID + 1, Range: first.Range, Peer: p.ID, HedgeOf: first.ID}, true
}

func (v *view) hedged(id syncer.BatchID) bool {
	for _, b := range v.live {
		if b.HedgeOf == id {
			return true
		}
	}
	return false
}

// freeRange is the lowest run of heights that no live batch has.
func (v *view) freeRange() syncer.Range {
	live := make([]syncer.Range, 0, len(v.live))
	for _, b := range v.live {
		live = append(live, b.Range)
	}
	slices.SortFunc(live, func(a, b syncer.Range) int { return int(a.From) - int(b.From) })
	from, to := v.cursor+1, v.target
	for _, r := range live {
		if r.From > from {
			to = min(to, r.From-1)
			break
		}
		from = max(from, r.To+1)
	}
	return syncer.Range{From: from, To: min(to, from+batchSize-1)}
}

func (v *view) anotherServes(not syncer.PeerID, r syncer.Range) bool {
	for id, p := range v.peers {
		if id != not && !p.Gone && p.Low <= r.From && p.Head.Height >= r.From {
			return true
		}
	}
	return false
}

// Describe implements lifecycle.Plugin.
func (m *Memory) Describe() lifecycle.Description {
	return lifecycle.Description{Kind: lifecycle.Sync, Name: "memory", Version: "1.0.0"}
}

// Schema implements lifecycle.Plugin: there is nothing to configure.
func (m *Memory) Schema() schema.Block { return schema.Block{Doc: "A sync strategy for tests."} }

// Validate implements lifecycle.Plugin.
func (m *Memory) Validate(_ context.Context, c lifecycle.Config) diag.Diagnostics {
	if err := c.Decode(&struct{}{}); err != nil {
		return diag.Diagnostics{diag.Errorf(nil, "", "%s", err)}
	}
	return nil
}

// Configure implements lifecycle.Plugin.
func (m *Memory) Configure(ctx context.Context, c lifecycle.Config) error {
	if len(c.JSON) == 0 {
		return nil // a test may leave the block out
	}
	return m.Validate(ctx, c).Err()
}

// Health implements lifecycle.Plugin: its progress is the number of sessions.
func (m *Memory) Health(context.Context) (lifecycle.Health, error) {
	return lifecycle.Health{State: lifecycle.Ready, Progress: m.sessions.Load()}, nil
}

// Drain implements lifecycle.Plugin.
func (m *Memory) Drain(context.Context) error { return nil }
