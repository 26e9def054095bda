package network

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/alys-node/alys/sdk/chain"
)

// Limits of what is believed of peers' clocks.
const (
	minClocks = 2 // peers whose clocks say something about ours; one says as much about its own

	// maxClockTrip is the longest round trip of a reading. It is wrong by half of it at most, a quarter of what the guard
	// allows.
	maxClockTrip = 500 * time.Millisecond
	// maxClockAge is the age of a reading: a peer is asked every 10 s, and may leave some questions without an answer.
	maxClockAge = time.Minute
)

// reading is what a peer's clock said at an instant of ours. The instant is kept by the monotonic clock, so that a step of
// our wall clock shows at once and not with the next question. That clock stands still while a machine sleeps: after that
// a reading is wrong until the next one.
type reading struct {
	clock time.Time     // the peer's wall clock at the instant, half of the round trip added
	at    time.Time     // the instant; zero: there is no reading
	trip  time.Duration // there and back
}

// read notes what a clock said in answer to a question of ours, which was sent at an instant. The peer read its clock
// between then and now. What a peer tells unasked has no such bounds: it may have waited anywhere.
func read(clock chain.UnixMilli, sent time.Time) reading {
	now := time.Now()
	trip := now.Sub(sent)
	return reading{clock: clock.Time().Add(trip / 2), at: now, trip: trip}
}

// skew is how far the peer's clock is ahead of a wall clock that shows wall at the instant now; 0 if it never told.
func (r reading) skew(wall, now time.Time) time.Duration {
	if r.at.IsZero() {
		return 0
	}
	return r.clock.Add(now.Sub(r.at)).Sub(wall)
}

// good reports whether a reading says something at the instant now.
func (r reading) good(now time.Time) bool {
	return !r.at.IsZero() && r.trip <= maxClockTrip && now.Sub(r.at) <= maxClockAge
}

// after is which of two readings to keep. One that took long, as they do while either side is busy, does not replace one
// that is good.
func (r reading) after(older reading, now time.Time) reading {
	if !r.good(now) && older.good(now) {
		return older
	}
	return r
}

// Clocks is our clock beside those of the peers that the configuration names.
type Clocks struct {
	// Skew is the median of their clocks minus ours; 0 while it is not Known. Of an even number, ours is one of those that
	// the median is of: what half of them say against us does not count.
	Skew  time.Duration
	Peers int  // that have told their clocks lately
	Known bool // at least two have
}

// Clocks compares our clock with those of the configured peers that are connected. An identity costs nothing, so what
// strangers say does not count, however many they are: who could move the median could stop an authority from signing.
func (n *Network) Clocks() Clocks {
	wall, now := n.opt.Now(), time.Now()
	n.mu.Lock()
	var all []time.Duration
	for id, m := range n.members {
		if n.clocksOf[id] && m.clock.good(now) {
			all = append(all, m.clock.skew(wall, now))
		}
	}
	n.mu.Unlock()
	if len(all) < minClocks {
		return Clocks{Peers: len(all)}
	}
	return Clocks{Skew: median(all), Peers: len(all), Known: true}
}

// NamedPeers is how many peers the configuration names whose clocks count, connected or not; two are needed.
func (n *Network) NamedPeers() int { return len(n.clocksOf) }

// median orders the skews, and takes ours among them if they are even in number.
func median(skews []time.Duration) time.Duration {
	if len(skews)%2 == 0 {
		skews = append(skews, 0)
	}
	slices.Sort(skews)
	return skews[len(skews)/2]
}

// named are the peers whose clocks count: the static ones, which are a federation's other members; where those are too
// few, all that are let in by name.
func (p *parsed) named(self peer.ID) map[peer.ID]bool {
	out := map[peer.ID]bool{}
	for _, info := range p.static {
		out[info.ID] = true
	}
	delete(out, self)
	if len(out) < minClocks {
		for id := range p.allow {
			out[id] = true
		}
	}
	delete(out, self)
	return out
}
