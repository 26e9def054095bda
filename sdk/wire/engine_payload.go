package wire

import (
	"errors"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/wire/enginev1"
)

func executionDataToProto(d chain.ExecutionData) *enginev1.ExecutionData {
	return &enginev1.ExecutionData{
		Payload:          payloadToProto(d.Payload),
		ParentBeaconRoot: optionalHashBytes(d.ParentBeaconRoot),
		HasRequests:      d.Requests != nil,
		Requests:         d.Requests,
	}
}

func executionDataFromProto(m *enginev1.ExecutionData) (chain.ExecutionData, error) {
	if m == nil || m.GetPayload() == nil {
		return chain.ExecutionData{}, errors.New("payload is missing")
	}
	p, err := payloadFromProto(m.GetPayload())
	if err != nil {
		return chain.ExecutionData{}, err
	}
	beacon, err := optionalHash("parent beacon root", m.ParentBeaconRoot)
	if err != nil {
		return chain.ExecutionData{}, err
	}
	d := chain.ExecutionData{Payload: p, ParentBeaconRoot: beacon}
	switch {
	case !m.GetHasRequests() && len(m.GetRequests()) > 0:
		return d, errors.New("requests are present and marked absent")
	case m.GetHasRequests() && m.GetRequests() == nil:
		d.Requests = [][]byte{}
	case m.GetHasRequests():
		d.Requests = m.GetRequests()
	}
	return d, nil
}

func payloadToProto(p chain.Payload) *enginev1.Payload {
	return &enginev1.Payload{
		ParentHash:    p.ParentHash[:],
		FeeRecipient:  p.FeeRecipient[:],
		StateRoot:     p.StateRoot[:],
		ReceiptsRoot:  p.ReceiptsRoot[:],
		LogsBloom:     p.LogsBloom[:],
		PrevRandao:    p.PrevRandao[:],
		Number:        uint64(p.Number),
		GasLimit:      p.GasLimit,
		GasUsed:       p.GasUsed,
		Timestamp:     p.Timestamp,
		ExtraData:     p.ExtraData,
		BaseFeePerGas: p.BaseFeePerGas[:],
		BlockHash:     p.BlockHash[:],
		Transactions:  p.Transactions,
		Withdrawals:   each(p.Withdrawals, withdrawalToProto),
		BlobGasUsed:   p.BlobGasUsed,
		ExcessBlobGas: p.ExcessBlobGas,
	}
}

func payloadFromProto(m *enginev1.Payload) (chain.Payload, error) {
	parent, err1 := fixedBytes[chain.Hash]("parent hash", m.GetParentHash())
	fee, err2 := fixedBytes[chain.Address]("fee recipient", m.GetFeeRecipient())
	state, err3 := fixedBytes[chain.Hash]("state root", m.GetStateRoot())
	receipts, err4 := fixedBytes[chain.Hash]("receipts root", m.GetReceiptsRoot())
	bloom, err5 := fixedBytes[[256]byte]("logs bloom", m.GetLogsBloom())
	randao, err6 := fixedBytes[chain.Hash]("prev randao", m.GetPrevRandao())
	baseFee, err7 := fixedBytes[chain.Wei]("base fee", m.GetBaseFeePerGas())
	hash, err8 := fixedBytes[chain.Hash]("block hash", m.GetBlockHash())
	withdrawals, err9 := convert("withdrawal", m.GetWithdrawals(), withdrawalFromProto)
	return chain.Payload{
		ParentHash:    parent,
		FeeRecipient:  fee,
		StateRoot:     state,
		ReceiptsRoot:  receipts,
		LogsBloom:     bloom,
		PrevRandao:    randao,
		Number:        chain.Height(m.GetNumber()),
		GasLimit:      m.GetGasLimit(),
		GasUsed:       m.GetGasUsed(),
		Timestamp:     m.GetTimestamp(),
		ExtraData:     m.GetExtraData(),
		BaseFeePerGas: baseFee,
		BlockHash:     hash,
		Transactions:  m.GetTransactions(),
		Withdrawals:   withdrawals,
		BlobGasUsed:   m.BlobGasUsed,
		ExcessBlobGas: m.ExcessBlobGas,
	}, errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9, atMost("extra data bytes", len(m.GetExtraData()), maxExtraData))
}
