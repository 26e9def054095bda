package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/core/network"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/chain"
)

// calendar is a slotLog of four authorities under a clock of its own.
type calendar struct {
	*slotLog
	spec *spec.Spec
	at   time.Time
}

func newCalendar(first chain.Slot) *calendar {
	c := &calendar{spec: spec.DevNodes(4)}
	c.move(first)
	c.slotLog = newSlotLog(c.spec.Agreement(), func() time.Time { return c.at })
	return c
}

// move sets the clock to the middle of a slot.
func (c *calendar) move(to chain.Slot) { c.at = c.spec.SlotStart(to).Time().Add(time.Second) }

func headerAt(slot chain.Slot, height chain.Height) chain.Header {
	return chain.Header{Version: chain.HeaderVersion, Slot: slot, Height: height}
}

func certificateOf(h chain.Header, signers ...int) consensus.Certificate {
	qc := block.QC{Block: h.Hash(), Signers: block.NewSigners(4)}
	for _, i := range signers {
		qc.Signers.Set(i)
	}
	return consensus.Certificate{Header: h, QC: qc}
}

// told is the list as text: slot, state, author, height and approvals of each.
func (c *calendar) told(v view) string {
	var b strings.Builder
	for _, s := range c.list(v) {
		fmt.Fprintf(&b, "%d %s by %d: %d %v, %d of %d\n", s.Slot, s.State, s.Author, s.Height, s.Approvals, s.Quorum, s.Authorities)
	}
	return b.String()
}

