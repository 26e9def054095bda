package consensus

import (
	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
)

// building is our turn as the author.
type building struct {
	slot   chain.Slot      // asked for, or given up; 0 for none
	parent chain.Hash      // that was asked for
	asked  bool            // Build is under way
	wake   chain.UnixMilli // when to look again
	retry  chain.UnixMilli // not before
}

// author asks for a block when one of our keys has the slot: on the longest notarized chain that we know, once all of it
// is imported, and after waiting up to a quarter of the slot for the certificate of the slot before.
func (m *Machine) author() {
	b := &m.building
	b.wake = 0
	if len(m.own) == 0 || b.slot >= m.slot || m.top != m.head || m.head.header.Slot >= m.slot {
		return
	}
	key, ok := m.turn()
	if !ok {
		return
	}
	start, length := m.cfg.Schedule.SlotStart(m.slot), m.slotLength(m.slot)
	ready := max(start, b.retry)
	if m.head.header.Slot+1 != m.slot {
		ready = max(ready, start+length/4)
	}
	switch {
	case m.now < ready:
		b.wake = ready
		return
	case m.now > start+length/2:
		return // too late to be approved in time
	}
	*b = building{slot: m.slot, parent: m.head.hash, asked: true}
	m.emit(Build{
		Slot: m.slot, Parent: m.head.header, ParentQC: *m.head.qc, Key: key, Deadline: m.now + length*3/10,
	})
}

// turn is the key of ours that authors this slot on our head, and whose guard would allow it.
func (m *Machine) turn() (chain.BLSPublicKey, bool) {
	h := m.head.header.Height + 1
	set, known := m.cfg.Schedule.Set(h)
	index, knownAuthor := m.cfg.Schedule.Author(m.slot, h)
	if !known || !knownAuthor {
		return chain.BLSPublicKey{}, false
	}
	key := set.Keys[index]
	k := m.own[key]
	return key, k != nil && k.header.Slot < m.slot && k.header.Height <= h
}

// built takes our own block. It is judged like any other.
func (m *Machine) built(b Built) {
	h, hash := b.Header, b.Header.Hash()
	parent := m.entries[h.Parent]
	asked := m.building.asked && m.building.slot == h.Slot && m.building.parent == h.Parent
	if m.entries[hash] != nil {
		return
	}
	if !asked || parent == nil || parent.qc == nil || parent.header.Height+1 != h.Height || !m.sealed(b.Header, b.ParentQC) ||
		h.Height <= m.top.header.Height {
		m.emit(Drop{Hash: hash, Delete: true})
		return
	}
	m.building.asked = false
	author, _ := m.cfg.Schedule.Author(h.Slot, h.Height)
	e := m.add(h, hash, author, "")
	e.ours = true
	m.attach(e, b.ParentQC, "")
	m.settle(e)
}

// sealed reports whether an own block belongs to this chain and carries the certificate that it names.
func (m *Machine) sealed(h chain.Header, qc block.QC) bool {
	_, ok := m.screenHeader(h)
	return ok && qc.Hash() == h.ParentQC && qc.Block == h.Parent
}

// buildFailed lets the slot be tried again, a tenth of its length later.
func (m *Machine) buildFailed(slot chain.Slot) {
	if b := &m.building; b.asked && b.slot == slot {
		*b = building{retry: m.now + m.slotLength(slot)/10}
	}
}
