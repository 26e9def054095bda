package guard

import (
	"errors"
	"fmt"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// Reason is why the guard refused. Reasons are stable names: metrics, logs and the reasons page use them.
type Reason string

// The reasons.
const (
	ReasonConflict        Reason = "conflicting_block"   // another block was reserved for this slot
	ReasonStaleSlot       Reason = "stale_slot"          // a later slot was reserved already, or a floor was raised over a reservation
	ReasonLowerHeight     Reason = "lower_height"        // a higher block was reserved already
	ReasonWrongChain      Reason = "wrong_chain"         // the header is of another chain, version or the genesis block
	ReasonFutureSlot      Reason = "future_slot"         // the slot has not begun by our clock
	ReasonClockSkew       Reason = "clock_skew"          // our clock is too far from the median of our peers
	ReasonNotFinalized    Reason = "not_finalized"       // the payment's block is not finalized
	ReasonOutpointTaken   Reason = "outpoint_taken"      // the outpoint was signed for another payment
	ReasonVersionTaken    Reason = "version_taken"       // this version of the payment is another transaction
	ReasonInputsDiffer    Reason = "inputs_differ"       // another version of the payment spends other outpoints
	ReasonReleased        Reason = "payment_released"    // the payment was voided and its outpoints are free for another
	ReasonMalformed       Reason = "malformed"           // no payment or block, no outpoints, too many, or one twice
	ReasonNotAnApprover   Reason = "not_an_approval_key" // the key id is not a BLS key
	ReasonBadSignature    Reason = "bad_signature"       // Complete was given a signature that does not verify
	ReasonNoSuchApproval  Reason = "no_such_approval"    // Complete was given a block that was never reserved
	ReasonImportConflicts Reason = "import_conflicts"    // an import gives an outpoint or a version to another payment, or a slot to another block
)

// Alarming reports whether the reason shows that something tried to break the rule, rather than came late or early. A
// wrong clock is an alarm too, but one for as long as it lasts and not one for each request: the caller's, who knows when.
func (r Reason) Alarming() bool {
	switch r {
	case ReasonConflict, ReasonLowerHeight, ReasonOutpointTaken, ReasonVersionTaken, ReasonInputsDiffer, ReasonReleased,
		ReasonBadSignature, ReasonImportConflicts:
		return true
	default:
		return false
	}
}

// RefusedError is a refusal: an answer, not a failure. errors.Is(err, signer.ErrRefused) holds.
type RefusedError struct {
	Reason Reason
	Key    signer.KeyID
	Slot   chain.Slot   // the request's, for approvals
	Height chain.Height // the request's, for approvals
	Block  chain.Hash   // the request's, for approvals
	Detail string       // what stands against it, for people
}

// Error says what was refused and why.
func (e *RefusedError) Error() string {
	if e.Block.IsZero() {
		return fmt.Sprintf("guard refused for %s: %s: %s", e.Key, e.Reason, e.Detail)
	}
	return fmt.Sprintf("guard refused block %s at slot %s, height %s for %s: %s: %s",
		e.Block.Short(), e.Slot, e.Height, e.Key, e.Reason, e.Detail)
}

// Unwrap is signer.ErrRefused.
func (e *RefusedError) Unwrap() error { return signer.ErrRefused }

// ReasonOf is the reason of a refusal, and false for any other error.
func ReasonOf(err error) (Reason, bool) {
	if r, ok := errors.AsType[*RefusedError](err); ok {
		return r.Reason, true
	}
	return "", false
}
