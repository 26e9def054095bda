package chain

import (
	"bytes"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/alys-node/alys/sdk/chain"
)

// maxExtraData is the longest extra data of a payload, in bytes.
const maxExtraData = 32

// burnAddress is the fee recipient of every payload: tips are burnt there and paid again by withdrawals.
func burnAddress() chain.Address {
	return chain.Address{18: 0xde, 19: 0xad}
}

// executionBlock rebuilds the execution block from what alys stores of it and checks that it has the hash that the
// payload claims. Every byte of the execution data is covered by that hash, except spellings that the hash cannot tell
// apart: empty requests and a transaction's non-canonical encoding, which are refused here.
func executionBlock(d chain.ExecutionData) (*types.Block, error) {
	for i, r := range d.Requests {
		if len(r) < 2 {
			return nil, fmt.Errorf("request %d is empty", i)
		}
		if i > 0 && r[0] <= d.Requests[i-1][0] {
			return nil, fmt.Errorf("request %d has type %d after type %d", i, r[0], d.Requests[i-1][0])
		}
	}
	b, err := engine.ExecutableDataToBlock(executableData(d.Payload), nil, gethHash(d.ParentBeaconRoot), d.Requests)
	if err != nil {
		return nil, err
	}
	for i, tx := range b.Transactions() {
		raw, err := tx.MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("transaction %d: %w", i, err)
		}
		if !bytes.Equal(raw, d.Payload.Transactions[i]) {
			return nil, fmt.Errorf("transaction %d is not in canonical encoding", i)
		}
	}
	return b, nil
}

func executableData(p chain.Payload) engine.ExecutableData {
	withdrawals := make([]*types.Withdrawal, len(p.Withdrawals)) // never nil: every payload is of Shanghai or later
	for i, w := range p.Withdrawals {
		withdrawals[i] = &types.Withdrawal{
			Index: w.Index, Validator: w.Validator, Address: common.Address(w.Address), Amount: uint64(w.Amount),
		}
	}
	return engine.ExecutableData{
		ParentHash:    common.Hash(p.ParentHash),
		FeeRecipient:  common.Address(p.FeeRecipient),
		StateRoot:     common.Hash(p.StateRoot),
		ReceiptsRoot:  common.Hash(p.ReceiptsRoot),
		LogsBloom:     p.LogsBloom[:],
		Random:        common.Hash(p.PrevRandao),
		Number:        uint64(p.Number),
		GasLimit:      p.GasLimit,
		GasUsed:       p.GasUsed,
		Timestamp:     p.Timestamp,
		ExtraData:     p.ExtraData,
		BaseFeePerGas: p.BaseFeePerGas.Big(),
		BlockHash:     common.Hash(p.BlockHash),
		Transactions:  p.Transactions,
		Withdrawals:   withdrawals,
		BlobGasUsed:   p.BlobGasUsed,
		ExcessBlobGas: p.ExcessBlobGas,
	}
}

func gethHash(h *chain.Hash) *common.Hash {
	if h == nil {
		return nil
	}
	out := common.Hash(*h)
	return &out
}

// gasLimitStep is the gas limit of a child that moves from parent towards target as far as it may: by less than
// parent/1024 (the execution layer's rule), never below 5,000.
func gasLimitStep(parent, target uint64) uint64 {
	const divisor, lowest = 1024, 5000
	target = max(target, lowest)
	step := parent / divisor
	if step > 0 {
		step--
	}
	switch {
	case parent < target:
		return min(parent+step, target)
	case parent > target:
		return max(parent-step, target)
	}
	return parent
}

// feesOf adds up what the transactions of an execution block pay beyond the base fee, and the base fee itself, in wei.
// receipts are those of the block, checked.
func feesOf(b *types.Block, receipts []chain.Receipt) (tips, base *big.Int, err error) {
	tips = new(big.Int)
	base = new(big.Int).Mul(b.BaseFee(), new(big.Int).SetUint64(b.GasUsed()))
	var before uint64
	for i, tx := range b.Transactions() {
		tip, err := tx.EffectiveGasTip(b.BaseFee())
		if err != nil {
			return nil, nil, fmt.Errorf("transaction %d pays less than the base fee: %w", i, err)
		}
		used := receipts[i].CumulativeGasUsed - before
		before = receipts[i].CumulativeGasUsed
		tips.Add(tips, tip.Mul(tip, new(big.Int).SetUint64(used)))
	}
	return tips, base, nil
}
