package external

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	gethengine "github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/alys-node/alys/plugins/internal/engineapi"
	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// Status implements engine.Engine. Chain id, genesis and schedule are those of the chain: the client was held against
// them.
func (e *Engine) Status(ctx context.Context) (engine.Status, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return engine.Status{}, err
	}
	defer leave()
	var syncing any // false, or an object
	heads, err := e.heads(ctx, &engineapi.Ask{Method: "eth_syncing", Result: &syncing})
	if err != nil {
		return engine.Status{}, err
	}
	busy, isBool := syncing.(bool)
	g := e.cfg.Genesis
	return engine.Status{
		ClientVersion: e.known().version, ChainID: g.ChainID(), Genesis: g.Hash(), Forks: g.Forks(), Horizon: g.Horizon(),
		Heads: heads, Syncing: busy || !isBool, WalletRPC: e.cfg.RPC,
	}, nil
}

// heads reads the three heads, and what else is asked, in one request. A client answers a head that was never set with
// null or with an error.
func (e *Engine) heads(ctx context.Context, also ...*engineapi.Ask) (engine.Heads, error) {
	var latest, safe, finalized *types.Header
	block := func(tag string, h **types.Header) *engineapi.Ask {
		return &engineapi.Ask{Method: "eth_getBlockByNumber", Args: []any{tag, false}, Result: h}
	}
	asks := []*engineapi.Ask{block("latest", &latest), block("safe", &safe), block("finalized", &finalized)}
	if err := e.api.Batch(ctx, append(asks, also...)); err != nil {
		return engine.Heads{}, e.failed(fmt.Errorf("read heads: %w", err))
	}
	for _, a := range append(asks[:1:1], also...) {
		if a.Err != nil {
			return engine.Heads{}, fmt.Errorf("read heads: %w", a.Err)
		}
	}
	if latest == nil {
		return engine.Heads{}, fmt.Errorf("%w: the client has no latest block", engine.ErrUnavailable)
	}
	return engine.Heads{Head: execution.Ref(latest), Safe: execution.Ref(safe), Finalized: execution.Ref(finalized)}, nil
}

// headers reads headers by hash; nil where the client has none.
func (e *Engine) headers(ctx context.Context, hashes ...chain.Hash) ([]*types.Header, error) {
	out := make([]*types.Header, len(hashes))
	asks := make([]*engineapi.Ask, len(hashes))
	for i, h := range hashes {
		asks[i] = &engineapi.Ask{Method: "eth_getBlockByHash", Args: []any{common.Hash(h), false}, Result: &out[i]}
	}
	if err := e.api.Batch(ctx, asks); err != nil {
		return nil, e.failed(fmt.Errorf("read headers: %w", err))
	}
	for i, h := range hashes {
		if err := asks[i].Err; err != nil {
			return nil, fmt.Errorf("read header %s: %w", h, err)
		}
		if out[i] != nil && out[i].Hash() != common.Hash(h) {
			return nil, fmt.Errorf("%w: asked for block %s, got one with hash %s", engine.ErrUnavailable, h, out[i].Hash())
		}
	}
	return out, nil
}

// Payloads implements engine.Engine. The genesis block is no payload and is answered as unknown, and so is a block whose
// execution requests never went through this plugin: no client gives them back.
func (e *Engine) Payloads(ctx context.Context, hashes []chain.Hash) ([]*chain.ExecutionData, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	out := make([]*chain.ExecutionData, 0, len(hashes))
	for from := 0; from < len(hashes); from += engineapi.MaxBodies {
		part := hashes[from:min(from+engineapi.MaxBodies, len(hashes))]
		headers, err := e.headers(ctx, part...)
		if err != nil {
			return nil, err
		}
		bodies, err := e.api.Bodies(ctx, part)
		if err != nil {
			return nil, e.failed(err)
		}
		for i := range part {
			d, err := e.assemble(headers[i], bodies[i])
			if err != nil {
				return nil, fmt.Errorf("read payload %s: %w", part[i], err)
			}
			out = append(out, d)
		}
	}
	return out, nil
}

// assemble makes a payload of header and body, and nil of what is not there.
func (e *Engine) assemble(h *types.Header, b *engineapi.Body) (*chain.ExecutionData, error) {
	if h == nil || b == nil || h.Number.Sign() == 0 {
		return nil, nil
	}
	txs := make([]*types.Transaction, len(b.TransactionData))
	for i, raw := range b.TransactionData {
		txs[i] = new(types.Transaction)
		if err := txs[i].UnmarshalBinary(raw); err != nil {
			return nil, fmt.Errorf("%w: transaction %d: %w", engine.ErrUnavailable, i, err)
		}
	}
	block := types.NewBlockWithHeader(h).WithBody(types.Body{Transactions: txs, Withdrawals: b.Withdrawals})
	p, err := execution.Payload(gethengine.BlockToExecutableData(block, new(big.Int), nil, nil).ExecutionPayload)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", engine.ErrUnavailable, err)
	}
	d := &chain.ExecutionData{Payload: p, ParentBeaconRoot: (*chain.Hash)(h.ParentBeaconRoot)}
	if h.RequestsHash != nil {
		d.Requests, err = e.requests.Read(h.Hash(), *h.RequestsHash)
		if errors.Is(err, execution.ErrNoRequests) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	if err := execution.CheckHash(d); err != nil {
		return nil, fmt.Errorf("%w: the client's body does not fit its header: %w", engine.ErrUnavailable, err)
	}
	return d, nil
}

// Receipts implements engine.Engine.
func (e *Engine) Receipts(ctx context.Context, hash chain.Hash) ([]chain.Receipt, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	receipts, err := receiptsOf(ctx, e.known().reader, hash)
	if err == nil && receipts != nil {
		out := make([]chain.Receipt, len(receipts))
		for i, r := range receipts {
			out[i] = execution.Receipt(r)
		}
		return out, nil
	}
	if err = e.failed(err); errors.Is(err, engineapi.ErrNoAnswer) || ctx.Err() != nil {
		return nil, err
	}
	// Clients answer an unknown block with null or with an error of any code.
	headers, herr := e.headers(ctx, hash)
	switch {
	case herr != nil:
		return nil, herr
	case headers[0] == nil || err == nil:
		return nil, fmt.Errorf("%w: %s", engine.ErrUnknownBlock, hash)
	}
	return nil, fmt.Errorf("receipts of %s: %w", hash, err)
}

// receiptsOf is eth_getBlockReceipts; nil where the client does not have the block.
func receiptsOf(ctx context.Context, c *engineapi.Conn, hash chain.Hash) ([]*types.Receipt, error) {
	var out []*types.Receipt
	if err := c.Call(ctx, &out, "eth_getBlockReceipts", common.Hash(hash)); err != nil {
		return nil, err
	}
	for i, r := range out {
		if r == nil {
			return nil, fmt.Errorf("%w: receipt %d of %s is null", engine.ErrUnavailable, i, hash)
		}
	}
	return out, nil
}
