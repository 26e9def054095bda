package syncertest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
)

// maxRange is the contract's limit of one order.
const maxRange = 1024

// Limits of a session.
const (
	maxFaults = 10   // breaches of the contract
	maxOrders = 5000 // a strategy that needs more goes round in circles
)

// outcome is what becomes of a batch that a peer was asked for.
type outcome uint8

const (
	served    outcome = iota
	failed            // no answer in time
	lied              // a provably wrong answer
	vanishing         // the peer disconnects
	refused           // the host does not carry the order out
)

// simulation is a host and its peers. It is the session of one run: orders change it at once, and what happens to the
// batches happens when the strategy asks for the next event, oldest order first.
type simulation struct {
	scenario scenario
	alive    func() // called at each event taken and order given; nil before a session

	mu        sync.Mutex // guards the rest
	wake      chan struct{}
	queue     []syncer.Event
	peers     map[syncer.PeerID]syncer.Peer
	batches   map[syncer.BatchID]syncer.Batch
	flying    []syncer.BatchID // assigned, in the order of the assignments
	cursor    chain.Height
	target    chain.Height
	credits   uint32
	started   bool // the snapshot was taken
	ended     bool
	complete  bool
	orders    int                            // batches that ended their download
	given     int                            // orders taken
	sequence  uint64                         // of the order that is being taken
	sequences map[syncer.BatchID]uint64      // of the order that assigned the batch
	lastOf    map[chain.Height]syncer.PeerID // who failed last for the batch that begins here
	gone      map[syncer.PeerID]int          // orders for a peer that is gone
	faults    []string
}

// scenario is one course of a session.
type scenario struct {
	epoch    syncer.Epoch
	cursor   chain.Height
	target   chain.Height
	credits  uint32 // with the snapshot; afterwards each end of a batch gives one back
	peers    []syncer.Peer
	batches  []syncer.Batch
	serve    func(n int, a syncer.Assign) outcome // n counts the assignments from 0; nil serves all
	latePeer *syncer.Peer                         // comes when nothing else can happen
	lateTip  chain.Height                         // the target moves here after the first completion
	endAt    chain.Height                         // the host ends the session when the cursor is here
}

func newSimulation(s scenario) *simulation {
	if s.epoch == 0 {
		s.epoch = 1
	}
	if s.credits == 0 {
		s.credits = 64
	}
	sim := &simulation{
		scenario: s, wake: make(chan struct{}),
		peers:     make(map[syncer.PeerID]syncer.Peer),
		batches:   make(map[syncer.BatchID]syncer.Batch),
		lastOf:    make(map[chain.Height]syncer.PeerID),
		gone:      make(map[syncer.PeerID]int),
		sequences: make(map[syncer.BatchID]uint64),
		cursor:    s.cursor, target: s.target, credits: s.credits,
	}
	for _, p := range s.peers {
		sim.peers[p.ID] = p
	}
	for _, b := range s.batches {
		sim.batches[b.ID] = b
		if b.State == syncer.BatchAssigned {
			sim.flying = append(sim.flying, b.ID)
		}
	}
	sim.queue = []syncer.Event{{Epoch: s.epoch, Credits: s.credits, Snapshot: &syncer.Snapshot{
		Cursor: s.cursor, Target: s.target, Peers: s.peers, Batches: s.batches,
	}}}
	return sim
}

// fault records a breach of the contract. A strategy with many of them has failed; the host ends its session.
func (s *simulation) fault(format string, args ...any) {
	if s.ended {
		return
	}
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
	if len(s.faults) >= maxFaults {
		s.ended, s.queue = true, nil
	}
}

// push queues an event.
func (s *simulation) push(e syncer.Event) {
	if s.ended {
		return
	}
	e.Epoch = s.scenario.epoch
	s.credits += e.Credits
	s.queue = append(s.queue, e)
}

// Next implements syncer.Session.
func (s *simulation) Next(ctx context.Context) (syncer.Event, error) {
	for {
		if err := ctx.Err(); err != nil {
			return syncer.Event{}, err
		}
		s.mu.Lock()
		if len(s.queue) == 0 {
			s.advance()
		}
		if len(s.queue) > 0 {
			e := s.queue[0]
			s.queue = s.queue[1:]
			s.started = true
			s.mu.Unlock()
			if s.alive != nil {
				s.alive()
			}
			return e, nil
		}
		ended, wake := s.ended, s.wake
		s.mu.Unlock()
		if ended {
			return syncer.Event{}, io.EOF
		}
		select {
		case <-wake:
		case <-ctx.Done():
		}
	}
}

