package follow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
)

// Limits of what a strategy can make the node do.
const (
	// Near is how far above the head a certified block may be for consensus to fetch what is between by itself.
	Near = consensus.MaxFetchDepth / 4
	// Credits is how many orders a strategy may give before an event grants more, and so how many batches it may have.
	Credits = 64
	// MaxRange is the longest range of one batch, in blocks.
	MaxRange = 1024
	// DefaultWindow is how many bytes may be downloaded and not yet imported, unless the strategy asks for less.
	DefaultWindow = 64 << 20
	retryPause    = time.Second
	ratesKept     = 10 * time.Second // over which the import rate is measured
)

// ErrUnavailable means that blocks cannot be imported now; they are tried again.
var ErrUnavailable = errors.New("import is not possible now")

// ErrMisbehaved means that a peer's answer is provably wrong: an honest node would not have given it.
var ErrMisbehaved = errors.New("the peer gave a wrong answer")

// Peer is a peer as the network knows it.
type Peer struct {
	ID    syncer.PeerID
	Group string // network group: its /24 or /48
	RTT   time.Duration
	Low   chain.Height          // the lowest height that it serves
	Head  consensus.Certificate // the tip that it claims, with the certificate that proves it
	Gone  bool                  // it has just left
}

// Answer is a run of blocks, each the child of the one before, with the certificate of the last: not verified yet.
type Answer struct {
	Blocks []*block.Block
	QC     block.QC
	Bytes  uint64 // received
}

// Network is what a Follower asks of the network.
type Network interface {
	// Blocks asks a peer for blocks from a height on: one at least and count at most. ErrMisbehaved (by errors.Is) when
	// heights or links are wrong, and then it has been counted against the peer.
	Blocks(ctx context.Context, peer syncer.PeerID, from chain.Height, count uint64) (Answer, error)
	// Misbehaved counts a proven fault against a peer.
	Misbehaved(peer syncer.PeerID, reason string)
}

// Importer executes and stores runs of notarized blocks.
type Importer interface {
	// Import begins with a run, each block the child of the one before, qc the certificate of the last. It does not wait:
	// wait does, for the outcome. ErrUnavailable (by errors.Is) when the run cannot be imported now. The next run may be
	// begun before this one has ended; it is imported after it, and never without it.
	Import(blocks []*block.Block, qc block.QC) (wait func(context.Context) error)
}

// Options are what a Follower needs.
type Options struct {
	Schedule consensus.Schedule
	Verifier consensus.Verifier // nil: BLS12-381
	Network  Network
	Importer Importer
	Disk     Disk // nil: a killed node fetches again what it had not imported
	Heads    func() (head, safe chain.Ref)
	Has      func(chain.Hash) bool    // whether a block is stored
	Check    func(*block.Block) error // whether a body is its header's; pure, called from any goroutine
	Publish  func(syncer.Event)       // to the strategy that has the wheel; must not block
	Log      hclog.Logger
	Now      func() time.Time // nil: time.Now
	Workers  int              // goroutines that verify bodies; 0: one a processor
}

// Follower carries out orders. Its methods may be called from any goroutine.
type Follower struct {
	opt   Options
	ctx   context.Context // of downloads; ends with Run
	stop  context.CancelFunc
	wake  chan struct{} // the importer looks for work
	fresh chan struct{} // the verifier does
	loads sync.WaitGroup

	keeping  sync.Mutex // one batch is written to disk at a time
	mu       sync.Mutex
	best     chain.Height // of the highest certificate that verified; guarded by mu, as all below
	imported chain.Height // by us; the head follows
	peers    map[syncer.PeerID]*served
	batches  map[syncer.BatchID]*batch
	recent   []serving // oldest first
	buffered uint64
	window   uint64
	failing  string // why the importer waits
	rate     rate
	closed   bool
}

// served is a peer with what was measured of it.
type served struct {
	peer           Peer
	bytesPerSecond uint64
	ok, failed     uint32
	failing        bool // the last request came to nothing
}

type batch struct {
	syncer.Batch
	cancel context.CancelFunc
	blocks []*block.Block
	qc     block.QC
	sound  bool // certificate and bodies were verified
}

// New makes a follower, which takes over what Disk lists. It starts nothing.
func New(o Options) *Follower {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &Follower{
		opt: o, ctx: ctx, stop: stop, wake: make(chan struct{}, 1), fresh: make(chan struct{}, 1), peers: map[syncer.PeerID]*served{},
		batches: map[syncer.BatchID]*batch{}, window: DefaultWindow,
	}
	f.recall()
	return f
}

