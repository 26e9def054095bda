package guard

import (
	"context"
	"fmt"
	"slices"

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
// outpoint belongs to another payment, the version is another transaction, or the payment was released.
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
	if err := g.checkFinalized(ctx, p.ID, p.Block); err != nil {
		return err
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

// Release says that a payment can never confirm, because a block voided one of its inputs.
type Release struct {
	Payment chain.Hash // Payment.ID
	Void    chain.Ref  // the block that carries the void
}

// ReleaseBitcoin frees the outpoints of a payment for other payments, and bars the payment: no version of it is ever
// reserved again. It returns when that is durable; a second release of the payment writes nothing, and a payment that
// was never reserved is barred all the same. Refused while the block of the void is not finalized.
//
// The caller has seen in that block, or in the chain state after it, that the void is of an input of this payment and
// that the payment is not settled. The guard cannot know.
func (g *Guard) ReleaseBitcoin(ctx context.Context, r Release) error {
	start := g.opts.Now()
	event := Event{Kind: EventReleased, Key: BitcoinID, Height: r.Void.Height, Block: r.Void.Hash}
	event.Err = g.releaseBitcoin(ctx, r, &event)
	g.observe(event, start)
	return event.Err
}

func (g *Guard) releaseBitcoin(ctx context.Context, r Release, event *Event) error {
	if r.Payment.IsZero() || r.Void.Hash.IsZero() {
		return refusePayment(r.Payment, ReasonMalformed, "a release without payment or block")
	}
	if err := g.checkFinalized(ctx, r.Payment, r.Void); err != nil {
		return err
	}
	return g.update(ctx, BitcoinID, func(s *state) (*Record, error) {
		if _, ok := s.released[r.Payment]; ok {
			event.Kind = EventRepeated
			return nil, nil
		}
		rec := r.record(s, g.now())
		return &rec, nil
	})
}

func (r Release) record(s *state, at chain.UnixMilli) Record {
	rec := s.next(KindRelease, at)
	rec.Payment, rec.Height, rec.Block = r.Payment, r.Void.Height, r.Void.Hash
	return rec
}

// checkFinalized refuses unless the block is finalized in the caller's view.
func (g *Guard) checkFinalized(ctx context.Context, payment chain.Hash, block chain.Ref) error {
	if g.opts.Finalized == nil {
		return refusePayment(payment, ReasonNotFinalized, "nothing tells the guard what is finalized")
	}
	final, err := g.opts.Finalized(ctx, block)
	if err != nil {
		return fmt.Errorf("ask whether block %s is finalized: %w", block.Hash.Short(), err)
	}
	if !final {
		return refusePayment(payment, ReasonNotFinalized, "block %s at height %s is not finalized", block.Hash.Short(), block.Height)
	}
	return nil
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
	r.Payment, r.PaymentVersion, r.TxID, r.Outpoints = p.ID, p.Version, p.TxID, slices.Clone(p.Outpoints)
	return r
}

func (p Payment) refuse(reason Reason, format string, args ...any) error {
	return refusePayment(p.ID, reason, format, args...)
}

func refusePayment(id chain.Hash, reason Reason, format string, args ...any) error {
	return &RefusedError{Reason: reason, Key: BitcoinID, Detail: fmt.Sprintf("payment %s: ", id.Short()) + fmt.Sprintf(format, args...)}
}
