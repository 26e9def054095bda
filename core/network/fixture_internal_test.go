package network

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/telemetry"
	"github.com/alys-node/alys/sdk/chain"
)

// inVain is how long a condition is waited for. It is reached only by a test that fails.
const inVain = 60 * time.Second

// testGenesis names the chain that tests are about.
var testGenesis = chain.Hash{0xa1, 0x15}

// ledger is a chain in memory, as peers see it.
type ledger struct {
	mu     sync.Mutex // guards the rest
	blocks []*block.Block
	bodies map[chain.Hash]*block.Block
	fail   error
	gate   chan struct{} // when set, At waits for it
	calls  int
}

// newLedger is a chain of so many blocks above genesis. Its certificates have signers and no meaning.
func newLedger(heights int, extra int) *ledger {
	l := &ledger{bodies: map[chain.Hash]*block.Block{}}
	g := block.Genesis(chain.Hash{1}, chain.Payload{})
	g.Header.Genesis = chain.Hash{}
	l.add(g)
	for range heights {
		l.add(child(l.tip(), extra))
	}
	return l
}

// child is a sealed block on a parent, with a transaction of so many bytes.
func child(parent *block.Block, extra int) *block.Block {
	h := parent.Header
	b := &block.Block{ParentQC: certify(parent)}
	b.Execution.Payload.Number = h.Height + 1
	b.Execution.Payload.BlockHash = chain.Hash{byte(h.Height + 1), byte((h.Height + 1) >> 8), 7, byte(extra), byte(extra >> 8)}
	b.Execution.Payload.Transactions = [][]byte{make([]byte, extra)}
	b.Header = chain.Header{
		Version: chain.HeaderVersion, Genesis: testGenesis, Slot: h.Slot + 1, Height: h.Height + 1, Parent: h.Hash(),
	}
	b.Seal()
	return b
}

// certify is a certificate by form.
func certify(b *block.Block) block.QC {
	qc := block.QC{Block: b.Header.Hash()}
	if b.Header.Height > 0 {
		qc.Signers = block.NewSigners(3)
		qc.Signers.Set(0)
		qc.Signature = chain.BLSSignature{1}
	}
	return qc
}

func (l *ledger) add(b *block.Block) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blocks = append(l.blocks, b)
	l.bodies[b.Header.Hash()] = b
}

func (l *ledger) tip() *block.Block {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.blocks[len(l.blocks)-1]
}

func (l *ledger) at(h int) *block.Block {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.blocks[h]
}

// Status implements Source.
func (l *ledger) Status() Status {
	b := l.tip()
	return Status{ChainID: 7, Head: consensus.Certificate{Header: b.Header, QC: certify(b)}, Engine: "enode://test"}
}

// At implements Source.
func (l *ledger) At(ctx context.Context, h chain.Height) (Stored, error) {
	l.mu.Lock()
	fail, gate := l.fail, l.gate
	l.calls++
	var b *block.Block
	if int(h) < len(l.blocks) {
		b = l.blocks[h]
	}
	l.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return Stored{}, ctx.Err()
		}
	}
	return stored(b, fail)
}

// Block implements Source.
func (l *ledger) Block(_ context.Context, h chain.Hash) (Stored, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return stored(l.bodies[h], l.fail)
}

// Certificate implements Source.
func (l *ledger) Certificate(_ context.Context, h chain.Hash) (block.QC, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bodies[h]
	if b == nil {
		return block.QC{}, ErrNotFound
	}
	return certify(b), nil
}

func stored(b *block.Block, fail error) (Stored, error) {
	switch {
	case fail != nil:
		return Stored{}, fail
	case b == nil:
		return Stored{}, ErrNotFound
	}
	return Stored{Hash: b.Header.Hash(), Parent: b.Header.Parent, Raw: b.Encode(), Signature: chain.BLSSignature{9}}, nil
}

// inbox keeps what Take was given.
type inbox struct {
	mu      sync.Mutex // guards the rest
	got     []Message
	verdict func(Message) Verdict

	txs       [][]byte
	txsFrom   consensus.Peer
	txVerdict func([][]byte) Verdict
}

func (i *inbox) takeTransactions(_ context.Context, from consensus.Peer, txs [][]byte) Verdict {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.txs, i.txsFrom = append(i.txs, txs...), from
	if i.txVerdict != nil {
		return i.txVerdict(txs)
	}
	return Accept
}

func (i *inbox) transactions() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.txs)
}

func (i *inbox) has(tx []byte) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.ContainsFunc(i.txs, func(got []byte) bool { return bytes.Equal(got, tx) })
}

func (i *inbox) take(_ context.Context, m Message) Verdict {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.got = append(i.got, m)
	if i.verdict != nil {
		return i.verdict(m)
	}
	return Accept
}

func (i *inbox) messages() []Message {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]Message(nil), i.got...)
}

// running is a network that runs until the test ends, or stop.
type running struct {
	*Network
	t     testing.TB
	chain *ledger
	in    *inbox
	dir   string
	slot  *slotClock
	stop  func()
}

type slotClock struct {
	mu sync.Mutex
	at chain.Slot
}

func (c *slotClock) now() chain.Slot {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *slotClock) next() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at++
}

// setup changes the options of a network before it is opened.
type setup func(*Options)

// dialling makes peers static.
func dialling(peers ...*running) setup {
	return func(o *Options) {
		for _, p := range peers {
			o.StaticPeers = append(o.StaticPeers, p.Addresses()...)
		}
	}
}

// inDir keeps identity and book in a folder.
func inDir(dir string) setup {
	return func(o *Options) {
		o.KeyFile, o.BookFile = filepath.Join(dir, "p2p.key"), filepath.Join(dir, "peers.json")
	}
}

func options(t testing.TB, l *ledger, in *inbox, clock *slotClock, setups ...setup) Options {
	t.Helper()
	o := Options{
		Genesis: testGenesis, Heights: Schedule{Axis: "height"}, Slots: Schedule{Axis: "slot"},
		Listen: "127.0.0.1:0", Client: "alys/test", RequestTimeout: 20 * time.Second, MaxMessage: 10 << 20,
		Source: l, Take: in.take, TakeTransactions: in.takeTransactions, Slot: clock.now, Metrics: telemetry.New("test", "test"), Log: hclog.NewNullLogger(),
	}
	inDir(t.TempDir())(&o)
	for _, s := range setups {
		s(&o)
	}
	return o
}

// start opens and runs a network over a chain of some blocks.
func start(t testing.TB, setups ...setup) *running {
	t.Helper()
	return startOn(t, newLedger(20, 100), setups...)
}

func startOn(t testing.TB, l *ledger, setups ...setup) *running {
	t.Helper()
	in, clock := &inbox{}, &slotClock{at: 1000}
	o := options(t, l, in, clock, setups...)
	n, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("the network ended with %v", err)
			}
			if err := n.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	eventually(t, "the network is open", n.gate.open.Load)
	return &running{Network: n, t: t, chain: l, in: in, dir: filepath.Dir(o.KeyFile), slot: clock, stop: stop}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(inVain)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

// meets waits until two networks have admitted each other.
func (r *running) meets(others ...*running) {
	r.t.Helper()
	for _, o := range others {
		eventually(r.t, "two peers admit each other", func() bool { return r.member(o.id.id) != nil && o.member(r.id.id) != nil })
	}
}

func (r *running) peerID() peer.ID { return r.id.id }

func (r *running) name() consensus.Peer { return consensus.Peer(r.ID()) }

// wantError checks an error's identity.
func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}
