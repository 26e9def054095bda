package chain

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/big"

	"github.com/alys-node/alys/sdk/chain"
)

// Table is a keyed part of the state: keys and values are bytes that its rules define. Absent and empty are the same.
type Table map[string][]byte

// State is what follows from a block and all its ancestors. It is a value: two nodes with the same block have the same
// State and the same canonical bytes. Nobody changes one in place.
type State struct {
	Covered        chain.Ref // end of the last range that a proof covers, in this block and its ancestors; genesis at first
	NextWithdrawal uint64    // index of the next withdrawal
	// Fees are the tips, in wei, that wait for the next proof to be paid out, with what an earlier payment's rounding left.
	Fees chain.Wei
	// Minted is the sum of all withdrawals, Burnt that of all tips, base fees and bridged-out amounts, in wei. The sum
	// lacks genesis balances, which only a dev chain has.
	Minted, Burnt chain.Wei
	Federation    uint64 // serial of the last carried federation update; 0: the spec's own schedule

	// The peg's tables: payout requests in order, the federation's Bitcoin outputs, credited deposits, unsettled
	// payments. Empty while a chain's blocks carry no peg parts.
	Requests, Outputs, Deposits, Payments Table
}

// Supply is Minted minus Burnt, in wei; below zero when genesis balances were spent on fees.
func (s State) Supply() *big.Int { return new(big.Int).Sub(s.Minted.Big(), s.Burnt.Big()) }

// genesisState is the state of a chain that has nothing but its genesis.
func genesisState(genesis chain.Ref) State { return State{Covered: genesis} }

// The tags of a state's entries: the first byte of an entry's key. They are on disk: never renumber.
const (
	tagCovered byte = iota + 1
	tagNextWithdrawal
	tagFees
	tagMinted
	tagBurnt
	tagFederation
)

const (
	tagRequests byte = iota + 0x80
	tagOutputs
	tagDeposits
	tagPayments
)

// entry is one part of a state. Zero values have no entry, so that a part that a later version adds changes no bytes of
// earlier states.
type entry struct {
	Key, Value []byte
}

// entries are the state's parts in key order: the canonical form.
func (s State) entries() []entry {
	var out []entry
	add := func(tag byte, key string, value []byte) {
		if len(value) > 0 {
			out = append(out, entry{append([]byte{tag}, key...), value})
		}
	}
	if s.Covered != (chain.Ref{}) {
		add(tagCovered, "", append(binary.BigEndian.AppendUint64(nil, uint64(s.Covered.Height)), s.Covered.Hash[:]...))
	}
	add(tagNextWithdrawal, "", minimal(s.NextWithdrawal))
	add(tagFees, "", bytes.TrimLeft(s.Fees[:], "\x00"))
	add(tagMinted, "", bytes.TrimLeft(s.Minted[:], "\x00"))
	add(tagBurnt, "", bytes.TrimLeft(s.Burnt[:], "\x00"))
	add(tagFederation, "", minimal(s.Federation))
	for _, t := range s.tables() {
		for _, key := range sortedKeys(*t.table) {
			add(t.tag, key, (*t.table)[key])
		}
	}
	return out
}

type taggedTable struct {
	tag   byte
	table *Table
}

func (s *State) tables() []taggedTable {
	return []taggedTable{
		{tagRequests, &s.Requests}, {tagOutputs, &s.Outputs}, {tagDeposits, &s.Deposits}, {tagPayments, &s.Payments},
	}
}

// minimal is a number in big-endian bytes without leading zeros; nothing for 0.
func minimal(v uint64) []byte {
	return bytes.TrimLeft(binary.BigEndian.AppendUint64(nil, v), "\x00")
}

// set puts one entry into the state; an empty value takes it out.
func (s *State) set(e entry) error {
	if len(e.Key) == 0 {
		return fmt.Errorf("state entry without a key: %w", ErrInconsistent)
	}
	for _, t := range s.tables() {
		if e.Key[0] == t.tag {
			t.table.put(string(e.Key[1:]), e.Value)
			return nil
		}
	}
	if len(e.Key) != 1 {
		return fmt.Errorf("state entry %x: %w", e.Key, ErrInconsistent)
	}
	return s.setScalar(e.Key[0], e.Value)
}

func (t *Table) put(key string, value []byte) {
	if len(value) == 0 {
		delete(*t, key)
		if len(*t) == 0 {
			*t = nil
		}
		return
	}
	if *t == nil {
		*t = Table{}
	}
	(*t)[key] = value
}

func (s *State) setScalar(tag byte, value []byte) (err error) {
	switch tag {
	case tagCovered:
		if len(value) == 0 {
			s.Covered = chain.Ref{}
			return nil
		}
		if len(value) != 40 {
			return fmt.Errorf("covered block of %d bytes: %w", len(value), ErrInconsistent)
		}
		s.Covered = chain.Ref{Height: chain.Height(binary.BigEndian.Uint64(value)), Hash: chain.Hash(value[8:])}
	case tagNextWithdrawal:
		s.NextWithdrawal, err = number(value)
	case tagFees:
		s.Fees, err = amount(value)
	case tagMinted:
		s.Minted, err = amount(value)
	case tagBurnt:
		s.Burnt, err = amount(value)
	case tagFederation:
		s.Federation, err = number(value)
	default:
		return fmt.Errorf("state entry %d is of a newer alys: %w", tag, ErrInconsistent)
	}
	return err
}

func number(value []byte) (uint64, error) {
	if len(value) > 8 || len(value) > 0 && value[0] == 0 {
		return 0, fmt.Errorf("number %x: %w", value, ErrInconsistent)
	}
	var b [8]byte
	copy(b[8-len(value):], value)
	return binary.BigEndian.Uint64(b[:]), nil
}

func amount(value []byte) (chain.Wei, error) {
	var w chain.Wei
	if len(value) > len(w) || len(value) > 0 && value[0] == 0 {
		return w, fmt.Errorf("amount %x: %w", value, ErrInconsistent)
	}
	copy(w[len(w)-len(value):], value)
	return w, nil
}

// clone is a copy that may be changed.
func (s State) clone() State {
	for _, t := range s.tables() {
		*t.table = maps.Clone(*t.table)
	}
	return s
}
