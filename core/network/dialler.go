package network

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	corenet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Pauses between two attempts to reach a peer. There is no last attempt (O-7).
const (
	firstPause      = time.Second
	longestPause    = 10 * time.Minute
	longestPauseFor = time.Minute // a configured peer
	maxDialLoop     = time.Second // between two looks at the book
)

// pause is how long to wait after so many failures in a row, with a jitter of ±20 %.
func pause(failures uint32, configured bool, jitter float64) time.Duration { // jitter is from 0 to 1
	longest := longestPause
	if configured {
		longest = longestPauseFor
	}
	d := grown(firstPause, longest, max(failures, 1)-1)
	return time.Duration(float64(d) * (0.8 + 0.4*jitter))
}

// jitter is a number from 0 to 1.
func jitter() float64 { return rand.Float64() } //nolint:gosec // neither a pause nor a choice of peers needs secrecy

// due picks whom to dial now: every static peer, and others while there are less than wanted. Peers of networks that we
// have few peers of come first: whoever owns a network does not become all that we see.
func (b *book) due(now time.Time, skip func(peer.ID) bool, wanted int, crowd func(*entry) int) []peer.ID {
	b.mu.Lock()
	defer b.mu.Unlock()
	var static, others []peer.ID
	for id, r := range b.records {
		if r.dialing && !r.static {
			wanted--
		}
		if r.dialing || len(r.all()) == 0 || now.Before(r.next) || now.Before(r.BannedUntil) || now.Before(r.RefusedUntil) || skip(id) {
			continue
		}
		if r.static {
			static = append(static, id)
		} else {
			others = append(others, id)
		}
	}
	order := make(map[peer.ID]int, len(others))
	for _, id := range others {
		order[id] = crowd(b.records[id])
	}
	slices.SortFunc(others, func(x, y peer.ID) int {
		rx, ry := b.records[x], b.records[y]
		return cmp.Or(cmp.Compare(order[x], order[y]), cmp.Compare(rx.Failures, ry.Failures), ry.LastSeen.Compare(rx.LastSeen), cmp.Compare(x, y))
	})
	out := slices.Concat(static, others[:max(0, min(wanted, len(others)))])
	for _, id := range out {
		b.records[id].dialing = true
	}
	return out
}

// dialled notes how an attempt ended.
func (b *book) dialled(id peer.ID, err error, now time.Time) {
	b.change(func() {
		r := b.of(id)
		r.dialing = false
		if err == nil {
			// The handshake decides; if it fails the next attempt waits as after a failure.
			r.next = now.Add(pause(r.Failures+1, r.static || r.boot, jitter()))
			return
		}
		r.Failures++
		r.next = now.Add(pause(r.Failures, r.static || r.boot, jitter()))
	})
}

// stumbled notes that a connection came about and its handshake did not.
func (b *book) stumbled(id peer.ID, now time.Time) {
	b.change(func() {
		if r := b.records[id]; r != nil {
			r.Failures++
			r.next = now.Add(pause(r.Failures, r.static || r.boot, jitter()))
		}
	})
}

// lost notes that a connection ended: the peer is dialled again after the shortest pause.
func (b *book) lost(id peer.ID, now time.Time) {
	b.change(func() {
		if r := b.records[id]; r != nil && r.next.Before(now) {
			r.next = now.Add(pause(1, true, jitter()))
		}
	})
}

// keepConnected dials for as long as the network runs.
func (n *Network) keepConnected(ctx context.Context) {
	slots := make(chan struct{}, maxConcurrentDial)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-n.wake:
		}
		n.dialDue(slots)
		timer.Reset(maxDialLoop)
	}
}

func (n *Network) dialDue(slots chan struct{}) {
	groups, admitted := n.crowds()
	skip := func(id peer.ID) bool {
		return id == n.node.ID() || n.parsed.allow != nil && !n.parsed.allow[id] || n.node.Network().Connectedness(id) == corenet.Connected
	}
	crowd := func(r *entry) int { return groups[groupOf(r.all()[0])] }
	for _, id := range n.book.due(n.opt.Now(), skip, n.opt.TargetPeers-admitted, crowd) {
		n.crew.start(func(ctx context.Context) {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				n.book.dialled(id, ctx.Err(), n.opt.Now())
				return
			}
			defer func() { <-slots }()
			n.dial(ctx, id)
		})
	}
}

// dial tries once to reach a peer. What follows a success is the business of connected.
func (n *Network) dial(ctx context.Context, id peer.ID) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	n.node.swarm.Backoff().Clear(id) // libp2p's own pauses are not ours
	err := n.node.Connect(ctx, peer.AddrInfo{ID: id, Addrs: n.book.addrs(id)})
	n.book.dialled(id, err, n.opt.Now())
	outcome := "connected"
	if err != nil {
		outcome = "failed"
		n.log.Debug("peer not reached", "peer", id, "error", fmt.Sprintf("%.300s", err))
	}
	n.metrics.PeerDials.WithLabelValues(outcome).Inc()
}
