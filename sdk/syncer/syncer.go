// Package syncer is the contract of a sync plugin: a strategy that decides which peer is asked for which blocks.
//
// The strategy is the control plane only. The host owns the network, verification, import, bans and the durable cursor;
// no block crosses the wire. The host sends events, the strategy answers orders under credits that the host grants. Every
// order is checked; a wrong strategy can be slow, never unsafe.
package syncer

import (
	"context"
	"errors"

	"github.com/alys-node/alys/sdk/chain"
)

// Errors of a session. They keep their identity across the wire.
var (
	// ErrStaleEpoch means that an order carried the epoch of an earlier session.
	ErrStaleEpoch = errors.New("order of an old epoch")
	// ErrNoCredit means that an order was sent without credit left.
	ErrNoCredit = errors.New("no order credit left")
	// ErrBadOrder means that an order does not fit what the host knows.
	ErrBadOrder = errors.New("order does not fit the state")
)

// ShareSpan is how many heights the host looks back over when it judges what a peer has served (see Assign).
const ShareSpan = 4096

// MuchSlower is by how much another peer may be slower and still count as one that could be given an order in place of
// another (see Assign).
const MuchSlower = 8

// Epoch numbers the sessions of a route: a swap starts the next one.
type Epoch uint64

// PeerID names a peer; opaque to the strategy.
type PeerID string

// BatchID names a range of blocks that was ordered once. The strategy chooses it; it is unique in an epoch.
type BatchID uint64

// Range is a run of heights, both ends included.
type Range struct {
	From, To chain.Height
}

// Len is the number of heights; 0 when To is below From.
func (r Range) Len() uint64 {
	if r.To < r.From {
		return 0
	}
	return uint64(r.To-r.From) + 1
}

// Peer is what the host measured of a peer.
type Peer struct {
	ID             PeerID
	Group          string // network group (/24 or /48); the host limits what one group may serve
	Head           chain.Ref
	Low            chain.Height // lowest height that it serves
	LatencyMillis  uint32
	BytesPerSecond uint64
	Served, Failed uint32 // requests in the last hour
	Authority      bool
	Gone           bool // disconnected or banned; no order may name it
}

// BatchState is where a batch stands.
type BatchState string

// The batch states.
const (
	BatchAssigned   BatchState = "assigned"
	BatchDownloaded BatchState = "downloaded" // in the host's buffer, hash links checked
	BatchImported   BatchState = "imported"   // verified and executed: terminal
	BatchFailed     BatchState = "failed"     // Batch.Reason says why; may be ordered again
	BatchCancelled  BatchState = "cancelled"  // by an order, or the other batch of its hedge was first: terminal
)

// Batch is the host's view of one ordered range.
type Batch struct {
	ID      BatchID
	Range   Range
	Peer    PeerID // empty: the host had it on disk from before it was restarted
	State   BatchState
	HedgeOf BatchID // as in the Assign that ordered it
	Bytes   uint64
	Millis  uint32 // from request to last byte
	Blame   bool   // the peer provably sent a wrong answer
	Reason  string // for BatchFailed
}

// Pressure says how the import keeps up.
type Pressure struct {
	BufferedBytes   uint64
	BufferLimit     uint64
	ImportPerSecond uint32 // blocks, over the last seconds
}

// Event is one thing that the host tells. At most one of the pointers is set; the first event of a session is a
// Snapshot. An event without any only grants credits: that is also how an event of a kind that this SDK does not know
// arrives.
type Event struct {
	Epoch    Epoch
	Credits  uint32 // orders that may be sent from now on, added to what is left
	Snapshot *Snapshot
	Peer     *Peer
	Batch    *Batch
	Tip      *Tip
	Pressure *Pressure
	Refused  *Refused
}

// Snapshot starts a session: everything that the strategy needs, so that a new generation goes on where the old was.
type Snapshot struct {
	Cursor  chain.Height // imported up to here
	Target  chain.Height // highest height with a quorum certificate that the host has seen
	Peers   []Peer
	Batches []Batch // not terminal, or downloaded and waiting for import
}

// Tip moves the cursor or the target.
type Tip struct {
	Cursor, Target chain.Height
}

// Refused tells why an order was not carried out.
type Refused struct {
	Sequence uint64  // the order's
	Batch    BatchID // the batch that the order named, or 0
	Reason   string
}

// Order is one decision. Exactly one of the pointers is set.
type Order struct {
	Epoch    Epoch
	Sequence uint64 // chosen by the strategy, to know the order again in Refused; need not be unique
	Assign   *Assign
	Cancel   *Cancel
	Penalise *Penalise
	Window   *Window
	Complete *Complete
}

// Assign asks a peer for a range. An id used before with state failed moves that batch to another peer.
//
// The host refuses one that would let a peer, or a Group, serve more than half of the last ShareSpan heights that were
// ordered and did not fail (or of what is wanted, if that is less) while another peer that served less could be given the
// same order: one that has the range, did not fail last, and is not more than MuchSlower times slower.
type Assign struct {
	Batch BatchID
	Range Range // at most 1,024 heights
	Peer  PeerID
	// HedgeOf, when not 0, names an assigned batch of the same range on another peer: the first good answer of the two
	// is taken and the other batch becomes cancelled. When one fails, the other goes on.
	HedgeOf BatchID
}

// Cancel gives up a batch.
type Cancel struct{ Batch BatchID }

// Penalise lowers the host's opinion of a peer; the host keeps its own judgement and bans only on proof.
type Penalise struct {
	Peer   PeerID
	Batch  BatchID
	Reason string
}

// Window asks for at most this many bytes to be downloaded and not yet imported.
type Window struct{ Bytes uint64 }

// Complete says that the strategy sees nothing left to do up to Target. The host decides by itself whether it is synced.
type Complete struct{ Target chain.Height }

// Session is one run of a strategy.
type Session interface {
	// Next waits for the next event; io.EOF when the host ended the session.
	Next(ctx context.Context) (Event, error)
	// Send gives an order: ErrNoCredit without credit. It does not wait for the outcome, which comes as an event.
	Send(ctx context.Context, o Order) error
}

// Strategy is the contract. Sessions of one strategy do not overlap.
type Strategy interface {
	// Run serves one session until it ends. It keeps nothing between sessions that the next Snapshot does not tell.
	Run(ctx context.Context, s Session) error
}
