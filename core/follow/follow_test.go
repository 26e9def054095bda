package follow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/follow"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
	"github.com/alys-node/alys/sdk/syncertest"
)

// inVain is how long a condition is waited for. It is reached only by a test that fails.
const inVain = 30 * time.Second

// history is a chain of certified blocks of the development chain with one authority, from genesis on.
func history(t *testing.T, heights int) []*block.Block {
	t.Helper()
	genesis, err := spec.Dev().Genesis()
	if err != nil {
		t.Fatal(err)
	}
	out := []*block.Block{genesis}
	for range heights {
		parent := out[len(out)-1]
		b := &block.Block{ParentQC: certificate(t, parent), Header: chain.Header{
			Version: chain.HeaderVersion, Genesis: genesis.Header.Hash(), Slot: parent.Header.Slot + 1, Height: parent.Header.Height + 1,
			Parent: parent.Header.Hash(),
		}}
		b.Seal()
		out = append(out, b)
	}
	return out
}

func certificate(t *testing.T, b *block.Block) block.QC {
	t.Helper()
	hash := b.Header.Hash()
	if b.Header.Height == 0 {
		return consensus.GenesisQC(hash)
	}
	key, err := bls.ParseSecretKey(spec.DevSecret(0))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := bls.Aggregate([]chain.BLSSignature{key.Sign(consensus.ApprovalRoot(hash))})
	if err != nil {
		t.Fatal(err)
	}
	signers := block.NewSigners(1)
	signers.Set(0)
	return block.QC{Block: hash, Signers: signers, Signature: sig}
}

// world is a node that follows a chain which peers have.
type world struct {
	t     *testing.T
	chain []*block.Block
	*follow.Follower

	mu        sync.Mutex // guards the rest
	events    chan syncer.Event
	head      chain.Ref
	safe      chain.Ref
	stored    map[chain.Hash]bool
	imported  []chain.Height
	away      int                    // imports that fail from now on
	wrong     map[syncer.PeerID]bool // serves certificates that do not verify
	forging   map[syncer.PeerID]bool // serves bodies that are not their headers'
	slow      map[syncer.PeerID]chan struct{}
	served    map[syncer.PeerID]int // blocks
	misbehave []syncer.PeerID
}

func newWorld(t *testing.T, heights int) *world {
	t.Helper()
	return worldOn(t, history(t, heights), nil)
}

// worldOn is a node that follows a chain, with a disk.
func worldOn(t *testing.T, line []*block.Block, disk follow.Disk) *world {
	w := &world{
		t: t, chain: line, wrong: map[syncer.PeerID]bool{}, forging: map[syncer.PeerID]bool{}, served: map[syncer.PeerID]int{},
		slow: map[syncer.PeerID]chan struct{}{}, stored: map[chain.Hash]bool{}, events: make(chan syncer.Event, 10_000),
	}
	w.head, w.safe = w.chain[0].Ref(), w.chain[0].Ref()
	w.Follower = follow.New(follow.Options{
		Schedule: spec.Dev().Agreement(), Network: w, Importer: w, Publish: w.publish, Check: w.check, Disk: disk,
		Has: func(h chain.Hash) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.stored[h]
		},
		Heads: w.heads,
	})
	w.stored[w.head.Hash] = true
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) heads() (head, safe chain.Ref) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.head, w.safe
}

func (w *world) publish(e syncer.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events <- e
}

// Blocks implements follow.Network: at most 40 blocks an answer, as a peer with large ones would do.
func (w *world) Blocks(ctx context.Context, peer syncer.PeerID, from chain.Height, count uint64) (follow.Answer, error) {
	w.mu.Lock()
	gate, wrong, forging := w.slow[peer], w.wrong[peer], w.forging[peer]
	w.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return follow.Answer{}, ctx.Err()
		}
	}
	n := min(int(count), 40, len(w.chain)-int(from))
	if n <= 0 {
		return follow.Answer{}, errors.New("not found")
	}
	a := follow.Answer{Blocks: w.chain[from : int(from)+n], Bytes: uint64(n) * 1000}
	a.QC = certificate(w.t, a.Blocks[n-1])
	if forging {
		forged := *a.Blocks[n/2]
		forged.Execution.Payload.ExtraData = []byte("forged")
		a.Blocks = slices.Clone(a.Blocks)
		a.Blocks[n/2] = &forged
	}
	if wrong {
		a.QC.Signature[5] ^= 1
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.served[peer] += n
	return a, nil
}

func (w *world) check(b *block.Block) error {
	if len(b.Execution.Payload.ExtraData) > 0 {
		return block.ErrMismatch
	}
	return nil
}

