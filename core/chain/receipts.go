package chain

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/alys-node/alys/sdk/chain"
)

// CheckReceipts says why an engine's receipts cannot be those of a payload; nil: they are. Every receipt is covered by the
// payload's receipts root.
func CheckReceipts(d chain.ExecutionData, receipts []chain.Receipt) error {
	if len(d.Payload.Transactions) == 0 && len(receipts) == 0 {
		return nil
	}
	b, err := executionBlock(d)
	if err != nil {
		return err
	}
	return checkReceipts(b, receipts)
}

// checkReceipts compares an engine's receipts with an execution block: one for each transaction, of its type, with gas
// that adds up, and all together with the receipts root. A mismatch is the engine's fault, not the block's.
func checkReceipts(b *types.Block, receipts []chain.Receipt) error {
	txs := b.Transactions()
	if len(receipts) != len(txs) {
		return fmt.Errorf("%d receipts for %d transactions", len(receipts), len(txs))
	}
	var used uint64
	list := make(types.Receipts, len(receipts))
	for i, r := range receipts {
		if r.Type != txs[i].Type() {
			return fmt.Errorf("receipt %d is of type %d, the transaction of type %d", i, r.Type, txs[i].Type())
		}
		if r.CumulativeGasUsed <= used {
			return fmt.Errorf("receipt %d has cumulative gas %d after %d", i, r.CumulativeGasUsed, used)
		}
		used = r.CumulativeGasUsed
		list[i] = gethReceipt(r)
	}
	if used != b.GasUsed() {
		return fmt.Errorf("receipts use %d gas, the block %d", used, b.GasUsed())
	}
	if got := types.DeriveSha(list, trie.NewStackTrie(nil)); got != b.ReceiptHash() {
		return fmt.Errorf("receipts have root %s, the block %s", got, b.ReceiptHash())
	}
	return nil
}

func gethReceipt(r chain.Receipt) *types.Receipt {
	out := &types.Receipt{
		Type: r.Type, CumulativeGasUsed: r.CumulativeGasUsed, Bloom: types.Bloom(r.LogsBloom),
		Logs: make([]*types.Log, len(r.Logs)),
	}
	if r.Success {
		out.Status = types.ReceiptStatusSuccessful
	}
	for i, l := range r.Logs {
		topics := make([]common.Hash, len(l.Topics))
		for j, t := range l.Topics {
			topics[j] = common.Hash(t)
		}
		out.Logs[i] = &types.Log{Address: common.Address(l.Address), Topics: topics, Data: l.Data}
	}
	return out
}
