package consensus

import "github.com/alys-node/alys/sdk/chain"

// ownKey is what one of our keys did last. The guard has the last word; this only keeps us from asking in vain.
type ownKey struct {
	header    chain.Header // zero: nothing yet
	hash      chain.Hash
	signature chain.BLSSignature // zero while it is not known
	asking    bool               // a Sign is under way
	refused   bool
}

// permits reports whether the key may go on to a block: a later slot and no lower height, or the same block again.
func (k *ownKey) permits(e *entry) bool {
	if k.hash == e.hash {
		return !k.asking && !k.refused && k.signature.IsZero()
	}
	return e.header.Slot > k.header.Slot && e.header.Height >= k.header.Height
}

// approve asks for the signatures of our keys, if the rules allow it.
func (m *Machine) approve(e *entry) {
	if len(m.own) == 0 || e.verdict != VerdictApprovable || e.qc != nil || e.header.Slot > m.slot {
		return
	}
	parent := m.entries[e.header.Parent]
	if parent == nil || parent.qc == nil || parent.header.Height < m.top.header.Height {
		return
	}
	set, ok := m.cfg.Schedule.Set(e.header.Height)
	if !ok {
		return
	}
	_, authored := e.approvals[e.author]
	if !authored {
		m.ask(e, set.Keys[e.author]) // ours, or nobody's whom we could follow
		return
	}
	for _, k := range m.cfg.Self {
		if _, in := set.index(k); in {
			m.ask(e, k)
		}
	}
}

func (m *Machine) ask(e *entry, key chain.BLSPublicKey) {
	k := m.own[key]
	if k == nil || !k.permits(e) {
		return
	}
	*k = ownKey{header: e.header, hash: e.hash, asking: true}
	e.ours = true
	m.emit(Sign{Header: e.header, Key: key})
}

// signed takes our own approval.
func (m *Machine) signed(s Signed) {
	k, e := m.own[s.Key], m.entries[s.Hash]
	if k == nil || k.hash != s.Hash || !k.signature.IsZero() {
		return
	}
	k.asking, k.signature = false, s.Signature
	if e == nil {
		return
	}
	set, _ := m.cfg.Schedule.Set(e.header.Height)
	index, in := set.index(s.Key)
	if !in {
		return
	}
	a := Approval{Header: e.header, Authority: index, Signature: s.Signature}
	if e.qc == nil {
		m.send(e, a)
	}
	m.count(e, a)
	if index == e.author {
		m.settle(e) // our other keys may follow the author now
	}
}

// send gives an own approval to everybody: with the block, if it is the author's.
func (m *Machine) send(e *entry, a Approval) {
	if a.Authority == e.author && e.body {
		m.emit(SendProposal{Proposal: Proposal{Header: e.header, ParentQC: e.parentQC, Signature: a.Signature}})
		return
	}
	m.emit(SendApproval{Approval: a})
}

// notSigned takes a refusal, which is final, or a failure, after which the same block may be asked again.
func (m *Machine) notSigned(n NotSigned) {
	k := m.own[n.Key]
	if k == nil || k.hash != n.Hash || !k.asking {
		return
	}
	k.asking, k.refused = false, n.Refused
}
