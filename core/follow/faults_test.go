package follow_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/follow"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
	"github.com/alys-node/alys/sdk/syncertest"
)

var (
	syncs    = flag.Int("follow.syncs", 40, "short syncs with faults")
	syncSeed = flag.Uint64("follow.seed", 1, "seed of the first of them; the others follow")
)

// Limits of a short sync, in virtual time.
const (
	shortHeights   = 600
	requestTimeout = 10 * time.Second
	shortSync      = time.Hour
	banAfter       = 5 // proven faults
)

// ills are what may be wrong with a peer, each with the share of its answers that it spoils.
type ills struct {
	fails, hangs, truncates, lies, forges float64
	delay                                 time.Duration
}

// fleet is the network and the importer of one short sync, in which things go wrong by a seed.
type fleet struct {
	chain []*block.Block
	qcs   []block.QC

	mu     sync.Mutex // guards the rest
	rng    *rand.Rand
	peers  map[syncer.PeerID]ills
	faults map[syncer.PeerID]int
	f      *follow.Follower
	events chan syncer.Event
	head   chain.Ref
	stored map[chain.Hash]bool
	away   float64 // share of the imports for which no engine answers
	wrong  string  // what must never happen
}

func (n *fleet) chance(p float64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rng.Float64() < p
}

func (n *fleet) upTo(most int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return 1 + n.rng.IntN(most)
}

// Blocks implements follow.Network.
func (n *fleet) Blocks(ctx context.Context, peer syncer.PeerID, from chain.Height, count uint64) (follow.Answer, error) {
	n.mu.Lock()
	p := n.peers[peer]
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	wait := p.delay
	if n.chance(p.hangs) {
		wait = time.Hour
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return follow.Answer{}, ctx.Err()
	}
	size := min(int(count), len(n.chain)-int(from))
	if size <= 0 || n.chance(p.fails) {
		return follow.Answer{}, errors.New("no answer")
	}
	if n.chance(p.truncates) {
		size = n.upTo(size)
	}
	last := int(from) + size - 1
	a := follow.Answer{Blocks: append([]*block.Block(nil), n.chain[from:last+1]...), QC: n.qcs[last], Bytes: uint64(size) * 1000}
	if n.chance(p.lies) {
		a.QC.Signature[5] ^= 1
	}
	if n.chance(p.forges) {
		i := n.upTo(size) - 1
		forged := *a.Blocks[i]
		forged.Execution.Payload.ExtraData = []byte("forged")
		a.Blocks[i] = &forged
	}
	return a, nil
}

// Misbehaved implements follow.Network: a peer is banned for a while as the node's network would.
func (n *fleet) Misbehaved(id syncer.PeerID, _ string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults[id]++
	if p := n.peers[id]; p.lies == 0 && p.forges == 0 {
		n.wrong = fmt.Sprintf("honest peer %s is blamed", id)
	}
	if n.faults[id] == banAfter {
		go n.f.PeerChanged(follow.Peer{ID: id, Gone: true})
	}
}

// Import implements follow.Importer.
func (n *fleet) Import(blocks []*block.Block, qc block.QC) func(context.Context) error {
	return func(context.Context) error {
		n.mu.Lock()
		defer n.mu.Unlock()
		switch first, last := blocks[0].Header, blocks[len(blocks)-1].Header; {
		case n.rng.Float64() < n.away || !n.stored[first.Parent]:
			return follow.ErrUnavailable
		case qc.Block != last.Hash():
			n.wrong = fmt.Sprintf("blocks up to %d with the certificate of another one", last.Height)
		}
		for _, b := range blocks {
			if len(b.Execution.Payload.ExtraData) > 0 {
				n.wrong = fmt.Sprintf("forged block %d was imported", b.Header.Height)
			}
			n.stored[b.Header.Hash()] = true
		}
		n.head = blocks[len(blocks)-1].Ref()
		return nil
	}
}

func (n *fleet) check(b *block.Block) error {
	if len(b.Execution.Payload.ExtraData) > 0 {
		return block.ErrMismatch
	}
	return nil
}

func (n *fleet) publish(e syncer.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events <- e
}

// shortSession is one session of a strategy: what came before its snapshot is of no interest.
type shortSession struct {
	n      *fleet
	first  chan syncer.Event
	events chan syncer.Event
}

// Next implements syncer.Session.
func (s shortSession) Next(ctx context.Context) (syncer.Event, error) {
	select {
	case e := <-s.first:
		return e, nil
	default:
	}
	select {
	case e := <-s.events:
		return e, nil
	case <-ctx.Done():
		return syncer.Event{}, ctx.Err()
	}
}

