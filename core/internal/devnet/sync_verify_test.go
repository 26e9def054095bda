package devnet_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/alys-node/alys/core/block"
	ledger "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/follow"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
)

// inMemory is peer, importer and chain of a follower that has nothing to do but to verify: blocks are in memory, decoded, and
// an import takes no time.
type inMemory struct {
	blocks []*block.Block // the first is genesis
	qcs    []block.QC     // of each block

	mu   sync.Mutex // guards the rest
	head chain.Ref
	done chan struct{} // closed when the last block is imported
}

// Blocks implements follow.Network.
func (m *inMemory) Blocks(_ context.Context, _ syncer.PeerID, from chain.Height, count uint64) (follow.Answer, error) {
	last := from + chain.Height(count) - 1
	return follow.Answer{Blocks: m.blocks[from : last+1], QC: m.qcs[last]}, nil
}

// Misbehaved implements follow.Network.
func (*inMemory) Misbehaved(_ syncer.PeerID, reason string) { panic(reason) }

// Import implements follow.Importer.
func (m *inMemory) Import(blocks []*block.Block, _ block.QC) func(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.head = blocks[len(blocks)-1].Ref()
	if int(m.head.Height) == len(m.blocks)-1 {
		close(m.done)
	}
	return func(context.Context) error { return nil }
}

func (m *inMemory) heads() (head, safe chain.Ref) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.head, m.head
}

// verified is how fast batches of the chain are verified with so many workers: certificate, hash links and bodies.
func (h *history) verified(workers int) float64 {
	h.t.Helper()
	m := &inMemory{head: h.chain.Genesis().Ref(), done: make(chan struct{})}
	for height := range h.tip.Header.Height + 1 {
		hash, err := h.store.Canonical(height)
		check(h.t, err)
		b, err := h.chain.Block(hash)
		check(h.t, err)
		m.blocks, m.qcs = append(m.blocks, b), append(m.qcs, h.certificate(b.Header))
	}
	f := follow.New(follow.Options{
		Schedule: h.spec.Agreement(), Network: m, Importer: m, Heads: m.heads, Check: ledger.CheckBody, Workers: workers,
		Has: func(chain.Hash) bool { return true }, Publish: func(syncer.Event) {},
	})
	ctx, cancel := context.WithCancel(h.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	f.PeerChanged(follow.Peer{ID: "memory", Head: consensus.Certificate{Header: h.tip.Header, QC: m.qcs[h.tip.Header.Height]}})
	start := time.Now()
	const batch = 512
	for from := chain.Height(1); from <= h.tip.Header.Height; from += batch {
		r := syncer.Range{From: from, To: min(from+batch-1, h.tip.Header.Height)}
		check(h.t, f.Handle(ctx, syncer.Order{Assign: &syncer.Assign{Batch: syncer.BatchID(from), Range: r, Peer: "memory"}}))
	}
	<-m.done
	took := time.Since(start)
	cancel()
	check(h.t, <-ended)
	return float64(h.tip.Header.Height) / took.Seconds()
}

// showVerification prints what verification alone would allow, in parallel and not.
func showVerification(t *testing.T, h *history, name string, bare course) {
	t.Helper()
	for _, workers := range []int{1, runtime.GOMAXPROCS(0)} {
		rate := h.verified(workers)
		t.Logf("%-46s %7.0f blocks/s, %.1f times the bare engine, with %d workers", name+", verification alone", rate, rate/bare.rate(), workers)
	}
}
