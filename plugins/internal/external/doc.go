// Package external is an engine whose execution client is a process of its own, reached over the Engine API: geth, or any
// client that keeps execution-apis.
//
// The client is its operator's: this package neither starts nor stops it. What is wrong with it for good (another chain,
// a missing method or namespace, a token that it refuses) is said by Open and fails the health; what may pass (it is
// away, it starts, it syncs) degrades the health, fails calls with engine.ErrUnavailable, and is over when the client
// answers again: no restart is needed. A client that came back without its last blocks answers SYNCING, and the host
// gives it the blocks again.
//
// A payload is asked for late: engine_getPayload ends the building and returns what there is, which right after the begin
// is an empty block. Build therefore begins at once and asks shortly before the answer is wanted, or at once when the
// client's pool is empty.
package external
