// Package core is the thin host and the chain. It knows no concrete plugin.
//
// A node is put together by node, which alone knows every other package; the others declare the small interfaces that
// they need. In start order:
//
//	config     alys.hcl becomes a checked Config; nothing is read after it was loaded
//	store      blocks, derived state, guard records, kept transactions: one folder, one process
//	guard      what was signed; open before any signer can be called
//	chain      which blocks are valid, what state follows from them, what an engine misses
//	host       plugin processes: checked, started, supervised, ended
//	route      which process answers for a role: primary, fallback, shadow, canary
//	swap       what alys.hcl wants against what the journal says runs, and the way from one to the other
//	migrate    takes a role from one plugin to another in steps, through swap, with gates between them
//	consensus  proposals, approvals, notarized, safe: a pure state machine
//	driver     feeds the machine and carries out what it decides
//	network    libp2p: who is a peer, gossip, direct messages, requests for blocks
//	follow     carries out what the sync strategy orders: downloads, verifies, hands on to import
//	wallet     the wallets' JSON-RPC port, in front of the engine that serves now
//	chaos      breaks the plugins of a development chain that is to be tried
//	admin      the operator's socket and the console; telemetry: metrics and health
//
// block and spec are the canonical block and the chain spec; like consensus and guard they are pure.
package core
