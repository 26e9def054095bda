package network

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/alys-node/alys/sdk/chain"
)

// shifted is a wall clock that a test sets.
type shifted struct{ by atomic.Int64 }

func (s *shifted) set(d time.Duration) { s.by.Store(int64(d)) }

// now has no monotonic part, as the reading of a clock that was set has none that fits.
func (s *shifted) now() time.Time { return time.Now().Round(0).Add(time.Duration(s.by.Load())) }

// withClock gives a network a clock that is wrong by so much.
func withClock(by time.Duration) setup {
	s := &shifted{}
	s.set(by)
	return func(o *Options) { o.Now = s.now }
}

// about compares a skew with what it should be; half of the longest round trip may be between them.
func about(got, want time.Duration) bool {
	return (got - want).Abs() <= maxClockTrip/2+50*time.Millisecond
}

// reads waits for good readings of peers' clocks: on a busy machine that of the handshake may have taken too long.
func (r *running) reads(peers ...*running) {
	r.t.Helper()
	for _, p := range peers {
		eventually(r.t, "a peer's clock is read", func() bool {
			m := r.member(p.peerID())
			r.mu.Lock()
			good := m.clock.good(time.Now())
			r.mu.Unlock()
			if !good {
				r.renew(r.t.Context(), m)
			}
			return good
		})
	}
}

// D-02: v1 bounded slots by no clock. The bound is the median of the configured peers, and a majority of them must be
// against us: a stranger's word is worth nothing, and neither is that of a hundred.
func TestD02_OnlyAMajorityOfConfiguredPeersMovesTheMedian(t *testing.T) {
	const wrong = time.Hour
	tests := []struct {
		name      string
		ours      time.Duration
		static    []time.Duration
		strangers []time.Duration
		want      time.Duration
		known     bool
	}{
		{"all agree", 0, []time.Duration{0, 0, 0}, nil, 0, true},
		{"strangers with a clock of their own", 0, []time.Duration{0, 0}, []time.Duration{wrong, wrong, wrong, wrong, wrong, wrong}, 0, true},
		{"strangers and no configured peer", 0, nil, []time.Duration{wrong, wrong, wrong}, 0, false},
		{"strangers and one configured peer", 0, []time.Duration{wrong}, []time.Duration{wrong, wrong}, 0, false},
		{"one of three configured peers is wrong", 0, []time.Duration{0, wrong, 0}, nil, 0, true},
		{"one of two configured peers is wrong", 0, []time.Duration{0, wrong}, nil, 0, true},
		{"our own clock is wrong", -3 * time.Second, []time.Duration{0, 0, 0}, []time.Duration{-3 * time.Second, -3 * time.Second}, 3 * time.Second, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var static, strangers []*running
			for _, by := range tt.static {
				static = append(static, start(t, withClock(by)))
			}
			for _, by := range tt.strangers {
				strangers = append(strangers, start(t, withClock(by)))
			}
			a := start(t, dialling(static...), withClock(tt.ours), func(o *Options) {
				for _, s := range strangers {
					o.Bootnodes = append(o.Bootnodes, s.Addresses()...)
				}
			})
			a.meets(static...)
			a.meets(strangers...)
			a.reads(static...)
			a.reads(strangers...)
			got := a.Clocks()
			if got.Known != tt.known || got.Peers != len(tt.static) || !about(got.Skew, tt.want) {
				t.Errorf("got %+v, want a skew of %s from %d peers, known: %v", got, tt.want, len(tt.static), tt.known)
			}
		})
	}
}

// A clock that is set shows with the readings that there are, not with the next answer of a peer.
func TestAStepOfOurClockShowsAtOnceAndGoesAtOnce(t *testing.T) {
	b, c := start(t), start(t)
	clock := &shifted{}
	a := start(t, dialling(b, c), func(o *Options) { o.Now = clock.now })
	a.meets(b, c)
	a.reads(b, c)
	for _, by := range []time.Duration{0, 3 * time.Second, -time.Hour, 0} {
		clock.set(by)
		if got := a.Clocks(); !got.Known || !about(got.Skew, -by) {
			t.Errorf("our clock is %s ahead, and the peers' show %+v", by, got)
		}
	}
	b.stop()
	eventually(t, "the peer is gone", func() bool { return len(a.Peers()) == 1 })
	if got := a.Clocks(); got != (Clocks{Peers: 1}) {
		t.Errorf("with one peer left: %+v", got)
	}
}

