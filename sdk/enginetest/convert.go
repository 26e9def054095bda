package enginetest

import (
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/alys-node/alys/sdk/chain"
)

// BlockHash is the execution block hash that a payload has, whatever its BlockHash field says.
func BlockHash(d chain.ExecutionData) (chain.Hash, error) {
	block, err := toBlock(d)
	if err != nil {
		return chain.Hash{}, err
	}
	return chain.Hash(block.Hash()), nil
}

// toBlock makes geth's block of a payload without checking its hash.
func toBlock(d chain.ExecutionData) (*types.Block, error) {
	p := d.Payload
	withdrawals := make([]*types.Withdrawal, 0, len(p.Withdrawals))
	for _, w := range p.Withdrawals {
		withdrawals = append(withdrawals, &types.Withdrawal{
			Index: w.Index, Validator: w.Validator, Address: common.Address(w.Address), Amount: uint64(w.Amount),
		})
	}
	block, err := engine.ExecutableDataToBlockNoHash(engine.ExecutableData{
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
		Transactions:  p.Transactions,
		Withdrawals:   withdrawals,
		BlobGasUsed:   p.BlobGasUsed,
		ExcessBlobGas: p.ExcessBlobGas,
	}, nil, (*common.Hash)(d.ParentBeaconRoot), d.Requests)
	if err != nil {
		return nil, fmt.Errorf("assemble block: %w", err)
	}
	return block, nil
}

// genesisPayload is the payload that stands for a genesis block.
func genesisPayload(b *types.Block) chain.Payload {
	base, _ := chain.WeiFromBig(new(big.Int).Set(b.BaseFee()))
	return chain.Payload{
		ParentHash:    chain.Hash(b.ParentHash()),
		FeeRecipient:  chain.Address(b.Coinbase()),
		StateRoot:     chain.Hash(b.Root()),
		ReceiptsRoot:  chain.Hash(b.ReceiptHash()),
		LogsBloom:     b.Bloom(),
		PrevRandao:    chain.Hash(b.MixDigest()),
		Number:        chain.Height(b.NumberU64()),
		GasLimit:      b.GasLimit(),
		GasUsed:       b.GasUsed(),
		Timestamp:     b.Time(),
		ExtraData:     b.Extra(),
		BaseFeePerGas: base,
		BlockHash:     chain.Hash(b.Hash()),
		BlobGasUsed:   b.BlobGasUsed(),
		ExcessBlobGas: b.ExcessBlobGas(),
	}
}
