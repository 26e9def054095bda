// Package store keeps everything that a node must remember on disk: blocks and their certificates, derived state, the
// three heads, the guard's records, messages to send again, pending wallet transactions and small named documents.
//
// It is one pebble database in a data folder that one process owns at a time (Open takes a lock). Every write is one
// atomic, synced batch: when a method returns nil its effect survives a power cut, and after a crash either all or
// nothing of it is there. Every value carries a checksum over its key and content, and blocks, headers and certificates
// are checked against the hash that names them, so a read returns what was written or ErrCorrupt with the key's name.
//
// Full disk: a write is refused with ErrNoSpace while the file system has less than Options.MinFree left, before
// anything is touched; the store goes on once there is room. An error of the disk itself while a batch is written makes
// the store refuse everything from then on (ErrFailed): the process must be started again.
//
// Nothing is pruned, except pending transactions (bounded, oldest first) and messages (DropMessages).
//
// Keys are one letter and a fixed layout; integers are big-endian, so iteration is in order:
//
//	m/NAME                       schema version, genesis hash
//	b/HASH  i/HASH  s/HASH       block, its header, its derived-state record
//	q/HASH                       certificate of the block HASH
//	h/HEIGHT/HASH                every known block at a height
//	c/PARENT/HASH                every known child
//	n/HEIGHT                     canonical block hash
//	H                            heads
//	e/HASH                       evidence
//	a/HEIGHT/HASH                message to send again
//	t/SEQUENCE                   pending transaction
//	d/NAME                       document
//	g/GENESIS/ID/SEQUENCE        guard record
//	G/GENESIS/ID                 guard version
package store
