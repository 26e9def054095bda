package wire

import (
	"context"
	"errors"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/wire/enginev1"
)

// engineServer serves an engine. The pool is found by type assertion.
type engineServer struct {
	enginev1.UnimplementedEngineServer
	e engine.Engine
}

func (s *engineServer) Status(ctx context.Context, _ *enginev1.StatusRequest) (*enginev1.StatusResponse, error) {
	st, err := s.e.Status(ctx)
	if err != nil {
		return nil, EncodeError(err)
	}
	return statusToProto(st), nil
}

func (s *engineServer) Build(ctx context.Context, r *enginev1.BuildRequest) (*enginev1.BuildResponse, error) {
	req, err := buildRequestFromProto(r)
	if err != nil {
		return nil, badRequest(err)
	}
	d, err := s.e.Build(ctx, req)
	if err != nil {
		return nil, EncodeError(err)
	}
	return &enginev1.BuildResponse{Data: executionDataToProto(d)}, nil
}

func (s *engineServer) Import(ctx context.Context, r *enginev1.ImportRequest) (*enginev1.ImportResponse, error) {
	req, err := importRequestFromProto(r)
	if err != nil {
		return nil, badRequest(err)
	}
	result, err := s.e.Import(ctx, req)
	if err != nil {
		return nil, EncodeError(err)
	}
	return importResultToProto(result), nil
}

func importRequestFromProto(r *enginev1.ImportRequest) (engine.ImportRequest, error) {
	payloads, err := convert("payload", r.GetPayloads(), executionDataFromProto)
	if err != nil {
		return engine.ImportRequest{}, err
	}
	req := engine.ImportRequest{Payloads: payloads}
	if f := r.GetForkchoice(); f != nil {
		head, err1 := fixedBytes[chain.Hash]("head", f.GetHead())
		safe, err2 := fixedBytes[chain.Hash]("safe", f.GetSafe())
		finalized, err3 := fixedBytes[chain.Hash]("finalized", f.GetFinalized())
		if err := errors.Join(err1, err2, err3); err != nil {
			return engine.ImportRequest{}, err
		}
		req.Forkchoice = &engine.Forkchoice{Head: head, Safe: safe, Finalized: finalized}
	}
	return req, nil
}

func (s *engineServer) Payloads(ctx context.Context, r *enginev1.PayloadsRequest) (*enginev1.PayloadsResponse, error) {
	hashes, err := convert("hash", r.GetHashes(), func(b []byte) (chain.Hash, error) {
		return fixedBytes[chain.Hash]("hash", b)
	})
	if err != nil {
		return nil, badRequest(err)
	}
	payloads, err := s.e.Payloads(ctx, hashes)
	if err != nil {
		return nil, EncodeError(err)
	}
	return &enginev1.PayloadsResponse{Payloads: each(payloads, func(d *chain.ExecutionData) *enginev1.MaybeExecutionData {
		if d == nil {
			return &enginev1.MaybeExecutionData{}
		}
		return &enginev1.MaybeExecutionData{Data: executionDataToProto(*d)}
	})}, nil
}

func (s *engineServer) Receipts(ctx context.Context, r *enginev1.ReceiptsRequest) (*enginev1.ReceiptsResponse, error) {
	hash, err := fixedBytes[chain.Hash]("hash", r.GetHash())
	if err != nil {
		return nil, badRequest(err)
	}
	receipts, err := s.e.Receipts(ctx, hash)
	if err != nil {
		return nil, EncodeError(err)
	}
	return &enginev1.ReceiptsResponse{Receipts: each(receipts, receiptToProto)}, nil
}

func (s *engineServer) AddTransactions(ctx context.Context, r *enginev1.AddTransactionsRequest) (*enginev1.AddTransactionsResponse, error) {
	pool, ok := s.e.(engine.EngineWithPool)
	if !ok {
		return nil, EncodeError(lifecycle.ErrUnsupported)
	}
	results, err := pool.AddTransactions(ctx, r.GetTransactions())
	if err != nil {
		return nil, EncodeError(err)
	}
	return &enginev1.AddTransactionsResponse{Results: each(results, addResultToProto)}, nil
}

func (s *engineServer) PendingTransactions(ctx context.Context, r *enginev1.PendingTransactionsRequest) (*enginev1.PendingTransactionsResponse, error) {
	pool, ok := s.e.(engine.EngineWithPool)
	if !ok {
		return nil, EncodeError(lifecycle.ErrUnsupported)
	}
	txs, err := pool.PendingTransactions(ctx, int(r.GetLimit()))
	if err != nil {
		return nil, EncodeError(err)
	}
	return &enginev1.PendingTransactionsResponse{Transactions: txs}, nil
}
