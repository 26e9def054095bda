// Package signertest is the conformance suite of signers, and a signer in memory that passes it.
//
// Run checks any signer against the contract of sdk/signer: a value in the test's process, or a plugin behind
// sdk/plugintest. Memory is for tests of what uses a signer; WithFault makes it fail, refuse, wait or hang, and Forging
// makes it lie.
package signertest
