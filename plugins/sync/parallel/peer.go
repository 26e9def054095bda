package main

import (
	"time"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
)

// standing is what this session knows of a peer.
type standing struct {
	syncer.Peer
	rate        float64   // bytes a second, smoothed; 0 before the first batch
	reliability float64   // 0 to 1, smoothed
	failures    uint      // in a row
	notBefore   time.Time // not asked earlier, after failures
	lied        bool      // provably; asked only where nobody else can be
	unscored    bool      // nothing that was measured counts: it is asked as all are
}

// How fast an opinion moves, and what it begins with.
const (
	weight         = 0.3
	firstOpinion   = 0.8
	assumedRate    = 1 << 20 // bytes a second of a peer that nothing is known of
	shortestPause  = 200 * time.Millisecond
	longestPause   = 5 * time.Second
	assumedLatency = 100 * time.Millisecond
)

func newStanding(p syncer.Peer, scored bool) *standing {
	s := &standing{Peer: p, reliability: firstOpinion, unscored: !scored}
	if n := p.Served + p.Failed; scored && n > 0 {
		// The host's experience of the last hour counts as a few batches do.
		s.reliability = (firstOpinion*4 + float64(p.Served)) / float64(4+n)
	}
	return s
}

// speed is the bytes a second that the peer is expected to deliver.
func (s *standing) speed() float64 {
	switch {
	case s.unscored:
		return assumedRate
	case s.rate > 0:
		return s.rate
	case s.BytesPerSecond > 0:
		return float64(s.BytesPerSecond)
	}
	return assumedRate
}

func (s *standing) latency() time.Duration {
	if s.unscored || s.LatencyMillis == 0 {
		return assumedLatency
	}
	return time.Duration(s.LatencyMillis) * time.Millisecond
}

// delivered notes a batch that arrived.
func (s *standing) delivered(b syncer.Batch) {
	s.failures, s.notBefore = 0, time.Time{}
	if s.unscored {
		return
	}
	s.reliability += weight * (1 - s.reliability)
	if b.Millis == 0 || b.Bytes == 0 {
		return
	}
	measured := float64(b.Bytes) * 1000 / float64(b.Millis)
	if s.rate == 0 {
		s.rate = measured
		return
	}
	s.rate += weight * (measured - s.rate)
}

// failed notes a batch that did not. One failure is an accident; after more the peer is left alone for a while.
func (s *standing) failed(blame bool, now time.Time) {
	if s.failures > 0 {
		s.notBefore = now.Add(min(longestPause, shortestPause<<min(s.failures-1, 10)))
	}
	s.failures++
	if s.unscored {
		return
	}
	s.lied = s.lied || blame
	s.reliability -= weight * s.reliability
}

// has reports whether the peer serves a height.
func (s *standing) has(h chain.Height) bool { return !s.Gone && s.Low <= h && h <= s.Head.Height }

// cost is how long so many bytes will take to arrive, when so many bytes wait before them; failures make it longer.
func (s *standing) cost(bytes, before float64) time.Duration {
	seconds := s.latency().Seconds() + (before+bytes)/s.speed()
	return time.Duration(seconds / max(0.05, s.reliability) * float64(time.Second))
}
