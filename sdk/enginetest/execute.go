package enginetest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/alys-node/alys/sdk/chain"
)

// gasPerTransaction is what every transaction costs here.
const gasPerTransaction = 21_000

// Outcome is what a transaction does.
type Outcome struct {
	Failed bool
	Logs   []chain.Log
}

// Execute decides what a transaction (an EIP-2718 envelope) does. It must be a function of the envelope alone.
type Execute func(envelope []byte) Outcome

// result is what a block's execution commits to in its header.
type result struct {
	receipts     []chain.Receipt
	receiptsRoot chain.Hash
	bloom        [256]byte
	gasUsed      uint64
	stateRoot    chain.Hash
}

// execute runs a payload's transactions and withdrawals on the parent's state root. It reads nothing of the payload
// that it itself decides.
func execute(p chain.Payload, parentRoot chain.Hash, run Execute) (result, error) {
	var r result
	receipts := make(types.Receipts, 0, len(p.Transactions))
	for i, envelope := range p.Transactions {
		var tx types.Transaction
		if err := tx.UnmarshalBinary(envelope); err != nil {
			return r, fmt.Errorf("decode transaction %d: %w", i, err)
		}
		r.gasUsed += gasPerTransaction
		receipt := receiptOf(tx.Type(), r.gasUsed, run(envelope))
		receipts = append(receipts, receipt)
		r.receipts = append(r.receipts, chain.Receipt{
			Type:              receipt.Type,
			Success:           receipt.Status == types.ReceiptStatusSuccessful,
			CumulativeGasUsed: receipt.CumulativeGasUsed,
			LogsBloom:         receipt.Bloom,
			Logs:              logsOf(receipt),
		})
		for j := range r.bloom {
			r.bloom[j] |= receipt.Bloom[j]
		}
	}
	r.receiptsRoot = chain.Hash(types.DeriveSha(receipts, trie.NewStackTrie(nil)))
	r.stateRoot = stateRoot(p, parentRoot)
	return r, nil
}

func receiptOf(txType uint8, cumulative uint64, o Outcome) *types.Receipt {
	receipt := &types.Receipt{Type: txType, Status: types.ReceiptStatusSuccessful, CumulativeGasUsed: cumulative}
	if o.Failed {
		receipt.Status = types.ReceiptStatusFailed
	}
	for _, l := range o.Logs {
		topics := make([]common.Hash, len(l.Topics))
		for i, t := range l.Topics {
			topics[i] = common.Hash(t)
		}
		receipt.Logs = append(receipt.Logs, &types.Log{Address: common.Address(l.Address), Topics: topics, Data: l.Data})
	}
	receipt.Bloom = types.CreateBloom(receipt)
	return receipt
}

func logsOf(r *types.Receipt) []chain.Log {
	var out []chain.Log
	for _, l := range r.Logs {
		log := chain.Log{Address: chain.Address(l.Address), Data: l.Data}
		for _, t := range l.Topics {
			log.Topics = append(log.Topics, chain.Hash(t))
		}
		out = append(out, log)
	}
	return out
}

// stateRoot stands for a state: a digest of the parent's and of everything that would change it.
func stateRoot(p chain.Payload, parentRoot chain.Hash) chain.Hash {
	d := sha256.New()
	number := func(n uint64) { d.Write(binary.BigEndian.AppendUint64(nil, n)) }
	d.Write([]byte("alys/enginetest/state"))
	d.Write(parentRoot[:])
	d.Write(p.FeeRecipient[:])
	number(uint64(p.Number))
	number(p.Timestamp)
	number(uint64(len(p.Transactions)))
	for _, tx := range p.Transactions {
		digest := sha256.Sum256(tx)
		d.Write(digest[:])
	}
	for _, w := range p.Withdrawals {
		number(w.Index)
		number(w.Validator)
		d.Write(w.Address[:])
		number(uint64(w.Amount))
	}
	return chain.Hash(d.Sum(nil))
}
