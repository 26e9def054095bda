// Package enginetest is the conformance suite of engines, and an engine in memory that passes it.
//
// Run checks any engine against the contract of sdk/engine. Memory is for tests of what uses an engine. It is a toy in
// one respect: it does not execute the EVM. A transaction costs 21,000 gas and succeeds (Execute changes that), and the
// state root is a digest of the blocks below it. All else is real: genesis from geth's format, fork rules by timestamp,
// header hashes as geth computes them, receipts roots, verdicts, heads and a transaction pool, so a host that recomputes
// block hashes and checks receipts accepts what Memory builds.
//
// WithFault makes it fail, hang or sync, and Lying makes it answer falsely.
package enginetest
