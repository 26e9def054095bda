package consensus

import (
	"encoding/binary"
	"testing"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
)

// yes takes every signature: a flood from an authority that signs anything.
type yes struct{}

func (yes) Verify(chain.BLSPublicKey, chain.Hash, chain.BLSSignature) bool { return true }

func (yes) VerifyAggregate([]chain.BLSPublicKey, chain.Hash, chain.BLSSignature) bool { return true }

func (yes) Aggregate(sigs []chain.BLSSignature) (chain.BLSSignature, error) { return sigs[0], nil }

type plain struct{ keys []chain.BLSPublicKey }

func (plain) SlotAt(t chain.UnixMilli) chain.Slot    { return chain.Slot(t / 2000) }
func (plain) SlotStart(s chain.Slot) chain.UnixMilli { return chain.UnixMilli(s) * 2000 }
func (p plain) Set(chain.Height) (Set, bool)         { return Set{Keys: p.keys}, true }
func (p plain) Author(s chain.Slot, _ chain.Height) (int, bool) {
	return int(s % chain.Slot(len(p.keys))), true
}

func flooded(t *testing.T) (*Machine, chain.Header) {
	t.Helper()
	keys := make([]chain.BLSPublicKey, 4)
	for i := range keys {
		keys[i][0] = byte(i)
	}
	genesis := chain.Header{Version: chain.HeaderVersion}
	m, err := New(Config{Genesis: genesis, Schedule: plain{keys}, Verifier: yes{}}, Restored{})
	if err != nil {
		t.Fatal(err)
	}
	return m, genesis
}

// One authority and one peer, or very many peers, cannot make the machine hold more than a few hundred blocks.
func TestFloodOfAuthorsAndApprovalsIsBounded(t *testing.T) {
	m, genesis := flooded(t)
	qc := GenesisQC(genesis.Hash())
	const slots, each = 4000, 8
	for i := range uint64(slots * each) {
		slot := chain.Slot(100_000 + i/each)
		h := chain.Header{
			Version: chain.HeaderVersion, Genesis: genesis.Hash(), Slot: slot - slot%4, Height: 1, Parent: genesis.Hash(),
			ParentQC: qc.Hash(),
		}
		binary.BigEndian.PutUint64(h.PayloadHash[:], i)
		now := plain{}.SlotStart(slot)
		var name [8]byte
		binary.BigEndian.PutUint64(name[:], i)
		from := Peer(name[:])
		m.Step(Input{Now: now, Event: ProposalReceived{
			Proposal: Proposal{Header: h, ParentQC: qc, Signature: chain.BLSSignature{1}}, From: from,
		}})
		h.PayloadHash[20] = 1
		m.Step(Input{Now: now, Event: ApprovalReceived{
			Approval: Approval{Header: h, Authority: 1, Signature: chain.BLSSignature{1}}, From: from,
		}})
	}
	if n := len(m.entries); n > MaxPending+2*MaxVotes+1 {
		t.Errorf("%d blocks are held", n)
	}
	if n := len(m.wants); n > MaxPending+2*MaxVotes+1 {
		t.Errorf("%d blocks are wanted", n)
	}
	votes := 0
	for _, slots := range m.votes {
		votes += len(slots)
	}
	if votes > 4*MaxVotes {
		t.Errorf("%d votes are held", votes)
	}
	if len(m.budget) > maxPeers {
		t.Errorf("%d peers have budgets", len(m.budget))
	}
}

// A peer's budget of signature checks is spent, and comes back with the next slot; other peers are not touched by it.
func TestPeerBudget(t *testing.T) {
	m, genesis := flooded(t)
	ask := func(i uint64, from Peer, slot chain.Slot) (flood bool) {
		h := chain.Header{Version: chain.HeaderVersion, Genesis: genesis.Hash(), Slot: slot, Height: 1}
		binary.BigEndian.PutUint64(h.PayloadHash[:], i)
		c := Certificate{Header: h, QC: block.QC{Block: h.Hash(), Signers: block.Signers{1}}} // no quorum
		for _, e := range m.Step(Input{Now: plain{}.SlotStart(slot), Event: CertificateReceived{Certificate: c, From: from}}) {
			if r, ok := e.(Refuse); ok && r.Reason == ReasonFlood {
				return true
			}
		}
		return false
	}
	for i := range uint64(64 + 16*4) {
		if ask(i, "bad", 100) {
			t.Fatalf("message %d is over the budget", i)
		}
	}
	if !ask(500, "bad", 100) {
		t.Error("the budget is not spent")
	}
	if ask(501, "good", 100) {
		t.Error("another peer has no budget")
	}
	if ask(502, "bad", 101) {
		t.Error("the next slot brings no budget")
	}
}