// Misbehaved implements follow.Network.
func (w *world) Misbehaved(p syncer.PeerID, _ string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.misbehave = append(w.misbehave, p)
}

// Import implements follow.Importer.
func (w *world) Import(blocks []*block.Block, qc block.QC) func(context.Context) error {
	err := w.store(blocks, qc)
	return func(context.Context) error { return err }
}

func (w *world) store(blocks []*block.Block, qc block.QC) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away > 0 {
		w.away--
		return fmt.Errorf("%w: the engine restarts", follow.ErrUnavailable)
	}
	if first := blocks[0].Header; !w.stored[first.Parent] {
		return fmt.Errorf("block %d does not continue %d", first.Height, w.head.Height)
	}
	if last := blocks[len(blocks)-1].Header.Hash(); qc.Block != last {
		return errors.New("the certificate is another block's")
	}
	for _, b := range blocks {
		w.imported = append(w.imported, b.Header.Height)
		w.stored[b.Header.Hash()] = true
	}
	w.head = blocks[len(blocks)-1].Ref()
	return nil
}

// peer is a peer that has the whole chain.
func (w *world) peer(id syncer.PeerID) follow.Peer {
	tip := w.chain[len(w.chain)-1]
	return follow.Peer{ID: id, Group: string(id) + "/24", Head: consensus.Certificate{Header: tip.Header, QC: certificate(w.t, tip)}}
}

// strategy runs the reference strategy until the test ends or its session is over.
func (w *world) strategy(ctx context.Context) <-chan error {
	s := session{w, make(chan syncer.Event, 1)}
	s.first <- w.Snapshot()
	done := make(chan error, 1)
	go func() { done <- syncertest.NewMemory().Run(ctx, s) }()
	return done
}

type session struct {
	w     *world
	first chan syncer.Event
}

func (s session) Next(ctx context.Context) (syncer.Event, error) {
	select {
	case e := <-s.first:
		return e, nil
	default:
	}
	select {
	case e := <-s.w.events:
		return e, nil
	case <-ctx.Done():
		return syncer.Event{}, ctx.Err()
	}
}

func (s session) Send(ctx context.Context, o syncer.Order) error { return s.w.Handle(ctx, o) }

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(inVain)
	for {
		w.mu.Lock()
		good := ok()
		w.mu.Unlock()
		if good {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("in vain: %s; %s", what, w.Progress())
		}
	}
}

func (w *world) synced() {
	w.t.Helper()
	tip := w.chain[len(w.chain)-1].Header.Height
	w.until("sync", func() bool { return w.head.Height+follow.Near >= tip })
	w.mu.Lock()
	defer w.mu.Unlock()
	want := chain.Height(1)
	for _, h := range w.imported {
		if h != want {
			w.t.Fatalf("height %d was imported where %d was due", h, want)
		}
		want++
	}
}

func TestSyncFromGenesis(t *testing.T) {
	w := newWorld(t, 500)
	w.strategy(t.Context())
	w.PeerChanged(w.peer("a"))
	w.PeerChanged(w.peer("b"))
	w.synced()
	p := w.Progress()
	if p.Stage != follow.StageSynced || p.Peers != 2 {
		t.Errorf("progress: %+v", p)
	}
	if !strings.HasPrefix(p.String(), "synced, 2 peers") {
		t.Errorf("progress says %q", p)
	}
}

// A claim is not a target: what is wanted is what a certificate proves.
func TestD37_ClaimedHeightWithoutCertificateIsNoTarget(t *testing.T) {
	w := newWorld(t, 100)
	liar := w.peer("liar")
	liar.Head.Header.Height += 1_000_000
	liar.Head.QC.Block = liar.Head.Header.Hash()
	w.PeerChanged(liar)
	if p := w.Progress(); p.Target != 0 || p.Stage != follow.StageSynced {
		t.Errorf("a claim made a target: %+v", p)
	}
	if s := w.Snapshot().Snapshot; s.Target != 0 || s.Peers[0].Head.Height != 0 {
		t.Errorf("the strategy is told of it: %+v", s)
	}
	w.PeerChanged(w.peer("honest"))
	if p := w.Progress(); p.Target != 100 {
		t.Errorf("target is %d, want 100", p.Target)
	}
}

func TestRangeWithAWrongCertificateIsBlamedAndFetchedElsewhere(t *testing.T) {
	blamed(t, func(w *world) { w.wrong["bad"] = true })
}

func TestBodyThatIsNotItsHeadersIsBlamedAndFetchedElsewhere(t *testing.T) {
	blamed(t, func(w *world) { w.forging["bad"] = true })
}

