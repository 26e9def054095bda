package main

import (
	"cmp"
	"slices"
	"time"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
)

// view is what the events of one session have told.
type view struct {
	settings
	epoch     syncer.Epoch
	credits   uint32
	cursor    chain.Height
	target    chain.Height
	peers     map[syncer.PeerID]*standing
	live      map[syncer.BatchID]*batch // assigned or downloaded
	failed    map[chain.Height]*blame   // who did not serve the range that begins here
	recent    []syncer.Batch            // ordered last and not failed, oldest first
	pressure  syncer.Pressure
	perBlock  float64 // bytes, smoothed; 0 before the first batch
	lastID    syncer.BatchID
	begun     bool // the snapshot has come
	completed bool
}

// batch is a live batch.
type batch struct {
	syncer.Batch
	since    time.Time
	expected time.Duration
}

// blame is the peers that failed for a range, and the last one of them.
type blame struct {
	all  map[syncer.PeerID]bool
	last syncer.PeerID
}

func newView(s settings) *view {
	return &view{
		settings: s, peers: map[syncer.PeerID]*standing{}, live: map[syncer.BatchID]*batch{}, failed: map[chain.Height]*blame{},
	}
}

func (v *view) see(e syncer.Event, now time.Time) {
	v.epoch = e.Epoch
	v.credits += e.Credits
	switch {
	case e.Snapshot != nil:
		v.begun, v.cursor, v.target = true, e.Snapshot.Cursor, e.Snapshot.Target
		for _, p := range e.Snapshot.Peers {
			v.peers[p.ID] = newStanding(p, v.Scoring)
		}
		for _, b := range e.Snapshot.Batches {
			v.lastID = max(v.lastID, b.ID)
			v.asked(b)
			v.seeBatch(b, now)
		}
	case e.Peer != nil:
		if known := v.peers[e.Peer.ID]; known != nil {
			known.Peer = *e.Peer
		} else {
			v.peers[e.Peer.ID] = newStanding(*e.Peer, v.Scoring)
		}
	case e.Batch != nil:
		v.seeBatch(*e.Batch, now)
	case e.Tip != nil:
		v.completed = v.completed && e.Tip.Target == v.target
		v.target = e.Tip.Target
		v.advance(e.Tip.Cursor)
	case e.Pressure != nil:
		v.pressure = *e.Pressure
	case e.Refused != nil:
		if b := v.live[e.Refused.Batch]; b != nil {
			v.refused(b.Batch, now)
		}
	}
}

func (v *view) seeBatch(b syncer.Batch, now time.Time) {
	known := v.live[b.ID]
	switch b.State {
	case syncer.BatchAssigned, syncer.BatchDownloaded:
		if b.State == syncer.BatchDownloaded && (known == nil || known.State == syncer.BatchAssigned) {
			v.downloaded(b)
		}
		if known == nil {
			known = &batch{since: now, expected: v.estimate(b)}
			v.live[b.ID] = known
		}
		known.Batch = b
	case syncer.BatchImported:
		delete(v.live, b.ID)
		v.advance(b.Range.To)
	case syncer.BatchFailed:
		v.fail(b, now)
	case syncer.BatchCancelled:
		v.unserved(b.ID)
		delete(v.live, b.ID)
	}
}

func (v *view) downloaded(b syncer.Batch) {
	if p := v.peers[b.Peer]; p != nil {
		p.delivered(b)
	}
	if n := b.Range.Len(); n > 0 && b.Bytes > 0 {
		size := float64(b.Bytes) / float64(n)
		if v.perBlock == 0 {
			v.perBlock = size
		} else {
			v.perBlock += weight * (size - v.perBlock)
		}
	}
}

func (v *view) fail(b syncer.Batch, now time.Time) {
	if p := v.peers[b.Peer]; p != nil {
		p.failed(b.Blame, now)
	}
	v.drop(b)
}

// refused notes an order that the host did not carry out: no fault of the peer, but of no use to repeat at once.
func (v *view) refused(b syncer.Batch, now time.Time) {
	if p := v.peers[b.Peer]; p != nil {
		p.notBefore = now.Add(shortestPause)
	}
	v.drop(b)
}