// advance lets the next thing happen.
func (s *simulation) advance() {
	switch {
	case s.ended:
	case s.scenario.endAt > 0 && s.cursor >= s.scenario.endAt:
		s.ended = true
	case len(s.flying) > 0:
		id := s.flying[0]
		s.flying = s.flying[1:]
		s.resolve(s.batches[id])
	case s.importNext():
	case s.complete && s.scenario.lateTip > s.target:
		s.target, s.complete = s.scenario.lateTip, false
		for id, p := range s.peers {
			p.Head.Height = s.target
			s.peers[id] = p
			s.push(syncer.Event{Peer: &p})
		}
		s.push(syncer.Event{Credits: 1, Tip: &syncer.Tip{Cursor: s.cursor, Target: s.target}})
	case s.complete:
		s.ended = true
	case s.scenario.latePeer != nil:
		p := *s.scenario.latePeer
		s.scenario.latePeer = nil
		s.peers[p.ID] = p
		s.push(syncer.Event{Peer: &p})
	case s.credits == 0:
		s.push(syncer.Event{Credits: 1, Pressure: &syncer.Pressure{BufferLimit: 1 << 20}})
	}
}

// resolve ends a batch's download.
func (s *simulation) resolve(b syncer.Batch) {
	what := served
	if s.scenario.serve != nil {
		what = s.scenario.serve(s.orders, syncer.Assign{Batch: b.ID, Range: b.Range, Peer: b.Peer})
		s.orders++
	}
	if s.peers[b.Peer].Gone {
		what = vanishing
	}
	b.State, b.Bytes, b.Millis = syncer.BatchFailed, 0, 10
	s.lastOf[b.Range.From] = b.Peer
	defer func() {
		if what == served {
			s.cancelHedge(b)
		}
	}()
	switch what {
	case served:
		b.State, b.Bytes = syncer.BatchDownloaded, b.Range.Len()*500
		delete(s.lastOf, b.Range.From)
	case failed:
		b.Reason = "no answer in time"
	case lied:
		b.Reason, b.Blame = "hash links are broken", true
	case vanishing:
		p := s.peers[b.Peer]
		if !p.Gone {
			p.Gone = true
			s.peers[b.Peer] = p
			s.push(syncer.Event{Peer: &p})
		}
		b.Reason = "peer is gone"
	case refused:
		delete(s.batches, b.ID)
		s.push(syncer.Event{Credits: 1, Refused: &syncer.Refused{
			Sequence: s.sequences[b.ID], Batch: b.ID, Reason: "group has enough",
		}})
		return
	}
	s.batches[b.ID] = b
	credits := uint32(1)
	if b.State == syncer.BatchDownloaded {
		credits = 0 // comes with the import
	}
	s.push(syncer.Event{Credits: credits, Batch: &b})
}

// cancelHedge gives up the other batch of a hedge, of which b has won.
func (s *simulation) cancelHedge(b syncer.Batch) {
	for _, id := range slices.Clone(s.flying) {
		other := s.batches[id]
		if other.HedgeOf != b.ID && b.HedgeOf != other.ID {
			continue
		}
		other.State = syncer.BatchCancelled
		s.batches[id] = other
		s.flying = slices.DeleteFunc(s.flying, func(f syncer.BatchID) bool { return f == id })
		s.push(syncer.Event{Credits: 1, Batch: &other})
	}
}

// importNext imports the downloaded batch above the cursor.
func (s *simulation) importNext() bool {
	for id, b := range s.batches {
		if b.State != syncer.BatchDownloaded || b.Range.From > s.cursor+1 || b.Range.To <= s.cursor {
			continue
		}
		b.State = syncer.BatchImported
		s.batches[id] = b
		s.cursor = b.Range.To
		s.push(syncer.Event{Batch: &b})
		s.push(syncer.Event{Credits: 1, Tip: &syncer.Tip{Cursor: s.cursor, Target: s.target}})
		return true
	}
	return false
}

// Send implements syncer.Session.
func (s *simulation) Send(ctx context.Context, o syncer.Order) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.alive != nil {
		s.alive()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.started:
		s.fault("order before the snapshot was taken: %+v", o)
		return syncer.ErrBadOrder
	case o.Epoch != s.scenario.epoch:
		s.fault("order of epoch %d in epoch %d", o.Epoch, s.scenario.epoch)
		return syncer.ErrStaleEpoch
	case s.credits == 0:
		s.fault("order without credit: %+v", o)
		return syncer.ErrNoCredit
	}
	s.credits--
	s.given++
	if s.given > maxOrders {
		s.fault("more than %d orders", maxOrders)
		s.ended, s.queue = true, nil
	}
	s.sequence = o.Sequence
	s.take(o)
	close(s.wake)
	s.wake = make(chan struct{})
	return nil
}

func (s *simulation) take(o syncer.Order) {
	switch {
	case o.Assign != nil:
		s.assign(*o.Assign)
	case o.Complete != nil:
		if o.Complete.Target != s.target || s.cursor < s.target {
			s.fault("complete at %d with cursor %d and target %d", o.Complete.Target, s.cursor, s.target)
		}
		if s.complete {
			s.fault("complete at %d was said twice", s.target)
		}
		s.complete = true
	case o.Cancel != nil:
		s.cancel(o.Cancel.Batch)
	case o.Penalise != nil:
		if _, known := s.peers[o.Penalise.Peer]; !known {
			s.fault("penalty for the unknown peer %q", o.Penalise.Peer)
		}
	case o.Window != nil:
	default:
		s.fault("order without content")
	}
}