// Snapshot is the first event of a session: what is under way stays, so that a new strategy goes on where the old one was.
func (f *Follower) Snapshot() syncer.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.window = DefaultWindow
	s := &syncer.Snapshot{}
	s.Cursor, s.Target = f.place()
	for _, id := range slices.Sorted(maps.Keys(f.peers)) {
		s.Peers = append(s.Peers, f.peers[id].describe())
	}
	held := uint32(0)
	for _, id := range slices.Sorted(maps.Keys(f.batches)) {
		if b := f.batches[id]; b.State == syncer.BatchAssigned || b.State == syncer.BatchDownloaded {
			s.Batches = append(s.Batches, b.Batch)
			held++
		} else {
			delete(f.batches, id) // ids are unique in a session only
		}
	}
	return syncer.Event{Credits: Credits - min(held, Credits), Snapshot: s}
}

// place is where sync stands: imported up to the cursor, which never goes back, and wanted up to the target. While
// consensus can fetch what is missing by itself the two are one.
func (f *Follower) place() (cursor, target chain.Height) {
	head, _ := f.opt.Heads()
	cursor = max(head.Height, f.imported)
	if f.best <= cursor+Near {
		return cursor, cursor
	}
	return cursor, f.best
}

// Waiting reports that there is work and that the strategy has not ordered it.
func (f *Follower) Waiting() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	cursor, target := f.place()
	if cursor >= target || !f.canServe(cursor+1) {
		return false
	}
	for _, b := range f.batches {
		if b.State == syncer.BatchAssigned || b.State == syncer.BatchDownloaded {
			return false
		}
	}
	return true
}

func (f *Follower) canServe(h chain.Height) bool {
	for _, p := range f.peers {
		if p.peer.Low <= h && h <= p.peer.Head.Header.Height {
			return true
		}
	}
	return false
}

// PeerChanged follows the network's peers.
func (f *Follower) PeerChanged(p Peer) {
	certified := f.certifies(p.Head)
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.Gone {
		if old := f.peers[p.ID]; old != nil {
			delete(f.peers, p.ID)
			gone := old.describe()
			gone.Gone = true
			f.opt.Publish(syncer.Event{Peer: &gone})
		}
		return
	}
	s := f.peers[p.ID]
	if s == nil {
		s = &served{}
		f.peers[p.ID] = s
	}
	s.peer = p
	if !certified {
		s.peer.Head = consensus.Certificate{} // it serves nothing that we could believe it to have
	}
	described := s.describe()
	f.opt.Publish(syncer.Event{Peer: &described})
	if h := s.peer.Head.Header.Height; h > f.best {
		f.best = h
		f.tip()
	}
}

// Advanced follows our own head.
func (f *Follower) Advanced(head chain.Height) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.best = max(f.best, head)
	f.tip()
}

func (f *Follower) tip() {
	cursor, target := f.place()
	f.opt.Publish(syncer.Event{Tip: &syncer.Tip{Cursor: cursor, Target: target}})
}

func (s *served) describe() syncer.Peer {
	h := s.peer.Head.Header
	p := syncer.Peer{
		ID: s.peer.ID, Group: s.peer.Group, Low: s.peer.Low, LatencyMillis: uint32(s.peer.RTT.Milliseconds()),
		BytesPerSecond: s.bytesPerSecond, Served: s.ok, Failed: s.failed,
	}
	if h.Height > 0 {
		p.Head = chain.Ref{Height: h.Height, Hash: h.Hash()}
	}
	return p
}

