package network

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
)

// SendProposal sends a block with its author's approval: to one peer, or to everybody by gossip when to is empty. It does
// not wait. Nothing tells whether it arrives: consensus sends again.
func (n *Network) SendProposal(p consensus.Proposal, b *block.Block, to consensus.Peer) {
	raw, err := encodeProposal(n.opt.Slot(), b, p.Signature)
	n.send(KindProposal, raw, err, to)
}

// SendApproval sends an approval, as SendProposal.
func (n *Network) SendApproval(a consensus.Approval, to consensus.Peer) {
	raw, err := encodeApproval(n.opt.Slot(), a)
	n.send(KindApproval, raw, err, to)
}

// SendCertificate sends a certificate, as SendProposal.
func (n *Network) SendCertificate(c consensus.Certificate, to consensus.Peer) {
	raw, err := encodeCertificate(n.opt.Slot(), c)
	n.send(KindCertificate, raw, err, to)
}

func (n *Network) send(k Kind, raw []byte, err error, to consensus.Peer) {
	outcome := "queued"
	switch {
	case err != nil:
		n.log.Error("a message of ours cannot be sent", "kind", k, "error", err)
		outcome = "failed"
	case !n.enqueue(raw, to):
		outcome = "dropped"
	}
	n.metrics.MessagesSent.WithLabelValues(k.String(), outcome).Inc()
}

func (n *Network) enqueue(raw []byte, to consensus.Peer) bool {
	if n.gossip.Load() == nil {
		return false
	}
	if to == "" {
		return n.outgo.put(raw)
	}
	id, err := peer.Decode(string(to))
	if err != nil {
		return false
	}
	m := n.member(id)
	return m != nil && m.outbox.put(raw)
}

// publish hands what waits to gossip.
func (n *Network) publish(ctx context.Context) {
	for {
		raw, ok, _ := n.outgo.take()
		if !ok {
			select {
			case <-n.outgo.ready:
				continue
			case <-ctx.Done():
				return
			}
		}
		if err := n.gossip.Load().publish(ctx, raw); err != nil && ctx.Err() == nil {
			n.log.Debug("a message was not published", "error", err)
		}
	}
}

// Misbehaved counts a fault of a peer against it: consensus proved that it broke the protocol. Faults in number become a
// ban for a time.
func (n *Network) Misbehaved(p consensus.Peer, reason string) {
	if id, err := peer.Decode(string(p)); err == nil {
		n.misbehaved(id, reason)
	}
}
