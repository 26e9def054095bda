package driver

import "github.com/alys-node/alys/sdk/chain"

// missed watches for own slots that pass without a notarized block of ours. It begins with the first own block since the
// start: before, the node was not producing yet.
type missed struct {
	began   bool
	checked chain.Slot              // every own slot up to here was looked at
	last    chain.Slot              // the latest own slot with a notarized block
	done    map[chain.Slot]struct{} // own slots above checked with a notarized block
}

// maxMissed bounds the work after a jump of the clock.
const maxMissed = 1000

func (m *missed) notarized(d *Driver, h chain.Header) {
	if !d.isOwn(h.Slot, h.Height) {
		return
	}
	if !m.began {
		*m = missed{began: true, checked: h.Slot, done: map[chain.Slot]struct{}{}}
	}
	m.last = max(m.last, h.Slot)
	if h.Slot > m.checked {
		m.done[h.Slot] = struct{}{}
	}
}

// observe looks at the slots that ended a whole slot ago: a block may be notarized a little late.
func (m *missed) observe(d *Driver, now chain.UnixMilli) {
	slot := d.opt.Schedule.SlotAt(now)
	if m.began && slot < m.checked { // the clock went back: what it had run ahead of comes again
		m.checked = max(slot, m.last)
	}
	if !m.began || slot < m.checked+3 {
		return
	}
	next := d.Heads().Head.Height + 1
	if slot-m.checked > maxMissed {
		m.checked = slot - maxMissed
	}
	for m.checked+2 < slot {
		m.checked++
		if _, ok := m.done[m.checked]; !ok && d.isOwn(m.checked, next) {
			d.opt.Observer.MissedSlot(m.checked)
		}
		delete(m.done, m.checked)
	}
}