// Handle carries out an order. One that does not fit is answered with Refused, and gets its credit back.
func (f *Follower) Handle(_ context.Context, o syncer.Order) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opt.Log.Trace("order of the sync strategy", "order", o)
	var named syncer.BatchID
	var reason string
	switch {
	case o.Assign != nil:
		named = o.Assign.Batch
		if reason = f.unfit(*o.Assign); reason == "" {
			f.assign(*o.Assign)
			return nil // the credit comes back when the batch ends
		}
	case o.Cancel != nil:
		named = o.Cancel.Batch
		if b := f.batches[named]; b == nil || b.State != syncer.BatchAssigned {
			reason = "it is not being downloaded"
		} else {
			f.end(b, syncer.BatchCancelled, "")
		}
	case o.Penalise != nil:
		if s := f.peers[o.Penalise.Peer]; s == nil {
			reason = "there is no such peer"
		} else {
			s.failed++
		}
	case o.Window != nil:
		f.window = min(max(o.Window.Bytes, 1<<20), DefaultWindow)
	case o.Complete != nil: // whether we are synced is for the host to know
	}
	e := syncer.Event{Credits: 1}
	if reason != "" {
		e.Refused = &syncer.Refused{Sequence: o.Sequence, Batch: named, Reason: reason}
	}
	f.opt.Publish(e)
	return nil
}

// unfit says why a range cannot be asked for; empty when it can.
func (f *Follower) unfit(a syncer.Assign) string {
	cursor, target := f.place()
	p := f.peers[a.Peer]
	old := f.batches[a.Batch]
	switch {
	case f.closed:
		return "the node stops"
	case a.Range.From == 0 || a.Range.Len() == 0 || a.Range.Len() > MaxRange:
		return fmt.Sprintf("a range is 1 to %d heights above genesis", MaxRange)
	case a.Range.To <= cursor:
		return fmt.Sprintf("heights up to %d are imported", cursor)
	case a.Range.To > target:
		return fmt.Sprintf("no block above %d is known to be certified", target)
	case p == nil:
		return "there is no such peer"
	case p.peer.Low > a.Range.From || p.peer.Head.Header.Height < a.Range.To:
		return "the peer does not have the whole range"
	case old != nil && old.State != syncer.BatchFailed:
		return fmt.Sprintf("the batch is %s", old.State)
	case f.buffered >= f.window && a.Range.From > cursor+1:
		return "the window is full"
	}
	if a.HedgeOf != 0 {
		return f.unfitHedge(a)
	}
	for _, id := range slices.Sorted(maps.Keys(f.batches)) {
		b := f.batches[id]
		live := b.ID != a.Batch && (b.State == syncer.BatchAssigned || b.State == syncer.BatchDownloaded)
		if live && b.Range.From <= a.Range.To && a.Range.From <= b.Range.To {
			return fmt.Sprintf("batch %d has heights of it", b.ID)
		}
	}
	return f.overShare(a, cursor, target)
}

func (f *Follower) unfitHedge(a syncer.Assign) string {
	first := f.batches[a.HedgeOf]
	switch {
	case first == nil || first.State != syncer.BatchAssigned || first.HedgeOf != 0:
		return fmt.Sprintf("batch %d is not one that can be hedged", a.HedgeOf)
	case first.Range != a.Range || first.Peer == a.Peer:
		return "a hedge has the range of its batch and another peer"
	}
	for _, b := range f.batches {
		if b.HedgeOf == a.HedgeOf && b.State == syncer.BatchAssigned && b.ID != a.Batch {
			return fmt.Sprintf("batch %d is hedged already", a.HedgeOf)
		}
	}
	return ""
}

func (f *Follower) assign(a syncer.Assign) {
	ctx, cancel := context.WithCancel(f.ctx)
	b := &batch{
		Batch:  syncer.Batch{ID: a.Batch, Range: a.Range, Peer: a.Peer, State: syncer.BatchAssigned, HedgeOf: a.HedgeOf},
		cancel: cancel,
	}
	f.batches[a.Batch] = b
	if b.HedgeOf == 0 {
		f.ordered(b)
	}
	f.tell(b, 0)
	f.loads.Go(func() {
		defer cancel()
		f.download(ctx, b, a)
	})
}

// tell publishes where a batch stands.
func (f *Follower) tell(b *batch, credits uint32) {
	now := b.Batch
	f.opt.Publish(syncer.Event{Credits: credits, Batch: &now})
}

// end gives up a batch, or is done with it.
func (f *Follower) end(b *batch, s syncer.BatchState, reason string) {
	b.cancel()
	if b.State == syncer.BatchDownloaded {
		f.buffered -= b.Bytes
		if f.opt.Disk != nil {
			f.loads.Go(func() { f.forget(b.Range) })
		}
	}
	b.State, b.Reason, b.blocks = s, reason, nil
	if s != syncer.BatchImported {
		f.unserved(b)
	}
	if s != syncer.BatchFailed {
		delete(f.batches, b.ID)
	}
	f.tell(b, 1)
}
