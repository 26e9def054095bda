package guard

import (
	"context"
	"fmt"

	"github.com/alys-node/alys/sdk/chain"
)

// Payment is one version of a payment, to be signed.
type Payment struct {
	ID        chain.Hash // names the payment; its versions (fee bumps) share it
	Version   uint32
	TxID      chain.Hash // of this version; natural byte order
	Block     chain.Ref  // the block that the payment is in
	Outpoints []Outpoint // every input of the transaction
}

// ReserveBitcoin decides whether the transaction's outpoints may be signed for the payment, and returns when the
// decision is durable. The same version again is allowed and writes nothing. Refusals: the block is not finalized, an
// outpoint belongs to another payment, or the version is another transaction.
func (g *Guard) ReserveBitcoin(ctx context.Context, p Payment) error {
	start := g.opts.Now()
	event := Event{Kind: EventReserved, Key: BitcoinID, Height: p.Block.Height, Block: p.Block.Hash}
	event.Err = g.reserveBitcoin(ctx, p, &event)
	g.observe(event, start)
	return event.Err
}

func (g *Guard) reserveBitcoin(ctx context.Context, p Payment, event *Event) error {
	if err := p.check(); err != nil {
		return err
	}
	if g.opts.Finalized == nil {
		return p.refuse(ReasonNotFinalized, "nothing tells the guard what is finalized")
	}
	final, err := g.opts.Finalized(ctx, p.Block)
	if err != nil {
		return fmt.Errorf("ask whether block %s is finalized: %w", p.Block.Hash.Short(), err)
	}
	if !final {
		return p.refuse(ReasonNotFinalized, "block %s at height %s is not finalized", p.Block.Hash.Short(), p.Block.Height)
	}
	return g.update(ctx, BitcoinID, func(s *state) (*Record, error) {
		recorded, reason, detail := s.decideBitcoin(p)
		if reason != "" {
			return nil, p.refuse(reason, "%s", detail)
		}
		if recorded {
			event.Kind = EventRepeated
			return nil, nil
		}
		r := p.record(s, g.now())
		return &r, nil
	})
}

func (p Payment) check() error {
	if p.ID.IsZero() || p.TxID.IsZero() {
		return p.refuse(ReasonMalformed, "no payment id or no transaction id")
	}
	if len(p.Outpoints) == 0 || len(p.Outpoints) > MaxOutpoints {
		return p.refuse(ReasonMalformed, "%d outpoints, want 1 to %d", len(p.Outpoints), MaxOutpoints)
	}
	seen := make(map[Outpoint]bool, len(p.Outpoints))
	for _, o := range p.Outpoints {
		if seen[o] {
			return p.refuse(ReasonMalformed, "outpoint %s is named twice", o)
		}
		seen[o] = true
	}
	return nil
}

func (p Payment) record(s *state, at chain.UnixMilli) Record {
	r := s.next(KindBitcoin, at)
	r.Payment, r.PaymentVersion, r.TxID, r.Outpoints = p.ID, p.Version, p.TxID, p.Outpoints
	return r
}

func (p Payment) refuse(reason Reason, format string, args ...any) error {
	return &RefusedError{Reason: reason, Key: BitcoinID, Detail: fmt.Sprintf("payment %s: ", p.ID.Short()) + fmt.Sprintf(format, args...)}
}
