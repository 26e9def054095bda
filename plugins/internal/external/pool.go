package external

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/alys-node/alys/plugins/internal/engineapi"
	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// addBatch is how many transactions are sent in one request: clients limit batches.
const addBatch = 100

// AddTransactions implements engine.EngineWithPool. Over JSON-RPC a client says why it does not take a transaction in
// words only, which are geth's in most clients; what they do not know is AddInvalid with the words.
func (e *Engine) AddTransactions(ctx context.Context, txs [][]byte) ([]engine.AddResult, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	out := make([]engine.AddResult, len(txs))
	var (
		asks []*engineapi.Ask
		at   []int
	)
	for i, raw := range txs {
		tx, err := execution.DecodeTransaction(raw)
		if err != nil {
			out[i] = engine.AddResult{Code: engine.AddInvalid, Text: err.Error()}
			continue
		}
		mined := new(inclusion)
		asks = append(asks,
			&engineapi.Ask{Method: "eth_sendRawTransaction", Args: []any{hexutil.Encode(raw)}, Result: new(common.Hash)},
			&engineapi.Ask{Method: "eth_getTransactionByHash", Args: []any{tx.Hash()}, Result: &mined})
		at = append(at, i)
	}
	for part := range slices.Chunk(asks, addBatch) {
		if err := e.sender().Batch(ctx, part); err != nil {
			return nil, e.failed(fmt.Errorf("add transactions: %w", err))
		}
	}
	for j, i := range at {
		found, ok := asks[2*j+1].Result.(**inclusion)
		out[i] = addResult(asks[2*j].Err, ok && *found != nil && (*found).BlockHash != nil)
	}
	return out, nil
}

// inclusion is the part of a transaction's JSON that says whether it is in a block.
type inclusion struct {
	BlockHash *common.Hash `json:"blockHash"`
}

// sender is who takes transactions: the public JSON-RPC, else the authenticated port, which must (execution-apis).
func (e *Engine) sender() *engineapi.Conn {
	if e.rpc != nil {
		return e.rpc
	}
	return e.api.Conn
}

// addResult sorts the client's words. mined says that the transaction is in the chain, which a pool cannot tell from a
// nonce that another one has used.
func addResult(err error, mined bool) engine.AddResult {
	if err == nil {
		return engine.AddResult{Code: engine.AddAdded}
	}
	text := err.Error()
	if coded, ok := errors.AsType[*engineapi.Error](err); ok {
		text = coded.Text
	}
	says := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(strings.ToLower(text), w) })
	}
	code := engine.AddInvalid
	switch {
	case mined || says("already known", "alreadyknown", "known transaction"):
		return engine.AddResult{Code: engine.AddKnown}
	case says("nonce too low", "nonce_too_low", "oldnonce"):
		code = engine.AddStale
	case says("underpriced", "less than block base fee", "tip too low"):
		code = engine.AddUnderpriced
	case says("pool is full", "account limit exceeded", "in-flight transaction limit"):
		code = engine.AddFull
	}
	return engine.AddResult{Code: code, Text: text}
}

// PendingTransactions implements engine.EngineWithPool by txpool_content: first what is executable now, then what waits
// for a lower nonce, each sender's in order of nonce. Without a public JSON-RPC it is lifecycle.ErrUnsupported. The pool
// follows the head a moment later, so what is below the sender's nonce at the head is left out.
func (e *Engine) PendingTransactions(ctx context.Context, limit int) ([][]byte, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if e.rpc == nil {
		return nil, fmt.Errorf("%w: reading the client's pool needs the argument rpc", lifecycle.ErrUnsupported)
	}
	var content struct {
		Pending, Queued map[common.Address]map[string]*types.Transaction
	}
	if err := e.rpc.Call(ctx, &content, "txpool_content"); err != nil {
		return nil, e.failed(err)
	}
	var out [][]byte
	for _, group := range []map[common.Address]map[string]*types.Transaction{content.Pending, content.Queued} {
		senders := slices.SortedFunc(maps.Keys(group), func(a, b common.Address) int { return bytes.Compare(a[:], b[:]) })
		next, err := e.nonces(ctx, senders)
		if err != nil {
			return nil, err
		}
		for i, s := range senders {
			for _, tx := range inOrder(group[s]) {
				if tx.Nonce() < next[i] {
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

// inOrder sorts a sender's transactions by nonce, the key of their map.
func inOrder(byNonce map[string]*types.Transaction) []*types.Transaction {
	keys := slices.SortedFunc(maps.Keys(byNonce), func(a, b string) int {
		x, _ := strconv.ParseUint(a, 10, 64) // the decoded transaction's own nonce is what counts
		y, _ := strconv.ParseUint(b, 10, 64)
		return cmp.Compare(x, y)
	})
	out := make([]*types.Transaction, 0, len(keys))
	for _, k := range keys {
		if byNonce[k] != nil {
			out = append(out, byNonce[k])
		}
	}
	return out
}

// nonces reads the senders' nonces at the head.
func (e *Engine) nonces(ctx context.Context, senders []common.Address) ([]uint64, error) {
	out := make([]uint64, 0, len(senders))
	for part := range slices.Chunk(senders, addBatch) {
		got := make([]hexutil.Uint64, len(part))
		asks := make([]*engineapi.Ask, len(part))
		for i, s := range part {
			asks[i] = &engineapi.Ask{Method: "eth_getTransactionCount", Args: []any{s, "latest"}, Result: &got[i]}
		}
		if err := e.rpc.Batch(ctx, asks); err != nil {
			return nil, e.failed(err)
		}
		for i, a := range asks {
			if a.Err != nil {
				return nil, a.Err
			}
			out = append(out, uint64(got[i]))
		}
	}
	return out, nil
}
