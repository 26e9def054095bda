package node

import (
	"context"
	"fmt"
	"sync"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/hashicorp/go-hclog"

	ledger "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// carrier keeps wallet transactions until their block is safe, so that no engine's death or swap loses one, and gives
// them to every engine that comes up.
type carrier struct {
	store *store.Store
	chain *ledger.Chain
	fresh func(...store.PendingTx) // hears of what is kept since now
	log   hclog.Logger

	mu   sync.Mutex
	news [][]byte // guarded by mu; kept since the last Spread
}

// kept notes transactions that are kept since now.
func (c *carrier) kept(txs ...store.PendingTx) {
	c.mu.Lock()
	for _, tx := range txs {
		if len(c.news) < pollLimit {
			c.news = append(c.news, tx.Raw)
		}
	}
	c.mu.Unlock()
	c.fresh(txs...)
}

// pollLimit is how many pending transactions an engine is asked for after a block.
const pollLimit = 4096

// Keep takes a transaction that an engine accepted.
func (c *carrier) Keep(raw []byte) {
	added, err := c.store.AddPending(pendingTx(raw))
	if err != nil {
		c.log.Error("a wallet's transaction was not kept: it is lost if the engine dies now", "error", err)
		added = []store.PendingTx{pendingTx(raw)} // peers can still keep it
	}
	c.kept(added...)
}

func pendingTx(raw []byte) store.PendingTx {
	return store.PendingTx{Hash: chain.Hash(crypto.Keccak256Hash(raw)), Raw: raw}
}

// Offer gives an engine what is kept. What the engine does not take stays kept all the same: an engine's word, at a head
// that may lag or lose, is no reason to forget a wallet's transaction. It goes with its block (Settle) or by the limits
// of the store.
func (c *carrier) Offer(ctx context.Context, e engine.Engine) error {
	pool, ok := e.(engine.EngineWithPool)
	if !ok {
		return nil
	}
	pending, err := c.store.Pending()
	if err != nil || len(pending) == 0 {
		return err
	}
	raw := make([][]byte, len(pending))
	for i, p := range pending {
		raw[i] = p.Raw
	}
	answers, err := pool.AddTransactions(ctx, raw)
	if err != nil {
		return fmt.Errorf("offer %d kept transactions: %w", len(raw), err)
	}
	refused := map[engine.AddCode]int{}
	for _, a := range answers {
		if !a.Taken() {
			refused[a.Code]++
		}
	}
	if len(refused) > 0 {
		c.log.Debug("the engine did not take some kept transactions", "offered", len(raw), "not_taken", refused)
	}
	return nil
}

// Collect keeps what an engine's pool holds: transactions that came by WebSocket or from the engine's own peers.
func (c *carrier) Collect(ctx context.Context, e engine.Engine) error {
	pool, ok := e.(engine.EngineWithPool)
	if !ok {
		return nil
	}
	txs, err := pool.PendingTransactions(ctx, pollLimit)
	if err != nil {
		return fmt.Errorf("collect pending transactions: %w", err)
	}
	pending := make([]store.PendingTx, len(txs))
	for i, raw := range txs {
		pending[i] = pendingTx(raw)
	}
	added, err := c.store.AddPending(pending...)
	if err != nil {
		return err
	}
	c.kept(added...)
	return nil
}

// Spread gives what was kept since the last time to the engines of the route: the one that takes over must not begin with an
// empty pool, and the one that has just taken over must have what the one before it took last. What one of them does not
// take, because it is away or has no pool, it is offered when it comes up.
func (c *carrier) Spread(ctx context.Context, engines ...engine.Engine) {
	c.mu.Lock()
	news := c.news
	c.news = nil
	c.mu.Unlock()
	if len(news) == 0 {
		return
	}
	for _, e := range engines {
		pool, ok := e.(engine.EngineWithPool)
		if !ok {
			continue
		}
		if _, err := pool.AddTransactions(ctx, news); err != nil {
			c.log.Debug("an engine that stands by did not take transactions", "count", len(news), "error", err)
		}
	}
}

// Settle forgets the transactions of blocks that became safe, from above the old safe height to the new one.
func (c *carrier) Settle(from, to chain.Height) error {
	for h := from + 1; h <= to; h++ {
		b, err := c.chain.BlockAt(h)
		if err != nil {
			return fmt.Errorf("read safe block %d: %w", h, err)
		}
		hashes := make([]chain.Hash, len(b.Execution.Payload.Transactions))
		for i, raw := range b.Execution.Payload.Transactions {
			hashes[i] = chain.Hash(crypto.Keccak256Hash(raw))
		}
		if err := c.store.DropPending(hashes...); err != nil {
			return err
		}
	}
	return nil
}
