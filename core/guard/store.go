package guard

import (
	"context"
	"errors"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// Errors of a store and its records.
var (
	// ErrConflict is returned by CompareAndSwap when the tail is not the expected one: another guard wrote.
	ErrConflict = errors.New("guard record changed under us")
	// ErrCorrupt means that the records of a key do not form the chain that was written. The key signs nothing.
	ErrCorrupt = errors.New("guard records are corrupt")
	// ErrNotRecorded means that a decision could not be made durable. It is a failure and not a refusal: nothing was
	// signed, and the same request may be tried again.
	ErrNotRecorded = errors.New("guard could not record, so nothing was signed")
)

// BitcoinID is the key id under which the outpoints of a chain are recorded. They are kept for the node as a whole and
// not for a key, because an outpoint is spent by one payment whoever signs it.
const BitcoinID signer.KeyID = "bitcoin"

// Key names one chain of records: the sidechain by its genesis hash, and the signing key.
type Key struct {
	Genesis chain.Hash
	ID      signer.KeyID
}

// Version is the hash of the last record of a key (Record.Hash); the zero version means that there is none.
type Version chain.Hash

// Store keeps the records of each key durably and in order. It is small enough for a remote, shared implementation;
// all checking of what is in the records is the guard's.
//
// A store writes Record.Encode and reads it with DecodeRecord. It may drop records whose Seq is below the last record's
// Keep, and no others.
type Store interface {
	// Load gives the kept records of a key, oldest first, and the version that the last CompareAndSwap returned, as
	// the store remembers it beside the records. An unknown key has no records and the zero version. What cannot be
	// read or decoded is an error, never an empty answer.
	Load(ctx context.Context, key Key) ([]Record, Version, error)
	// CompareAndSwap appends rec when the key's version is old, and gives the new version, rec.Hash(key). Both are
	// durable (fsynced), atomically, when it returns nil. ErrConflict when the version is another. After any other
	// error the record may or may not be there.
	CompareAndSwap(ctx context.Context, key Key, old Version, rec Record) (Version, error)
	// Keys lists every key that has records, of every chain.
	Keys(ctx context.Context) ([]Key, error)
}
