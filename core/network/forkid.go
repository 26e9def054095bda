package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

	"github.com/alys-node/alys/sdk/chain"
)

// Errors of comparing fork ids.
var (
	// ErrPeerOutdated means that the peer does not know a change of the schedule that we are past.
	ErrPeerOutdated = errors.New("the peer does not know a change of the schedule that has taken effect")
	// ErrOtherSchedule means that the peer follows another schedule.
	ErrOtherSchedule = errors.New("the peer follows another schedule")
	// ErrWeOutdated means that the peer is past a change of the schedule that we do not know.
	ErrWeOutdated = errors.New("the peer is past a change of the schedule that this node does not know: is a newer chain spec out?")
)

// Change is one entry of a schedule: what takes effect from a height or a slot on. Digest is a hash of its content, so
// that two schedules that change at one place into different things differ.
type Change struct {
	At     uint64 // above 0: what holds from the start is part of the genesis hash
	Digest chain.Hash
}

// Schedule is the chain spec's changes along one axis, heights or slots, in ascending order without two at one place.
// Changes that blocks carry are not part of it: a node that has not seen those blocks cannot know them. They are
// announced in Status.Coming.
type Schedule struct {
	Axis    string // "height" or "slot": the two never look alike. Open sets it
	Changes []Change
}

// ForkID tells which changes a node is past and where the next one that it knows is (EIP-2124, with the content of each
// change in the hash).
type ForkID struct {
	Hash [8]byte
	Next uint64 // 0: none is known
}

// String is the hash in hex and the next change.
func (f ForkID) String() string { return fmt.Sprintf("%x/%d", f.Hash, f.Next) }

// ID is the fork id at a place.
func (s Schedule) ID(genesis chain.Hash, at uint64) ForkID {
	passed := s.passed(at)
	return ForkID{Hash: s.hash(genesis, passed), Next: s.next(passed)}
}

// passed counts the changes that hold at a place.
func (s Schedule) passed(at uint64) int {
	return sort.Search(len(s.Changes), func(i int) bool { return s.Changes[i].At > at })
}

func (s Schedule) next(passed int) uint64 {
	if passed == len(s.Changes) {
		return 0
	}
	return s.Changes[passed].At
}

func (s Schedule) hash(genesis chain.Hash, passed int) [8]byte {
	b := make([]byte, 0, len(genesis)+passed*40)
	b = append(b, genesis[:]...)
	for _, c := range s.Changes[:passed] {
		b = binary.BigEndian.AppendUint64(b, c.At)
		b = append(b, c.Digest[:]...)
	}
	sum := chain.TaggedHash("alys/fork/"+s.Axis+"/1", b)
	return [8]byte(sum[:8])
}

// Check compares a peer's fork id with our schedule, seen from our place on the axis, by the rules of EIP-2124. It
// returns nil, ErrPeerOutdated, ErrWeOutdated or ErrOtherSchedule.
func (s Schedule) Check(genesis chain.Hash, at uint64, remote ForkID) error {
	ours := s.passed(at)
	for n := 0; n <= len(s.Changes); n++ {
		if s.hash(genesis, n) != remote.Hash {
			continue
		}
		switch {
		case n == ours:
			// Both are at the same stage. What the peer announces next must not be behind us.
			if remote.Next != 0 && remote.Next <= at {
				return fmt.Errorf("%w: it knows one at %s %d", ErrWeOutdated, s.Axis, remote.Next)
			}
			return nil
		case n < ours:
			// The peer is behind. It must know the change that follows for it.
			if remote.Next != s.Changes[n].At {
				return fmt.Errorf("%w, at %s %d", ErrPeerOutdated, s.Axis, s.Changes[n].At)
			}
			return nil
		default:
			return nil // the peer is ahead on our own schedule
		}
	}
	return fmt.Errorf("%w of %ss (fork id %s, ours is %s)", ErrOtherSchedule, s.Axis, remote, s.ID(genesis, at))
}

// check says what is wrong with a schedule that the caller gave.
func (s Schedule) check() error {
	before := uint64(0)
	for i, c := range s.Changes {
		if c.At <= before {
			return fmt.Errorf("schedule by %s: change %d at %d is not above %d", s.Axis, i, c.At, before)
		}
		before = c.At
	}
	return nil
}