// Who was dialled has no reading of the handshake. It has one once it asked.
func TestTheClockOfWhoDialledUsIsReadWhenItAnswers(t *testing.T) {
	a := start(t)
	b := start(t, dialling(a), withClock(time.Minute))
	b.meets(a)
	if got := a.Peers()[0].ClockSkew; got != 0 {
		t.Fatalf("a skew of %s before the first answer", got)
	}
	a.reads(b)
	if got := a.Peers()[0].ClockSkew; !about(got, time.Minute) {
		t.Errorf("a skew of %s, want a minute", got)
	}
}

func TestReadingsThatSayNothing(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	fresh := reading{clock: now, at: now, trip: 10 * time.Millisecond}
	tests := []struct {
		name string
		r    reading
		at   time.Time
		want bool
	}{
		{"fresh", fresh, now, true},
		{"as old as it may be", fresh, now.Add(maxClockAge), true},
		{"too old", fresh, now.Add(maxClockAge + 1), false},
		{"as far as it may be", reading{clock: now, at: now, trip: maxClockTrip}, now, true},
		{"too far", reading{clock: now, at: now, trip: maxClockTrip + 1}, now, false},
		{"none", reading{}, now, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.r.good(tt.at); got != tt.want {
				t.Errorf("good: %v, want %v", got, tt.want)
			}
			kept := tt.r.after(reading{clock: now, at: tt.at, trip: time.Millisecond}, tt.at)
			if (kept == tt.r) != tt.want {
				t.Errorf("it replaces a good one: %v, want %v", kept == tt.r, tt.want)
			}
			if kept := tt.r.after(reading{}, tt.at); kept != tt.r {
				t.Error("it does not replace none")
			}
		})
	}
}

// The peer read its clock somewhere between question and answer; half of the round trip is the best guess.
func TestHalfOfTheRoundTripIsTakenOff(t *testing.T) {
	sent := time.Now().Add(-400 * time.Millisecond)
	r := read(chain.UnixMilli(sent.Add(200*time.Millisecond).UnixMilli()), sent)
	if got := r.skew(r.at, r.at); r.trip < 400*time.Millisecond || got.Abs() > r.trip/2 || !about(got, 0) {
		t.Errorf("a skew of %s after a round trip of %s", got, r.trip)
	}
	if got := r.skew(r.at.Add(-time.Second), r.at.Add(time.Second)); !about(got, 2*time.Second) {
		t.Errorf("our clock went back by two seconds, and the skew is %s", got)
	}
}

func TestWhoseClocksCount(t *testing.T) {
	a, b, c, self := peer.ID("a"), peer.ID("b"), peer.ID("c"), peer.ID("self")
	static := func(ids ...peer.ID) (out []peer.AddrInfo) {
		for _, id := range ids {
			out = append(out, peer.AddrInfo{ID: id})
		}
		return out
	}
	allow := map[peer.ID]bool{a: true, b: true, c: true, self: true}
	tests := []struct {
		name string
		p    parsed
		want []peer.ID
	}{
		{"nobody", parsed{bootnodes: static(a, b)}, nil},
		{"static peers", parsed{static: static(a, b)}, []peer.ID{a, b}},
		{"enough static peers, not all that are let in", parsed{static: static(a, b), allow: allow}, []peer.ID{a, b}},
		{"all that are let in by name", parsed{static: static(a), allow: allow}, []peer.ID{a, b, c}},
		{"never ourselves", parsed{static: static(a, self), allow: allow}, []peer.ID{a, b, c}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.p.named(self)
			if len(got) != len(tt.want) {
				t.Fatalf("got %v, want %v", got, tt.want)
			}
			for _, id := range tt.want {
				if !got[id] {
					t.Errorf("%q does not count", id)
				}
			}
		})
	}
}
