package chain

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/alys-node/alys/sdk/chain"
)

// checkpointInterval is how many heights lie between two whole records of a branch: what reading a state replays at most.
const checkpointInterval = 64

// record is a state as it is stored with its block: whole, or as the difference against the parent's.
type record struct {
	Whole  bool
	Parent chain.Hash // the block whose state the changes apply to; zero in a whole record
	Digest chain.Hash // of the resulting state
	Set    []entry    // in key order; an empty value deletes
}

// Encode is the state's canonical encoding: its entries in key order, RLP.
func (s State) Encode() []byte { return mustEncode(s.entries()) }

// Digest is the hash of the canonical encoding.
func (s State) Digest() chain.Hash { return chain.TaggedHash("alys/state/1", s.Encode()) }

// DecodeState reads a canonical encoding and refuses every other spelling.
func DecodeState(raw []byte) (State, error) {
	var list []entry
	if err := rlp.DecodeBytes(raw, &list); err != nil {
		return State{}, fmt.Errorf("decode state: %w", err)
	}
	var s State
	if err := s.apply(list); err != nil {
		return State{}, fmt.Errorf("decode state: %w", err)
	}
	if !bytes.Equal(s.Encode(), raw) {
		return State{}, fmt.Errorf("decode state: not canonical: %w", ErrInconsistent)
	}
	return s, nil
}

// apply sets entries, which must be in strictly ascending key order.
func (s *State) apply(list []entry) error {
	for i, e := range list {
		if i > 0 && bytes.Compare(list[i-1].Key, e.Key) >= 0 {
			return fmt.Errorf("state entries out of order: %w", ErrInconsistent)
		}
		if err := s.set(e); err != nil {
			return err
		}
	}
	return nil
}

// diff lists the changes that make to out of from.
func diff(from, to State) []entry {
	old := map[string][]byte{}
	for _, e := range from.entries() {
		old[string(e.Key)] = e.Value
	}
	var out []entry
	for _, e := range to.entries() {
		if !bytes.Equal(old[string(e.Key)], e.Value) {
			out = append(out, e)
		}
		delete(old, string(e.Key))
	}
	for key := range old {
		out = append(out, entry{Key: []byte(key)})
	}
	slices.SortFunc(out, func(a, b entry) int { return bytes.Compare(a.Key, b.Key) })
	return out
}

// newRecord is what is stored of a state with the block that has header h; parent is the state of its parent.
func newRecord(h chain.Header, parent, s State) record {
	if h.Height%checkpointInterval == 0 {
		return record{Whole: true, Digest: s.Digest(), Set: s.entries()}
	}
	return record{Parent: h.Parent, Digest: s.Digest(), Set: diff(parent, s)}
}

func (r record) encode() []byte { return mustEncode(r) }

func decodeRecord(raw []byte) (record, error) {
	var r record
	if err := rlp.DecodeBytes(raw, &r); err != nil {
		return record{}, fmt.Errorf("decode state record: %w", err)
	}
	if r.Whole != r.Parent.IsZero() {
		return record{}, fmt.Errorf("state record is whole and has a parent, or neither: %w", ErrInconsistent)
	}
	return r, nil
}

// resolve makes the state of a record; base is the parent's, and is not changed.
func (r record) resolve(base State) (State, error) {
	s := State{}
	if !r.Whole {
		s = base.clone()
	}
	if err := s.apply(r.Set); err != nil {
		return State{}, err
	}
	if got := s.Digest(); got != r.Digest {
		return State{}, fmt.Errorf("state has digest %s, its record says %s: %w", got, r.Digest, ErrInconsistent)
	}
	return s, nil
}

func sortedKeys(t Table) []string { return slices.Sorted(maps.Keys(t)) }

// mustEncode encodes a value of this package's own types, for which RLP cannot fail: a failure is a broken invariant.
func mustEncode(v any) []byte {
	raw, err := rlp.EncodeToBytes(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return raw
}
