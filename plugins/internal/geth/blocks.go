package geth

import (
	"context"
	"fmt"
	"math/big"

	gethengine "github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// Payloads implements engine.Engine. The genesis block is no payload and is answered as unknown.
func (e *Engine) Payloads(ctx context.Context, hashes []chain.Hash) ([]*chain.ExecutionData, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	out := make([]*chain.ExecutionData, len(hashes))
	for i, h := range hashes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		block := e.eth.BlockChain().GetBlockByHash(common.Hash(h))
		if block == nil || block.NumberU64() == 0 {
			continue
		}
		if out[i], err = e.stored(block); err != nil {
			return nil, fmt.Errorf("read payload %s: %w", h, err)
		}
	}
	return out, nil
}

func (e *Engine) stored(block *types.Block) (*chain.ExecutionData, error) {
	p, err := execution.Payload(gethengine.BlockToExecutableData(block, new(big.Int), nil, nil).ExecutionPayload)
	if err != nil {
		return nil, err
	}
	d := &chain.ExecutionData{Payload: p}
	if root := block.BeaconRoot(); root != nil {
		h := chain.Hash(*root)
		d.ParentBeaconRoot = &h
	}
	if want := block.RequestsHash(); want != nil {
		if d.Requests, err = e.requests().Read(block.Hash(), *want); err != nil {
			return nil, err
		}
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
	bc := e.eth.BlockChain()
	block := bc.GetBlockByHash(common.Hash(hash))
	if block == nil {
		return nil, fmt.Errorf("%w: %s", engine.ErrUnknownBlock, hash)
	}
	stored := bc.GetReceiptsByHash(common.Hash(hash))
	if len(stored) != len(block.Transactions()) {
		return nil, fmt.Errorf("%w: %s has %d transactions and %d stored receipts",
			engine.ErrUnknownBlock, hash, len(block.Transactions()), len(stored))
	}
	out := make([]chain.Receipt, len(stored))
	for i, r := range stored {
		out[i] = execution.Receipt(r)
	}
	return out, nil
}

// requests keeps execution requests beside geth's own data.
func (e *Engine) requests() execution.Requests { return execution.Requests{DB: e.eth.ChainDb()} }

// requestsOf is nil before Prague and never nil since.
func (e *Engine) requestsOf(timestamp uint64, reqs [][]byte) [][]byte {
	if !e.cfg.Genesis.Prague(timestamp) {
		return nil
	}
	return append([][]byte{}, reqs...)
}

// known reports whether a transaction is in a block of the canonical chain.
func (e *Engine) known(hash common.Hash) bool {
	return rawdb.ReadTxLookupEntry(e.eth.ChainDb(), hash) != nil
}
