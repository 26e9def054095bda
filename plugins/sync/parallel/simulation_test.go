package main

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
)

// The simulation is a host with peers, in virtual time: what a download takes follows from the peer's latency and its
// rate, which its batches share; batches are imported in order, at a rate.

type simPeer struct {
	syncer.Peer
	rate    float64 // bytes a second
	failing float64 // share of its batches that fail after timeout
	lies    bool    // its batches are found wrong, and it is banned at the second
	lied    int
	busy    time.Time // until when its line is taken
}

type simEvent struct {
	at  time.Time
	seq int
	do  func()
}

type simQueue []simEvent

func (q simQueue) Len() int { return len(q) }
func (q simQueue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].seq < q[j].seq
}
func (q simQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *simQueue) Push(x any)   { *q = append(*q, x.(simEvent)) }
func (q *simQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

type sim struct {
	t         *testing.T
	v         *view
	rng       *rand.Rand
	now       time.Time
	queue     simQueue
	seq       int
	peers     map[syncer.PeerID]*simPeer
	batches   map[syncer.BatchID]syncer.Batch
	block     float64 // bytes
	timeout   time.Duration
	importing float64 // blocks a second
	idle      bool    // the import waits
	cursor    chain.Height
	target    chain.Height
	orders    int
	hedges    int
	wasted    uint64 // heights downloaded for nothing
	maxHeld   float64
	complete  bool
	watch     func(syncer.Assign) // after each assignment; may be nil
}

func newSim(t *testing.T, seed uint64, target chain.Height, peers ...*simPeer) *sim {
	s := &sim{
		t: t, v: newView(defaults()), rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1000, 0), peers: map[syncer.PeerID]*simPeer{},
		batches: map[syncer.BatchID]syncer.Batch{}, block: 7000, timeout: 10 * time.Second, importing: 1e9, idle: true, target: target,
	}
	for i, p := range peers {
		p.ID = syncer.PeerID(fmt.Sprintf("p%02d", i))
		if p.Group == "" {
			p.Group = fmt.Sprintf("10.0.%d.0/24", i)
		}
		if p.Head.Height == 0 {
			p.Head.Height = target
		}
		s.peers[p.ID] = p
	}
	return s
}

func good(rate float64) *simPeer {
	return &simPeer{Peer: syncer.Peer{LatencyMillis: 50}, rate: rate}
}

func (s *sim) after(d time.Duration, do func()) {
	s.seq++
	heap.Push(&s.queue, simEvent{s.now.Add(d), s.seq, do})
}

func (s *sim) tell(e syncer.Event) {
	e.Epoch = 1
	s.v.see(e, s.now)
}

// run returns how long the sync took.
func (s *sim) run() time.Duration {
	s.t.Helper()
	start := s.now
	snapshot := &syncer.Snapshot{Target: s.target}
	for _, p := range s.peers {
		snapshot.Peers = append(snapshot.Peers, p.Peer)
	}
	s.tell(syncer.Event{Credits: 256, Snapshot: snapshot})
	var tick func()
	tick = func() { s.after(lookAround, tick) }
	tick()
	for !s.complete && s.now.Sub(start) < time.Hour {
		s.obey()
		if s.complete {
			break
		}
		e := heap.Pop(&s.queue).(simEvent)
		s.now = e.at
		e.do()
		s.importNext()
	}
	if !s.complete || s.cursor != s.target {
		s.t.Fatalf("stalled at %d of %d after %d orders", s.cursor, s.target, s.orders)
	}
	return s.now.Sub(start)
}

func (s *sim) obey() {
	for {
		o, ok := s.v.decide(s.now)
		if !ok {
			return
		}
		s.orders++
		switch {
		case o.Complete != nil:
			s.complete = true
			return
		case o.Assign != nil:
			s.assign(*o.Assign)
			if s.watch != nil && o.Assign.HedgeOf == 0 {
				s.watch(*o.Assign)
			}
		}
		s.maxHeld = max(s.maxHeld, s.held())
	}
}

