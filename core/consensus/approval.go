package consensus

import (
	"slices"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
)

// vote is what a key approved in one slot: the first approval seen. It is what a second one is held against.
type vote struct {
	approval Approval
	hash     chain.Hash
	verified bool // an approval of a block that needed no more is kept unverified, until another one makes it matter
	reported bool // Evidence was given
}

// approved takes an approval from the network.
func (m *Machine) approved(a Approval, from Peer) {
	h, hash := a.Header, a.Header.Hash()
	if reason, ok := m.screenHeader(h); !ok {
		m.refuse(from, hash, reason)
		return
	}
	if h.Height <= m.safe.header.Height || h.Slot <= m.safe.header.Slot {
		return // too late to matter: quite ordinary
	}
	if h.Slot > m.slot+1 {
		m.refuse(from, hash, ReasonTooEarly)
		return
	}
	set, ok := m.cfg.Schedule.Set(h.Height)
	if !ok {
		m.refuse(from, hash, ReasonUnknownSet)
		return
	}
	if a.Authority < 0 || a.Authority >= len(set.Keys) {
		m.refuse(from, hash, ReasonMalformed)
		return
	}
	key := set.Keys[a.Authority]
	first := m.votes[key][h.Slot]
	if first != nil && first.hash == hash && first.verified {
		return
	}
	rival := first != nil && first.hash != hash
	e := m.entries[hash]
	if !rival && !m.counts(e, h) {
		m.note(key, &vote{approval: a, hash: hash})
		return
	}
	counts := m.counts(e, h) && (!rival || e != nil && e.body) // a second approval makes no block known
	if rival && first.reported && !counts {
		return
	}
	if !m.spend(from, set) {
		m.refuse(from, hash, ReasonFlood)
		return
	}
	if !m.verify.Verify(key, ApprovalRoot(hash), a.Signature) {
		m.refuse(from, hash, ReasonBadSignature)
		return
	}
	if rival {
		m.hold(key, first, a, hash)
	}
	if !counts {
		return
	}
	if e == nil {
		author, known := m.cfg.Schedule.Author(h.Slot, h.Height)
		if !known {
			return
		}
		e = m.add(h, hash, author, from)
	}
	m.count(e, a)
	if !e.body && e.qc == nil && e.verdict != VerdictInvalid {
		m.want(hash, from, m.patience(h.Slot))
	}
}

// counts reports whether an approval can still make a difference: its block waits for a quorum, or is unknown and would
// be the highest.
func (m *Machine) counts(e *entry, h chain.Header) bool {
	if e != nil {
		return e.qc == nil && e.verdict != VerdictInvalid
	}
	return h.Height > m.top.header.Height && m.near(h.Height)
}

// hold compares a verified approval with the first one of the same key and slot.
func (m *Machine) hold(key chain.BLSPublicKey, first *vote, second Approval, hash chain.Hash) {
	if !first.verified && !m.verify.Verify(key, ApprovalRoot(first.hash), first.approval.Signature) {
		*first = vote{approval: second, hash: hash, verified: true}
		return
	}
	first.verified = true
	if first.reported {
		return
	}
	first.reported = true
	m.emit(Evidence{Key: key, First: first.approval, Second: second})
}

// note keeps the first approval of a key in a slot, for the youngest MaxVotes slots. Blocks that are known by a
// forgotten approval only are forgotten with it.
func (m *Machine) note(key chain.BLSPublicKey, v *vote) {
	slots := m.votes[key]
	if slots == nil {
		slots = map[chain.Slot]*vote{}
		m.votes[key] = slots
	}
	slot := v.approval.Header.Slot
	if old := slots[slot]; old != nil {
		if old.hash == v.hash && v.verified {
			old.approval, old.verified = v.approval, true
		}
		return
	}
	slots[slot] = v
	if len(slots) <= MaxVotes {
		return
	}
	for s := range slots {
		slot = min(slot, s)
	}
	m.forget(slots[slot])
	delete(slots, slot)
}

func (m *Machine) forget(v *vote) {
	e := m.entries[v.hash]
	if e == nil || e.body || e.qc != nil {
		return
	}
	delete(e.approvals, v.approval.Authority)
	if len(e.approvals) == 0 {
		m.remove(e)
	}
}

// count adds a verified approval to its block, and makes the certificate when it completes the quorum.
func (m *Machine) count(e *entry, a Approval) {
	set, _ := m.cfg.Schedule.Set(e.header.Height)
	e.approvals[a.Authority] = a.Signature
	key := set.Keys[a.Authority]
	if first := m.votes[key][e.header.Slot]; first != nil && first.hash != e.hash {
		m.hold(key, first, a, e.hash)
	}
	m.note(key, &vote{approval: a, hash: e.hash, verified: true})
	if e.qc != nil || len(e.approvals) < set.Quorum() {
		return
	}
	qc, ok := m.aggregate(e, set)
	if !ok {
		return
	}
	m.certify(e, qc, "")
	if m.member(set) && !m.stopped() {
		m.emit(SendCertificate{Certificate: e.certificate()})
	}
}

func (m *Machine) aggregate(e *entry, set Set) (block.QC, bool) {
	qc := block.QC{Block: e.hash, Signers: block.NewSigners(len(set.Keys))}
	indexes := make([]int, 0, len(e.approvals))
	for i := range e.approvals {
		indexes = append(indexes, i)
	}
	slices.Sort(indexes)
	sigs := make([]chain.BLSSignature, len(indexes))
	for n, i := range indexes {
		qc.Signers.Set(i)
		sigs[n] = e.approvals[i]
	}
	var err error
	qc.Signature, err = m.verify.Aggregate(sigs)
	return qc, err == nil
}

// member reports whether one of our keys is in the set.
func (m *Machine) member(set Set) bool {
	return slices.ContainsFunc(m.cfg.Self, func(k chain.BLSPublicKey) bool { _, ok := set.index(k); return ok })
}
