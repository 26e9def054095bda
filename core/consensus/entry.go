package consensus

import (
	"bytes"
	"slices"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
)

// entry is what is known of one block above (or at) the safe one. A header alone comes from approvals and certificates.
type entry struct {
	hash      chain.Hash
	header    chain.Header
	from      Peer
	body      bool     // parentQC is known and verified, and the driver has the block
	parentQC  block.QC //
	qc        *block.QC
	approvals map[int]chain.BLSSignature // verified, by authority index
	author    int                        // index of the slot's author
	verdict   Verdict
	judging   bool            // a Judge is under way
	retry     chain.UnixMilli // when to ask again after VerdictUnknown; 0 when there is nothing to ask
	ours      bool            // one of our keys approved it, or is about to
}

func (e *entry) ref() chain.Ref { return chain.Ref{Height: e.header.Height, Hash: e.hash} }

// certificate of a notarized entry.
func (e *entry) certificate() Certificate { return Certificate{Header: e.header, QC: *e.qc} }

// better is the order of tips: height, then slot, then the lower hash.
func (e *entry) better(than *entry) bool {
	a, b := e.header, than.header
	switch {
	case a.Height != b.Height:
		return a.Height > b.Height
	case a.Slot != b.Slot:
		return a.Slot > b.Slot
	}
	return bytes.Compare(e.hash[:], than.hash[:]) < 0
}

// add makes an entry for a header whose set is known, and takes the certificates that known children carry for it.
func (m *Machine) add(h chain.Header, hash chain.Hash, author int, from Peer) *entry {
	e := &entry{hash: hash, header: h, author: author, from: from, approvals: map[int]chain.BLSSignature{}}
	m.entries[hash] = e
	for _, c := range slices.Clone(m.children[hash]) {
		if m.entries[c.hash] != c {
			continue
		}
		if c.header.Height != h.Height+1 || c.header.Slot <= h.Slot {
			m.condemn(c)
			continue
		}
		m.certify(e, c.parentQC, c.from)
	}
	return e
}

// attach gives an entry its body, whose parentQC is verified.
func (m *Machine) attach(e *entry, qc block.QC, from Peer) {
	e.body, e.parentQC, e.from = true, qc, from
	m.children[e.header.Parent] = append(m.children[e.header.Parent], e)
	m.bySlot[e.header.Slot] = append(m.bySlot[e.header.Slot], e)
	delete(m.wants, e.hash)
}

// remove forgets an entry.
func (m *Machine) remove(e *entry) {
	delete(m.entries, e.hash)
	delete(m.wants, e.hash)
	if !e.body {
		return
	}
	without(m.children, e.header.Parent, e)
	without(m.bySlot, e.header.Slot, e)
}

// discard forgets an entry that is not part of the chain, and everything that was built on it.
func (m *Machine) discard(e *entry) {
	if m.entries[e.hash] != e {
		return
	}
	if e.qc != nil {
		m.halt("notarized block %s at height %d is not on the safe chain", e.hash, e.header.Height)
		return
	}
	m.remove(e)
	if e.body {
		m.emit(Drop{Hash: e.hash, Delete: true})
	}
	for _, c := range slices.Clone(m.children[e.hash]) {
		m.discard(c)
	}
}

// condemn marks a block as invalid and drops its body. What was built on it is discarded. The entry stays, so that the
// block is not judged again.
func (m *Machine) condemn(e *entry) {
	e.verdict, e.judging, e.retry = VerdictInvalid, false, 0
	if e.qc != nil {
		m.halt("block %s at height %d is notarized, and invalid for us", e.hash, e.header.Height)
		return
	}
	m.emit(Drop{Hash: e.hash, Delete: true})
	if e.from != "" {
		m.refuse(e.from, e.hash, ReasonInvalid)
	}
	for _, c := range slices.Clone(m.children[e.hash]) {
		m.discard(c)
	}
}

func without[K comparable](index map[K][]*entry, k K, e *entry) {
	rest := slices.DeleteFunc(index[k], func(x *entry) bool { return x == e })
	if len(rest) == 0 {
		delete(index, k)
		return
	}
	index[k] = rest
}

// sorted gives entries in ascending order of height, slot and hash, so that effects do not depend on map order.
func sorted(entries map[chain.Hash]*entry) []*entry {
	list := make([]*entry, 0, len(entries))
	for _, e := range entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *entry) int {
		switch {
		case a == b:
			return 0
		case b.better(a):
			return -1
		}
		return 1
	})
	return list
}
