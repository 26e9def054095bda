package signer

import (
	"context"
	"fmt"
	"io"

	"github.com/alys-node/alys/sdk/chain"
)

// ApprovalResult is the outcome of one approval of a batch: a signature or an error that a single call would have given.
type ApprovalResult struct {
	Signature chain.BLSSignature
	Err       error
}

// SignerWithBatch signs several approvals in one call, each decided by itself.
type SignerWithBatch interface {
	// ApproveBatch answers in the order of the requests. An error of the call means that no request was decided.
	ApproveBatch(ctx context.Context, as []Approval) ([]ApprovalResult, error)
}

// Floor is the lowest point at which a key may sign: nothing at or below Slot, nothing below Height.
type Floor struct {
	Key    KeyID
	Slot   chain.Slot
	Height chain.Height
}

// SignerWithFloor has a guard that can be raised, so that a new instance never starts with an empty one. The host admits
// a signer of approval keys only with it, or with the capability lifecycle.CapGuardBesideKey: its guard is beside the
// key, keyed by key and not by client, and therefore never empty.
type SignerWithFloor interface {
	// RaiseFloor makes the floors durable. A floor is never lowered: a lower one is no error and changes nothing.
	RaiseFloor(ctx context.Context, floors []Floor) error
}

// EventKind says what an event brings.
type EventKind string

// The event kinds.
const (
	EventKeysChanged EventKind = "keys_changed" // ask Keys again
	EventProposal    EventKind = "proposal"     // a governance proposal to vote on
	EventUpdate      EventKind = "update"       // a signed federation update, to be carried by a block
	EventHalt        EventKind = "halt"         // emergency halt of peg-outs
)

// Event is something that the signer brings to the host by itself.
type Event struct {
	ID      string    // the same id is the same event; the host handles it once
	Kind    EventKind // the host acknowledges and skips one that it does not know
	Subject string    // a proposal's id or an update's name
	Data    []byte    // canonical bytes of the proposal or update; at most 1 MiB
	Expires chain.UnixMilli
}

// SignerWithEvents brings proposals, updates and key changes.
type SignerWithEvents interface {
	// Watch calls handle for each event until ctx ends or handle fails. An event whose handle failed comes again.
	Watch(ctx context.Context, handle func(context.Context, Event) error) error
}

// Update asks an authority key to agree to a federation update. The message is UpdateRoot.
type Update struct {
	Key     KeyID
	Genesis chain.Hash
	Encoded []byte // canonical encoding of the update, as a block carries it
}

// UpdateRoot is the 32-byte message of an update: TaggedHash("alys/update/1", genesis, encoded update).
func UpdateRoot(u Update) chain.Hash {
	return chain.TaggedHash("alys/update/1", u.Genesis[:], u.Encoded)
}

// SignerWithUpdates signs federation updates with authority keys.
type SignerWithUpdates interface {
	// SignUpdate signs an update that the operator has accepted.
	SignUpdate(ctx context.Context, u Update) (chain.BLSSignature, error)
}

// Secret is a password or key material. Its String and formatting never show it.
type Secret []byte

// String is a fixed text.
func (Secret) String() string { return "(secret)" }

// GoString is a fixed text.
func (Secret) GoString() string { return "(secret)" }

// Format is a fixed text for every verb: %d would print the bytes otherwise.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText is a fixed text, so that a secret in a struct never reaches a JSON log.
func (Secret) MarshalText() ([]byte, error) { return []byte("(secret)"), nil }

// NewKey asks for a key to be made, or brought in when Import is set.
type NewKey struct {
	Purpose Purpose
	Label   string // empty takes the description of the keystore that is brought in
	// Password seals the key where the signer keeps it. Empty uses the one that the signer was unlocked with.
	Password Secret
	// Import is an EIP-2335 keystore (JSON) to bring in; empty makes a random key. A keystore of a secp256k1 key has the
	// same envelope with the field "scheme": see sdk/keystore.
	Import []byte
	// ImportPassword opens Import and nothing else: the key is sealed again under Password. The operator's tools hand keys
	// over under passwords that are used once. Empty opens it with Password, or with the signer's own.
	ImportPassword Secret
}

// SignerWithKeyAdmin lets an operator make, bring in, take out and unlock keys. A signer whose keys are born in an HSM
// may refuse to bring in or to take out any (ErrRefused).
type SignerWithKeyAdmin interface {
	// Unlock opens sealed keys; ErrWrongPassword when none opened.
	Unlock(ctx context.Context, password Secret) error
	// CreateKey makes or brings in a key and returns when it is durable. ErrWrongPassword when the import does not open,
	// ErrLocked when it names no password to seal under and the signer knows none, ErrRefused for a key that is held
	// already or was removed, for an import whose public key is not that of its secret, and where policy forbids it.
	CreateKey(ctx context.Context, k NewKey) (Key, error)
	// ExportKey gives the key as an EIP-2335 keystore sealed under password; ErrRefused without one and when policy forbids
	// it, ErrLocked while the key is sealed.
	ExportKey(ctx context.Context, id KeyID, password Secret) ([]byte, error)
	// RemoveKey writes a tombstone, then destroys the key; a removed key is never loaded again.
	RemoveKey(ctx context.Context, id KeyID) error
}
