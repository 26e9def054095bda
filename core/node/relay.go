package node

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/hashicorp/go-hclog"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/network"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// Limits and times of the relay.
const (
	relayPause  = 100 * time.Millisecond // transactions that come within it share a message
	relayAgain  = 8 * time.Second        // at least, until what waits is told again; at most twice as long
	relayQueue  = 4096                   // new transactions that wait to be told; the rest is told later
	relayMemory = 16384                  // transactions of which it is known when peers heard them last
	relayBytes  = network.MaxTransactionsBytes / 2
	relayTime   = 2 * time.Second // that the engine may take over a peer's transactions
)

// relay brings transactions to every author. What a wallet sent us is told to peers; what peers tell is offered to our
// engine, and goes further only if the engine had not known and takes it: a node forwards what it would mine itself.
//
// Nothing is acknowledged. Each node tells what it keeps once more when it has heard it from nobody for a while; that is how
// a peer that was away, or whose engine was, comes to have it. Times are drawn at random, so that one speaks and the others
// hear it.
type relay struct {
	chainID *big.Int
	pending func() ([]store.PendingTx, error)
	offer   func(ctx context.Context, txs [][]byte) ([]engine.AddResult, error) // to the engine that serves now
	publish func(ctx context.Context, txs [][]byte) error
	now     func() time.Time
	log     hclog.Logger

	heard *lru.Cache[chain.Hash, time.Time] // when a peer, or we, told a transaction last

	mu    sync.Mutex
	queue [][]byte // guarded by mu
}

func newRelay(n *Node) (*relay, error) {
	heard, err := lru.New[chain.Hash, time.Time](relayMemory)
	if err != nil {
		return nil, fmt.Errorf("remember transactions: %w", err)
	}
	return &relay{
		chainID: new(big.Int).SetUint64(n.spec.ChainID), pending: n.store.Pending, offer: n.offerTransactions,
		publish: func(ctx context.Context, txs [][]byte) error { return n.network.PublishTransactions(ctx, txs) },
		now:     time.Now, log: n.log.Named("transactions"), heard: heard,
	}, nil
}

// offerTransactions asks the serving engine to take transactions into its pool.
func (n *Node) offerTransactions(ctx context.Context, txs [][]byte) ([]engine.AddResult, error) {
	e, err := n.primaryEngine()
	if err != nil {
		return nil, err
	}
	pool, ok := e.(engine.EngineWithPool)
	if !ok {
		return nil, errors.New("the engine has no pool of transactions")
	}
	return pool.AddTransactions(ctx, txs)
}

// Announce takes transactions that are new to us, to be told to peers. It does not wait. What no peer needs to hear, for
// one told us, is left out.
func (r *relay) Announce(txs ...store.PendingTx) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, tx := range txs {
		if len(r.queue) >= relayQueue {
			return
		}
		if _, known := r.heard.Get(tx.Hash); known {
			continue
		}
		r.heard.Add(tx.Hash, r.now())
		r.queue = append(r.queue, tx.Raw)
	}
}

// Run tells what waits, until ctx ends.
func (r *relay) Run(ctx context.Context) error {
	soon := time.NewTicker(relayPause)
	defer soon.Stop()
	again := time.NewTimer(untilAgain())
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-soon.C:
			r.tell(ctx, r.take())
		case <-again.C:
			txs, err := r.unheard()
			if err != nil {
				return err
			}
			r.tell(ctx, txs)
			again.Reset(untilAgain())
		}
	}
}

func untilAgain() time.Duration { return relayAgain + rand.N(relayAgain) } //nolint:gosec // spreads load, guards nothing

func (r *relay) take() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	txs := r.queue
	r.queue = nil
	return txs
}

// tell publishes transactions. What does not reach anybody is told again.
func (r *relay) tell(ctx context.Context, txs [][]byte) {
	if len(txs) == 0 {
		return
	}
	if err := r.publish(ctx, txs); err != nil && ctx.Err() == nil {
		r.log.Debug("transactions were not told to peers", "count", len(txs), "error", err)
	}
}

// unheard are the oldest kept transactions that nobody told for a while, as many as fit in one message.
func (r *relay) unheard() ([][]byte, error) {
	kept, err := r.pending()
	if err != nil {
		return nil, fmt.Errorf("read kept transactions: %w", err)
	}
	var txs [][]byte
	size, now := 0, r.now()
	for _, tx := range kept {
		if at, known := r.heard.Get(tx.Hash); known && now.Sub(at) < relayAgain {
			continue
		}
		if size += len(tx.Raw); size > relayBytes && len(txs) > 0 {
			break
		}
		r.heard.Add(tx.Hash, now)
		txs = append(txs, tx.Raw)
	}
	return txs, nil
}

// Take judges a peer's transactions: what is false whatever the state is its sender's fault, the rest the engine judges at
// its head. They are forwarded when one of them was new to the engine.
func (r *relay) Take(ctx context.Context, _ consensus.Peer, txs [][]byte) network.Verdict {
	hashes := make([]chain.Hash, len(txs))
	for i, raw := range txs {
		tx, err := r.check(raw)
		if err != nil {
			r.log.Debug("a peer told what is no transaction of this chain", "error", err)
			return network.Reject
		}
		hashes[i] = chain.Hash(tx.Hash())
	}
	ctx, cancel := context.WithTimeout(ctx, relayTime)
	defer cancel()
	results, err := r.offer(ctx, txs)
	if err != nil {
		r.log.Debug("transactions of a peer were not taken: they are told again", "count", len(txs), "error", err)
		return network.Ignore
	}
	verdict := network.Ignore
	for i, a := range results {
		if a.Taken() {
			r.heard.Add(hashes[i], r.now())
		}
		if a.Code == engine.AddAdded {
			verdict = network.Accept
		}
	}
	return verdict
}

// errBlobs means a transaction of EIP-4844: this chain has no blobs.
var errBlobs = errors.New("it carries blobs")

// check judges what a transaction proves by itself: its form and size, and a signature for this chain.
func (r *relay) check(raw []byte) (*types.Transaction, error) {
	if len(raw) > store.MaxTransactionBytes {
		return nil, fmt.Errorf("it has %d bytes: %w", len(raw), store.ErrTooLarge)
	}
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(raw); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	if tx.Type() == types.BlobTxType {
		return nil, errBlobs
	}
	if _, err := types.Sender(types.LatestSignerForChainID(r.chainID), tx); err != nil {
		return nil, fmt.Errorf("signature of %s: %w", tx.Hash(), err)
	}
	return tx, nil
}
