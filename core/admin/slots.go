package admin

import (
	"time"

	"github.com/alys-node/alys/sdk/chain"
)

// Slots are the last slots as the node saw them: who was to author, what came, and who approved it. Its fields are a stable
// surface, as those of Status.
type Slots struct {
	Slot        chain.Slot        `json:"slot"`        // of the wall clock
	Authorities []AuthorityStatus `json:"authorities"` // of the next block, by index
	Slots       []SlotStatus      `json:"slots"`       // oldest first; the last one is the present slot
}

// AuthorityStatus is one authority.
type AuthorityStatus struct {
	Key chain.BLSPublicKey `json:"key"`
	Own bool               `json:"own"` // this node signs with it
}

// SlotStatus is one slot. An authority does not approve a block that has its quorum already: one that is missing among the
// approvals need not be away.
type SlotStatus struct {
	Slot        chain.Slot   `json:"slot"`
	Start       time.Time    `json:"start"`
	State       string       `json:"state"`  // see SlotNotarized
	Author      int          `json:"author"` // index of the authority whose slot it is
	Height      chain.Height `json:"height,omitempty"`
	Hash        chain.Hash   `json:"hash,omitzero"`
	Approvals   []int        `json:"approvals"`   // indexes of the authorities whose approval of the block came, ascending
	Quorum      int          `json:"quorum"`      // approvals that notarize a block
	Authorities int          `json:"authorities"` // how many there are at the block's height
	// TookMillis is how long after the slot's start this node had the block notarized, imported and as its head; 0 where it
	// did not see that happen.
	TookMillis int64 `json:"took_ms,omitempty"`
}

// The states of a SlotStatus.
const (
	SlotNotarized = "notarized" // the block has its quorum
	SlotWaiting   = "waiting"   // the slot runs or has just ended: the block, or its quorum, may still come
	SlotMissed    = "missed"    // over without a notarized block
	SlotUnknown   = "unknown"   // over, and the node has not caught up that far
)