func (s *sim) held() float64 {
	var sum float64
	for _, b := range s.batches {
		if b.State == syncer.BatchAssigned || b.State == syncer.BatchDownloaded {
			sum += float64(b.Range.Len()) * s.block
		}
	}
	return sum
}

func (s *sim) assign(a syncer.Assign) {
	p := s.peers[a.Peer]
	n := a.Range.Len()
	if n == 0 || n > maxRange || a.Range.From <= s.cursor || a.Range.To > s.target || a.Range.From < p.Low || a.Range.To > p.Head.Height || p.Gone {
		s.t.Fatalf("bad order %+v", a)
	}
	b := syncer.Batch{ID: a.Batch, Range: a.Range, Peer: a.Peer, State: syncer.BatchAssigned, HedgeOf: a.HedgeOf}
	if a.HedgeOf != 0 {
		s.hedges++
	} else {
		for _, other := range s.batches {
			if (other.State == syncer.BatchAssigned || other.State == syncer.BatchDownloaded) && a.Range.From <= other.Range.To && other.Range.From <= a.Range.To {
				s.t.Fatalf("order %+v overlaps %+v", a, other)
			}
		}
	}
	s.batches[b.ID] = b
	s.tell(syncer.Event{Batch: &b})
	latency := time.Duration(p.LatencyMillis) * time.Millisecond
	if s.rng.Float64() < p.failing {
		s.after(s.timeout, func() { s.end(b, syncer.BatchFailed, false, s.timeout) })
		return
	}
	begin := s.now.Add(latency)
	if p.busy.After(begin) {
		begin = p.busy
	}
	p.busy = begin.Add(time.Duration(float64(n) * s.block / p.rate * float64(time.Second)))
	took := p.busy.Sub(s.now)
	s.after(took, func() {
		if p.lies {
			p.lied++
			s.end(b, syncer.BatchFailed, true, took)
			if p.lied == 2 {
				p.Gone = true
				gone := p.Peer
				s.tell(syncer.Event{Peer: &gone})
			}
			return
		}
		s.end(b, syncer.BatchDownloaded, false, took)
	})
}

// end is the end of a download.
func (s *sim) end(b syncer.Batch, state syncer.BatchState, blamed bool, took time.Duration) {
	if s.batches[b.ID].State != syncer.BatchAssigned {
		s.wasted += b.Range.Len()
		return // cancelled meanwhile
	}
	b.State, b.Blame, b.Millis = state, blamed, uint32(took.Milliseconds())
	credits := uint32(1)
	if state == syncer.BatchDownloaded {
		b.Bytes, credits = uint64(float64(b.Range.Len())*s.block), 0
	}
	s.batches[b.ID] = b
	s.tell(syncer.Event{Credits: credits, Batch: &b})
	if state != syncer.BatchDownloaded {
		return
	}
	for id, other := range s.batches {
		if other.State == syncer.BatchAssigned && (other.HedgeOf == b.ID || b.HedgeOf == id) {
			other.State = syncer.BatchCancelled
			s.batches[id] = other
			s.tell(syncer.Event{Credits: 1, Batch: &other})
		}
	}
}

func (s *sim) importNext() {
	if !s.idle {
		return
	}
	for id, b := range s.batches {
		if b.State != syncer.BatchDownloaded || b.Range.From != s.cursor+1 {
			continue
		}
		s.idle = false
		s.after(time.Duration(float64(b.Range.Len())/s.importing*float64(time.Second)), func() {
			b.State = syncer.BatchImported
			s.batches[id] = b
			s.cursor, s.idle = b.Range.To, true
			s.tell(syncer.Event{Batch: &b})
			s.tell(syncer.Event{Credits: 1, Tip: &syncer.Tip{Cursor: s.cursor, Target: s.target}})
		})
		return
	}
}

