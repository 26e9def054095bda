package consensus_test

import (
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
)

// misbehave is called after every step of a Byzantine node, which follows the chain without a key and breaks the rules
// with it: in its slots it makes two blocks, sometimes invalid or on an old parent, and shows them to some; it approves
// whatever it sees, twice in a slot, late, or to a few only.
func (n *simNode) misbehave() {
	if n.m == nil {
		return
	}
	slot := n.w.schedule.SlotAt(n.clock())
	if n.evil == nil {
		n.evil, n.seen = map[chain.Slot]bool{}, map[chain.Hash]consensus.Proposal{}
	}
	if index, _ := n.w.schedule.Author(slot, 1); index == n.id && !n.evil[slot] {
		n.evil[slot] = true
		n.equivocate(slot)
	}
	for _, hash := range sortedHashes(n.bodies) {
		if _, seen := n.seen[hash]; !seen {
			n.seen[hash] = n.bodies[hash]
			n.approve(n.bodies[hash].Header)
		}
	}
}

func (n *simNode) equivocate(slot chain.Slot) {
	w := n.w
	parent := w.headers[n.m.Head().Hash]
	for w.rng.IntN(4) == 0 && parent.Height > 1 {
		parent = w.headers[parent.Parent]
	}
	qc, ok := n.disk.certs[parent.Hash()]
	if parent.Height == 0 {
		qc, ok = consensus.Certificate{QC: consensus.GenesisQC(parent.Hash())}, true
	}
	if !ok {
		return
	}
	for range w.rng.IntN(4) {
		lie := parent
		if w.rng.IntN(8) == 0 {
			lie.Height += chain.Height(w.rng.IntN(5)) // a true certificate under a false height
		}
		p := w.make(parent, lie.Height+1, qc.QC, slot, w.rng.IntN(4) > 0)
		p.Signature = w.sign(n.id, p.Header.Hash())
		n.seen[p.Header.Hash()] = p
		n.some(func(to *simNode) { to.receive(consensus.ProposalReceived{Proposal: p, From: n.peer()}) })
	}
}

func (n *simNode) approve(h chain.Header) {
	a := consensus.Approval{Header: h, Authority: n.id, Signature: n.w.sign(n.id, h.Hash())}
	send := func() {
		n.some(func(to *simNode) { to.receive(consensus.ApprovalReceived{Approval: a, From: n.peer()}) })
	}
	switch n.w.rng.IntN(4) {
	case 0: // withheld for ever
	case 1: // the late last vote
		n.w.after(chain.UnixMilli(n.w.rng.IntN(20_000)), send)
	default:
		send()
	}
}

// some sends to a part of the network.
func (n *simNode) some(deliver func(*simNode)) {
	for _, to := range n.w.nodes {
		if to != n && n.w.rng.IntN(3) > 0 {
			n.w.transmit(n.id, to.id, func() { deliver(to) })
		}
	}
}
