// Package devnet runs real nodes for tests: the built binaries as processes, plugins and an embedded geth included, on a
// data folder of their own with listeners on free ports.
//
// Nothing here looks into a node's memory. A test sees what an operator sees (status, metrics, wallet RPC, the command
// line, pids) and, once the node is stopped, what is on its disk: Audit reads the store, the node's guard and the signers'
// own guards and holds them against each other.
package devnet
