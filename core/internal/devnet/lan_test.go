package devnet_test

import (
	"testing"
	"time"

	"github.com/alys-node/alys/core/internal/devnet"
	"github.com/alys-node/alys/sdk/chain"
)

// TestEndToEndLAN runs four authorities on machines of their own as far as the network goes: calm, with 200 ± 100 ms and 5 %
// loss each way, cut in halves, and with one alone. It tells blocks per slot and how soon after healing the chain goes on.
// What must hold in any case: no half has a quorum, three of four go on and become safe, who was alone catches up, and at
// the end one chain is safe everywhere.
func TestEndToEndLAN(t *testing.T) {
	if *lan == 0 {
		t.Skip("run with -devnet.lan 1m, as root: it makes network namespaces")
	}
	nodes := devnet.NewFederation(t, binaries, 4)
	l := devnet.NewLAN(t, nodes)
	for _, n := range nodes {
		n.Launch()
	}
	height(t, time.Minute, 2, 1, nodes...)

	measure := func(state string, n *devnet.Node) (blocks, safe chain.Height) {
		t.Helper()
		sent, lost := l.Packets()
		before := n.Status()
		rest(t, *lan)
		after := n.Status()
		nowSent, nowLost := l.Packets()
		blocks, safe = after.Head.Height-before.Head.Height, after.Safe.Height-before.Safe.Height
		t.Logf("%s: %d blocks, %d of them safe, in %d slots (%.2f blocks a slot); %d packets, %d lost",
			state, blocks, safe, after.Slot-before.Slot, float64(blocks)/float64(after.Slot-before.Slot), nowSent-sent, nowLost-lost)
		return blocks, safe
	}
	healed := func(state string, at chain.Height) {
		t.Helper()
		start := time.Now()
		l.Heal()
		height(t, 2*time.Minute, at+1, 0, nodes...)
		t.Logf("after %s: all four were above height %d again within %s", state, at, time.Since(start).Round(10*time.Millisecond))
	}

	measure("calm", nodes[0])

	l.Shape(devnet.Link{Delay: 200 * time.Millisecond, Jitter: 100 * time.Millisecond, Loss: 0.05})
	if blocks, _ := measure("200 ± 100 ms and 5 % loss each way", nodes[0]); blocks == 0 {
		t.Error("a slow network made no block")
	}
	l.Shape(devnet.Link{})

	l.Partition(0, 0, 1, 1)
	rest(t, 4*time.Second) // what was on its way arrives
	for _, n := range []*devnet.Node{nodes[0], nodes[3]} {
		if blocks, _ := measure("two against two", n); blocks != 0 {
			t.Errorf("half of the federation made %d blocks", blocks)
		}
	}
	healed("two against two", top(nodes))

	l.Partition(0, 0, 0, 1)
	if blocks, safe := measure("three against one", nodes[0]); blocks == 0 || safe == 0 {
		t.Errorf("three of four made %d blocks, %d of them safe", blocks, safe)
	}
	if s := nodes[3].Status(); s.Head.Height >= nodes[0].Status().Head.Height {
		t.Errorf("the one that is alone is at height %d", s.Head.Height)
	}
	healed("three against one", top(nodes))

	oneChain(t, nodes)
}

// top is the highest head of all.
func top(nodes []*devnet.Node) (h chain.Height) {
	for _, n := range nodes {
		h = max(h, n.Status().Head.Height)
	}
	return h
}

// rest waits, unless the test ends first.
func rest(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal("the test ended")
	}
}