// drop lets go of a batch that did not come, and notes whom the next order for its range should not go to.
func (v *view) drop(b syncer.Batch) {
	v.unserved(b.ID)
	delete(v.live, b.ID)
	f := v.failed[b.Range.From]
	if f == nil {
		f = &blame{all: map[syncer.PeerID]bool{}}
		v.failed[b.Range.From] = f
	}
	f.all[b.Peer], f.last = true, b.Peer
}

// advance moves the cursor, never back, and forgets what lies behind it.
func (v *view) advance(to chain.Height) {
	if to <= v.cursor {
		return
	}
	v.cursor = to
	for id, b := range v.live {
		if b.Range.To <= to {
			delete(v.live, id)
		}
	}
	for h := range v.failed {
		if h <= to {
			delete(v.failed, h)
		}
	}
}

// blockBytes is the expected size of a block.
func (v *view) blockBytes() float64 { return cmp.Or(v.perBlock, 2<<10) }

// estimate is how long a batch will take.
func (v *view) estimate(b syncer.Batch) time.Duration {
	p := v.peers[b.Peer]
	if p == nil {
		return time.Second
	}
	return p.cost(float64(b.Range.Len())*v.blockBytes(), 0)
}

// ordered are the live batches from the lowest height up.
func (v *view) ordered() []*batch {
	out := make([]*batch, 0, len(v.live))
	for _, b := range v.live {
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b *batch) int {
		return cmp.Or(cmp.Compare(a.Range.From, b.Range.From), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// gaps are the ranges above the cursor that no live batch covers, up to the target.
func (v *view) gaps() []syncer.Range {
	var out []syncer.Range
	next := v.cursor + 1
	for _, b := range v.ordered() {
		if b.Range.From > next {
			out = append(out, syncer.Range{From: next, To: min(b.Range.From-1, v.target)})
		}
		next = max(next, b.Range.To+1)
	}
	if next <= v.target {
		out = append(out, syncer.Range{From: next, To: v.target})
	}
	return out
}

// span is how many of the heights that were ordered last are looked at for shares.
func (v *view) span() uint64 { return min(syncer.ShareSpan, uint64(v.target-v.cursor)) }

// asked notes a batch for the shares of its peer and network.
func (v *view) asked(b syncer.Batch) {
	v.recent = append(v.recent, b)
	sum := uint64(0)
	for i, b := range slices.Backward(v.recent) {
		if sum >= syncer.ShareSpan {
			v.recent = v.recent[i+1:]
			return
		}
		sum += b.Range.Len()
	}
}

// unserved takes a batch that did not come out of the shares.
func (v *view) unserved(id syncer.BatchID) {
	v.recent = slices.DeleteFunc(v.recent, func(b syncer.Batch) bool { return b.ID == id })
}

// lately is how many of the heights ordered last are a peer's, and its network's.
func (v *view) lately(p *standing) (peer, group uint64) {
	left := v.span()
	for _, b := range slices.Backward(v.recent) {
		n := min(b.Range.Len(), left)
		left -= n
		if b.Peer == p.ID {
			peer += n
		}
		if other := v.peers[b.Peer]; other != nil && other.Group == p.Group {
			group += n
		}
	}
	return peer, group
}

// flying are a peer's batches that have not arrived, and their bytes.
func (v *view) flying(id syncer.PeerID) (n int, bytes float64) {
	for _, b := range v.live {
		if b.Peer == id && b.State == syncer.BatchAssigned {
			n++
			bytes += float64(b.Range.Len()) * v.blockBytes()
		}
	}
	return n, bytes
}

// held are the bytes that are asked for or downloaded, and not imported.
func (v *view) held() float64 {
	var sum float64
	for _, b := range v.live {
		if b.State == syncer.BatchDownloaded && b.Bytes > 0 {
			sum += float64(b.Bytes)
		} else {
			sum += float64(b.Range.Len()) * v.blockBytes()
		}
	}
	return sum
}

// limit is how many bytes may be held: our window, within what the host's buffer takes.
func (v *view) limit() float64 {
	limit := float64(v.Window)
	if v.pressure.BufferLimit > 0 {
		limit = min(limit, 0.9*float64(v.pressure.BufferLimit))
	}
	return limit
}

// wanted is the window in heights: what is to be under way or waiting at once.
func (v *view) wanted() uint64 {
	left := uint64(v.target - v.cursor)
	return max(1, min(left, uint64(v.limit()/v.blockBytes())))
}
