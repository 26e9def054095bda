// Package blackboxtest is the conformance suite of plugins as programs. It knows nothing of a plugin but its path: it
// starts the binary as the node does, in any language, and checks what the node relies on, from the handshake to the
// leaks, and at the end the contract of its kind (sdk/signertest, sdk/enginetest, sdk/syncertest).
//
// An author calls Run in a test; an operator runs `alys plugin test PATH`, which starts the same suite compiled into a
// program of its own (the package conformance below), so that the node's command line links no test code. README.md has
// a section for each row: what is expected, why, and how to get there.
//
// Each row is a subtest. A row that fails says what was expected, what was seen and where it is explained; a row that
// could not run, for want of a configuration for instance, fails too and says so: what was not seen has not passed.
package blackboxtest
