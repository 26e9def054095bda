package main

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
)

// sequential is the plugin.
type sequential struct {
	batch  atomic.Uint64
	orders atomic.Uint64
}

// Run implements syncer.Strategy.
func (p *sequential) Run(ctx context.Context, s syncer.Session) error {
	size := p.batch.Load()
	if size == 0 {
		size = defaultBatch
	}
	v := view{size: size, peers: map[syncer.PeerID]syncer.Peer{}, live: map[syncer.BatchID]syncer.Batch{}, failures: map[syncer.PeerID]int{}, refused: map[syncer.PeerID]chain.Height{}}
	for {
		e, err := s.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		v.see(e)
		o, ok := v.decide()
		if !ok {
			continue
		}
		p.orders.Add(1)
		if err := s.Send(ctx, o); err != nil {
			return err
		}
	}
}

// view is what the events of one session have told.
type view struct {
	size      uint64
	epoch     syncer.Epoch
	credits   uint32
	cursor    chain.Height
	target    chain.Height
	peers     map[syncer.PeerID]syncer.Peer
	live      map[syncer.BatchID]syncer.Batch // assigned or downloaded
	failures  map[syncer.PeerID]int           // of this session, forgiven by a success
	failed    failure                         // the last one: that peer is not asked for those heights again at once
	refused   map[syncer.PeerID]chain.Height  // by the host, for the range that begins there
	refusals  int                             // in a row: after too many only news is worth another order
	pressure  syncer.Pressure
	lastID    syncer.BatchID
	completed bool
}

// failure is a peer that did not serve a range.
type failure struct {
	peer syncer.PeerID
	from chain.Height
}

func (v *view) fail(b syncer.Batch) {
	v.failures[b.Peer]++
	v.failed = failure{b.Peer, b.Range.From}
	delete(v.live, b.ID)
}

func (v *view) see(e syncer.Event) {
	v.epoch = e.Epoch
	v.credits += e.Credits
	if e.Refused == nil {
		v.refusals = 0
	}
	switch {
	case e.Snapshot != nil:
		v.cursor, v.target = e.Snapshot.Cursor, e.Snapshot.Target
		for _, p := range e.Snapshot.Peers {
			v.peers[p.ID] = p
		}
		for _, b := range e.Snapshot.Batches {
			v.live[b.ID] = b
			v.lastID = max(v.lastID, b.ID)
		}
	case e.Peer != nil:
		v.peers[e.Peer.ID] = *e.Peer
	case e.Batch != nil:
		v.seeBatch(*e.Batch)
	case e.Tip != nil:
		v.completed = v.completed && e.Tip.Target == v.target
		v.cursor, v.target = max(v.cursor, e.Tip.Cursor), e.Tip.Target
	case e.Pressure != nil:
		v.pressure = *e.Pressure
	case e.Refused != nil:
		v.refusals++
		if b, ok := v.live[e.Refused.Batch]; ok { // no fault of the peer
			v.refused[b.Peer] = b.Range.From
			delete(v.live, b.ID)
		}
	}
}

func (v *view) seeBatch(b syncer.Batch) {
	switch b.State {
	case syncer.BatchAssigned, syncer.BatchDownloaded:
		v.live[b.ID] = b
		return
	case syncer.BatchImported:
		v.cursor = max(v.cursor, b.Range.To)
		v.failures[b.Peer] = 0
	case syncer.BatchFailed:
		v.fail(b)
	case syncer.BatchCancelled:
	}
	delete(v.live, b.ID)
}

// decide gives at most one order: the next range once nothing is under way, or that all is done.
func (v *view) decide() (syncer.Order, bool) {
	if v.credits == 0 || v.completed || v.refusals > 2*len(v.peers) {
		return syncer.Order{}, false
	}
	if v.cursor >= v.target {
		v.credits--
		v.completed = true
		return syncer.Order{Epoch: v.epoch, Complete: &syncer.Complete{Target: v.target}}, true
	}
	r := v.next()
	if full := v.pressure.BufferLimit > 0 && v.pressure.BufferedBytes >= v.pressure.BufferLimit; full && r.From > v.cursor+1 {
		return syncer.Order{}, false
	}
	p, ok := v.choose(r.From)
	if r.Len() == 0 || !ok {
		return syncer.Order{}, false
	}
	v.credits--
	v.lastID++
	r.To = min(r.To, p.Head.Height)
	a := syncer.Assign{Batch: v.lastID, Range: r, Peer: p.ID}
	v.live[a.Batch] = syncer.Batch{ID: a.Batch, Range: r, Peer: p.ID, State: syncer.BatchAssigned}
	return syncer.Order{Epoch: v.epoch, Assign: &a}, true
}

// next is the lowest range that nobody has; none while a download runs.
func (v *view) next() syncer.Range {
	from := v.cursor + 1
	for moved := true; moved; {
		moved = false
		for _, b := range v.live {
			if b.State == syncer.BatchAssigned {
				return syncer.Range{From: 1}
			}
			if b.Range.From <= from && from <= b.Range.To {
				from, moved = b.Range.To+1, true
			}
		}
	}
	to := min(v.target, from+chain.Height(v.size)-1)
	for _, b := range v.live {
		if b.Range.From > from && b.Range.From <= to {
			to = b.Range.From - 1
		}
	}
	return syncer.Range{From: from, To: to}
}

// choose picks a peer that the host did not refuse, that failed least, then the fastest, then the lowest id, of those that have the height.
func (v *view) choose(h chain.Height) (best syncer.Peer, found bool) {
	for _, p := range v.peers {
		if p.Gone || p.Low > h || p.Head.Height < h {
			continue
		}
		if !found || v.better(p, best, h) {
			best, found = p, true
		}
	}
	return best, found
}

func (v *view) better(a, b syncer.Peer, h chain.Height) bool {
	if v.failed == (failure{a.ID, h}) || v.failed == (failure{b.ID, h}) {
		return v.failed.peer == b.ID
	}
	if ra, rb := v.refused[a.ID] == h, v.refused[b.ID] == h; ra != rb {
		return rb
	}
	if fa, fb := v.failures[a.ID], v.failures[b.ID]; fa != fb {
		return fa < fb
	}
	if a.BytesPerSecond != b.BytesPerSecond {
		return a.BytesPerSecond > b.BytesPerSecond
	}
	return a.ID < b.ID
}
