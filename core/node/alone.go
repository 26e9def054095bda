package node

import (
	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
)

// alone is the network of a node without peers: nobody hears, and nobody has a block that we miss.
type alone struct{}

// SendProposal implements driver.Network.
func (alone) SendProposal(consensus.Proposal, *block.Block, consensus.Peer) {}

// SendApproval implements driver.Network.
func (alone) SendApproval(consensus.Approval, consensus.Peer) {}

// SendCertificate implements driver.Network.
func (alone) SendCertificate(consensus.Certificate, consensus.Peer) {}

// Fetch implements driver.Network.
func (alone) Fetch(_ chain.Hash, _ consensus.Peer, answer func(*block.Block, chain.BLSSignature, consensus.Peer)) {
	go answer(nil, chain.BLSSignature{}, "")
}

// Misbehaved implements driver.Network.
func (alone) Misbehaved(consensus.Peer, string) {}
