package spec

import (
	"sort"

	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
)

// Script kinds of the federation's deposit script.
const (
	ScriptTaproot = "taproot"
	ScriptP2WSH   = "p2wsh"
)

// AuthoritySet is who authors, approves, is paid and holds the reserve in a range of heights.
type AuthoritySet struct {
	From        chain.Height             // first height under the set
	Keys        []chain.BLSPublicKey     // by authority index
	Possessions []chain.BLSSignature     // proof of possession of each key, checked
	Fees        []chain.Address          // share the federation's part of fees, in order
	BitcoinKeys []chain.BitcoinPublicKey // of the deposit script, in script order
	Threshold   uint32                   // of the deposit script
	ScriptKind  string                   // ScriptTaproot or ScriptP2WSH

	turn uint64
}

// Quorum is the number of approvals that notarizes a block: ceil(2n/3).
func (a *AuthoritySet) Quorum() int { return (2*len(a.Keys) + 2) / 3 }

// Author is the index of the slot's author: floor(slot / turn) mod n.
func (a *AuthoritySet) Author(s chain.Slot) int {
	return int(uint64(s) / a.turn % uint64(len(a.Keys)))
}

// Index is the place of a key in the set.
func (a *AuthoritySet) Index(k chain.BLSPublicKey) (int, bool) {
	for i := range a.Keys {
		if a.Keys[i] == k {
			return i, true
		}
	}
	return 0, false
}

// Set is the authority set of a height, as the spec schedules it.
func (s *Spec) Set(h chain.Height) *AuthoritySet {
	i := sort.Search(len(s.Authorities), func(i int) bool { return s.Authorities[i].From > h })
	return s.Authorities[i-1]
}

// Agreement is the spec as consensus reads it: sets as the spec schedules them, without carried updates.
func (s *Spec) Agreement() consensus.Schedule { return agreement{s} }

type agreement struct{ spec *Spec }

func (a agreement) SlotAt(t chain.UnixMilli) chain.Slot    { return a.spec.SlotAt(t) }
func (a agreement) SlotStart(s chain.Slot) chain.UnixMilli { return a.spec.SlotStart(s) }

func (a agreement) Set(h chain.Height) (consensus.Set, bool) {
	set := a.spec.Set(h)
	return consensus.Set{From: set.From, Keys: set.Keys}, true
}

func (a agreement) Author(s chain.Slot, h chain.Height) (int, bool) {
	return a.spec.Set(h).Author(s), true
}