func many(n int, make func(i int) *simPeer) []*simPeer {
	out := []*simPeer{}
	for i := range n {
		out = append(out, make(i))
	}
	return out
}

const mib = 1 << 20

func TestManyPeersAreFasterThanOne(t *testing.T) {
	one := newSim(t, 1, 20_000, good(2*mib)).run()
	eight := newSim(t, 1, 20_000, many(8, func(int) *simPeer { return good(2 * mib) })...).run()
	t.Logf("20,000 heights of 7 kB: one peer %s, eight peers %s", one, eight)
	if eight > one/5 {
		t.Errorf("eight peers take %s, one takes %s", eight, one)
	}
}

// Where the import bounds, it never waits for long.
func TestTheImportIsKeptBusy(t *testing.T) {
	s := newSim(t, 1, 20_000, many(4, func(int) *simPeer { return good(4 * mib) })...)
	s.importing = 500
	took := s.run()
	t.Logf("%s for 40 s of import", took)
	if bound := 20_000 * time.Second / 500; took > bound*11/10 {
		t.Errorf("%s, the import alone takes %s", took, bound)
	}
}

func TestAThirdOfThePeersIsBad(t *testing.T) {
	for _, test := range []struct {
		name string
		bad  func() *simPeer
	}{
		{"slow", func() *simPeer { return good(mib / 50) }},
		{"failing", func() *simPeer { p := good(2 * mib); p.failing = 0.9; return p }},
		{"silent", func() *simPeer { p := good(2 * mib); p.failing = 1; return p }},
		{"lying", func() *simPeer { p := good(2 * mib); p.lies = true; return p }},
	} {
		t.Run(test.name, func(t *testing.T) {
			healthy := newSim(t, 1, 20_000, many(6, func(int) *simPeer { return good(2 * mib) })...).run()
			thirdBad := func() *sim {
				return newSim(t, 1, 20_000, many(9, func(i int) *simPeer {
					if i%3 == 0 {
						return test.bad()
					}
					return good(2 * mib)
				})...)
			}
			s := thirdBad()
			took := s.run()
			t.Logf("%s with bad peers, %s without, %d hedges, %d heights wasted", took, healthy, s.hedges, s.wasted)
			blind := thirdBad()
			blind.v.Scoring = false
			if unscored := blind.run(); unscored*105/100 < took {
				t.Errorf("%s where peers are scored, %s where all are asked alike", took, unscored)
			} else {
				t.Logf("%s where all are asked alike", unscored)
			}
			if took > healthy*16/10 {
				t.Errorf("%s with bad peers, %s without (%d hedges, %d heights wasted)", took, healthy, s.hedges, s.wasted)
			}
		})
	}
}

// Neither a fast peer nor a network of fast peers serves more than half while others can. The range that the import waits
// for is the exception: somebody must have it.
func TestNobodyServesMoreThanHalf(t *testing.T) {
	fast := func() *simPeer { p := good(5 * mib); p.Group = "192.0.2.0/24"; return p }
	for name, peers := range map[string][]*simPeer{
		"a peer":    {fast(), good(mib), good(mib)},
		"a network": {fast(), fast(), fast(), fast(), good(mib), good(mib)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, 1, 20_000, peers...)
			s.importing, s.v.Window = 100, 8*mib
			reached := false
			s.watch = func(a syncer.Assign) {
				half := s.v.span() / 2
				peer, group := s.v.lately(s.v.peers[a.Peer])
				reached = reached || group >= half-smallest
				if a.Range.From != s.v.cursor+1 && max(peer, group) > half {
					t.Errorf("%d heights of one peer and %d of one network, half is %d", peer, group, half)
				}
			}
			s.run()
			if !reached {
				t.Error("the limit was never reached: the test shows nothing")
			}
		})
	}
}

