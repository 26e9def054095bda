package guard

import (
	"time"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// EventKind says what the guard did.
type EventKind string

// The event kinds.
const (
	EventReserved EventKind = "reserved" // a decision was made durable
	EventRepeated EventKind = "repeated" // the same request again; nothing was written
	EventKept     EventKind = "kept"     // a signature was made durable
	EventRaised   EventKind = "raised"   // a floor was raised
	EventReleased EventKind = "released" // a voided payment's outpoints were freed, durably
	EventRefused  EventKind = "refused"  // Reason says why
	EventFailed   EventKind = "failed"   // Err says why; nothing may be signed
)

// Event is one decision, for metrics, logs and alarms.
type Event struct {
	Kind   EventKind
	Key    signer.KeyID
	Slot   chain.Slot   // approvals and floors
	Height chain.Height // of Block
	Block  chain.Hash   // approvals; for Bitcoin the block of the payment or of the void
	Reason Reason       // of a refusal
	Err    error        // of a refusal or failure
	Took   time.Duration
}

// Alarm reports whether an operator should be woken: the rule was attacked, or the guard cannot work.
func (e Event) Alarm() bool {
	return e.Kind == EventFailed || e.Kind == EventRefused && e.Reason.Alarming()
}

func (g *Guard) observe(e Event, since time.Time) {
	if g.opts.Observe == nil {
		return
	}
	e.Took = g.opts.Now().Sub(since)
	if e.Err != nil {
		e.Kind = EventFailed
		if reason, ok := ReasonOf(e.Err); ok {
			e.Kind, e.Reason = EventRefused, reason
		}
	}
	g.opts.Observe(e)
}
