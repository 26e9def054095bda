package main

import (
	"cmp"
	"slices"
	"time"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
)

// How batches are made.
const (
	// batchTime is how long a batch should take to arrive: long enough that its latency does not matter, short enough that
	// a slow peer is found out soon.
	batchTime = time.Second
	// smallest is the fewest heights that a batch is made of, where there are so many.
	smallest = 16
	// first is the heights of a batch before anything was measured.
	first = 64
	// slow is how much longer than expected a batch may take before another peer is asked too.
	slow = 2
	// hedgeAfter is the shortest time after which another peer is asked.
	hedgeAfter = 300 * time.Millisecond
)

// decide gives one order, or none.
func (v *view) decide(now time.Time) (syncer.Order, bool) {
	if v.credits == 0 || v.completed || !v.begun {
		return syncer.Order{}, false
	}
	if v.cursor >= v.target {
		v.credits--
		v.completed = true
		return syncer.Order{Epoch: v.epoch, Complete: &syncer.Complete{Target: v.target}}, true
	}
	a, ok := v.assign(now)
	if !ok && v.Hedge {
		a, ok = v.hedge(now)
	}
	if !ok {
		return syncer.Order{}, false
	}
	v.credits--
	v.lastID++
	a.Batch = v.lastID
	b := syncer.Batch{ID: a.Batch, Range: a.Range, Peer: a.Peer, HedgeOf: a.HedgeOf, State: syncer.BatchAssigned}
	_, before := v.flying(a.Peer)
	if a.HedgeOf == 0 {
		v.asked(b)
	}
	v.live[a.Batch] = &batch{
		Batch: b, since: now, expected: v.peers[a.Peer].cost(float64(a.Range.Len())*v.blockBytes(), before),
	}
	return syncer.Order{Epoch: v.epoch, Assign: &a}, true
}

// assign finds the lowest range that a peer can take. Where the window is full only the range that the import waits for
// is asked for: without it nothing would ever be imported.
func (v *view) assign(now time.Time) (syncer.Assign, bool) {
	full := v.held() >= v.limit()
	end := v.cursor + chain.Height(v.wanted())
	for _, gap := range v.gaps() {
		if gap.From > end || full && gap.From != v.cursor+1 {
			break
		}
		for _, from := range v.starts(gap) {
			if p := v.choose(from, now); p != nil {
				to := min(gap.To, p.Head.Height, from+chain.Height(v.size(p, from))-1)
				return syncer.Assign{Range: syncer.Range{From: from, To: to}, Peer: p.ID}, true
			}
		}
		if full {
			break
		}
	}
	return syncer.Assign{}, false
}

// starts are the heights of a gap where a batch may begin: its first, and where peers that lack that one begin.
func (v *view) starts(gap syncer.Range) []chain.Height {
	out := []chain.Height{gap.From}
	lowest := gap.To + 1
	for _, p := range v.peers {
		if !p.Gone && p.Low > gap.From && p.Low < lowest && p.Head.Height >= p.Low {
			lowest = p.Low
		}
	}
	if lowest <= gap.To {
		out = append(out, lowest)
	}
	return out
}

// size is how many heights a peer is asked for: what it delivers in batchTime, no more than its share of the window.
func (v *view) size(p *standing, from chain.Height) uint64 {
	n := uint64(first)
	if v.perBlock > 0 {
		n = uint64(p.speed() * batchTime.Seconds() / v.perBlock)
	}
	n = max(smallest, min(n, v.MaxBatch))
	// Near the tip what is left is spread over all peers.
	if able := v.able(from); able > 1 {
		left := uint64(v.target-from) + 1
		n = min(n, (left+uint64(able)-1)/uint64(able), v.share(p, from))
	}
	return max(1, min(n, v.MaxBatch))
}

// able counts the peers that can be asked for a range.
func (v *view) able(h chain.Height) int {
	n := 0
	for _, p := range v.peers {
		if v.good(p, h) {
			n++
		}
	}
	return n
}

// share is how many heights more a peer may be asked for: neither it nor its network serves more than half of what was
// ordered of late, while others can. The host refuses more.
func (v *view) share(p *standing, from chain.Height) uint64 {
	half := max(1, v.span()/2)
	mine, ours := v.lately(p)
	left := v.MaxBatch
	for _, other := range v.peers {
		if other.ID == p.ID || !v.good(other, from) || syncer.MuchSlower*other.speed() < p.speed() {
			continue
		}
		left = min(left, half-min(half, mine))
		if other.Group != p.Group {
			left = min(left, half-min(half, ours))
		}
	}
	return left
}

