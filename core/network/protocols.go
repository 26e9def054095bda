package network

import (
	"encoding/hex"

	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/alys-node/alys/sdk/chain"
)

// protocols are the names that the peers of one chain speak by. All but the handshake carry the genesis hash: a node of
// another chain finds nobody who understands it, and the handshake tells it why.
type protocols struct {
	handshake, status, direct, blocks, hashes, peers, gossip protocol.ID
	proposals, votes, transactions                           string // gossip topics
}

func protocolsOf(genesis chain.Hash) protocols {
	root := "/alys/" + hex.EncodeToString(genesis[:16])
	id := func(name string) protocol.ID { return protocol.ID(root + "/" + name + "/1") }
	return protocols{
		handshake: "/alys/handshake/1",
		status:    id("status"), direct: id("direct"), blocks: id("blocks_by_range"), hashes: id("blocks_by_hash"),
		peers: id("peers"), gossip: id("gossip"),
		proposals: root + "/proposals/1", votes: root + "/votes/1", transactions: root + "/transactions/1",
	}
}
