// Package chain is the chain itself: which blocks are valid, what follows from them, and which of them are ours.
//
// # Valid
//
// Valid is pure: it reads a block, its parent and the parent's derived state, and no clock, Bitcoin node or local
// setting, so that every node gives the same answer at any time. It recomputes the execution block hash from the
// payload, because an engine is not trusted, and compares everything that a proposer does not choose: timestamp, fee
// recipient, randomness, parent beacon root, blob fields, gas limit step, withdrawals. What it leaves to others: the
// transactions' execution (the engine), the signatures of the parent's certificate and the slot's author (consensus),
// our clock and our Bitcoin node (the driver: approvable).
//
// Parts of the block whose rules are not part of this version (proofs of work, deposits, settlements, voids, payments,
// federation updates) make a block invalid: they are never accepted without being checked.
//
// # Derived state
//
// A State is a value per block. It is stored as a difference against the parent's in the same atomic batch as the block,
// whole every checkpointInterval heights, with a digest of the result in every record: reading replays differences from
// the last whole one and fails if the digest does not match. A reorganization changes which block is the head and
// nothing in any state.
//
// # Life of a block
//
// Check (pure validity) → the engine says VALID → Insert (receipts against the receipts root, derived state, one synced
// batch with the block and its parent's certificate) → consensus → PutQC → SetHeads (the index by height and the three
// heads, one synced batch) → the engine's forkchoice, as Forkchoice gives it.
//
// A crash between any two of these leaves a block that is stored and not yet head, which Unsafe gives back to consensus.
package chain
