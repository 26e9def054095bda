package guard

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// Reservation is the right to have one block approved by one key. Only ReserveApproval makes one.
type Reservation struct {
	Key      signer.KeyID
	Header   chain.Header
	Block    chain.Hash          // Header.Hash()
	Recorded *chain.BLSSignature // the earlier answer to the same request; nil when it is still to be signed

	good *atomic.Pointer[verified] // what verified last; nil in one that ReserveApproval did not make
}

// verified is a signature that was found good, with all that it was verified against.
type verified struct {
	key       signer.KeyID
	block     chain.Hash
	signature chain.BLSSignature
}

// Verifies reports whether a signature is one on the reserved block by its key. One that verified is not verified again by
// Complete: a verification takes longer than all the rest of an approval.
func (r Reservation) Verifies(sig chain.BLSSignature) bool {
	v := verified{r.Key, r.Block, sig}
	if r.good != nil {
		if known := r.good.Load(); known != nil && *known == v {
			return true
		}
	}
	public, err := approvalKey(r.Key)
	if err != nil || !bls.Verify(public, signer.BlockApprovalRoot(r.Block), sig) {
		return false
	}
	if r.good != nil {
		r.good.Store(&v)
	}
	return true
}

// Approval is the request for a signer.
func (r Reservation) Approval() signer.Approval {
	return signer.Approval{Key: r.Key, Header: r.Header}
}

// ReserveApproval decides whether key may approve the block of header, and returns when the decision is durable. The
// caller has made the block and its parent's certificate durable and has the engine's VALID before it asks.
//
// A RefusedError is the rule's answer. Any other error means that nothing may be signed now: ErrNotRecorded (a full
// disk, a store that is away), ErrCorrupt, or the context's end.
func (g *Guard) ReserveApproval(ctx context.Context, key signer.KeyID, header chain.Header) (Reservation, error) {
	start := g.opts.Now()
	res := Reservation{Key: key, Header: header, Block: header.Hash(), good: new(atomic.Pointer[verified])}
	event := Event{Kind: EventReserved, Key: key, Slot: header.Slot, Height: header.Height, Block: res.Block}
	err := g.checkHeader(res)
	if err == nil {
		err = g.update(ctx, key, func(s *state) (*Record, error) {
			recorded, reason, detail := s.decideApproval(header, res.Block)
			if reason != "" {
				return nil, res.refuse(reason, "%s", detail)
			}
			if recorded != nil {
				event.Kind = EventRepeated
				if sig := recorded.signature; !sig.IsZero() {
					res.Recorded = &sig
				}
				return nil, nil
			}
			if err := g.checkClock(res); err != nil {
				return nil, err
			}
			r := s.next(KindApproval, g.now())
			r.Mark = Mark{header.Slot, header.Height}
			r.Slot, r.Height, r.Block = header.Slot, header.Height, res.Block
			return &r, nil
		})
	}
	event.Err = err
	g.observe(event, start)
	if err != nil {
		return Reservation{}, err
	}
	return res, nil
}

// Complete keeps the signature of a reserved approval, so that the same request gets it again. It verifies the
// signature first, so that a signer's wrong answer is never recorded. Keeping the same signature twice is no error. A
// signature that is refused here must not leave the host.
func (g *Guard) Complete(ctx context.Context, res Reservation, sig chain.BLSSignature) error {
	start := g.opts.Now()
	err := g.complete(ctx, res, sig)
	g.observe(Event{
		Kind: EventKept, Key: res.Key, Slot: res.Header.Slot, Height: res.Header.Height, Block: res.Block, Err: err,
	}, start)
	return err
}

func (g *Guard) complete(ctx context.Context, res Reservation, sig chain.BLSSignature) error {
	if _, err := approvalKey(res.Key); err != nil {
		return res.refuse(ReasonNotAnApprover, "%s", err)
	}
	if res.Block != res.Header.Hash() {
		return res.refuse(ReasonNoSuchApproval, "the reservation's header is not its block")
	}
	if !res.Verifies(sig) {
		return res.refuse(ReasonBadSignature, "the signature does not verify")
	}
	return g.update(ctx, res.Key, func(s *state) (*Record, error) {
		a, ok := s.approvals[res.Header.Slot]
		if !ok || a.block != res.Block {
			return nil, res.refuse(ReasonNoSuchApproval, "the block was never reserved, or too long ago")
		}
		if a.signature == sig {
			return nil, nil
		}
		if a.barred {
			return nil, res.refuse(ReasonStaleSlot, "a floor at or above the block was raised while it was signed")
		}
		r := s.next(KindSignature, g.now())
		r.Slot, r.Height, r.Block, r.Signature = res.Header.Slot, res.Header.Height, res.Block, sig
		return &r, nil
	})
}

func (g *Guard) checkHeader(res Reservation) error {
	h := res.Header
	if _, err := approvalKey(res.Key); err != nil {
		return res.refuse(ReasonNotAnApprover, "%s", err)
	}
	switch {
	case h.Version != chain.HeaderVersion:
		return res.refuse(ReasonWrongChain, "header version %d, want %d", h.Version, chain.HeaderVersion)
	case h.Genesis != g.opts.Genesis:
		return res.refuse(ReasonWrongChain, "genesis %s, want %s", h.Genesis.Short(), g.opts.Genesis.Short())
	case h.Slot == 0 || h.Height == 0:
		return res.refuse(ReasonWrongChain, "the genesis block is never approved")
	}
	return nil
}

// checkClock refuses without recording, so that a wrong clock burns no slots.
func (g *Guard) checkClock(res Reservation) error {
	if g.opts.Peers != nil {
		if off, ok := g.opts.Peers(); ok && off.Abs() > g.opts.MaxPeerOffset {
			return res.refuse(ReasonClockSkew, "our clock is %s from the median of our peers, at most %s is allowed: check NTP",
				off, g.opts.MaxPeerOffset)
		}
	}
	now := g.opts.Now()
	if slot := g.opts.SlotAt(now.Add(g.opts.Drift)); res.Header.Slot > slot {
		return res.refuse(ReasonFutureSlot, "by our clock (%s) slot %s has begun", now.UTC().Format("15:04:05.000"), slot)
	}
	return nil
}

func (r Reservation) refuse(reason Reason, format string, args ...any) error {
	return &RefusedError{
		Reason: reason, Key: r.Key, Slot: r.Header.Slot, Height: r.Header.Height, Block: r.Block,
		Detail: fmt.Sprintf(format, args...),
	}
}

// approvalKey reads a BLS key id and insists on its one spelling: two ids of one key would be two guards.
func approvalKey(id signer.KeyID) (chain.BLSPublicKey, error) {
	public, err := id.BLS()
	if err != nil {
		return public, err
	}
	if signer.BLSKey(public) != id {
		return public, fmt.Errorf("key id %q is not spelled as %q", id, signer.BLSKey(public))
	}
	return public, nil
}
