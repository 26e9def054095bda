package network_test

import (
	"errors"
	"testing"

	"github.com/alys-node/alys/core/network"
	"github.com/alys-node/alys/sdk/chain"
)

// The rules of EIP-2124, each case named after what the peer is.
func TestForkIDs(t *testing.T) {
	genesis := chain.Hash{1}
	schedule := func(changes ...network.Change) network.Schedule {
		return network.Schedule{Axis: "height", Changes: changes}
	}
	at := func(h uint64, content byte) network.Change { return network.Change{At: h, Digest: chain.Hash{content}} }
	ours := schedule(at(100, 1), at(200, 2), at(300, 3))
	for _, test := range []struct {
		name    string
		at      uint64 // where we are
		theirs  network.Schedule
		theirAt uint64
		want    error
	}{
		{"at the same place", 150, ours, 150, nil},
		{"at the same stage", 110, ours, 190, nil},
		{"before the first change, as we", 5, ours, 99, nil},
		{"behind, and knows what comes", 250, ours, 150, nil},
		{"behind by two changes", 350, ours, 50, nil},
		{"ahead on our schedule", 50, ours, 350, nil},
		{"one that announces a change that we do not know, far away", 150, schedule(at(100, 1), at(500, 9)), 150, nil},
		{"one that does not know our next change, which is ahead", 150, schedule(at(100, 1)), 150, nil},
		{"behind without the change that we are past", 250, schedule(at(100, 1)), 150, network.ErrPeerOutdated},
		{"behind with another next change", 250, schedule(at(100, 1), at(210, 2)), 150, network.ErrPeerOutdated},
		{"one that knows a change that should be behind us", 250, schedule(at(100, 1), at(200, 2), at(240, 9)), 230, network.ErrWeOutdated},
		{"past a change that we do not know", 150, schedule(at(100, 1), at(120, 9)), 130, network.ErrOtherSchedule},
		{"past a change of another content", 150, schedule(at(100, 9)), 150, network.ErrOtherSchedule},
		{"past a change at another place", 150, schedule(at(101, 1)), 150, network.ErrOtherSchedule},
		{"of another axis", 150, network.Schedule{Axis: "slot", Changes: ours.Changes}, 150, network.ErrOtherSchedule},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := ours.Check(genesis, test.at, test.theirs.ID(genesis, test.theirAt)); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if err := ours.Check(genesis, 1, ours.ID(chain.Hash{2}, 1)); !errors.Is(err, network.ErrOtherSchedule) {
		t.Errorf("another genesis: %v", err)
	}
	if got := ours.ID(genesis, 100).Next; got != 200 {
		t.Errorf("a change holds from its height on: the next is %d", got)
	}
	if got := ours.ID(genesis, 300).Next; got != 0 {
		t.Errorf("after the last change the next is %d", got)
	}
}

// The golden value: a node in another language can be checked against it.
func TestForkIDIsStable(t *testing.T) {
	s := network.Schedule{Axis: "slot", Changes: []network.Change{{At: 7, Digest: chain.Hash{1, 2, 3}}}}
	if got, want := s.ID(chain.Hash{9}, 8).String(), "56157275f218afb8/0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
