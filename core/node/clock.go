package node

import (
	"fmt"
	"time"

	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/chain"
)

// clockBehind says that the wall clock is behind our own head, and what to do; "" while it is not.
func (n *Node) clockBehind(now time.Time) string {
	head, _, _ := n.chain.Heads()
	h, err := n.chain.Header(head.Hash)
	if err != nil {
		return "" // of no use for a judgement; whoever needs the header reports it
	}
	return behindHead(n.spec, h.Slot, now)
}

// behindHead compares the clock with a head's slot. One slot of difference is a clock that is a little late.
func behindHead(s *spec.Spec, head chain.Slot, now time.Time) string {
	slot := s.SlotAt(chain.UnixMilli(now.UnixMilli()))
	if head <= slot+1 {
		return ""
	}
	late := time.Duration(head-slot) * s.SlotDuration(slot)
	return fmt.Sprintf("the clock of this machine (%s) is %s behind the chain's head: check NTP; nothing is approved until it gets there",
		now.UTC().Format(time.RFC3339), late.Round(time.Second))
}
