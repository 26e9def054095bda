package spec

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

// MaxBytes is the largest spec file that is read.
const MaxBytes = 64 << 20

// defaultTurn is how many slots in a row an author has: with two, one dead author never breaks the runs of three blocks
// that make blocks safe.
const defaultTurn = 2

// Parse reads and checks a spec file. Every refusal is ErrInvalid; an *InvalidError lists all problems.
func Parse(data []byte) (*Spec, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrInvalid, len(data), MaxBytes)
	}
	var p problems
	root, err := readTree(data, &p)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var f file
	d := decoder{problems: &p, lines: map[string]int{}}
	d.decode(root, "", reflect.ValueOf(&f).Elem())
	if err := p.err(); err != nil {
		return nil, err
	}
	return build(f, d.lines)
}

// Encode writes the spec as a file that Parse reads back to the same spec.
func (s *Spec) Encode() []byte {
	b, err := json.MarshalIndent(s.file(), "", "  ")
	if err != nil {
		panic(fmt.Sprintf("encode a checked spec: %v", err)) // every value came from JSON or can be written as JSON
	}
	return append(b, '\n')
}

// build turns a well-formed file into a spec and checks it.
func build(f file, lines map[string]int) (*Spec, error) {
	s := &Spec{
		Name: f.Name, ChainID: f.ChainID, AuxChainID: f.AuxChainID, Dev: f.Dev, Turn: defaultTurn, GasLimit: f.GasLimit,
		MaxBlocksWithoutPoW: f.MaxBlocksWithoutPoW, Margin: f.Margin,
		PoW: PoW{
			Bits: f.PoW.Bits, EasiestBits: f.PoW.EasiestBits, HardestBits: f.PoW.HardestBits,
			Ideal: milliseconds(f.PoW.IdealMS), HalfLife: milliseconds(f.PoW.HalfLifeMS), NoRetarget: f.PoW.NoRetarget,
		},
		genesisJSON: f.ExecutionGenesis,
	}
	if f.Turn != nil {
		s.Turn = *f.Turn
	}
	for _, e := range f.Slots {
		s.Slots = append(s.Slots, SlotEntry{From: e.FromSlot, Duration: milliseconds(e.MS)})
	}
	for _, e := range f.Authorities {
		s.Authorities = append(s.Authorities, e.set(s.Turn))
	}
	if f.Peg != nil {
		s.Peg = new(Peg(*f.Peg))
	}
	if f.Governance != nil {
		s.Governance = Governance(*f.Governance)
	}
	c := checker{spec: s, lines: lines}
	c.check()
	return s, c.problems.err()
}

func (e fileSet) set(turn uint64) *AuthoritySet {
	a := &AuthoritySet{
		From: e.FromHeight, turn: turn, Fees: e.Federation.FeeAddresses, BitcoinKeys: e.Federation.BitcoinKeys,
		Threshold: e.Federation.Threshold, ScriptKind: e.Federation.Script,
	}
	for _, m := range e.Members {
		a.Keys = append(a.Keys, m.Key)
		a.Possessions = append(a.Possessions, m.Possession)
	}
	return a
}

// file is the inverse of build.
func (s *Spec) file() file {
	f := file{
		Name: s.Name, ChainID: s.ChainID, AuxChainID: s.AuxChainID, Dev: s.Dev, Turn: &s.Turn, GasLimit: s.GasLimit,
		MaxBlocksWithoutPoW: s.MaxBlocksWithoutPoW, Margin: s.Margin,
		PoW: filePoW{
			Bits: s.PoW.Bits, EasiestBits: s.PoW.EasiestBits, HardestBits: s.PoW.HardestBits,
			IdealMS: inMilliseconds(s.PoW.Ideal), HalfLifeMS: inMilliseconds(s.PoW.HalfLife), NoRetarget: s.PoW.NoRetarget,
		},
		ExecutionGenesis: s.genesisJSON,
	}
	for _, e := range s.Slots {
		f.Slots = append(f.Slots, fileSlots{FromSlot: e.From, MS: inMilliseconds(e.Duration)})
	}
	for _, a := range s.Authorities {
		f.Authorities = append(f.Authorities, a.file())
	}
	if s.Peg != nil {
		f.Peg = new(filePeg(*s.Peg))
	}
	if len(s.Governance.Keys) > 0 {
		f.Governance = new(fileGovernance(s.Governance))
	}
	return f
}

func (a *AuthoritySet) file() fileSet {
	e := fileSet{FromHeight: a.From, Federation: fileFederation{
		BitcoinKeys: a.BitcoinKeys, Threshold: a.Threshold, Script: a.ScriptKind, FeeAddresses: a.Fees,
	}}
	for i, k := range a.Keys {
		e.Members = append(e.Members, fileMember{Key: k, Possession: a.Possessions[i]})
	}
	return e
}

// maxMilliseconds bounds the durations of a file: a week. It keeps every sum within its type.
const maxMilliseconds = 7 * 24 * 3600 * 1000

// milliseconds converts; a number above the bound becomes one that every check refuses.
func milliseconds(ms uint64) time.Duration {
	return time.Duration(min(ms, maxMilliseconds+1)) * time.Millisecond
}

func inMilliseconds(d time.Duration) uint64 { return uint64(d.Milliseconds()) }
