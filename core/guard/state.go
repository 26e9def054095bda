package guard

import (
	"fmt"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// approval is a block that was reserved for a slot.
type approval struct {
	seq       uint64
	height    chain.Height
	block     chain.Hash
	signature chain.BLSSignature // zero until kept
	barred    bool               // not signed, and never to be: a floor that was raised later covers it
}

// covered reports whether a floor ends the reservation for a slot: who raised the floor may have signed another block
// there, or a higher one. An answer that was kept stands, and so does the very block that the floor names.
func (a approval) covered(slot chain.Slot, floor Record) bool {
	if a.barred || !a.signature.IsZero() || slot == floor.Slot && a.block == floor.Block {
		return false
	}
	return slot <= floor.Slot || a.height < floor.Height
}

// payment is what was recorded for a payment.
type payment struct {
	outpoints []Outpoint            // the inputs of every version; in the order of the first
	versions  map[uint32]chain.Hash // the transaction id of each version
}

// state is what the kept records of one key say. It only grows by apply, in the order of the records.
type state struct {
	version Version
	seq     uint64
	last    chain.UnixMilli
	mark    Mark

	approvals map[chain.Slot]approval // the last Window or more
	slots     []chain.Slot            // of approvals, in the order of their records

	outpoints map[Outpoint]chain.Hash  // the payment that each was given to
	payments  map[chain.Hash]payment   // that hold outpoints
	released  map[chain.Hash]chain.Ref // payments that are signed never again, with the block of the void
}

func newState() *state {
	return &state{
		approvals: map[chain.Slot]approval{},
		outpoints: map[Outpoint]chain.Hash{},
		payments:  map[chain.Hash]payment{},
		released:  map[chain.Hash]chain.Ref{},
	}
}

// rebuild checks the chain of records and reads it into a state.
func rebuild(key Key, records []Record, version Version) (*state, error) {
	s := newState()
	for i, r := range records {
		if err := s.checkNext(i == 0, r); err != nil {
			return nil, fmt.Errorf("record %d of %s: %w: %w", r.Seq, key.ID, err, ErrCorrupt)
		}
		s.apply(r, r.Hash(key))
	}
	if n := len(records); n > 0 && records[0].Seq > max(records[n-1].Keep, 1) {
		return nil, fmt.Errorf("%s: records before %d are missing: %w", key.ID, records[0].Seq, ErrCorrupt)
	}
	if s.version != version {
		return nil, fmt.Errorf("%s: the records end at %s and the store promised %s (torn or cut tail): %w",
			key.ID, chain.Hash(s.version).Short(), chain.Hash(version).Short(), ErrCorrupt)
	}
	return s, nil
}

func (s *state) checkNext(first bool, r Record) error {
	switch {
	case first && r.Seq == 0:
		return fmt.Errorf("the first record has no number")
	case first && r.Seq == 1 && r.Prev != Version{}:
		return fmt.Errorf("the first record names one before it")
	case !first && r.Seq != s.seq+1:
		return fmt.Errorf("follows record %d", s.seq)
	case !first && r.Prev != s.version:
		return fmt.Errorf("its link does not match the record before")
	case !r.Kind.bitcoin() && (r.Mark.Slot < s.mark.Slot || r.Mark.Height < s.mark.Height):
		return fmt.Errorf("the mark goes back")
	}
	return nil
}

// apply reads one record that follows the state.
func (s *state) apply(r Record, version Version) {
	s.version, s.seq, s.last = version, r.Seq, r.Time
	switch r.Kind {
	case KindBitcoin:
		s.give(r)
		return
	case KindRelease:
		s.release(r)
		return
	case KindFloor:
		s.bar(r)
	case KindApproval, KindSignature:
	}
	s.mark = r.Mark
	if !r.Block.IsZero() {
		if _, known := s.approvals[r.Slot]; !known {
			s.slots = append(s.slots, r.Slot)
		}
		s.approvals[r.Slot] = approval{seq: r.Seq, height: r.Height, block: r.Block, signature: r.Signature}
	}
	s.forget(r.Keep)
}

// bar ends the reservations that a floor covers.
func (s *state) bar(floor Record) {
	for slot, a := range s.approvals {
		if a.covered(slot, floor) {
			a.barred = true
			s.approvals[slot] = a
		}
	}
}

// bars reports whether a floor would end any reservation.
func (s *state) bars(floor Record) bool {
	for slot, a := range s.approvals {
		if a.covered(slot, floor) {
			return true
		}
	}
	return false
}

// top is the approval at the mark's slot; zero when there is none, or none that is answered.
func (s *state) top() approval {
	if a := s.approvals[s.mark.Slot]; !a.barred {
		return a
	}
	return approval{}
}

// give reads a version of a payment.
func (s *state) give(r Record) {
	p, known := s.payments[r.Payment]
	if !known {
		p = payment{r.Outpoints, map[uint32]chain.Hash{}}
		s.payments[r.Payment] = p
	}
	p.versions[r.PaymentVersion] = r.TxID
	for _, o := range r.Outpoints {
		s.outpoints[o] = r.Payment
	}
}

// release frees the outpoints of a payment, and bars the payment.
func (s *state) release(r Record) {
	for _, o := range s.payments[r.Payment].outpoints {
		delete(s.outpoints, o)
	}
	delete(s.payments, r.Payment)
	s.released[r.Payment] = chain.Ref{Height: r.Height, Hash: r.Block}
}

// forget drops approvals whose record the store may drop.
func (s *state) forget(keep uint64) {
	for len(s.slots) > 0 && s.approvals[s.slots[0]].seq < keep {
		delete(s.approvals, s.slots[0])
		s.slots = s.slots[1:]
	}
}

// next is a record that follows the state, without its kind's own fields.
func (s *state) next(kind Kind, at chain.UnixMilli) Record {
	r := Record{Seq: s.seq + 1, Keep: 1, Time: at, Prev: s.version, Kind: kind, Mark: s.mark}
	if kind.bitcoin() {
		r.Mark = Mark{}
	} else if r.Seq > 2*Window { // an approval and its signature are two records
		r.Keep = r.Seq - 2*Window + 1
	}
	return r
}

// decideApproval judges a header by the rule alone. It gives the recorded approval when the request is the same again.
func (s *state) decideApproval(h chain.Header, block chain.Hash) (recorded *approval, reason Reason, detail string) {
	known, ok := s.approvals[h.Slot]
	switch {
	case ok && known.block == block && known.barred:
		return nil, ReasonStaleSlot, "it was reserved and not signed before a floor at or above it was raised"
	case ok && known.block == block:
		return &known, "", ""
	case ok:
		return nil, ReasonConflict, fmt.Sprintf("block %s at height %s was reserved for this slot", known.block.Short(), known.height)
	case h.Slot <= s.mark.Slot:
		return nil, ReasonStaleSlot, fmt.Sprintf("slot %s was reached", s.mark.Slot)
	case h.Height < s.mark.Height:
		return nil, ReasonLowerHeight, fmt.Sprintf("height %s was reached", s.mark.Height)
	}
	return nil, "", ""
}

// decideBitcoin judges a payment's transaction. It reports whether it is recorded already. All versions of a payment
// spend the same outpoints: two that share none could both confirm, and the payment would be made twice.
func (s *state) decideBitcoin(p Payment) (recorded bool, reason Reason, detail string) {
	if void, ok := s.released[p.ID]; ok {
		return false, ReasonReleased, fmt.Sprintf("it was voided in block %s at height %s", void.Hash.Short(), void.Height)
	}
	before, known := s.payments[p.ID]
	txid, recorded := before.versions[p.Version]
	if recorded && txid != p.TxID {
		return false, ReasonVersionTaken, fmt.Sprintf("version %d is transaction %s", p.Version, txid)
	}
	if n := len(before.outpoints); known && n != len(p.Outpoints) {
		return false, ReasonInputsDiffer, fmt.Sprintf("it spends %d outpoints and its recorded version %d", len(p.Outpoints), n)
	}
	for _, o := range p.Outpoints {
		owner, taken := s.outpoints[o]
		if taken && owner != p.ID {
			return false, ReasonOutpointTaken, fmt.Sprintf("outpoint %s was signed for payment %s", o, owner)
		}
		if known && !taken {
			return false, ReasonInputsDiffer, fmt.Sprintf("outpoint %s is not one of its recorded version", o)
		}
	}
	return recorded, "", ""
}

func (s *state) floor(id signer.KeyID) signer.Floor {
	return signer.Floor{Key: id, Slot: s.mark.Slot, Height: s.mark.Height}
}
