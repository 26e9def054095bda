package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/block"
	ledger "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/core/follow"
	"github.com/alys-node/alys/sdk/chain"
)

// slotsKept is how many slots are remembered for people to look at, the present one included.
const slotsKept = 64

// places is how many slots have room: the next one, whose block may come a little early, takes none from those that are told.
const places = slotsKept + 1

// slotLog remembers what came in the last slots: the blocks and the approvals of each, as far as they are verified. It is
// for people alone. Consensus keeps what it needs itself, and of an approval that makes no difference it keeps nothing.
type slotLog struct {
	schedule consensus.Schedule
	now      func() time.Time

	mu    sync.Mutex
	first chain.Slot   // guarded by mu; since consensus runs: of an earlier slot without a block nothing is said
	slots [places]seen // guarded by mu; slot s is at s % places
}

// seen is what came in one slot.
type seen struct {
	slot      chain.Slot // the zero value is a place that was never used
	height    chain.Height
	hash      chain.Hash
	notarized bool
	signers   block.Signers
	took      time.Duration // from the slot's start until the block was our head
}

func newSlotLog(s consensus.Schedule, now func() time.Time) *slotLog {
	l := &slotLog{schedule: s, now: now}
	l.first = l.present()
	return l
}

// present is the slot of the clock.
func (l *slotLog) present() chain.Slot {
	return l.schedule.SlotAt(chain.UnixMilli(l.now().UnixMilli()))
}

// approved notes a verified approval. Of several blocks of one slot the first one counts until one is notarized.
func (l *slotLog) approved(h chain.Header, authority int) {
	set, known := l.schedule.Set(h.Height)
	if !known || authority < 0 || authority >= len(set.Keys) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.place(h.Slot)
	if s == nil {
		return
	}
	hash := h.Hash()
	if s.signers == nil {
		*s = seen{slot: h.Slot, height: h.Height, hash: hash, signers: block.NewSigners(len(set.Keys))}
	}
	if s.hash == hash {
		s.signers.Set(authority)
	}
}

// notarized notes a verified certificate.
func (l *slotLog) notarized(c consensus.Certificate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.place(c.Header.Slot)
	if s == nil {
		return
	}
	if s.signers == nil || s.hash != c.QC.Block {
		*s = seen{slot: c.Header.Slot, height: c.Header.Height, hash: c.QC.Block, signers: slices.Clone(c.QC.Signers)}
	}
	s.notarized = true
	for i := range min(len(s.signers), len(c.QC.Signers)) {
		s.signers[i] |= c.QC.Signers[i]
	}
}

// advanced notes that a block of a slot is our head.
func (l *slotLog) advanced(a driver.Advanced) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.place(a.Slot); s != nil && s.hash == a.Head.Hash {
		s.took = a.SinceSlot
	}
}

// place is where a slot is kept, emptied when another one was there; nil when the slot is too old, or further in the future
// than an honest author's. The caller holds mu.
func (l *slotLog) place(slot chain.Slot) *seen {
	s := &l.slots[slot%places]
	next := l.present() + 1
	if slot == 0 || slot > next || slot < s.slot && s.slot <= next { // a clock that went back frees what it had run ahead to
		return nil
	}
	if s.slot != slot {
		*s = seen{slot: slot}
	}
	return s
}

// recall begins with the last blocks of the stored chain: a node that starts shows what it knew. What cannot be read is not
// shown; the parts that need it fail by themselves.
func (l *slotLog) recall(c *ledger.Chain) {
	present := l.present()
	l.mu.Lock()
	l.first = present
	l.mu.Unlock()
	head, _, _ := c.Heads()
	hash := head.Hash
	for range slotsKept {
		known, err := certificate(c, hash)
		if err != nil || known.Header.Height == 0 || known.Header.Slot+slotsKept <= present {
			return
		}
		l.notarized(known)
		hash = known.Header.Parent
	}
}

// view is where the node is while the slots are told.
type view struct {
	head   chain.Header // imported: the chain's own word on every slot up to its own
	synced bool         // no higher block is known
}

// list tells the last slots, oldest first, from the oldest one of which something is known.
func (l *slotLog) list(v view) []admin.SlotStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	present := l.present()
	from := max(present, slotsKept) - slotsKept + 1
	oldest := max(l.first, from)
	for _, s := range l.slots {
		if s.signers != nil && s.slot >= from {
			oldest = min(oldest, s.slot)
		}
	}
	out := make([]admin.SlotStatus, 0, slotsKept)
	for slot := oldest; slot <= present; slot++ {
		out = append(out, l.status(slot, present, v))
	}
	return out
}

// status tells one slot; the caller holds mu.
func (l *slotLog) status(slot, present chain.Slot, v view) admin.SlotStatus {
	s := l.slots[slot%places]
	out := admin.SlotStatus{Slot: slot, Start: l.schedule.SlotStart(slot).Time(), Approvals: []int{}}
	height := v.head.Height + 1
	if s.slot == slot && s.signers != nil {
		height = s.height
		out.Height, out.Hash, out.TookMillis = s.height, s.hash, s.took.Milliseconds()
		out.Approvals = append(out.Approvals, s.signers.Indexes()...)
	} else {
		s = seen{}
	}
	if set, known := l.schedule.Set(height); known {
		out.Quorum, out.Authorities = set.Quorum(), len(set.Keys)
	}
	out.Author, _ = l.schedule.Author(slot, height)
	switch {
	case s.notarized:
		out.State = admin.SlotNotarized
	case slot < v.head.Slot:
		out.State = admin.SlotMissed
	case slot+1 >= present: // a block may be notarized a little late
		out.State = admin.SlotWaiting
	case v.synced:
		out.State = admin.SlotMissed
	default:
		out.State = admin.SlotUnknown
	}
	return out
}

// Slots implements admin.Node.
func (n *Node) Slots(context.Context) (admin.Slots, error) {
	head, _, _ := n.chain.Heads()
	header, err := n.chain.Header(head.Hash)
	if err != nil {
		return admin.Slots{}, err
	}
	out := admin.Slots{
		Slot:  n.slots.present(),
		Slots: n.slots.list(view{head: header, synced: n.follower.Progress().Stage == follow.StageSynced}),
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, k := range n.spec.Set(head.Height + 1).Keys {
		out.Authorities = append(out.Authorities, admin.AuthorityStatus{Key: k, Own: slices.Contains(n.self, k)})
	}
	return out, nil
}
