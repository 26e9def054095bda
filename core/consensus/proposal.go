package consensus

import (
	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
)

// proposed takes a block. Cheap checks come first, signatures last.
func (m *Machine) proposed(p Proposal, from Peer, asked bool) {
	h, hash := p.Header, p.Header.Hash()
	e := m.entries[hash]
	switch {
	case e == nil:
	case e.verdict == VerdictInvalid:
		m.refuse(from, hash, ReasonInvalid)
		m.emit(Drop{Hash: hash, Delete: true})
		return
	case e == m.safe:
		m.emit(Drop{Hash: hash})
		return
	case e.body:
		m.again(e, p, from)
		return
	}
	certain := e != nil && e.qc != nil || m.childCertifies(hash, h.Height) // notarized: clock and author do not matter
	if reason, ok := m.screen(p, certain); !ok {
		m.refuseBlock(from, hash, reason)
		return
	}
	set, _ := m.cfg.Schedule.Set(h.Height)
	author, _ := m.cfg.Schedule.Author(h.Slot, h.Height)
	if !asked && !m.spend(from, set) {
		m.refuseBlock(from, hash, ReasonFlood)
		return
	}
	signed := m.authorSigned(e, p, author, set)
	if !certain && !signed {
		reason := ReasonNotAuthor
		if p.Signature.IsZero() {
			reason = ReasonUnsigned
		}
		m.refuseBlock(from, hash, reason)
		return
	}
	if !m.near(h.Height) {
		m.reportBehind(h.Height, from)
		m.refuseBlock(from, hash, ReasonTooFar)
		return
	}
	if reason, ok := m.checkParent(p); !ok {
		m.refuseBlock(from, hash, reason)
		return
	}
	m.accept(p, hash, author, from, signed)
}

// again takes from a known block what was missing: the author's approval.
func (m *Machine) again(e *entry, p Proposal, from Peer) {
	if p.Signature.IsZero() || e.qc != nil {
		return
	}
	if _, known := e.approvals[e.author]; !known {
		m.approved(Approval{Header: e.header, Authority: e.author, Signature: p.Signature}, from)
	}
}

// screen makes the checks that need no signature. certain means that the block is known to be notarized.
func (m *Machine) screen(p Proposal, certain bool) (Reason, bool) {
	h := p.Header
	if reason, ok := m.screenHeader(h); !ok {
		return reason, false
	}
	if h.ParentQC != p.ParentQC.Hash() || p.ParentQC.Block != h.Parent {
		return ReasonMalformed, false
	}
	if h.Height <= m.safe.header.Height || h.Slot <= m.safe.header.Slot {
		return ReasonStale, false
	}
	if _, ok := m.cfg.Schedule.Set(h.Height); !ok {
		return ReasonUnknownSet, false
	}
	if _, ok := m.cfg.Schedule.Author(h.Slot, h.Height); !ok {
		return ReasonUnknownSet, false
	}
	if certain {
		return "", true
	}
	if m.cfg.Schedule.SlotStart(h.Slot) > m.now+Drift {
		return ReasonTooEarly, false
	}
	if h.Height <= m.top.header.Height {
		return ReasonTooShort, false
	}
	return "", true
}

func (m *Machine) screenHeader(h chain.Header) (Reason, bool) {
	switch {
	case h.Version != chain.HeaderVersion || h.Genesis != m.genesis:
		return ReasonOtherChain, false
	case h.Height == 0 || h.Slot == 0:
		return ReasonMalformed, false
	}
	return "", true
}

// authorSigned reports whether the slot's author stands behind the block.
func (m *Machine) authorSigned(e *entry, p Proposal, author int, set Set) bool {
	if e != nil {
		if _, known := e.approvals[author]; known {
			return true
		}
	}
	return !p.Signature.IsZero() && m.verify.Verify(set.Keys[author], ApprovalRoot(p.Header.Hash()), p.Signature)
}

// checkParent verifies the parent's certificate that the block carries, and that it fits the parent as far as known. For
// an unknown parent the height is only what the block claims: nothing is concluded from it before the parent is here.
func (m *Machine) checkParent(p Proposal) (Reason, bool) {
	h := p.Header
	parent := m.entries[h.Parent]
	if parent != nil {
		if parent.header.Height+1 != h.Height || parent.header.Slot >= h.Slot || parent.verdict == VerdictInvalid {
			return ReasonInvalid, false
		}
		if parent.qc != nil && parent.qc.Hash() == h.ParentQC {
			return "", true
		}
	}
	if !m.certifies(p.ParentQC, h.Height-1) {
		return ReasonBadQC, false
	}
	return "", true
}

// certifies verifies a certificate for a block of a height.
func (m *Machine) certifies(qc block.QC, h chain.Height) bool {
	if h == 0 {
		return qc.Hash() == GenesisQC(m.genesis).Hash()
	}
	set, ok := m.cfg.Schedule.Set(h)
	return ok && VerifyQC(m.verify, set, qc)
}

// childCertifies reports whether a known block carries a certificate for this one, at this height.
func (m *Machine) childCertifies(hash chain.Hash, h chain.Height) bool {
	for _, c := range m.children[hash] {
		if c.header.Height == h+1 {
			return true
		}
	}
	return false
}

// accept takes a block that was checked.
func (m *Machine) accept(p Proposal, hash chain.Hash, author int, from Peer, signed bool) {
	if !m.makeRoom(p.Header, author) {
		m.refuseBlock(from, hash, ReasonFlood)
		return
	}
	e := m.entries[hash]
	if e == nil {
		e = m.add(p.Header, hash, author, from)
	}
	if m.stopped() {
		return
	}
	m.attach(e, p.ParentQC, from)
	if _, known := e.approvals[author]; signed && !known {
		m.count(e, Approval{Header: p.Header, Authority: author, Signature: p.Signature})
	}
	if parent := m.entries[p.Header.Parent]; parent != nil {
		m.certify(parent, p.ParentQC, from)
	} else {
		m.want(p.Header.Parent, from, m.now)
	}
	m.settle(e)
}

// makeRoom keeps the waiting blocks of one author bounded: the one of the lowest slot goes. Blocks that we approved stay
// while they can still become the highest: whoever approved must be able to hand the block out.
func (m *Machine) makeRoom(h chain.Header, author int) bool {
	set, _ := m.cfg.Schedule.Set(h.Height)
	var lowest *entry
	n := 0
	for _, list := range m.bySlot {
		for _, e := range list {
			if e.qc != nil || e.ours && e.header.Height > m.top.header.Height || m.authorKey(e) != set.Keys[author] {
				continue
			}
			n++
			if lowest == nil || e.header.Slot < lowest.header.Slot || e.header.Slot == lowest.header.Slot && lowest.better(e) {
				lowest = e
			}
		}
	}
	if n < MaxPending {
		return true
	}
	if lowest.header.Slot >= h.Slot {
		return false
	}
	m.discard(lowest)
	return true
}

func (m *Machine) authorKey(e *entry) chain.BLSPublicKey {
	set, _ := m.cfg.Schedule.Set(e.header.Height)
	return set.Keys[e.author]
}

func (m *Machine) reportBehind(h chain.Height, from Peer) {
	if m.behind {
		return
	}
	m.behind = true
	m.emit(Behind{Height: h, From: from})
}

// refuseBlock refuses a message that came with a body, unless the machine has the block from elsewhere.
func (m *Machine) refuseBlock(from Peer, hash chain.Hash, reason Reason) {
	m.refuse(from, hash, reason)
	if e := m.entries[hash]; e == nil || !e.body {
		m.emit(Drop{Hash: hash})
	}
}