// blamed syncs from a bad peer first, and then from a good one too.
func blamed(t *testing.T, spoil func(*world)) {
	w := newWorld(t, 200)
	spoil(w)
	w.strategy(t.Context())
	w.PeerChanged(w.peer("bad"))
	w.until("blame", func() bool { return len(w.misbehave) > 0 })
	w.PeerChanged(w.peer("good"))
	w.synced()
	w.mu.Lock()
	defer w.mu.Unlock()
	if slices.Contains(w.misbehave, "good") {
		t.Errorf("blamed: %v", w.misbehave)
	}
}

func TestEngineThatIsAwayIsWaitedFor(t *testing.T) {
	w := newWorld(t, 100)
	w.away = 2
	w.strategy(t.Context())
	w.PeerChanged(w.peer("a"))
	w.until("the stage is named", func() bool { return w.away < 2 })
	w.synced()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.served["a"] > 110 {
		t.Errorf("%d blocks were fetched for 100: what was downloaded is not kept", w.served["a"])
	}
}

// A strategy that is swapped or dies in mid-sync leaves what is downloaded and under way to the next one.
func TestNextStrategyGoesOnWithWhatIsDownloaded(t *testing.T) {
	w := newWorld(t, 400)
	ctx, cancel := context.WithCancel(t.Context())
	done := w.strategy(ctx)
	w.PeerChanged(w.peer("a"))
	w.until("a part", func() bool { return w.head.Height > 0 })
	cancel()
	<-done
	w.strategy(t.Context())
	w.synced()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.served["a"] > 440 {
		t.Errorf("%d blocks were fetched for 400", w.served["a"])
	}
}

// A head on a branch that the federation left is not the chain's end: what lies between it and the safe block is fetched.
func TestHeadOnAnAbandonedBranchIsBridged(t *testing.T) {
	w := newWorld(t, 100)
	w.head = chain.Ref{Height: 7, Hash: chain.Hash{7}}
	w.safe = w.chain[3].Ref()
	for _, b := range w.chain[:4] {
		w.stored[b.Header.Hash()] = true
	}
	w.strategy(t.Context())
	w.PeerChanged(w.peer("a"))
	w.until("sync", func() bool { return w.head.Height+follow.Near >= 100 })
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.imported[0] != 4 || !slices.IsSorted(w.imported) {
		t.Errorf("imported: %v", w.imported)
	}
}

// A chain that is not built on our safe block is never imported.
func TestChainBesideTheSafeBlockIsRefused(t *testing.T) {
	w := newWorld(t, 100)
	w.head = chain.Ref{Height: 5, Hash: chain.Hash{5}}
	w.safe = w.head
	w.stored[w.head.Hash] = true
	w.PeerChanged(w.peer("a"))
	if err := w.Handle(t.Context(), syncer.Order{Assign: &syncer.Assign{Batch: 1, Range: syncer.Range{From: 6, To: 50}, Peer: "a"}}); err != nil {
		t.Fatal(err)
	}
	for {
		e := <-w.events
		if e.Batch == nil || e.Batch.State != syncer.BatchFailed {
			continue
		}
		if !strings.Contains(e.Batch.Reason, "not our safe block") {
			t.Errorf("reason: %q", e.Batch.Reason)
		}
		break
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.imported) > 0 {
		t.Errorf("imported: %v", w.imported)
	}
}

