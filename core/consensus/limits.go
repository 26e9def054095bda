package consensus

import "github.com/alys-node/alys/sdk/chain"

// spend takes one signature check from a peer's budget for this slot, and reports whether it had one left. An honest
// peer forwards at most a few messages of each authority in a slot.
func (m *Machine) spend(from Peer, set Set) bool {
	if from == "" {
		return true
	}
	used, known := m.budget[from]
	if used >= 64+16*len(set.Keys) || !known && len(m.budget) >= maxPeers {
		return false
	}
	m.budget[from] = used + 1
	return true
}

// fault reports whether an honest sender never gives that reason. An invalid block is its author's fault: who forwards
// it may not have judged it yet.
func fault(r Reason) bool {
	switch r {
	case ReasonOtherChain, ReasonMalformed, ReasonNotAuthor, ReasonBadSignature, ReasonBadQC, ReasonNotAsked:
		return true
	case ReasonTooEarly, ReasonStale, ReasonTooShort, ReasonUnknownSet, ReasonInvalid, ReasonUnsigned, ReasonTooFar, ReasonFlood:
		return false
	}
	return false
}

// refuse answers a message. A sender that is too low is told our highest certificate, once a slot.
func (m *Machine) refuse(from Peer, hash chain.Hash, reason Reason) {
	r := Refuse{From: from, Hash: hash, Reason: reason, Fault: fault(reason)}
	low := reason == ReasonTooShort || reason == ReasonStale
	if low && m.top.header.Height > 0 && !m.answered[from] && len(m.answered) < maxPeers {
		m.answered[from] = true
		c := m.top.certificate()
		r.Higher = &c
	}
	m.emit(r)
}
