package engineapi

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// payloadJSON is an ExecutionPayloadV1 to V3: a field that the payload's fork does not have is left out and not null, as
// the specification has it.
type payloadJSON struct {
	ParentHash    common.Hash         `json:"parentHash"`
	FeeRecipient  common.Address      `json:"feeRecipient"`
	StateRoot     common.Hash         `json:"stateRoot"`
	ReceiptsRoot  common.Hash         `json:"receiptsRoot"`
	LogsBloom     hexutil.Bytes       `json:"logsBloom"`
	PrevRandao    common.Hash         `json:"prevRandao"`
	BlockNumber   hexutil.Uint64      `json:"blockNumber"`
	GasLimit      hexutil.Uint64      `json:"gasLimit"`
	GasUsed       hexutil.Uint64      `json:"gasUsed"`
	Timestamp     hexutil.Uint64      `json:"timestamp"`
	ExtraData     hexutil.Bytes       `json:"extraData"`
	BaseFeePerGas *hexutil.Big        `json:"baseFeePerGas"`
	BlockHash     common.Hash         `json:"blockHash"`
	Transactions  []hexutil.Bytes     `json:"transactions"`
	Withdrawals   []*types.Withdrawal `json:"withdrawals,omitzero"` // an empty list is written, none is not
	BlobGasUsed   *hexutil.Uint64     `json:"blobGasUsed,omitempty"`
	ExcessBlobGas *hexutil.Uint64     `json:"excessBlobGas,omitempty"`
}

func encodePayload(fork execution.Fork, p chain.Payload) payloadJSON {
	out := payloadJSON{
		ParentHash:    common.Hash(p.ParentHash),
		FeeRecipient:  common.Address(p.FeeRecipient),
		StateRoot:     common.Hash(p.StateRoot),
		ReceiptsRoot:  common.Hash(p.ReceiptsRoot),
		LogsBloom:     p.LogsBloom[:],
		PrevRandao:    common.Hash(p.PrevRandao),
		BlockNumber:   hexutil.Uint64(p.Number),
		GasLimit:      hexutil.Uint64(p.GasLimit),
		GasUsed:       hexutil.Uint64(p.GasUsed),
		Timestamp:     hexutil.Uint64(p.Timestamp),
		ExtraData:     append(hexutil.Bytes{}, p.ExtraData...),
		BaseFeePerGas: (*hexutil.Big)(p.BaseFeePerGas.Big()),
		BlockHash:     common.Hash(p.BlockHash),
		Transactions:  execution.HexBytes(p.Transactions),
		BlobGasUsed:   (*hexutil.Uint64)(p.BlobGasUsed),
		ExcessBlobGas: (*hexutil.Uint64)(p.ExcessBlobGas),
	}
	if fork != execution.Paris {
		out.Withdrawals = execution.Withdrawals(p.Withdrawals)
	}
	return out
}

// forkchoiceJSON is a ForkchoiceStateV1.
type forkchoiceJSON struct {
	Head      common.Hash `json:"headBlockHash"`
	Safe      common.Hash `json:"safeBlockHash"`
	Finalized common.Hash `json:"finalizedBlockHash"`
}

func encodeForkchoice(f engine.Forkchoice) forkchoiceJSON {
	return forkchoiceJSON{Head: common.Hash(f.Head), Safe: common.Hash(f.Safe), Finalized: common.Hash(f.Finalized)}
}

// attributesJSON is a PayloadAttributesV1 to V3.
type attributesJSON struct {
	Timestamp    hexutil.Uint64      `json:"timestamp"`
	PrevRandao   common.Hash         `json:"prevRandao"`
	FeeRecipient common.Address      `json:"suggestedFeeRecipient"`
	Withdrawals  []*types.Withdrawal `json:"withdrawals,omitzero"`
	BeaconRoot   *common.Hash        `json:"parentBeaconBlockRoot,omitempty"`
}

func encodeAttributes(fork execution.Fork, r *engine.BuildRequest) *attributesJSON {
	if r == nil {
		return nil
	}
	out := &attributesJSON{
		Timestamp: hexutil.Uint64(r.Timestamp), PrevRandao: common.Hash(r.PrevRandao), FeeRecipient: common.Address(r.FeeRecipient),
		BeaconRoot: execution.BeaconRoot(r.ParentBeaconRoot),
	}
	if fork != execution.Paris {
		out.Withdrawals = execution.Withdrawals(r.Withdrawals)
	}
	return out
}