// What the host refuses is no fault of the peer.
func TestARefusalIsNoFailureOfThePeer(t *testing.T) {
	s := newSim(t, 1, 1000, good(mib), good(mib))
	s.tell(syncer.Event{Credits: 9, Snapshot: &syncer.Snapshot{Target: 1000, Peers: []syncer.Peer{s.peers["p00"].Peer, s.peers["p01"].Peer}}})
	o, ok := s.v.decide(s.now)
	if !ok || o.Assign == nil {
		t.Fatalf("order %+v", o)
	}
	s.tell(syncer.Event{Refused: &syncer.Refused{Batch: o.Assign.Batch, Reason: "group has enough"}})
	next, ok := s.v.decide(s.now)
	if !ok || next.Assign == nil || next.Assign.Peer == o.Assign.Peer || next.Assign.Range.From != o.Assign.Range.From || next.Assign.Batch == o.Assign.Batch {
		t.Errorf("after a refusal %+v", next.Assign)
	}
	if p := s.v.peers[o.Assign.Peer]; p.reliability != firstOpinion || p.failures != 0 {
		t.Errorf("reliability %v after a refusal", p.reliability)
	}
}

func TestTheWindowBoundsWhatIsHeld(t *testing.T) {
	s := newSim(t, 1, 5_000, many(8, func(int) *simPeer { return good(20 * mib) })...)
	s.block, s.importing = 100<<10, 50
	s.v.Window = 16 * mib
	s.run()
	// Before the first batch its size is unknown, and the range that the import waits for is always asked for.
	if limit := float64(16*mib + 2*8*first*s.block); s.maxHeld > limit {
		t.Errorf("%.0f MiB held, limit %.0f", s.maxHeld/mib, limit/mib)
	}
	s = newSim(t, 1, 5_000, many(8, func(int) *simPeer { return good(20 * mib) })...)
	s.tell(syncer.Event{Pressure: &syncer.Pressure{BufferLimit: 4 * mib}})
	if got := s.v.limit(); got > 4*mib {
		t.Errorf("%.0f bytes may be held where the host's buffer has 4 MiB", got)
	}
}

// The last batch does not wait for a peer that has fallen asleep.
func TestASlowPeerAtTheTipIsHedged(t *testing.T) {
	sleepy := func() []*simPeer {
		p := good(2 * mib)
		p.rate = 1000
		p.BytesPerSecond = 20 * mib // what the host measured once
		return []*simPeer{p, good(2 * mib), good(2 * mib)}
	}
	with := newSim(t, 1, 300, sleepy()...)
	took := with.run()
	without := newSim(t, 1, 300, sleepy()...)
	without.v.Hedge = false
	if slow := without.run(); took > slow/10 || with.hedges == 0 || without.hedges != 0 {
		t.Errorf("%s with %d hedges, %s with %d", took, with.hedges, slow, without.hedges)
	}
}

// Whatever the peers do, as long as one of them serves each height the sync ends.
func TestSeededSyncsEnd(t *testing.T) {
	seeds := 300
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(seed), 2))
			target := chain.Height(1 + rng.IntN(5_000))
			honest := good(float64(1+rng.IntN(20)) * mib / 4)
			honest.failing = rng.Float64() * 0.3
			peers := append([]*simPeer{honest}, many(rng.IntN(9), func(int) *simPeer {
				p := good(float64(1+rng.IntN(400)) * mib / 40)
				p.LatencyMillis = uint32(rng.IntN(400))
				p.Low = chain.Height(rng.IntN(int(target)))
				p.Head.Height = p.Low + chain.Height(1+rng.IntN(int(target)))
				p.Head.Height = min(p.Head.Height, target)
				p.failing = rng.Float64()
				p.lies = rng.IntN(4) == 0
				if rng.IntN(2) == 0 {
					p.Group = "192.0.2.0/24"
				}
				return p
			})...)
			s := newSim(t, uint64(seed), target, peers...)
			s.importing = float64(50 + rng.IntN(2000))
			s.run()
		})
	}
}
