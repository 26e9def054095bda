package route

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/alys-node/alys/sdk/chain"
)

// Errors of a route.
var (
	// ErrNoAnswer means that no plugin of the route answered; the error that wraps it says what each of them said.
	ErrNoAnswer = errors.New("no plugin of the route answered")
	// ErrHeld means that the call's deadline passed while the route was held for a swap.
	ErrHeld = errors.New("route is held")
	// ErrClosed means that the route was closed.
	ErrClosed = errors.New("route is closed")
	// ErrBadReply means that a reply failed the host's check. It is no answer.
	ErrBadReply = errors.New("reply failed the host's check")
	// ErrDisputed means that, in probation, the new primary and the warm old one disagree on correctness. It is neither
	// VALID nor INVALID: the caller does nothing in this slot.
	ErrDisputed = errors.New("new and old plugin disagree")
	// ErrQueueFull means that a plugin's lane holds as much as it may.
	ErrQueueFull = errors.New("queue of the plugin is full")
	// ErrNotFallenBack is returned by Promote when the primary is already in its place.
	ErrNotFallenBack = errors.New("route has not fallen back")
	// ErrBadPositions means that Set was given positions that make no sense together.
	ErrBadPositions = errors.New("positions do not fit together")
)

// Generation counts the processes of a plugin over the life of the data folder.
type Generation uint64

// ID names one running generation: the plugin as "kind.label" and its generation.
type ID struct {
	Plugin     string
	Generation Generation
}

// String is "signer.local#3".
func (id ID) String() string { return fmt.Sprintf("%s#%d", id.Plugin, uint64(id.Generation)) }

// Target is one generation that a route can ask.
type Target[C any] interface {
	// ID is constant.
	ID() ID
	// Client gives the client to call, or an error while the plugin is restarting or its breaker is open. It does not wait.
	Client() (C, error)
}

// Position is a place in a route.
type Position string

// The positions.
const (
	Primary  Position = "primary"
	Fallback Position = "fallback"
	Shadow   Position = "shadow"
	Canary   Position = "canary"
	Warm     Position = "warm" // the old primary while a swap is in probation
)

// Share is a part of the slots in 1/10,000: 1,000 is 10 %.
type Share uint16

// FullShare is every slot.
const FullShare Share = 10_000

// Positions is what a route points at. A target may hold several positions; it is one process and asked once a call.
type Positions[C any] struct {
	Primary  Target[C] // nil: the route has no plugin and every call ends with ErrNoAnswer
	Fallback Target[C]
	Shadow   Target[C]
	Canary   Target[C]
	Share    Share     // of the canary, 1 to 9,999
	Step     string    // the canary's step: another step draws another sample of slots
	Warm     Target[C] // driven, compared, and the last one to be asked
	// Probation says that the route was changed a moment ago: a failing primary is tried again in the next call, so
	// that the error budget is counted, and the fallback does not become sticky.
	Probation bool
}

func (p Positions[C]) validate() error {
	same := func(a, b Target[C]) bool { return a != nil && b != nil && a.ID() == b.ID() }
	switch {
	case p.Primary == nil && (p.Fallback != nil || p.Shadow != nil || p.Canary != nil):
		return fmt.Errorf("%w: no primary", ErrBadPositions)
	case same(p.Primary, p.Fallback):
		return fmt.Errorf("%w: %s is primary and fallback", ErrBadPositions, p.Primary.ID())
	case same(p.Primary, p.Shadow):
		return fmt.Errorf("%w: %s is primary and shadow", ErrBadPositions, p.Primary.ID())
	case same(p.Primary, p.Canary):
		return fmt.Errorf("%w: %s is primary and canary", ErrBadPositions, p.Primary.ID())
	case p.Canary != nil && (p.Share == 0 || p.Share >= FullShare):
		return fmt.Errorf("%w: canary share %d is not between 1 and %d", ErrBadPositions, p.Share, FullShare-1)
	}
	return nil
}

// Bucket is the place of a slot in a step's draw: H(slot, step) mod 10,000. The canary answers the slots whose bucket is
// below its share, so within one step a larger share contains the smaller one.
func Bucket(step string, slot chain.Slot) Share {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(slot))
	return bucket("slot", step, b[:])
}

// BucketKey is Bucket for a request without a slot, by its key (a peg-out's outpoint).
func BucketKey(step string, key []byte) Share { return bucket("key", step, key) }

func bucket(kind, step string, key []byte) Share {
	sum := sha256.Sum256(append(fmt.Appendf(nil, "alys/canary/1/%s/%d/%s/", kind, len(step), step), key...))
	return Share(binary.BigEndian.Uint64(sum[:]) % uint64(FullShare))
}
