package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/alys-node/alys/sdk/chain"
)

// MaxTransactionBytes is the longest pending transaction (geth's pool takes 128 KiB).
const MaxTransactionBytes = 128 << 10

// PendingTx is a wallet's transaction that waits for a block.
type PendingTx struct {
	Hash chain.Hash // the transaction's hash
	Raw  []byte     // EIP-2718 envelope
}

// pendingSet is what is known in memory of the pending transactions: their order and sizes.
type pendingSet struct {
	mu    sync.Mutex // guards all below, and the order of writes
	next  uint64
	first uint64 // no entry is below
	seq   map[chain.Hash]uint64
	at    map[uint64]pendingEntry
	bytes int
}

type pendingEntry struct {
	hash chain.Hash
	size int
}

func (p *pendingSet) add(seq uint64, e pendingEntry) {
	p.seq[e.hash], p.at[seq] = seq, e
	p.bytes += e.size
	p.next = max(p.next, seq+1)
}

func (p *pendingSet) remove(seq uint64) {
	e := p.at[seq]
	delete(p.at, seq)
	delete(p.seq, e.hash)
	p.bytes -= e.size
}

// loadPending reads the order and sizes at the start.
func (s *Store) loadPending() error {
	s.pending.seq, s.pending.at = map[chain.Hash]uint64{}, map[uint64]pendingEntry{}
	err := s.each([]byte{prefixPending}, func(key, content []byte) error {
		seq, tx, err := decodePending(key, content)
		if err != nil {
			return err
		}
		s.pending.add(seq, pendingEntry{tx.Hash, len(tx.Raw)})
		return nil
	})
	s.pending.first = s.pending.oldest()
	return err
}

func (p *pendingSet) oldest() uint64 {
	first := p.next
	for seq := range p.at {
		first = min(first, seq)
	}
	return first
}

func decodePending(key, content []byte) (uint64, PendingTx, error) {
	if len(key) != 1+8 || len(content) < len(chain.Hash{}) {
		return 0, PendingTx{}, corrupt(key, "entry of %d bytes", len(content))
	}
	raw := append([]byte{}, content[32:]...)
	return binary.BigEndian.Uint64(key[1:]), PendingTx{Hash: chain.Hash(content[:32]), Raw: raw}, nil
}

// AddPending keeps transactions, in their order, after those that are kept, and returns those that are new. One that is
// kept already stays where it is. Above the limits of Options the oldest are dropped.
func (s *Store) AddPending(txs ...PendingTx) ([]PendingTx, error) {
	for _, tx := range txs {
		if len(tx.Raw) > MaxTransactionBytes {
			return nil, fmt.Errorf("transaction %s of %d bytes: %w", tx.Hash, len(tx.Raw), ErrTooLarge)
		}
	}
	p := &s.pending
	p.mu.Lock()
	defer p.mu.Unlock()
	added := map[uint64]pendingEntry{}
	fresh := map[chain.Hash]bool{}
	next, size := p.next, p.bytes
	var drop []uint64
	var news []PendingTx
	err := s.update(func(w writes) error {
		for _, tx := range txs {
			if _, known := p.seq[tx.Hash]; known || fresh[tx.Hash] {
				continue
			}
			if err := w.put(uintKey(prefixPending, next), append(tx.Hash[:], tx.Raw...)); err != nil {
				return err
			}
			added[next], fresh[tx.Hash] = pendingEntry{tx.Hash, len(tx.Raw)}, true
			news = append(news, tx)
			size += len(tx.Raw)
			next++
		}
		var err error
		drop, err = s.evict(w, len(p.at)+len(added), size)
		return err
	})
	if err != nil {
		return nil, err
	}
	for seq := p.next; seq < next; seq++ {
		p.add(seq, added[seq])
	}
	p.next = next
	for _, seq := range drop {
		p.remove(seq)
		p.first = seq + 1
	}
	return news, nil
}

// evict deletes the oldest kept transactions until count and size are within the limits, and lists their sequences.
func (s *Store) evict(w writes, count, size int) ([]uint64, error) {
	var drop []uint64
	p := &s.pending
	for seq := p.first; seq < p.next && (count > s.opts.MaxPending || size > s.opts.MaxPendingBytes); seq++ {
		e, ok := p.at[seq]
		if !ok {
			continue
		}
		if err := w.del(uintKey(prefixPending, seq)); err != nil {
			return nil, err
		}
		drop = append(drop, seq)
		count--
		size -= e.size
	}
	return drop, nil
}

// DropPending forgets transactions by hash: they are in a block, or can never be.
func (s *Store) DropPending(hashes ...chain.Hash) error {
	p := &s.pending
	p.mu.Lock()
	defer p.mu.Unlock()
	var drop []uint64
	err := s.update(func(w writes) error {
		var errs []error
		for _, h := range hashes {
			if seq, ok := p.seq[h]; ok {
				drop = append(drop, seq)
				errs = append(errs, w.del(uintKey(prefixPending, seq)))
			}
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return err
	}
	for _, seq := range drop {
		p.remove(seq)
	}
	if len(p.at) == 0 {
		p.first = p.next
	}
	return nil
}

// Pending lists the kept transactions, oldest first.
func (s *Store) Pending() ([]PendingTx, error) {
	var out []PendingTx
	err := s.each([]byte{prefixPending}, func(key, content []byte) error {
		_, tx, err := decodePending(key, content)
		out = append(out, tx)
		return err
	})
	return out, err
}

// PendingCount is the number of kept transactions and their bytes together.
func (s *Store) PendingCount() (count, bytes int) {
	s.pending.mu.Lock()
	defer s.pending.mu.Unlock()
	return len(s.pending.at), s.pending.bytes
}
