package network

import (
	"math"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// How faults add up to a ban. Only what is proven counts: bytes that do not decode, messages that an honest node would
// not have forwarded, answers that contradict the question. Slowness and silence are no faults. Five in quick succession
// are a ban.
const (
	faultPoints   = 20.0
	banPoints     = 100.0
	faultHalfLife = 10 * time.Minute
	firstBan      = 10 * time.Minute
	longestBan    = 24 * time.Hour
)

// How long a refusal keeps a peer away: growing for our dialling, short for its coming, because its operator may have
// mended what was wrong.
const (
	firstRefusal   = 30 * time.Second
	longestRefusal = 10 * time.Minute
)

// fault counts a proven fault. It returns the time until which the peer is banned, zero when it is not yet.
func (b *book) fault(id peer.ID, reason string, now time.Time) (until time.Time) {
	b.change(func() {
		r := b.of(id)
		r.faults = r.faultsAt(now) + faultPoints
		r.faulted = now
		if r.faults <= banPoints-faultPoints { // the first points have faded a little when the last are added
			return
		}
		r.faults = 0
		r.BannedUntil = now.Add(grown(firstBan, longestBan, r.Bans))
		r.BanReason = reason
		r.Bans++
		until = r.BannedUntil
	})
	return until
}

// faultsAt is the points that are left at a time.
func (r *entry) faultsAt(now time.Time) float64 {
	if r.faults == 0 {
		return 0
	}
	age := max(0, now.Sub(r.faulted))
	return r.faults * math.Exp2(-float64(age)/float64(faultHalfLife))
}

// refuse notes a refusal of the handshake, by either side. It reports whether the reason is new.
func (b *book) refuse(id peer.ID, reason string, now time.Time) (fresh bool) {
	b.change(func() {
		r := b.of(id)
		fresh = r.Refused != reason
		r.Refused = reason
		r.RefusedUntil = now.Add(firstRefusal)
		r.next = now.Add(grown(firstRefusal, longestRefusal, r.Refusals))
		r.Refusals++
	})
	return fresh
}

// barred reports whether a peer may not be connected now.
func (b *book) barred(id peer.ID, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.records[id]
	return r != nil && (now.Before(r.BannedUntil) || now.Before(r.RefusedUntil))
}

// Barred is a peer that is kept away.
type Barred struct {
	ID     string    `json:"id"`
	Reason string    `json:"reason"`
	Until  time.Time `json:"until"`
	Banned bool      `json:"banned"` // for proven faults; else the handshake was refused
}

// barredPeers lists who is kept away.
func (b *book) barredPeers(now time.Time) []Barred {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Barred
	for id, r := range b.records {
		switch {
		case now.Before(r.BannedUntil):
			out = append(out, Barred{id.String(), r.BanReason, r.BannedUntil, true})
		case r.Refused != "":
			out = append(out, Barred{id.String(), r.Refused, r.RefusedUntil, false})
		}
	}
	return out
}

// pardon lifts what keeps a peer away.
func (b *book) pardon(id peer.ID) {
	b.change(func() {
		if r := b.records[id]; r != nil {
			r.BannedUntil, r.RefusedUntil, r.next = time.Time{}, time.Time{}, time.Time{}
			r.BanReason, r.Refused, r.Bans, r.Refusals, r.faults = "", "", 0, 0, 0
		}
	})
}

// grown is first doubled n times, at most longest.
func grown(first, longest time.Duration, n uint32) time.Duration {
	if n > 30 {
		return longest
	}
	return min(longest, first<<n)
}
