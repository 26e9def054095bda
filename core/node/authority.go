package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// retryPause is how long a signature that nobody gave waits before it is asked again in the same slot: a signer that died
// is back within a fraction of one.
const retryPause = 25 * time.Millisecond

// authority signs for this node's keys: the guard first, then a route of signers, then the guard again to keep the
// answer.
type authority struct {
	guard    *guard.Guard
	route    func() *route.Route[signer.Signer] // of approvals, as it is now
	holds    func(route.ID, signer.KeyID) bool  // whether a generation listed the key
	slotTime func(chain.Slot) time.Duration
}

// Approve implements driver.Signer.
func (a *authority) Approve(ctx context.Context, key chain.BLSPublicKey, h chain.Header) (chain.BLSSignature, error) {
	id := signer.BLSKey(key)
	res, err := a.guard.ReserveApproval(ctx, id, h)
	switch {
	case errors.Is(err, signer.ErrRefused):
		return chain.BLSSignature{}, fmt.Errorf("%w: %w", driver.ErrRefused, err)
	case err != nil:
		return chain.BLSSignature{}, fmt.Errorf("%w: guard: %w", driver.ErrUnavailable, err)
	case res.Recorded != nil:
		return *res.Recorded, nil
	}
	sig, err := a.ask(ctx, res)
	if err != nil {
		return sig, err
	}
	if err := a.guard.Complete(ctx, res, sig); err != nil {
		return chain.BLSSignature{}, fmt.Errorf("%w: keep signature: %w", driver.ErrUnavailable, err)
	}
	return sig, nil
}

// ask puts a reserved approval to the route until somebody answers or the slot's time is used up. Asking again is safe:
// the guard has reserved this block and no other.
func (a *authority) ask(ctx context.Context, res guard.Reservation) (chain.BLSSignature, error) {
	slot := res.Header.Slot
	budget := a.slotTime(slot)
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	request := route.Request{
		Name: "approve", Slot: &slot, Budget: budget,
		Eligible: func(id route.ID) bool { return a.holds(id, res.Key) },
	}
	for {
		sig, err := route.Call(ctx, a.route(), request, func(ctx context.Context, s signer.Signer) (chain.BLSSignature, error) {
			return s.Approve(ctx, res.Approval())
		}, route.Opts[chain.BLSSignature]{
			IsAnswer: isRefusal,
			Check:    func(sig chain.BLSSignature) error { return checkApproval(res, sig) },
			Compare:  compareApprovals,
		})
		switch {
		case err == nil:
			return sig, nil
		case isRefusal(err):
			return sig, fmt.Errorf("%w: %w", driver.ErrRefused, err)
		case !errors.Is(err, route.ErrNoAnswer):
			return sig, fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return sig, fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
		}
	}
}

func isRefusal(err error) bool { return errors.Is(err, signer.ErrRefused) }

// errBadSignature means that a signer answered with a signature that does not verify: it is not trusted.
var errBadSignature = errors.New("signature does not verify under the key of the chain spec")

func checkApproval(res guard.Reservation, sig chain.BLSSignature) error {
	if !res.Verifies(sig) {
		return errBadSignature
	}
	return nil
}

// compareApprovals judges two signatures that both verified. BLS is deterministic: they must be equal.
func compareApprovals(used, other chain.BLSSignature) route.Verdict {
	if used == other {
		return route.Agree
	}
	return route.Disagree
}