func TestOrdersThatDoNotFitAreRefusedWithAReason(t *testing.T) {
	w := newWorld(t, 2000)
	w.slow["a"] = make(chan struct{})
	w.slow["b"] = w.slow["a"]
	short := w.peer("short")
	short.Low = 500
	for _, p := range []follow.Peer{w.peer("a"), w.peer("b"), short} {
		w.PeerChanged(p)
	}
	assign := func(id, hedge syncer.BatchID, from, to chain.Height, peer syncer.PeerID) syncer.Order {
		return syncer.Order{Sequence: 7, Assign: &syncer.Assign{Batch: id, Range: syncer.Range{From: from, To: to}, Peer: peer, HedgeOf: hedge}}
	}
	must := func(o syncer.Order) {
		t.Helper()
		if err := w.Handle(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	must(assign(1, 0, 1, 100, "a"))
	must(assign(2, 1, 1, 100, "b"))
	for _, test := range []struct {
		name, reason string
		order        syncer.Order
	}{
		{"genesis", "above genesis", assign(9, 0, 0, 5, "a")},
		{"backwards", "1 to", assign(9, 0, 5, 4, "a")},
		{"too long", "1 to", assign(9, 0, 101, 101+follow.MaxRange, "a")},
		{"above the target", "no block above 2000", assign(9, 0, 1990, 2001, "a")},
		{"nobody", "no such peer", assign(9, 0, 101, 110, "x")},
		{"a peer without it", "does not have the whole range", assign(9, 0, 101, 110, "short")},
		{"twice", "the batch is assigned", assign(1, 0, 101, 110, "a")},
		{"overlapping", "batch 1 has heights of it", assign(9, 0, 100, 110, "a")},
		{"a hedge of nothing", "not one that can be hedged", assign(9, 8, 1, 100, "a")},
		{"a hedge of a hedge", "not one that can be hedged", assign(9, 2, 1, 100, "a")},
		{"a hedge of another range", "another peer", assign(9, 1, 1, 99, "b")},
		{"a second hedge", "hedged already", assign(9, 1, 1, 100, "short")},
		{"cancel nothing", "not being downloaded", syncer.Order{Cancel: &syncer.Cancel{Batch: 9}}},
		{"penalise nobody", "no such peer", syncer.Order{Penalise: &syncer.Penalise{Peer: "x"}}},
	} {
		if test.name == "a second hedge" {
			w.PeerChanged(w.peer("short"))
		}
		for len(w.events) > 0 {
			<-w.events
		}
		must(test.order)
		e := <-w.events
		if e.Refused == nil || !strings.Contains(e.Refused.Reason, test.reason) || e.Credits != 1 {
			t.Errorf("%s: answered %+v with %+v, want a refusal with %q and the credit back", test.name, e, e.Refused, test.reason)
		}
	}
	// Orders that fit: the first of the two answers is taken, the other is given up.
	for _, o := range []syncer.Order{{Window: &syncer.Window{Bytes: 1 << 20}}, {Penalise: &syncer.Penalise{Peer: "a"}}, {Complete: &syncer.Complete{}}} {
		for len(w.events) > 0 {
			<-w.events
		}
		must(o)
		if e := <-w.events; e.Refused != nil || e.Credits != 1 {
			t.Errorf("%+v is answered with %+v", o, e)
		}
	}
	if p := w.Progress(); p.Stage != follow.StageDownloading || p.Downloading != 2 {
		t.Errorf("progress: %+v", p)
	}
	close(w.slow["a"])
	w.until("the range", func() bool { return w.head.Height == 100 })
	var ends []syncer.BatchState
	for len(ends) < 2 {
		if e := <-w.events; e.Batch != nil && e.Batch.State != syncer.BatchDownloaded && e.Batch.State != syncer.BatchAssigned {
			ends = append(ends, e.Batch.State)
		}
	}
	slices.Sort(ends)
	if !slices.Equal(ends, []syncer.BatchState{syncer.BatchCancelled, syncer.BatchImported}) {
		t.Errorf("the hedge and its batch ended %v", ends)
	}
}

// The watchdog of a silent strategy counts only while it could order something.
func TestWaitingOnlyWhileAnOrderIsDue(t *testing.T) {
	w := newWorld(t, 100)
	if w.Waiting() {
		t.Error("waits with nothing to do")
	}
	if p := w.Progress(); p.Stage != follow.StageSynced {
		t.Errorf("stage %q", p.Stage)
	}
	p := w.peer("a")
	w.PeerChanged(p)
	if !w.Waiting() {
		t.Error("does not wait for the strategy")
	}
	if p := w.Progress(); p.Stage != follow.StageStrategy {
		t.Errorf("stage %q", p.Stage)
	}
	p.Gone = true
	w.PeerChanged(p)
	if w.Waiting() {
		t.Error("waits for the strategy although nobody has the blocks")
	}
	if p := w.Progress(); p.Stage != follow.StageNoPeers {
		t.Errorf("stage %q", p.Stage)
	}
	w.Advanced(100 - follow.Near)
	w.mu.Lock()
	w.head = w.chain[100-follow.Near].Ref()
	w.mu.Unlock()
	if p := w.Progress(); p.Stage != follow.StageSynced {
		t.Errorf("near the target the stage is %q", p.Stage)
	}
}

func TestProgressForPeople(t *testing.T) {
	p := follow.Progress{Stage: follow.StageEngine, Reason: "it restarts", Cursor: 100, Target: 300, PerSecond: 50, Peers: 3}
	if got, want := p.String(), "100 of 300, waiting for the engine, 50 blocks/s, 3 peers, 4s left: it restarts"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if left := (follow.Progress{Cursor: 1, Target: 2}).Left(); left != 0 {
		t.Errorf("without a rate %s are left", left)
	}
}
