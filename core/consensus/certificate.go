package consensus

import (
	"slices"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
)

// certified takes a certificate from the network.
func (m *Machine) certified(c Certificate, from Peer) {
	h, hash := c.Header, c.Header.Hash()
	reason, ok := m.screenHeader(h)
	if ok && c.QC.Block != hash {
		reason, ok = ReasonMalformed, false
	}
	if !ok {
		m.refuse(from, hash, reason)
		return
	}
	e := m.entries[hash]
	if e != nil && e.qc != nil || h.Height < m.safe.header.Height {
		return // known, or of no use
	}
	set, known := m.cfg.Schedule.Set(h.Height)
	author, knownAuthor := m.cfg.Schedule.Author(h.Slot, h.Height)
	if !known || !knownAuthor {
		m.refuse(from, hash, ReasonUnknownSet)
		return
	}
	if !m.spend(from, set) {
		m.refuse(from, hash, ReasonFlood)
		return
	}
	if !VerifyQC(m.verify, set, c.QC) {
		m.refuse(from, hash, ReasonBadQC)
		return
	}
	if m.contradicts(h, hash) {
		return
	}
	if e == nil {
		e = m.add(h, hash, author, from)
	}
	m.certify(e, c.QC, from)
}

// contradicts halts when a notarized block cannot stand beside the safe one. Two quorums cannot have made both unless a
// third of the authorities broke the rules.
func (m *Machine) contradicts(h chain.Header, hash chain.Hash) bool {
	safe := m.safe
	switch {
	case hash == safe.hash:
	case h.Height == safe.header.Height:
		m.halt("block %s at height %d is notarized beside the safe block %s", hash, h.Height, safe.hash)
	case h.Height == safe.header.Height+1 && h.Parent != safe.hash:
		m.halt("block %s at height %d is notarized on %s, not on the safe block %s", hash, h.Height, h.Parent, safe.hash)
	}
	return m.stopped()
}

// certify gives a block its verified certificate.
func (m *Machine) certify(e *entry, qc block.QC, from Peer) {
	if e.qc != nil || m.stopped() {
		return
	}
	if e.verdict == VerdictInvalid {
		m.halt("block %s at height %d is notarized, and invalid for us", e.hash, e.header.Height)
		return
	}
	if m.contradicts(e.header, e.hash) {
		return
	}
	e.qc = &qc
	m.emit(Persist{Certificate: e.certificate()})
	if e.better(m.top) {
		m.top = e
	}
	switch {
	case !e.body && !m.near(e.header.Height):
		m.reportBehind(e.header.Height, from)
	case !e.body:
		m.want(e.hash, from, m.patience(e.header.Slot))
	default:
		m.settle(e)
		m.settleChain(e)
	}
}

// settle moves a block on as far as it can go: to be judged, to be approved. Its parent goes first.
func (m *Machine) settle(e *entry) {
	if m.stopped() || !e.body || e.verdict == VerdictInvalid {
		return
	}
	if e.verdict.imported() {
		m.approve(e)
		return
	}
	parent := m.entries[e.header.Parent]
	if parent == nil || !parent.verdict.imported() || e.judging || e.retry > m.now || !m.eligible(e, parent) {
		return
	}
	e.judging, e.retry = true, 0
	m.emit(Judge{Header: e.header})
}

// eligible reports whether a judgement is of use: the block is notarized, or we might approve it now.
func (m *Machine) eligible(e, parent *entry) bool {
	if e.qc != nil {
		return true
	}
	return e.header.Slot <= m.slot && parent.header.Height >= m.top.header.Height && m.first(e)
}

// first reports whether the block is the first of its slot that was not found invalid.
func (m *Machine) first(e *entry) bool {
	for _, x := range m.bySlot[e.header.Slot] {
		if x.verdict != VerdictInvalid {
			return x == e
		}
	}
	return false
}

// judged takes the driver's verdict.
func (m *Machine) judged(j Judged) {
	e := m.entries[j.Hash]
	if e == nil || !e.judging {
		return
	}
	e.judging = false
	switch j.Verdict {
	case VerdictUnknown:
		e.retry = m.now + max(m.slotLength(m.slot)/4, 1)
	case VerdictInvalid:
		m.condemn(e)
		for _, x := range slices.Clone(m.bySlot[e.header.Slot]) {
			m.settle(x)
		}
	case VerdictValid, VerdictApprovable:
		e.verdict = j.Verdict
		m.approve(e)
		m.settleChain(e)
	}
}

// settleChain moves the fork choice to a notarized and imported block, and then its children on.
func (m *Machine) settleChain(e *entry) {
	if m.stopped() || !e.verdict.imported() {
		return
	}
	if e.qc != nil {
		if e.better(m.head) {
			m.head = e
		}
		m.makeSafe(e)
	}
	for _, c := range slices.Clone(m.children[e.hash]) {
		if m.entries[c.hash] == c {
			m.settle(c)
		}
	}
}

// makeSafe applies the rule of three: last is the youngest of three notarized blocks, each the parent of the next, in
// consecutive slots and under one authority set. The first two and all before them are safe.
func (m *Machine) makeSafe(last *entry) {
	middle := m.entries[last.header.Parent]
	if middle == nil || middle.header.Height <= m.safe.header.Height {
		return
	}
	first := m.entries[middle.header.Parent]
	if first == nil || middle.header.Slot != first.header.Slot+1 || last.header.Slot != middle.header.Slot+1 {
		return
	}
	if first.qc == nil || middle.qc == nil || !m.oneSet(first.header.Height, last.header.Height) {
		return
	}
	chain := map[*entry]bool{m.safe: true}
	for e := middle; e != m.safe; e = m.entries[e.header.Parent] {
		chain[e] = true
	}
	m.safe = middle
	m.prune(chain)
}

func (m *Machine) oneSet(low, high chain.Height) bool {
	a, known := m.cfg.Schedule.Set(low)
	b, alsoKnown := m.cfg.Schedule.Set(high)
	return known && alsoKnown && a.From == b.From
}

// prune forgets what the safe block has decided: everything at or below it, and what is built on that elsewhere.
func (m *Machine) prune(chain map[*entry]bool) {
	height, slot := m.safe.header.Height, m.safe.header.Slot
	for _, e := range sorted(m.entries) {
		if m.stopped() {
			return
		}
		if m.entries[e.hash] != e || e == m.safe {
			continue
		}
		switch {
		case e.header.Height <= height:
			m.remove(e)
			if e.body {
				m.emit(Drop{Hash: e.hash, Delete: !chain[e]})
			}
		case e.header.Slot <= slot, e.header.Height == height+1 && e.header.Parent != m.safe.hash:
			m.discard(e)
		}
	}
	for key, slots := range m.votes {
		for s := range slots {
			if s <= slot {
				delete(slots, s)
			}
		}
		if len(slots) == 0 {
			delete(m.votes, key)
		}
	}
}
