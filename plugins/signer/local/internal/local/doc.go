// Package local is the signer that keeps its keys on this machine: sealed in keystores on disk, and opened in locked
// memory that is wiped when the plugin drains.
//
// Every approval and every peg-out passes the signer's own guard (plugins/internal/watermark) first. The guard lives in
// the instance's data folder, not beside the keys: two instances over one keystore folder are legitimate (one takes over
// from the other), and the host raises the floor of the one that takes over.
//
// What is not promised: the password comes in the configuration, through ordinary memory of the node and of this
// process, and a key is, while it signs, for half a millisecond a value on this process's heap, wiped after. The process
// writes no core dump and lets nobody attach to it.
package local