// Send implements syncer.Session.
func (s shortSession) Send(ctx context.Context, o syncer.Order) error { return s.n.f.Handle(ctx, o) }

// spoil draws what is wrong with each of some peers. The first is slow at the worst: somebody must have the blocks.
func (n *fleet) spoil() {
	for i := range 1 + n.rng.IntN(6) {
		p := ills{delay: time.Duration(n.rng.IntN(500)) * time.Millisecond}
		for _, ill := range []*float64{&p.fails, &p.hangs, &p.truncates, &p.lies, &p.forges} {
			if i > 0 && n.rng.IntN(3) == 0 {
				*ill = n.rng.Float64()
			}
		}
		n.peers[syncer.PeerID(fmt.Sprintf("p%d", i))] = p
	}
	if n.rng.IntN(3) == 0 {
		n.away = n.rng.Float64() / 2
	}
}

// run syncs, while peers come and go and the strategy dies now and then. It says what went wrong; empty when nothing did.
func (n *fleet) run(t *testing.T) string {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { _ = n.f.Run(ctx) })
	tip := n.chain[len(n.chain)-1]
	head := consensus.Certificate{Header: tip.Header, QC: n.qcs[len(n.qcs)-1]}
	for id := range n.peers {
		n.f.PeerChanged(follow.Peer{ID: id, Group: string(id), Head: head})
	}
	end := time.Now().Add(shortSync)
	for time.Now().Before(end) {
		session, stop := context.WithTimeout(ctx, time.Duration(1+n.upTo(60))*time.Second)
		n.mu.Lock()
		n.events = make(chan syncer.Event, 100_000)
		s := shortSession{n, make(chan syncer.Event, 1), n.events}
		n.mu.Unlock()
		s.first <- n.f.Snapshot()
		done := make(chan error, 1)
		go func() { done <- syncertest.NewMemory().Run(session, s) }()
		for session.Err() == nil {
			<-time.After(100 * time.Millisecond)
			n.mu.Lock()
			reached, wrong := n.head.Height+follow.Near >= tip.Header.Height, n.wrong
			n.mu.Unlock()
			if reached || wrong != "" {
				stop()
				<-done
				return wrong
			}
			if n.chance(0.01) { // a peer leaves, and comes back
				id := syncer.PeerID(fmt.Sprintf("p%d", n.upTo(len(n.peers))-1))
				n.f.PeerChanged(follow.Peer{ID: id, Gone: true})
				<-time.After(time.Second)
				n.f.PeerChanged(follow.Peer{ID: id, Group: string(id), Head: head})
			}
		}
		stop()
		<-done
	}
	return fmt.Sprintf("not at the head after %s: %s", shortSync, n.f.Progress())
}

// Whatever peers do, and while the engine is away and strategies die, a node with one honest peer gets to the head by itself,
// imports nothing forged and blames nobody honest. A seed that fails is told: -follow.syncs 1 -follow.seed N.
func TestShortSyncsWithFaults(t *testing.T) {
	blocks := history(t, shortHeights)
	qcs := make([]block.QC, len(blocks))
	for i, b := range blocks {
		qcs[i] = certificate(t, b)
	}
	failed := 0
	for i := range uint64(*syncs) {
		seed := *syncSeed + i
		synctest.Test(t, func(t *testing.T) {
			n := &fleet{
				chain: blocks, qcs: qcs, rng: rand.New(rand.NewPCG(seed, 0)), peers: map[syncer.PeerID]ills{}, faults: map[syncer.PeerID]int{},
				events: make(chan syncer.Event, 100_000), head: blocks[0].Ref(), stored: map[chain.Hash]bool{blocks[0].Header.Hash(): true},
			}
			n.spoil()
			n.f = follow.New(follow.Options{
				Schedule: spec.Dev().Agreement(), Network: n, Importer: n, Check: n.check,
				Publish: n.publish,
				Has: func(h chain.Hash) bool {
					n.mu.Lock()
					defer n.mu.Unlock()
					return n.stored[h]
				},
				Heads: func() (head, safe chain.Ref) {
					n.mu.Lock()
					defer n.mu.Unlock()
					return n.head, blocks[0].Ref()
				},
			})
			if wrong := n.run(t); wrong != "" {
				failed++
				t.Logf("seed %d: %s", seed, wrong)
			}
		})
	}
	t.Logf("%d of %d short syncs reached the head", *syncs-failed, *syncs)
	if failed*1000 > *syncs {
		t.Errorf("%d of %d syncs did not reach the head", failed, *syncs)
	}
}
