package wire

import (
	"context"
	"fmt"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/wire/enginev1"
)

// EngineClient is an engine behind the wire, with the pool; the pool's calls fail with lifecycle.ErrUnsupported where
// the plugin has none.
type EngineClient struct {
	c   *Client
	rpc enginev1.EngineClient
}

var (
	_ engine.Engine         = (*EngineClient)(nil)
	_ engine.EngineWithPool = (*EngineClient)(nil)
)

// Status implements engine.Engine.
func (e *EngineClient) Status(ctx context.Context) (engine.Status, error) {
	resp, err := invoke(ctx, e.c.at("Status"), e.rpc.Status, &enginev1.StatusRequest{})
	if err != nil {
		return engine.Status{}, err
	}
	s, err := statusFromProto(resp)
	if err != nil {
		return engine.Status{}, e.c.malformed("Status", err)
	}
	return s, nil
}

// Build implements engine.Engine. A payload on another parent or with another timestamp than asked is malformed.
func (e *EngineClient) Build(ctx context.Context, r engine.BuildRequest) (chain.ExecutionData, error) {
	resp, err := invoke(ctx, e.c.at("Build"), e.rpc.Build, buildRequestToProto(r))
	if err != nil {
		return chain.ExecutionData{}, err
	}
	d, err := executionDataFromProto(resp.GetData())
	if err == nil && (d.Payload.ParentHash != r.Parent || d.Payload.Timestamp != r.Timestamp) {
		err = fmt.Errorf("payload is for parent %s at %d, asked for %s at %d",
			d.Payload.ParentHash, d.Payload.Timestamp, r.Parent, r.Timestamp)
	}
	if err != nil {
		return chain.ExecutionData{}, e.c.malformed("Build", err)
	}
	return d, nil
}

// Import implements engine.Engine.
func (e *EngineClient) Import(ctx context.Context, r engine.ImportRequest) (engine.ImportResult, error) {
	req := &enginev1.ImportRequest{Payloads: each(r.Payloads, executionDataToProto)}
	if f := r.Forkchoice; f != nil {
		req.Forkchoice = &enginev1.Forkchoice{Head: f.Head[:], Safe: f.Safe[:], Finalized: f.Finalized[:]}
	}
	resp, err := invoke(ctx, e.c.at("Import"), e.rpc.Import, req)
	if err != nil {
		return engine.ImportResult{}, err
	}
	result, err := importResultFromProto(resp, r)
	if err != nil {
		return engine.ImportResult{}, e.c.malformed("Import", err)
	}
	return result, nil
}

// Payloads implements engine.Engine. A payload under another hash than asked is malformed.
func (e *EngineClient) Payloads(ctx context.Context, hashes []chain.Hash) ([]*chain.ExecutionData, error) {
	req := &enginev1.PayloadsRequest{Hashes: each(hashes, func(h chain.Hash) []byte { return h[:] })}
	resp, err := invoke(ctx, e.c.at("Payloads"), e.rpc.Payloads, req)
	if err != nil {
		return nil, err
	}
	if got := len(resp.GetPayloads()); got != len(hashes) {
		return nil, e.c.malformed("Payloads", fmt.Errorf("%d payloads for %d hashes", got, len(hashes)))
	}
	out := make([]*chain.ExecutionData, len(hashes))
	for i, m := range resp.GetPayloads() {
		if m.GetData() == nil {
			continue
		}
		d, err := executionDataFromProto(m.GetData())
		if err == nil && d.Payload.BlockHash != hashes[i] {
			err = fmt.Errorf("hash is %s, want %s", d.Payload.BlockHash, hashes[i])
		}
		if err != nil {
			return nil, e.c.malformed("Payloads", fmt.Errorf("payload %d: %w", i, err))
		}
		out[i] = &d
	}
	return out, nil
}

// Receipts implements engine.Engine.
func (e *EngineClient) Receipts(ctx context.Context, hash chain.Hash) ([]chain.Receipt, error) {
	resp, err := invoke(ctx, e.c.at("Receipts"), e.rpc.Receipts, &enginev1.ReceiptsRequest{Hash: hash[:]})
	if err != nil {
		return nil, err
	}
	receipts, err := convert("receipt", resp.GetReceipts(), receiptFromProto)
	if err != nil {
		return nil, e.c.malformed("Receipts", err)
	}
	return receipts, nil
}

// AddTransactions implements engine.EngineWithPool.
func (e *EngineClient) AddTransactions(ctx context.Context, txs [][]byte) ([]engine.AddResult, error) {
	req := &enginev1.AddTransactionsRequest{Transactions: txs}
	resp, err := invoke(ctx, e.c.at("AddTransactions"), e.rpc.AddTransactions, req)
	if err != nil {
		return nil, err
	}
	if got := len(resp.GetResults()); got != len(txs) {
		return nil, e.c.malformed("AddTransactions", fmt.Errorf("%d results for %d transactions", got, len(txs)))
	}
	results, err := convert("result", resp.GetResults(), addResultFromProto)
	if err != nil {
		return nil, e.c.malformed("AddTransactions", err)
	}
	return results, nil
}

// PendingTransactions implements engine.EngineWithPool.
func (e *EngineClient) PendingTransactions(ctx context.Context, limit int) ([][]byte, error) {
	asked := uint32(min(max(limit, 0), maxPending))
	req := &enginev1.PendingTransactionsRequest{Limit: asked}
	resp, err := invoke(ctx, e.c.at("PendingTransactions"), e.rpc.PendingTransactions, req)
	if err != nil {
		return nil, err
	}
	if err := atMost("transactions", len(resp.GetTransactions()), int(asked)); err != nil {
		return nil, e.c.malformed("PendingTransactions", err)
	}
	return resp.GetTransactions(), nil
}
