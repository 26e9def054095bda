package follow

import (
	"fmt"
	"slices"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
)

// serving is a range that was ordered and did not fail.
type serving struct {
	batch *batch
	group string
	count uint64
}

// ordered notes a range that a peer was asked for. A hedge is a second question for the same heights and counts only when it
// has won.
func (f *Follower) ordered(b *batch) {
	s := f.peers[b.Peer]
	if s == nil {
		return // it has just left
	}
	f.recent = append(f.recent, serving{batch: b, group: s.peer.Group, count: b.Range.Len()})
	sum := uint64(0)
	for i, s := range slices.Backward(f.recent) {
		if sum >= syncer.ShareSpan {
			f.recent = f.recent[i+1:]
			return
		}
		sum += s.count
	}
}

// unserved forgets a range that a peer was asked for in vain.
func (f *Follower) unserved(b *batch) {
	f.recent = slices.DeleteFunc(f.recent, func(s serving) bool { return s.batch == b })
}

// overShare says why a peer has served enough of late to leave a range to others; empty when it has not, or when nobody
// who served less can. Whoever has the least passes, so that somebody can always be asked; ranges are not cut, so that a
// share may exceed the half by half a range.
func (f *Follower) overShare(a syncer.Assign, cursor, target chain.Height) string {
	span := min(syncer.ShareSpan, uint64(target-cursor))
	p := f.peers[a.Peer]
	full := func(n uint64) bool { return 2*(n+a.Range.Len()) > span }
	own, group := f.lately(p, a.Range, span)
	if !full(own) && !full(group) {
		return ""
	}
	for _, other := range f.peers {
		if other == p || !f.couldServe(other, p, a.Range) {
			continue
		}
		others, theirs := f.lately(other, a.Range, span)
		near := other.peer.Group == p.peer.Group
		switch {
		case full(group) && !near && theirs < group:
			return fmt.Sprintf("the peer's network %s would serve more than half of %d heights, and %s can", p.peer.Group, span, other.peer.ID)
		case full(own) && others < own && (near || !full(theirs)):
			return fmt.Sprintf("the peer would serve more than half of %d heights, and %s can", span, other.peer.ID)
		}
	}
	return ""
}

// lately is how many of the heights that were ordered last are a peer's, and its network's: of the span, less what is
// ordered now.
func (f *Follower) lately(p *served, r syncer.Range, span uint64) (own, group uint64) {
	left := span - min(span, r.Len())
	for _, s := range slices.Backward(f.recent) {
		n := min(s.count, left)
		left -= n
		if s.batch.Peer == p.peer.ID {
			own += n
		}
		if s.group == p.peer.Group {
			group += n
		}
	}
	return own, group
}

// couldServe reports whether a peer could be asked for a range in place of another: it has it, did not fail last, and is not
// so slow that the sync would wait for it.
func (f *Follower) couldServe(p, insteadOf *served, r syncer.Range) bool {
	if p.peer.Low > r.From || p.peer.Head.Header.Height < r.To || p.failing {
		return false
	}
	return p.bytesPerSecond == 0 || insteadOf.bytesPerSecond/syncer.MuchSlower <= p.bytesPerSecond
}
