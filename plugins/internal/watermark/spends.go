package watermark

import (
	"fmt"

	"github.com/alys-node/alys/sdk/chain"
)

// spends is the file of all Bitcoin outpoints.
type spends struct {
	book
	owner  map[string]chain.Hash   // outpoint → payment
	inputs map[chain.Hash]int      // payment → number of outpoints
	seen   map[chain.Hash]struct{} // transactions that are recorded
}

func newSpends(path string, head line) *spends {
	return &spends{
		book: book{path: path, first: head}, owner: map[string]chain.Hash{}, inputs: map[chain.Hash]int{},
		seen: map[chain.Hash]struct{}{},
	}
}

func (s *spends) open() (cut int, err error) { return s.book.open(s.apply) }

func (s *spends) apply(l line) error {
	if l.Kind != kindSpend || l.Payment == nil || l.TxID == nil || len(l.Outpoint) == 0 {
		return fmt.Errorf("a record of kind %q: %w", l.Kind, ErrCorrupt)
	}
	for _, o := range l.Outpoint {
		s.owner[o] = *l.Payment
	}
	s.inputs[*l.Payment] = len(l.Outpoint)
	s.seen[*l.TxID] = struct{}{}
	return nil
}

func (s *spends) add(p Spend) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, known := s.inputs[p.Payment]
	if known && n != len(p.Outpoints) {
		return refuse("payment %s has %d inputs, this version of it %d", p.Payment.Short(), n, len(p.Outpoints))
	}
	for _, o := range p.Outpoints {
		owner, taken := s.owner[o]
		if taken && owner != p.Payment {
			return refuse("outpoint %s was signed for payment %s", o, owner.Short())
		}
		if known && !taken {
			return refuse("outpoint %s is no input of payment %s as it was signed", o, p.Payment.Short())
		}
	}
	if _, ok := s.seen[p.TxID]; ok && known {
		return nil
	}
	l := line{Kind: kindSpend, Payment: &p.Payment, TxID: &p.TxID, Outpoint: p.Outpoints}
	if err := s.write(l); err != nil {
		return err
	}
	return s.apply(l)
}
