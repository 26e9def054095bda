package network

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/rlp"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
)

// Transactions have a topic of their own, so that a flood of them does not stand before what consensus says. A message is
// the slot in which it was sent (8 bytes big-endian) and an RLP list of EIP-2718 envelopes. The slot makes what is told
// again another message: gossip drops what it has seen.

// Limits of one message of transactions.
const (
	MaxTransactions      = 1024
	MaxTransactionsBytes = 256 << 10 // two of the largest that geth's pool takes, with what is around them
)

// txHead is the size of the slot before the list.
const txHead = 8

// txsLabel is what metrics call these messages.
const txsLabel = "transactions"

// ErrNotOpen means that the network does not run.
var ErrNotOpen = errors.New("network is not open")

// PublishTransactions sends EIP-2718 envelopes to everybody by gossip, in as few messages as they fit in. A nil error is no
// proof of delivery. Errors: ErrNotOpen, ErrMalformed for an envelope that fits in no message.
func (n *Network) PublishTransactions(ctx context.Context, txs [][]byte) error {
	g := n.gossip.Load()
	if g == nil {
		return ErrNotOpen
	}
	for len(txs) > 0 {
		count, size := 0, 0
		for count < len(txs) && count < MaxTransactions && size+envelopeSize(txs[count]) <= MaxTransactionsBytes-envelopesOverhead {
			size += envelopeSize(txs[count])
			count++
		}
		if count == 0 {
			return fmt.Errorf("transaction of %d bytes: %w", len(txs[0]), ErrMalformed)
		}
		raw, err := encodeTransactions(n.opt.Slot(), txs[:count])
		if err == nil {
			err = g.transactions.Publish(ctx, raw)
		}
		outcome := "queued"
		if err != nil {
			outcome = "failed"
		}
		n.metrics.MessagesSent.WithLabelValues(txsLabel, outcome).Inc()
		if err != nil {
			return fmt.Errorf("publish transactions: %w", err)
		}
		txs = txs[count:]
	}
	return nil
}

// Bytes of RLP, at the most, before one envelope and around all.
const (
	envelopeOverhead  = 4
	envelopesOverhead = txHead + 4
)

func envelopeSize(tx []byte) int { return len(tx) + envelopeOverhead }

func encodeTransactions(slot chain.Slot, txs [][]byte) ([]byte, error) {
	raw, err := rlp.EncodeToBytes(txs)
	if err != nil {
		return nil, fmt.Errorf("encode transactions: %w", err)
	}
	return append(binary.BigEndian.AppendUint64(nil, uint64(slot)), raw...), nil
}

func decodeTransactions(raw []byte) (chain.Slot, [][]byte, error) {
	if len(raw) < txHead || len(raw) > MaxTransactionsBytes {
		return 0, nil, fmt.Errorf("transactions of %d bytes, limit %d: %w", len(raw), MaxTransactionsBytes, ErrMalformed)
	}
	var txs [][]byte
	if err := rlp.DecodeBytes(raw[txHead:], &txs); err != nil {
		return 0, nil, fmt.Errorf("decode transactions: %w", errors.Join(ErrMalformed, err))
	}
	if len(txs) == 0 || len(txs) > MaxTransactions {
		return 0, nil, fmt.Errorf("%d transactions in a message, limit %d: %w", len(txs), MaxTransactions, ErrMalformed)
	}
	return chain.Slot(binary.BigEndian.Uint64(raw)), txs, nil
}

// validateTransactions judges a message of transactions before it is forwarded.
func (g *gossip) validateTransactions(ctx context.Context, from peer.ID, msg *pubsub.Message) pubsub.ValidationResult {
	n := g.n
	if from == n.node.ID() {
		return pubsub.ValidationAccept
	}
	slot, txs, err := decodeTransactions(msg.GetData())
	if err != nil {
		return g.malformed(from, err)
	}
	count := func(outcome string) { n.metrics.Messages.WithLabelValues(txsLabel, outcome).Inc() }
	if !near(slot, n.opt.Slot()) {
		count("other_slot")
		return pubsub.ValidationIgnore
	}
	m := n.member(from)
	if m == nil || !m.quota.transactions.AllowN(time.Now(), len(txs)) {
		count("over_quota") // nobody is to blame: what is still wanted is told again
		return pubsub.ValidationIgnore
	}
	verdict := n.opt.TakeTransactions(ctx, consensus.Peer(from.String()), txs)
	count(verdict.String())
	switch verdict {
	case Accept:
		return pubsub.ValidationAccept
	case Reject:
		n.misbehaved(from, "transactions that no honest node sends")
		return pubsub.ValidationReject
	case Ignore:
	}
	return pubsub.ValidationIgnore
}
