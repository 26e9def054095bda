// Package engine is the contract of an engine plugin: it executes payloads.
//
// The host is the only writer of an engine and gives it one order: Build, Import and forkchoice are never concurrent
// for one engine. What an engine says is not trusted: the host recomputes block hashes and checks receipts.
//
// INVALID and VALID are answers. SYNCING, an error and a missed deadline are no answer, and the route's fallback may be
// asked.
package engine

import (
	"context"
	"errors"

	"github.com/alys-node/alys/sdk/chain"
)

// Errors that an engine promises. They keep their identity across the wire.
var (
	// ErrSyncing means that the engine misses ancestors of what it was asked about; Status.Head says where it stands.
	ErrSyncing = errors.New("engine is syncing")
	// ErrUnsupportedFork means that the engine cannot execute at the payload's timestamp.
	ErrUnsupportedFork = errors.New("engine does not support the fork at this timestamp")
	// ErrUnknownBlock means that the engine does not have the block.
	ErrUnknownBlock = errors.New("engine does not have the block")
	// ErrDidNotMove means that a forkchoice was accepted and the head, read back, is another one.
	ErrDidNotMove = errors.New("engine did not move its head")
	// ErrUnavailable means that the engine cannot be reached.
	ErrUnavailable = errors.New("engine is unavailable")
)

// Verdict is an engine's judgement of a payload.
type Verdict string

// The verdicts (execution-apis PayloadStatusV1; ACCEPTED is reported as Syncing).
const (
	Valid   Verdict = "VALID"
	Invalid Verdict = "INVALID"
	Syncing Verdict = "SYNCING"
)

// Fork is one entry of the engine's own fork schedule.
type Fork struct {
	Name      string // "shanghai", "cancun", "prague"
	Timestamp uint64 // unix seconds
}

// Heads are the three heads of an engine. A zero hash means that none was set.
type Heads struct {
	Head, Safe, Finalized chain.Ref
}

// Status is where an engine stands.
type Status struct {
	ClientVersion string
	ChainID       uint64
	Genesis       chain.Hash // execution genesis block hash
	Forks         []Fork
	// Horizon is the first timestamp (unix seconds) that the engine cannot execute. nil: the engine knows no fork after
	// the last one of Forks and executes every later timestamp by that one's rules, so it follows the chain only as long
	// as the chain's own schedule has no later fork.
	Horizon   *uint64
	Heads     Heads
	Syncing   bool
	WalletRPC string // "unix:PATH" or "http://127.0.0.1:PORT", Ethereum JSON-RPC over HTTP and WebSocket; empty: none
}

// BuildRequest fixes all that the proposer fixes of a payload.
type BuildRequest struct {
	Parent           chain.Hash // execution block hash of the parent
	Timestamp        uint64     // unix seconds
	FeeRecipient     chain.Address
	PrevRandao       chain.Hash
	Withdrawals      []chain.Withdrawal
	ParentBeaconRoot *chain.Hash // nil before Cancun
	GasLimit         uint64      // the limit to move towards
	// AnswerBy is when the proposer wants the best payload that the engine has by then. The context's deadline, which is
	// later, is when it gives the engine up. 0: there is only the deadline, and the engine answers before it.
	AnswerBy chain.UnixMilli
}

// Forkchoice sets the heads: execution block hashes, zero for none.
type Forkchoice struct {
	Head, Safe, Finalized chain.Hash
}

// ImportRequest is a run of payloads, parents first, and then at most one forkchoice.
type ImportRequest struct {
	Payloads   []chain.ExecutionData
	Forkchoice *Forkchoice
}

// PayloadStatus is the answer for one payload.
type PayloadStatus struct {
	Hash        chain.Hash // the payload that was judged
	Verdict     Verdict
	LatestValid chain.Hash // zero when the engine named none
	Reason      string     // for an Invalid payload
}

// ImportResult answers an ImportRequest. Statuses has one entry for each payload that was judged: the run stops at the
// first that is not Valid, and the forkchoice is then not applied.
type ImportResult struct {
	Statuses []PayloadStatus
	Heads    Heads // read back after the call
}

// Engine is the contract.
type Engine interface {
	// Status reports where the engine stands.
	Status(ctx context.Context) (Status, error)
	// Build makes a payload on Parent: ErrSyncing when the parent is not there, ErrUnsupportedFork past the horizon.
	Build(ctx context.Context, r BuildRequest) (chain.ExecutionData, error)
	// Import executes payloads in order, then applies the forkchoice and reads the heads back: ErrDidNotMove when the
	// head is not the one asked for. An Invalid payload is an answer, not an error.
	Import(ctx context.Context, r ImportRequest) (ImportResult, error)
	// Payloads returns stored payloads by execution block hash, in order; nil where the engine has none.
	Payloads(ctx context.Context, hashes []chain.Hash) ([]*chain.ExecutionData, error)
	// Receipts returns the receipts of an executed block in transaction order, or ErrUnknownBlock.
	Receipts(ctx context.Context, hash chain.Hash) ([]chain.Receipt, error)
}

// AddCode says what became of an offered transaction.
type AddCode string

// The codes. One that the host does not know means that the transaction was not taken.
const (
	AddAdded       AddCode = "added"       // it is in the pool now
	AddKnown       AddCode = "known"       // it is in the pool or in the chain already
	AddStale       AddCode = "stale"       // its nonce is used up at the engine's head
	AddUnderpriced AddCode = "underpriced" // it pays too little, alone or to replace the one in its place
	AddInvalid     AddCode = "invalid"     // the engine can not take it as things stand: see Text
	AddFull        AddCode = "full"        // the pool, or the sender's share of it, has no room now
)

// AddResult is the answer for one offered transaction. It is the engine's view at its head, which may lag or lose: no
// code lets the host forget a transaction.
type AddResult struct {
	Code AddCode
	Text string // why it was not taken, for people
}

// Taken reports whether the engine has the transaction.
func (r AddResult) Taken() bool { return r.Code == AddAdded || r.Code == AddKnown }

// EngineWithPool gives access to the transaction pool, so that the host can carry transactions between engines.
type EngineWithPool interface {
	// AddTransactions offers EIP-2718 envelopes; the answer has one result per envelope, in order.
	AddTransactions(ctx context.Context, txs [][]byte) ([]AddResult, error)
	// PendingTransactions returns at most limit envelopes that wait for a block, in an order in which they can be added.
	PendingTransactions(ctx context.Context, limit int) ([][]byte, error)
}
