package enginetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/alys-node/alys/sdk/engine"
)

// pool holds transactions that wait, in the order in which they came.
type pool struct {
	order  [][sha256.Size]byte
	waits  map[[sha256.Size]byte][]byte
	staged map[[sha256.Size]byte]bool // in a block of the canonical chain
}

func newPool() pool {
	return pool{waits: make(map[[sha256.Size]byte][]byte), staged: make(map[[sha256.Size]byte]bool)}
}

// has reports whether an envelope waits or is in a block of the canonical chain.
func (p *pool) has(envelope []byte) bool {
	id := sha256.Sum256(envelope)
	_, waits := p.waits[id]
	return waits || p.staged[id]
}

func (p *pool) add(envelopes [][]byte) {
	for _, e := range envelopes {
		id := sha256.Sum256(e)
		delete(p.staged, id)
		if _, known := p.waits[id]; !known {
			p.order = append(p.order, id)
			p.waits[id] = slices.Clone(e)
		}
	}
}

func (p *pool) remove(envelopes [][]byte) {
	for _, e := range envelopes {
		id := sha256.Sum256(e)
		p.staged[id] = true
		delete(p.waits, id)
	}
	p.order = slices.DeleteFunc(p.order, func(id [sha256.Size]byte) bool {
		_, waits := p.waits[id]
		return !waits
	})
}

func (p *pool) pending(limit int) [][]byte {
	var out [][]byte
	for _, id := range p.order[:min(max(limit, 0), len(p.order))] {
		out = append(out, p.waits[id])
	}
	return out
}

// AddTransactions implements engine.EngineWithPool. It takes whatever decodes: nonces and balances are not looked at.
func (m *Memory) AddTransactions(ctx context.Context, txs [][]byte) ([]engine.AddResult, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]engine.AddResult, len(txs))
	for i, e := range txs {
		var tx types.Transaction
		switch err := tx.UnmarshalBinary(e); {
		case err != nil:
			out[i] = engine.AddResult{Code: engine.AddInvalid, Text: fmt.Sprintf("decode transaction: %v", err)}
		case m.pool.has(e):
			out[i].Code = engine.AddKnown
		default:
			m.pool.add([][]byte{e})
			out[i].Code = engine.AddAdded
		}
	}
	return out, nil
}

// PendingTransactions implements engine.EngineWithPool.
func (m *Memory) PendingTransactions(ctx context.Context, limit int) ([][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pool.pending(limit), nil
}
