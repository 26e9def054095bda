// Package wallet is the node's wallet JSON-RPC listener (8545): the host's port, proxied to the engine that serves now.
//
// Wallets keep one address for ever; which engine answers behind it is the route's business. A request that finds no
// engine (a restart, a swap by handover) waits for one. Raw transactions that an engine accepted are handed to the
// Keeper, so that they outlive the engine that took them.
package wallet
