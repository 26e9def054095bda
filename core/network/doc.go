// Package network is the peer-to-peer network of a chain: who is a peer, what is gossiped, what is asked and answered.
//
// A Network speaks libp2p over TCP with Noise and over QUIC. Everything that peers exchange is named after the chain's
// genesis hash, and a connection counts for nothing until both sides have exchanged a Status and found that they follow
// the same chain by the same schedule (O-4). A side that refuses says why before it disconnects, and neither dials again
// in a hurry.
//
// Three ways lead to a peer:
//
//	gossip    proposals, approvals and certificates, judged by the caller before they are forwarded
//	direct    the same messages to one peer, on a stream of their own
//	request   status, blocks by range, blocks by hash, peers: one stream a request, with limits on both sides
//
// Peers are remembered on disk and dialled again for ever, with pauses that grow (O-7). A peer is banned only for what
// was proven, and for a time. Nothing here judges a block: what arrives is decoded within limits and handed on.
//
// Open listens, Run works until its context ends, Close lets go of the sockets. Sending never blocks the caller, and what
// is sent before Run or after it is lost as on any network.
package network
