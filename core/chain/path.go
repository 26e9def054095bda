package chain

import (
	"context"
	"fmt"
	"iter"

	"github.com/alys-node/alys/sdk/chain"
)

// PayloadBatch is a run of payloads of our chain, parents first: at most MaxReplayPayloads, and at most MaxReplayBytes
// of transactions unless one payload alone is larger.
type PayloadBatch struct {
	Payloads []chain.ExecutionData
	Last     chain.Ref // the block of the last payload
}

// Payloads gives the payloads of our chain above from, up to and with to, in batches. Both must be on the chain that
// ends in the head; a reorganization below to while it runs ends it with an error.
func (c *Chain) Payloads(ctx context.Context, from, to chain.Ref) iter.Seq2[PayloadBatch, error] {
	return func(yield func(PayloadBatch, error) bool) {
		if err := c.checkPath(from, to); err != nil {
			yield(PayloadBatch{}, err)
			return
		}
		var batch PayloadBatch
		size := 0
		for at := from; at.Height < to.Height; {
			data, next, err := c.payloadAfter(ctx, at)
			if err != nil {
				yield(PayloadBatch{}, err)
				return
			}
			n := payloadSize(data)
			if len(batch.Payloads) > 0 && (len(batch.Payloads) == MaxReplayPayloads || size+n > MaxReplayBytes) {
				if !yield(batch, nil) {
					return
				}
				batch, size = PayloadBatch{}, 0
			}
			batch.Payloads, batch.Last = append(batch.Payloads, data), next
			size += n
			at = next
		}
		if len(batch.Payloads) > 0 {
			yield(batch, nil)
		}
	}
}

func (c *Chain) checkPath(from, to chain.Ref) error {
	if from.Height > to.Height {
		return fmt.Errorf("path from block %d down to %d: %w", from.Height, to.Height, ErrUnknownBlock)
	}
	for _, r := range []chain.Ref{from, to} {
		ours, err := c.isCanonical(r)
		if err != nil {
			return err
		}
		if !ours {
			return fmt.Errorf("block %d %s is not on our chain: %w", r.Height, r.Hash.Short(), ErrUnknownBlock)
		}
	}
	return nil
}

// payloadAfter is the payload of the block above at, which must be its child.
func (c *Chain) payloadAfter(ctx context.Context, at chain.Ref) (chain.ExecutionData, chain.Ref, error) {
	if err := ctx.Err(); err != nil {
		return chain.ExecutionData{}, chain.Ref{}, err
	}
	b, err := c.BlockAt(at.Height + 1)
	if err != nil {
		return chain.ExecutionData{}, chain.Ref{}, err
	}
	if b.Header.Parent != at.Hash {
		return chain.ExecutionData{}, chain.Ref{}, fmt.Errorf("block %d does not follow %s, the chain moved: %w", b.Header.Height, at.Hash.Short(), ErrUnknownBlock)
	}
	return b.Execution, b.Ref(), nil
}

// payloadSize is what a payload weighs on the wire, near enough: all but its transactions is small.
func payloadSize(d chain.ExecutionData) int {
	n := 1024 + 64*len(d.Payload.Withdrawals)
	for _, tx := range d.Payload.Transactions {
		n += len(tx)
	}
	for _, r := range d.Requests {
		n += len(r)
	}
	return n
}
