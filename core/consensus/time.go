package consensus

import (
	"bytes"
	"slices"

	"github.com/alys-node/alys/sdk/chain"
)

// want is a block that we miss.
type want struct {
	from Peer            // who is known to have it
	at   chain.UnixMilli // when to ask (again)
}

// want asks for a block, not before a point in time: it may be on its way.
func (m *Machine) want(hash chain.Hash, from Peer, at chain.UnixMilli) {
	if w := m.wants[hash]; w != nil {
		w.at = min(w.at, at)
		return
	}
	m.wants[hash] = &want{from: from, at: at}
}

// patience is how long to wait for a block that others were quicker to get: a quarter of the slot, if it is of now.
func (m *Machine) patience(s chain.Slot) chain.UnixMilli {
	if s < m.slot {
		return m.now
	}
	return m.now + m.slotLength(m.slot)/4
}

// fetched takes the answer to Fetch.
func (m *Machine) fetched(f Fetched) {
	w := m.wants[f.Hash]
	if !f.Found {
		if w != nil {
			*w = want{at: m.now + max(m.slotLength(m.slot)/4, 1)}
		}
		return
	}
	hash := f.Proposal.Header.Hash()
	if hash != f.Hash {
		m.refuseBlock(f.From, hash, ReasonNotAsked)
		return
	}
	if f.Proposal.Header.Height <= m.safe.header.Height {
		m.buried(f.Proposal.Header, hash)
		m.refuseBlock(f.From, hash, ReasonStale)
		return
	}
	m.proposed(f.Proposal, f.From, w != nil)
}

// buried settles what a parent at or below the safe block means for the blocks that name it: they lie about its height,
// or it is notarized beside the safe block.
func (m *Machine) buried(h chain.Header, hash chain.Hash) {
	delete(m.wants, hash)
	for _, c := range slices.Clone(m.children[hash]) {
		switch {
		case m.entries[c.hash] != c || hash == m.safe.hash:
		case c.header.Height == h.Height+1:
			m.contradicts(h, hash)
		default:
			m.condemn(c)
		}
	}
}

// retry asks again for what is due: missing blocks and judgements.
func (m *Machine) retry() {
	due := make([]chain.Hash, 0, len(m.wants))
	for hash, w := range m.wants {
		switch {
		case !m.missing(hash):
			delete(m.wants, hash)
		case w.at <= m.now:
			due = append(due, hash)
		}
	}
	slices.SortFunc(due, func(a, b chain.Hash) int { return bytes.Compare(a[:], b[:]) })
	for _, hash := range due {
		w := m.wants[hash]
		m.emit(Fetch{Hash: hash, From: w.from})
		*w = want{at: m.now + max(m.slotLength(m.slot), 1)}
	}
	var again []*entry
	for _, e := range m.entries {
		if e.retry > 0 && e.retry <= m.now {
			again = append(again, e)
		}
	}
	slices.SortFunc(again, func(a, b *entry) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	for _, e := range again {
		e.retry = 0
		m.settle(e)
	}
}

// missing reports whether a wanted block still matters: it is notarized, by its own or a child's certificate, or would be
// the highest.
func (m *Machine) missing(hash chain.Hash) bool {
	if len(m.children[hash]) > 0 {
		return true
	}
	e := m.entries[hash]
	return e != nil && !e.body && (e.qc != nil || e.header.Height > m.top.header.Height)
}

// near reports whether a height is close enough above our head to be reached by fetching block by block.
func (m *Machine) near(h chain.Height) bool { return h <= m.head.header.Height+MaxFetchDepth }

// clock follows the time into another slot.
func (m *Machine) clock() {
	slot := m.cfg.Schedule.SlotAt(m.now)
	if m.started && slot == m.slot {
		return
	}
	first, later := !m.started, slot > m.slot
	m.started, m.slot = true, slot
	clear(m.budget)
	clear(m.answered)
	m.behind = false
	if !first && !later {
		return // the clock went back: nothing new is due, and guards see to the rest
	}
	for _, e := range sorted(m.entries) { // held blocks, and signatures and judgements that failed
		m.settle(e)
		if e.qc != nil && !e.body && e != m.safe && m.wants[e.hash] == nil && m.near(e.header.Height) {
			m.want(e.hash, "", m.now)
		}
	}
	if !m.near(m.top.header.Height) {
		m.reportBehind(m.top.header.Height, "")
	}
	m.resend()
}

// resend tells everybody again what may have been lost: the certificates of the blocks above the safe one, and our last
// approvals where they still wait for a quorum. Who misses a block asks for it.
func (m *Machine) resend() {
	set, known := m.cfg.Schedule.Set(m.head.header.Height + 1)
	if !known || !m.member(set) {
		return
	}
	var unsafe []*entry
	for e := m.top; e != nil && e.qc != nil && e != m.safe && len(unsafe) < MaxResend; e = m.entries[e.header.Parent] {
		unsafe = append(unsafe, e)
	}
	slices.Reverse(unsafe)
	for _, e := range unsafe {
		m.emit(SendCertificate{Certificate: e.certificate()})
	}
	for _, key := range m.cfg.Self {
		k := m.own[key]
		e := m.entries[k.hash]
		if e == nil || e.qc != nil || e.header.Height <= m.top.header.Height || k.signature.IsZero() {
			continue
		}
		if set, known := m.cfg.Schedule.Set(e.header.Height); known {
			if index, in := set.index(key); in {
				m.send(e, Approval{Header: e.header, Authority: index, Signature: k.signature})
			}
		}
	}
}