// cancel gives up a batch. One that has ended, or that the host never had, is refused, which is no fault: the order may
// have been under way when it ended.
func (s *simulation) cancel(id syncer.BatchID) {
	b, known := s.batches[id]
	if !known || b.State != syncer.BatchAssigned && b.State != syncer.BatchDownloaded {
		s.push(syncer.Event{Credits: 1, Refused: &syncer.Refused{
			Sequence: s.sequence, Batch: id, Reason: "there is no such batch",
		}})
		return
	}
	b.State = syncer.BatchCancelled
	s.batches[id] = b
	s.flying = slices.DeleteFunc(s.flying, func(f syncer.BatchID) bool { return f == id })
	s.push(syncer.Event{Credits: 1, Batch: &b})
}

// assign checks an assignment. One that does not fit is a fault, and is answered as a real host would.
func (s *simulation) assign(a syncer.Assign) {
	if problem := s.problem(a); problem != "" {
		s.fault("assign batch %d, heights %d to %d, to %q: %s", a.Batch, a.Range.From, a.Range.To, a.Peer, problem)
		s.push(syncer.Event{Credits: 1, Refused: &syncer.Refused{Sequence: s.sequence, Batch: a.Batch, Reason: problem}})
		return
	}
	b := syncer.Batch{ID: a.Batch, Range: a.Range, Peer: a.Peer, State: syncer.BatchAssigned, HedgeOf: a.HedgeOf}
	s.batches[a.Batch], s.sequences[a.Batch] = b, s.sequence
	if late := a.HedgeOf != 0 && s.batches[a.HedgeOf].State != syncer.BatchAssigned; late {
		b.State = syncer.BatchCancelled // the other one has ended while the order was under way
		s.batches[a.Batch] = b
		s.push(syncer.Event{Credits: 1, Batch: &b})
		return
	}
	s.flying = append(s.flying, a.Batch)
	s.push(syncer.Event{Batch: &b})
}

func (s *simulation) problem(a syncer.Assign) string {
	peer, known := s.peers[a.Peer]
	old, used := s.batches[a.Batch]
	switch n := a.Range.Len(); {
	case n == 0 || n > maxRange:
		return fmt.Sprintf("%d heights, want 1 to %d", n, maxRange)
	case !known:
		return "unknown peer"
	case peer.Gone && s.askedGone(a.Peer):
		return "the peer is gone"
	case a.Range.From < peer.Low || a.Range.To > peer.Head.Height:
		return fmt.Sprintf("the peer has %d to %d", peer.Low, peer.Head.Height)
	case a.Range.From <= s.scenario.cursor || a.Range.To > s.target:
		return fmt.Sprintf("outside %d to %d", s.scenario.cursor+1, s.target)
	case used && (old.State != syncer.BatchFailed || old.Range != a.Range):
		return "the id is in use"
	case s.lastOf[a.Range.From] == a.Peer && s.others(a):
		return "the peer failed just now and another one has these heights"
	case a.HedgeOf != 0:
		return s.hedgeProblem(a)
	}
	for _, b := range s.batches {
		live := b.State == syncer.BatchAssigned || b.State == syncer.BatchDownloaded || b.State == syncer.BatchImported
		if live && a.Range.From <= b.Range.To && b.Range.From <= a.Range.To {
			return fmt.Sprintf("batch %d has these heights and is %s", b.ID, b.State)
		}
	}
	return ""
}

// hedgeProblem checks what an assignment says that it hedges. That batch may have ended a moment ago, which is no fault:
// the hedge is then cancelled at once.
func (s *simulation) hedgeProblem(a syncer.Assign) string {
	first, known := s.batches[a.HedgeOf]
	switch {
	case !known || first.Range != a.Range:
		return fmt.Sprintf("batch %d is not there or has another range", a.HedgeOf)
	case first.HedgeOf != 0:
		return fmt.Sprintf("batch %d is a hedge itself", a.HedgeOf)
	case first.Peer == a.Peer:
		return "the hedge is on the same peer"
	}
	for _, b := range s.batches {
		if b.HedgeOf == a.HedgeOf && b.State == syncer.BatchAssigned {
			return fmt.Sprintf("batch %d hedges it already", b.ID)
		}
	}
	return ""
}

// askedGone reports whether a gone peer was asked so often that the strategy must have known: an order that was under
// way when the peer vanished is not a fault.
func (s *simulation) askedGone(id syncer.PeerID) bool {
	s.gone[id]++
	return s.gone[id] > 16
}

// others reports whether a peer that is not the order's could serve it.
func (s *simulation) others(a syncer.Assign) bool {
	for _, p := range s.peers {
		if p.ID != a.Peer && !p.Gone && p.Low <= a.Range.From && p.Head.Height >= a.Range.To {
			return true
		}
	}
	return false
}
