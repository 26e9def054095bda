package node

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/network"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// ownSlots is for how many slots it is remembered which block our keys approved.
const ownSlots = 4096

// ownSlot is a slot in which a key of ours may approve one block.
type ownSlot struct {
	key  chain.BLSPublicKey
	slot chain.Slot
}

// doppelganger stands before the signer of a node that has peers. It looks for approvals by our own keys that this node does
// not know of, in what peers say, and keeps the node from signing until it has listened for a while after it met a peer.
//
// A guard's records show what was signed unless they are an old copy: a disk that was restored, a machine that was cloned.
// An approval from before our start that the guard does not have raises its floor, and we go on from there. One in a slot
// after our start was made by somebody else with our key, now: this node then signs nothing more until it is restarted, for
// two that sign are worse than one that does not.
//
// An authority that is alone has nobody to hear it from and does not wait: its store is the only one, and the floor.
type doppelganger struct {
	guard    *guard.Guard
	schedule consensus.Schedule
	self     []chain.BLSPublicKey
	next     driver.Signer
	wait     time.Duration
	start    chain.Slot // in which this process started
	now      func() time.Time
	alarm    func(text string)
	log      hclog.Logger

	approved *lru.Cache[ownSlot, chain.Hash] // by us, since the start

	mu     sync.Mutex
	met    time.Time                           // guarded by mu; a peer for the first time; zero: not yet
	floors map[chain.BLSPublicKey]signer.Floor // guarded by mu; what the guard knew at the start, and what was heard since
	newest map[chain.BLSPublicKey]chain.Slot   // guarded by mu; of our approvals
	caught string                              // guarded by mu; why nothing is signed any more
}

// newDoppelganger watches over a signer, for the keys that the node signs with.
func (n *Node) newDoppelganger(ctx context.Context, self []chain.BLSPublicKey, s driver.Signer) (*doppelganger, error) {
	floors, err := n.guard.Floors(ctx)
	if err != nil {
		return nil, fmt.Errorf("read floors: %w", err)
	}
	approved, err := lru.New[ownSlot, chain.Hash](ownSlots)
	if err != nil {
		return nil, fmt.Errorf("remember own approvals: %w", err)
	}
	d := &doppelganger{
		guard: n.guard, schedule: n.spec.Agreement(), self: self, next: s, wait: n.opt.Config.DoppelgangerWait(),
		start: n.spec.SlotAt(chain.UnixMilli(n.started.UnixMilli())), now: time.Now, log: n.log.Named("doppelganger"), approved: approved,
		alarm:  func(text string) { n.log.Error("ALARM: " + text); n.watch.say("ALARM " + text) },
		floors: map[chain.BLSPublicKey]signer.Floor{}, newest: map[chain.BLSPublicKey]chain.Slot{},
	}
	for _, key := range self {
		for _, f := range floors {
			if f.Key == signer.BLSKey(key) {
				d.floors[key] = f
			}
		}
	}
	return d, nil
}

// Approve implements driver.Signer.
func (d *doppelganger) Approve(ctx context.Context, key chain.BLSPublicKey, h chain.Header) (chain.BLSSignature, error) {
	d.mu.Lock()
	why, caught := d.holdsBack(h.Height), d.caught != ""
	if why == "" {
		d.approved.Add(ownSlot{key, h.Slot}, h.Hash())
		d.newest[key] = max(d.newest[key], h.Slot)
	}
	d.mu.Unlock()
	switch {
	case caught:
		return chain.BLSSignature{}, fmt.Errorf("%w: %s", driver.ErrRefused, why)
	case why != "":
		return chain.BLSSignature{}, fmt.Errorf("%w: %s", driver.ErrUnavailable, why)
	}
	return d.next.Approve(ctx, key, h)
}

// HoldsBack says why the node does not sign a block of a height now; "" when it may.
func (d *doppelganger) HoldsBack(h chain.Height) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.holdsBack(h)
}

// holdsBack is HoldsBack; the caller holds mu.
func (d *doppelganger) holdsBack(h chain.Height) string {
	set, _ := d.schedule.Set(h)
	switch left := d.wait - d.now().Sub(d.met); {
	case d.caught != "":
		return d.caught
	case d.wait == 0 || len(d.self) == 0 || len(set.Keys) == 1:
		return ""
	case d.met.IsZero():
		return "waits for a peer, to hear whether somebody else signs with our keys"
	case left > 0:
		return fmt.Sprintf("listens whether somebody else signs with our keys, for %s more", left.Round(time.Second))
	}
	return ""
}

// Met notes that there is a peer to listen to.
func (d *doppelganger) Met() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.met.IsZero() {
		d.met = d.now()
	}
}

// Heard looks at a message of a peer whose signatures were verified.
func (d *doppelganger) Heard(m network.Message) {
	h := m.Header()
	set, known := d.schedule.Set(h.Height)
	if !known {
		return
	}
	switch {
	case m.Proposal != nil:
		if author, ok := d.schedule.Author(h.Slot, h.Height); ok {
			d.heard(set.Keys[author], h)
		}
	case m.Approval != nil:
		d.heard(set.Keys[m.Approval.Authority], h)
	case m.Certificate != nil:
		d.heardAll(set, m.Certificate.QC.Signers, h)
	}
}

func (d *doppelganger) heardAll(set consensus.Set, signers block.Signers, h chain.Header) {
	for i, key := range set.Keys {
		if signers.Has(i) {
			d.heard(key, h)
		}
	}
}

// heard judges one approval.
func (d *doppelganger) heard(key chain.BLSPublicKey, h chain.Header) {
	if !slices.Contains(d.self, key) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	floor := d.floors[key]
	if h.Slot <= floor.Slot && h.Height <= floor.Height || h.Slot+ownSlots <= d.newest[key] {
		return // the guard covers it
	}
	if hash, ours := d.approved.Get(ownSlot{key, h.Slot}); ours && hash == h.Hash() {
		return
	}
	if h.Slot > d.start {
		if d.caught == "" {
			d.caught = fmt.Sprintf("somebody else signs with our key %s: it approved block %s in slot %d; nothing is signed any more until this node is restarted: find the other node, and stop one of the two", key, h.Hash(), h.Slot)
			d.alarm(d.caught)
		}
		return
	}
	raised := signer.Floor{Key: signer.BLSKey(key), Slot: max(floor.Slot, h.Slot), Height: max(floor.Height, h.Height)}
	// The context of the message is not used: what was heard must count even if its sender is gone.
	if err := d.guard.RaiseFloor(context.Background(), raised); err != nil {
		d.caught = fmt.Sprintf("an approval by our key %s in slot %d is missing in the guard, and its floor cannot be raised: %v", key, h.Slot, err)
		d.alarm(d.caught)
		return
	}
	d.floors[key] = raised
	d.log.Warn("the guard is older than what we signed: a restored copy, most likely. Its floor is raised to what peers have from us",
		"key", key, "slot", raised.Slot, "height", raised.Height)
}
