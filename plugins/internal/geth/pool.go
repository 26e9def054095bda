package geth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/txpool"
	"github.com/ethereum/go-ethereum/core/txpool/legacypool"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/sdk/engine"
)

// AddTransactions implements engine.EngineWithPool. It returns when the pool has sorted them in, so that the next Build
// sees them.
func (e *Engine) AddTransactions(ctx context.Context, txs [][]byte) ([]engine.AddResult, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	out := make([]engine.AddResult, len(txs))
	var (
		batch []*types.Transaction
		at    []int
	)
	for i, raw := range txs {
		tx, err := execution.DecodeTransaction(raw)
		if err != nil {
			out[i] = engine.AddResult{Code: engine.AddInvalid, Text: err.Error()}
			continue
		}
		batch, at = append(batch, tx), append(at, i)
	}
	for j, err := range e.eth.TxPool().Add(batch, true) {
		out[at[j]] = addResult(err, err != nil && e.known(batch[j].Hash()))
	}
	return out, nil
}

// addResult sorts the pool's errors. known says that the transaction is in the chain, which the pool cannot tell from a
// nonce that another one has used.
func addResult(err error, known bool) engine.AddResult {
	is := func(targets ...error) bool {
		return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
	}
	code := engine.AddInvalid
	switch {
	case err == nil:
		return engine.AddResult{Code: engine.AddAdded}
	case known || is(txpool.ErrAlreadyKnown):
		return engine.AddResult{Code: engine.AddKnown}
	case is(core.ErrNonceTooLow):
		code = engine.AddStale
	case is(txpool.ErrUnderpriced, txpool.ErrReplaceUnderpriced, txpool.ErrTxGasPriceTooLow, core.ErrFeeCapTooLow):
		code = engine.AddUnderpriced
	case is(legacypool.ErrTxPoolOverflow, txpool.ErrOutOfCapacity, txpool.ErrAccountLimitExceeded, txpool.ErrInflightTxLimitReached):
		code = engine.AddFull
	}
	return engine.AddResult{Code: code, Text: err.Error()}
}

// PendingTransactions implements engine.EngineWithPool: first what is executable now, then what waits for a lower nonce,
// each sender's in order of nonce. The pool follows the head a moment later, so what the head already holds is left out.
func (e *Engine) PendingTransactions(ctx context.Context, limit int) ([][]byte, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	head, err := e.eth.BlockChain().State()
	if err != nil {
		return nil, fmt.Errorf("%w: read the head's state: %w", engine.ErrUnavailable, err)
	}
	pending, queued := e.eth.TxPool().Content()
	var out [][]byte
	for _, group := range []map[common.Address][]*types.Transaction{pending, queued} {
		senders := slices.SortedFunc(maps.Keys(group), func(a, b common.Address) int { return bytes.Compare(a[:], b[:]) })
		for _, s := range senders {
			next := head.GetNonce(s)
			for _, tx := range group[s] {
				if tx.Nonce() < next {
					continue
				}
				if len(out) >= limit {
					return out, nil
				}
				raw, err := tx.MarshalBinary()
				if err != nil {
					return nil, fmt.Errorf("encode transaction %s: %w", tx.Hash(), err)
				}
				out = append(out, raw)
			}
		}
	}
	return out, nil
}
