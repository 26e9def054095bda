// Package syncertest is the conformance suite of sync strategies, and a strategy in memory that passes it.
//
// Run lets a strategy drive a simulated host with simulated peers: some good, some that fail, lie, vanish or have only
// part of the chain. The simulation checks every order against the contract of sdk/syncer, and that every height is
// imported in the end. Memory is for tests of what uses a strategy; Silent, Wild and Failing misbehave.
package syncertest