// good reports whether a peer can be asked for a range without a second thought: it has it, was not the last to fail for
// it, and never lied.
func (v *view) good(p *standing, from chain.Height) bool {
	return p.has(from) && !p.lied && !v.failedLast(p, from)
}

func (v *view) failedLast(p *standing, from chain.Height) bool {
	f := v.failed[from]
	return f != nil && f.last == p.ID
}

// choose picks the peer from which a batch is expected first; nil when all that can be asked are busy. A peer that failed
// for the range or lied is asked only where nobody else has it.
func (v *view) choose(from chain.Height, now time.Time) *standing {
	var good, rest, starved []*standing
	anyGood := false
	for _, p := range v.peers {
		if !p.has(from) {
			continue
		}
		ok := v.good(p, from)
		anyGood = anyGood || ok
		flying, _ := v.flying(p.ID)
		switch {
		case flying >= v.BatchesPerPeer || now.Before(p.notBefore):
		case !ok:
			rest = append(rest, p)
		case v.share(p, from) == 0:
			starved = append(starved, p)
		default:
			good = append(good, p)
		}
	}
	switch {
	case len(good) > 0:
		return v.fastest(good, from)
	case !anyGood:
		return v.fastest(rest, from)
	case from == v.cursor+1:
		// All have their share, and the import waits for this range: nothing else would ever move.
		return v.fastest(starved, from)
	}
	return nil
}

// fastest is the first of some peers by what they did with the range before, then by when a batch would be here; nil of
// none.
func (v *view) fastest(peers []*standing, from chain.Height) *standing {
	if len(peers) == 0 {
		return nil
	}
	return slices.MinFunc(peers, func(a, b *standing) int {
		return cmp.Or(cmp.Compare(v.reluctance(a, from), v.reluctance(b, from)), cmp.Compare(v.arrival(a), v.arrival(b)), cmp.Compare(a.ID, b.ID))
	})
}

// arrival is when a batch of usual size would be here.
func (v *view) arrival(p *standing) time.Duration {
	_, before := v.flying(p.ID)
	return p.cost(p.speed()*batchTime.Seconds()/4, before)
}

// reluctance orders peers before their speed: who failed for the range, who lied, who failed for it last.
func (v *view) reluctance(p *standing, from chain.Height) int {
	f := v.failed[from]
	switch {
	case v.failedLast(p, from):
		return 3
	case p.lied:
		return 2
	case f != nil && f.all[p.ID]:
		return 1
	}
	return 0
}

// hedge asks a second peer for the batch that everything waits for: the lowest one that has not arrived, when it takes
// longer than expected and nothing else is left to ask for, or the import has nothing to do.
func (v *view) hedge(now time.Time) (syncer.Assign, bool) {
	tip := len(v.gaps()) == 0
	for _, b := range v.ordered() {
		if b.State != syncer.BatchAssigned {
			if b.Range.From <= v.cursor+1 {
				return syncer.Assign{}, false // the import has something to do
			}
			continue
		}
		if !tip && b.Range.From > v.cursor+1 {
			return syncer.Assign{}, false
		}
		if b.HedgeOf != 0 || v.hedged(b.ID) || now.Sub(b.since) < max(hedgeAfter, slow*b.expected) {
			continue
		}
		if p := v.second(b, now); p != nil {
			return syncer.Assign{Range: b.Range, Peer: p.ID, HedgeOf: b.ID}, true
		}
	}
	return syncer.Assign{}, false
}

func (v *view) hedged(id syncer.BatchID) bool {
	for _, b := range v.live {
		if b.HedgeOf == id {
			return true
		}
	}
	return false
}

// second is the fastest free peer that has a whole batch and is not its first.
func (v *view) second(b *batch, now time.Time) *standing {
	var best *standing
	for _, p := range v.peers {
		n, _ := v.flying(p.ID)
		if p.ID == b.Peer || !v.good(p, b.Range.From) || !p.has(b.Range.To) || n >= v.BatchesPerPeer || now.Before(p.notBefore) {
			continue
		}
		size := float64(b.Range.Len()) * v.blockBytes()
		if best == nil || cmp.Or(cmp.Compare(p.cost(size, 0), best.cost(size, 0)), cmp.Compare(p.ID, best.ID)) < 0 {
			best = p
		}
	}
	return best
}
