package spec

import (
	"math"
	"sort"
	"time"

	"github.com/alys-node/alys/sdk/chain"
)

// SlotAt is the slot that t belongs to: the last one that has started. Before 1970 it is slot 0.
func (s *Spec) SlotAt(t chain.UnixMilli) chain.Slot {
	i := sort.Search(len(s.starts), func(i int) bool { return s.starts[i] > t })
	if i == 0 {
		return 0
	}
	e := s.Slots[i-1]
	return e.From + chain.Slot(int64(t-s.starts[i-1])/e.Duration.Milliseconds())
}

// SlotStart is the first instant of a slot: t_i + (slot − S_i)·d_i for the schedule's entry i. A slot so far away that
// the time does not fit gives the last representable instant.
func (s *Spec) SlotStart(slot chain.Slot) chain.UnixMilli {
	i := s.entry(slot)
	start, ok := startAfter(s.starts[i], slot-s.Slots[i].From, s.Slots[i].Duration)
	if !ok {
		return math.MaxInt64
	}
	return start
}

// SlotDuration is the length of a slot.
func (s *Spec) SlotDuration(slot chain.Slot) time.Duration { return s.Slots[s.entry(slot)].Duration }

// PayloadTime is the timestamp, in unix seconds, that the payload of a slot's block must have: floor(start / 1000).
func (s *Spec) PayloadTime(slot chain.Slot) uint64 { return uint64(s.SlotStart(slot)) / 1000 }

// FirstSlot is the lowest slot of a block at height 1: its payload time is above the execution genesis's, as the slot
// starts at least a second after it.
func (s *Spec) FirstSlot() chain.Slot {
	earliest := chain.UnixMilli(s.execution.Timestamp+1) * 1000
	slot := s.SlotAt(earliest)
	if s.SlotStart(slot) < earliest {
		slot++
	}
	return max(slot, 1)
}

// entry is the index in the schedule of a slot.
func (s *Spec) entry(slot chain.Slot) int {
	return sort.Search(len(s.Slots), func(i int) bool { return s.Slots[i].From > slot }) - 1
}

// startAfter is t + n·d, or false where that is beyond an int64 of milliseconds.
func startAfter(t chain.UnixMilli, n chain.Slot, d time.Duration) (chain.UnixMilli, bool) {
	ms := d.Milliseconds()
	if uint64(n) > uint64(math.MaxInt64-int64(t))/uint64(ms) {
		return 0, false
	}
	return t + chain.UnixMilli(int64(n)*ms), true
}

// slotStarts computes the start of each entry of a schedule; false where one does not fit.
func slotStarts(slots []SlotEntry) ([]chain.UnixMilli, bool) {
	starts := make([]chain.UnixMilli, len(slots))
	for i := 1; i < len(slots); i++ {
		var ok bool
		if starts[i], ok = startAfter(starts[i-1], slots[i].From-slots[i-1].From, slots[i-1].Duration); !ok {
			return nil, false
		}
	}
	return starts, true
}
