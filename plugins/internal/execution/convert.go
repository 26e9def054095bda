package execution

import (
	"errors"
	"fmt"
	"slices"

	gethengine "github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/alys-node/alys/sdk/chain"
)

// Executable converts a payload to geth's form. It shares byte slices with the argument.
func Executable(p chain.Payload) gethengine.ExecutableData {
	return gethengine.ExecutableData{
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
		Withdrawals:   Withdrawals(p.Withdrawals),
		BlobGasUsed:   p.BlobGasUsed,
		ExcessBlobGas: p.ExcessBlobGas,
	}
}

// Payload converts geth's form back.
func Payload(d *gethengine.ExecutableData) (chain.Payload, error) {
	fee, ok := chain.WeiFromBig(d.BaseFeePerGas)
	if !ok {
		return chain.Payload{}, errors.New("base fee is not an unsigned 256-bit integer")
	}
	if slices.Contains(d.Withdrawals, nil) {
		return chain.Payload{}, errors.New("a withdrawal is null")
	}
	p := chain.Payload{
		ParentHash:    chain.Hash(d.ParentHash),
		FeeRecipient:  chain.Address(d.FeeRecipient),
		StateRoot:     chain.Hash(d.StateRoot),
		ReceiptsRoot:  chain.Hash(d.ReceiptsRoot),
		PrevRandao:    chain.Hash(d.Random),
		Number:        chain.Height(d.Number),
		GasLimit:      d.GasLimit,
		GasUsed:       d.GasUsed,
		Timestamp:     d.Timestamp,
		ExtraData:     d.ExtraData,
		BaseFeePerGas: fee,
		BlockHash:     chain.Hash(d.BlockHash),
		Transactions:  d.Transactions,
		Withdrawals:   withdrawalsIn(d.Withdrawals),
		BlobGasUsed:   d.BlobGasUsed,
		ExcessBlobGas: d.ExcessBlobGas,
	}
	if n := copy(p.LogsBloom[:], d.LogsBloom); n != len(p.LogsBloom) {
		return chain.Payload{}, fmt.Errorf("logs bloom has %d bytes", n)
	}
	return p, nil
}

// Withdrawals converts withdrawals to geth's form. It never returns nil: since Shanghai a payload has a list, maybe empty.
func Withdrawals(ws []chain.Withdrawal) types.Withdrawals {
	out := make(types.Withdrawals, len(ws))
	for i, w := range ws {
		out[i] = &types.Withdrawal{
			Index: w.Index, Validator: w.Validator, Address: common.Address(w.Address), Amount: uint64(w.Amount),
		}
	}
	return out
}

func withdrawalsIn(ws []*types.Withdrawal) []chain.Withdrawal {
	out := make([]chain.Withdrawal, len(ws))
	for i, w := range ws {
		out[i] = chain.Withdrawal{
			Index: w.Index, Validator: w.Validator, Address: chain.Address(w.Address), Amount: chain.Gwei(w.Amount),
		}
	}
	return out
}

// Receipt converts geth's receipt.
func Receipt(r *types.Receipt) chain.Receipt {
	out := chain.Receipt{
		Type:              r.Type,
		Success:           r.Status == types.ReceiptStatusSuccessful,
		CumulativeGasUsed: r.CumulativeGasUsed,
		LogsBloom:         r.Bloom,
		Logs:              make([]chain.Log, len(r.Logs)),
	}
	for i, l := range r.Logs {
		topics := make([]chain.Hash, len(l.Topics))
		for j, t := range l.Topics {
			topics[j] = chain.Hash(t)
		}
		out.Logs[i] = chain.Log{Address: chain.Address(l.Address), Topics: topics, Data: l.Data}
	}
	return out
}

// Ref names the block of a header; a nil header is the zero reference.
func Ref(h *types.Header) chain.Ref {
	if h == nil {
		return chain.Ref{}
	}
	return chain.Ref{Height: chain.Height(h.Number.Uint64()), Hash: chain.Hash(h.Hash())}
}

// HexBytes converts byte strings to those that JSON writes as hex.
func HexBytes(in [][]byte) []hexutil.Bytes {
	out := make([]hexutil.Bytes, len(in))
	for i, b := range in {
		out[i] = b
	}
	return out
}

// BeaconRoot converts an optional hash.
func BeaconRoot(h *chain.Hash) *common.Hash {
	if h == nil {
		return nil
	}
	c := common.Hash(*h)
	return &c
}
