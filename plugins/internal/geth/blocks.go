package geth

import (
	"context"
	"fmt"
	"math/big"

	gethengine "github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// requestsPrefix and a block hash are the key of a block's non-empty execution requests: geth stores only their hash.
const requestsPrefix = "alys-requests-"

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
	p, err := payload(gethengine.BlockToExecutableData(block, new(big.Int), nil, nil).ExecutionPayload)
	if err != nil {
		return nil, err
	}
	d := &chain.ExecutionData{Payload: p}
	if root := block.BeaconRoot(); root != nil {
		h := chain.Hash(*root)
		d.ParentBeaconRoot = &h
	}
	if want := block.RequestsHash(); want != nil {
		if d.Requests, err = e.readRequests(block.Hash(), *want); err != nil {
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
		out[i] = receipt(r)
	}
	return out, nil
}

// keepRequests stores the requests of a payload before geth gets it, so that no block is ever there without them. Only
// requests that the payload's own hash commits to are stored.
func (e *Engine) keepRequests(d *chain.ExecutionData) error {
	if len(d.Requests) == 0 {
		return nil
	}
	if _, err := gethengine.ExecutableDataToBlock(executable(d.Payload), []common.Hash{}, beaconRoot(d.ParentBeaconRoot), d.Requests); err != nil {
		return nil //nolint:nilerr // newPayload says the same in its verdict
	}
	enc, err := rlp.EncodeToBytes(d.Requests)
	if err != nil {
		return fmt.Errorf("encode requests: %w", err)
	}
	if err := e.eth.ChainDb().Put(requestsKey(common.Hash(d.Payload.BlockHash)), enc); err != nil {
		return fmt.Errorf("%w: store requests: %w", engine.ErrUnavailable, err)
	}
	return nil
}

// readRequests returns the requests of a block, which are never nil since Prague.
func (e *Engine) readRequests(block, want common.Hash) ([][]byte, error) {
	if want == types.EmptyRequestsHash {
		return [][]byte{}, nil
	}
	enc, err := e.eth.ChainDb().Get(requestsKey(block))
	if err != nil {
		return nil, fmt.Errorf("read requests: %w", err)
	}
	var reqs [][]byte
	if err := rlp.DecodeBytes(enc, &reqs); err != nil {
		return nil, fmt.Errorf("decode requests: %w", err)
	}
	if got := types.CalcRequestsHash(reqs); got != want {
		return nil, fmt.Errorf("stored requests hash to %s, the header has %s", got, want)
	}
	return reqs, nil
}

func requestsKey(block common.Hash) []byte { return append([]byte(requestsPrefix), block[:]...) }

// requestsOf is nil before Prague and never nil since.
func (e *Engine) requestsOf(timestamp uint64, reqs [][]byte) [][]byte {
	if !e.prague(timestamp) {
		return nil
	}
	return append([][]byte{}, reqs...)
}

func (e *Engine) cancun(timestamp uint64) bool {
	return e.cfg.Genesis.spec.Config.IsCancun(common.Big0, timestamp)
}

func (e *Engine) prague(timestamp uint64) bool {
	return e.cfg.Genesis.spec.Config.IsPrague(common.Big0, timestamp)
}

// known reports whether a transaction is in a block of the canonical chain.
func (e *Engine) known(hash common.Hash) bool {
	return rawdb.ReadTxLookupEntry(e.eth.ChainDb(), hash) != nil
}
