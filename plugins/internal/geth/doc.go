// Package geth embeds go-ethereum's execution client, so that an engine plugin is one process with no second daemon, no
// JWT and no waiting for a payload to be built.
//
// The consensus API is called directly and Build runs the miner to completion: unlike engine_getPayload asked at once,
// it never returns a block that misses the transactions of the pool. There is no peer-to-peer network and no Engine API
// port. Wallets reach a reviewed subset of geth's JSON-RPC over a unix socket, without engine, admin, miner and
// anything that moves the head or writes files.
//
// geth alone is not durable: a killed process loses what its memory held. The host stores every payload and imports
// again from the head that Status reports; Open and the commits of durable.go keep what must be imported again small.
//
// One process should open one engine: geth's logger is a global of its own package, and the last Open owns it.
package geth
