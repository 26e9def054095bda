package node

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/network"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/core/telemetry"
	"github.com/alys-node/alys/sdk/chain"
)

// clockBehind says that the wall clock is behind our own head, and what to do; "" while it is not.
func (n *Node) clockBehind(now time.Time) string {
	head, _, _ := n.chain.Heads()
	h, err := n.chain.Header(head.Hash)
	if err != nil {
		return "" // of no use for a judgement; whoever needs the header reports it
	}
	return behindHead(n.spec, h.Slot, now)
}

// behindHead compares the clock with a head's slot. One slot of difference is a clock that is a little late.
func behindHead(s *spec.Spec, head chain.Slot, now time.Time) string {
	slot := s.SlotAt(chain.UnixMilli(now.UnixMilli()))
	if head <= slot+1 {
		return ""
	}
	late := time.Duration(head-slot) * s.SlotDuration(slot)
	return fmt.Sprintf("the clock of this machine (%s) is %s behind the chain's head: check NTP; nothing is approved until it gets there",
		now.UTC().Format(time.RFC3339), late.Round(time.Second))
}

// clockEvery is how often the clock is compared with the peers'.
const clockEvery = time.Second

// minFederation is from how many authorities on one of them has two others to compare its clock with.
const minFederation = 3

// peerClocks is our clock beside the configured peers'; nothing is known without peers.
func (n *Node) peerClocks() network.Clocks {
	if n.network == nil {
		return network.Clocks{}
	}
	return n.network.Clocks()
}

// peerOffset is the guard's question: our clock minus the median of the peers'.
func (n *Node) peerOffset() (time.Duration, bool) {
	c := n.peerClocks()
	return -c.Skew, c.Known
}

// signs reports whether this node has keys of an authority.
func (n *Node) signs() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.self) > 0
}

// clockOff says that the guard refuses because of the clock, and what to do; "" while it does not.
func clockOff(c network.Clocks) string {
	if !c.Known || c.Skew.Abs() <= guard.DefaultMaxPeerOffset {
		return ""
	}
	side := "behind"
	if c.Skew < 0 {
		side = "ahead of"
	}
	return fmt.Sprintf("the clock of this machine is %s %s the median of %d configured peers, at most %s is allowed: check NTP; nothing is approved until it is right again",
		c.Skew.Abs().Round(100*time.Millisecond), side, c.Peers, guard.DefaultMaxPeerOffset)
}

// clockWatch tells once when the clock goes wrong, and once when it is right again. The guard refuses by itself.
type clockWatch struct {
	clocks  func() network.Clocks
	signs   func() bool // without keys a wrong clock is no alarm
	metrics *telemetry.Metrics
	log     hclog.Logger
	say     func(text string)

	off bool
}

func (n *Node) newClockWatch() *clockWatch {
	return &clockWatch{clocks: n.peerClocks, signs: n.signs, metrics: n.metrics, log: n.log, say: n.watch.say}
}

// Run looks at the clock until ctx ends.
func (w *clockWatch) Run(ctx context.Context) error {
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		w.look()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// look compares once. What was wrong counts as right again at half of what is allowed, so that a clock on the edge is not
// told again and again.
func (w *clockWatch) look() {
	c := w.clocks()
	w.metrics.ClockSkew.Set(c.Skew.Seconds())
	w.metrics.ClockPeers.Set(float64(c.Peers))
	off := clockOff(c)
	switch {
	case off != "" && !w.off:
		w.off = true
		if !w.signs() {
			w.log.Warn(off)
			return
		}
		w.log.Error("ALARM: " + off)
		w.say("ALARM " + off)
	case w.off && c.Known && c.Skew.Abs() <= guard.DefaultMaxPeerOffset/2:
		w.off = false
		w.log.Info("the clock of this machine is right again", "skew", c.Skew, "peers", c.Peers)
		w.say("the clock of this machine is right again")
	}
}

// unchecked says that an authority's clock is compared with nobody's; "" where it is, or where there is nobody to name.
func unchecked(authorities, named int) string {
	if authorities < minFederation || named >= minFederation-1 {
		return ""
	}
	return fmt.Sprintf("the clock of this machine is not compared with others: %d configured peers can tell, two are needed: name the other authorities in network.static_peers", named)
}