func TestSlotsAreTold(t *testing.T) {
	c := newCalendar(100)
	a, b, late := headerAt(101, 7), headerAt(103, 8), headerAt(104, 9)
	c.move(101)
	c.approved(a, 2)
	c.notarized(certificateOf(a, 0, 2, 3))
	c.approved(a, 1) // after the quorum
	c.move(103)
	c.approved(headerAt(103, 1_000), 1) // another block of the slot: what is notarized counts
	c.notarized(certificateOf(b, 1, 2, 3))
	c.move(105)
	c.approved(late, 2)
	c.approved(late, 9) // nobody
	want := `100 missed by 2: 0 [], 3 of 4
101 notarized by 2: 7 [0 1 2 3], 3 of 4
102 missed by 3: 0 [], 3 of 4
103 notarized by 3: 8 [1 2 3], 3 of 4
104 waiting by 0: 9 [2], 3 of 4
105 waiting by 0: 0 [], 3 of 4
`
	if diff := cmp.Diff(want, c.told(view{head: b, synced: true})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	c.move(106)
	if got := c.list(view{head: b, synced: true})[4]; got.State != admin.SlotMissed || len(got.Approvals) != 1 {
		t.Errorf("a block without a quorum is %+v, want a missed slot with one approval", got)
	}
}

func TestNodeThatIsBehindDoesNotCallSlotsMissed(t *testing.T) {
	c := newCalendar(100)
	c.move(104)
	c.notarized(certificateOf(headerAt(102, 50), 0, 1, 2)) // of the tip, which the node has yet to fetch
	want := []string{"unknown", "unknown", "notarized", "waiting", "waiting"}
	var got []string
	for _, s := range c.list(view{head: headerAt(60, 20)}) {
		got = append(got, s.State)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestSlotsAreBounded(t *testing.T) {
	c := newCalendar(1_000)
	for slot := chain.Slot(1_000); slot < 1_000+5*slotsKept; slot++ {
		c.move(slot)
		c.notarized(certificateOf(headerAt(slot, chain.Height(slot)), 0, 1, 2))
	}
	last := chain.Slot(1_000 + 5*slotsKept - 1)
	c.approved(headerAt(last+1, 1), 0)     // a little early: no slot loses its place
	c.approved(headerAt(last+10, 1), 0)    // a future that is not ours to keep
	c.approved(headerAt(last-1_000, 1), 0) // the past
	got := c.list(view{head: headerAt(last, chain.Height(last)), synced: true})
	if len(got) != slotsKept || got[0].Slot != last-slotsKept+1 || got[slotsKept-1].Slot != last {
		t.Fatalf("%d slots from %d to %d", len(got), got[0].Slot, got[len(got)-1].Slot)
	}
	for _, s := range got {
		if s.State != admin.SlotNotarized || s.Height != chain.Height(s.Slot) {
			t.Errorf("slot %+v, want its block", s)
		}
	}

	// A clock that ran ahead and went back does not keep the slots of now from being told.
	c.move(200)
	c.notarized(certificateOf(headerAt(200, 3), 0, 1, 2))
	if s := c.status(200, 200, view{}); s.State != admin.SlotNotarized {
		t.Errorf("after the clock went back slot 200 is %+v", s)
	}
}

func TestStartRecallsTheSlotsBeforeIt(t *testing.T) {
	p := newPeers(t)
	p.slots.recall(p.chain)
	if got := p.slots.list(view{synced: true}); len(got) != 1 {
		t.Errorf("of a chain that has only genesis: %+v, want the present slot", got)
	}
	c := newCarrying(t)
	first, second := c.grow(), c.grow()
	qc := block.QC{Block: second.Header.Hash(), Signers: block.Signers{1}}
	must(t, c.chain.PutQC(t.Context(), qc)) // the first one's came with the second
	dev := spec.Dev()
	restarted := dev.SlotStart(second.Header.Slot + 3).Time()
	l := newSlotLog(dev.Agreement(), func() time.Time { return restarted })
	l.recall(c.chain)
	var got []string
	for _, s := range l.list(view{head: second.Header, synced: true}) {
		got = append(got, fmt.Sprintf("%d %s %d", s.Slot-first.Header.Slot, s.State, s.Height))
	}
	if diff := cmp.Diff([]string{"0 notarized 1", "1 notarized 2", "2 missed 0", "3 waiting 0", "4 waiting 0"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestApprovalsOfPeersAreSeen: those that consensus has no use for as well.
func TestApprovalsOfPeersAreSeen(t *testing.T) {
	p := newPeers(t)
	slot := p.slots.present()
	b, sig := p.proposed(t, slot)
	author, _ := p.schedule.Author(slot, 1)
	p.judge(network.Message{Proposal: &consensus.Proposal{Header: b.Header, ParentQC: b.ParentQC, Signature: sig}, Block: b})
	other := (author + 1) % 4
	p.judge(network.Message{Approval: &consensus.Approval{
		Header: b.Header, Authority: other, Signature: devKey(other).Sign(consensus.ApprovalRoot(b.Header.Hash())),
	}})
	p.judge(network.Message{Approval: &consensus.Approval{Header: b.Header, Authority: (author + 2) % 4, Signature: sig}}) // forged
	var seen admin.SlotStatus
	for _, s := range p.slots.list(view{}) {
		if s.Slot == slot {
			seen = s
		}
	}
	want := []int{min(author, other), max(author, other)}
	if diff := cmp.Diff(want, seen.Approvals); diff != "" || seen.Hash != b.Header.Hash() || seen.Author != author {
		t.Errorf("saw %+v (-want +got)\n%s", seen, diff)
	}
}

func TestSlotTellsHowLongItsBlockTook(t *testing.T) {
	c := newCalendar(100)
	h := headerAt(101, 7)
	c.move(101)
	c.notarized(certificateOf(h, 0, 1, 2))
	c.advanced(driver.Advanced{Head: chain.Ref{Height: 7, Hash: chain.Hash{9}}, Slot: 101, SinceSlot: time.Second}) // another block
	took := func() int64 { all := c.list(view{}); return all[len(all)-1].TookMillis }
	if got := took(); got != 0 {
		t.Errorf("another block's time: %d ms", got)
	}
	c.advanced(driver.Advanced{Head: chain.Ref{Height: 7, Hash: h.Hash()}, Slot: 101, SinceSlot: 120 * time.Millisecond})
	if got := took(); got != 120 {
		t.Errorf("%d ms, want 120", got)
	}
}
