package devnet_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/alys-node/alys/core/internal/devnet"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/chain"
)

// height waits until nodes that run have a head and a safe block of at least so much.
func height(t *testing.T, limit time.Duration, head, safe chain.Height, nodes ...*devnet.Node) {
	t.Helper()
	for _, n := range nodes {
		n.Until("the chain grows", limit, func() bool {
			s, ok := n.TryStatus()
			return ok && s.Head.Height >= head && s.Safe.Height >= safe
		})
	}
}

// minedByEach sends transactions to one node, each when the one before is mined, until every authority has mined one.
func minedByEach(t *testing.T, n *devnet.Node, authorities int) {
	t.Helper()
	s, ok := spec.BuiltIn(fmt.Sprintf("dev-%d", authorities))
	if !ok {
		t.Fatal("no such chain")
	}
	w := newWallet(t, n)
	by := map[int]int{}
	for range 20 * authorities {
		r := w.mined(w.send(w.nonce(), &common.Address{7}, 1, nil))
		head, err := w.HeaderByHash(t.Context(), r.BlockHash)
		if err != nil {
			t.Fatal(err)
		}
		author, known := s.Agreement().Author(s.SlotAt(chain.UnixMilli(1000*head.Time)), chain.Height(head.Number.Uint64()))
		if !known {
			t.Fatalf("no author of block %d", head.Number)
		}
		if by[author]++; len(by) == authorities {
			t.Logf("transactions sent to one node, mined by authority: %v", by)
			return
		}
	}
	t.Errorf("not every authority mined what one node was sent: %v", by)
}

// cloned starts a second machine with a node's keys and with what its disk was a while ago: the copy hears the node sign, and
// signs nothing, ever. The node itself goes on.
func cloned(t *testing.T, n *devnet.Node) {
	t.Helper()
	n.Stop()
	n.UntilGone(10 * time.Second)
	clone := n.Clone()
	clone.Edit(`doppelganger_wait = "4s"`, `doppelganger_wait = "30s"`) // the node's own turn comes within 12 s
	before := lastApproved(t, clone)
	n.Launch()
	n.Until("it signs again", time.Minute, func() bool { s, ok := n.TryStatus(); return ok && s.Ready && s.Authored > 0 })
	clone.Launch()
	var said string
	clone.Until("the clone hears the node sign", time.Minute, func() bool {
		s, ok := clone.TryStatus()
		said = strings.Join(s.Reasons, "; ")
		return ok && strings.Contains(said, "stop one of the two")
	})
	t.Logf("the clone says: %s", said)
	at := n.Status()
	n.Until("the node goes on", time.Minute, func() bool { s, ok := n.TryStatus(); return ok && s.Authored > at.Authored })
	if s := n.Status(); !s.Ready {
		t.Errorf("the node that was cloned: %v", s.Reasons)
	}
	clone.Stop()
	clone.UntilGone(10 * time.Second)
	if after := lastApproved(t, clone); after != before && !after.IsZero() { // zero: what was heard raised the floor over it
		t.Errorf("the clone approved block %s", after)
	}
}

// lastApproved is the block that the guard of a stopped node approved last.
func lastApproved(t *testing.T, n *devnet.Node) chain.Hash {
	t.Helper()
	out, ok := n.Alys("guard", "show", "--json")
	if !ok {
		t.Fatal(out)
	}
	var record struct {
		Keys []struct {
			Block chain.Hash `json:"block"`
		} `json:"keys"`
	}
	if err := json.Unmarshal([]byte(out), &record); err != nil || len(record.Keys) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	return record.Keys[0].Block
}

// TestEndToEndFederation: three authorities agree, and mine what one of them was sent; a clone of one signs nothing; with one dead the chain goes on and becomes safe; with two dead it
// stands; one that comes back makes it go on; one that lost all it had of the chain gets it from its peers, past what
// consensus fetches by itself, and takes part; and when all were dead they go on where they were.
func TestEndToEndFederation(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	nodes := devnet.NewFederation(t, binaries, 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	for _, n := range nodes {
		n.Launch()
	}
	height(t, time.Minute, 4, 3, nodes...)
	minedByEach(t, a, len(nodes))
	cloned(t, c)

	c.Kill()
	dead := a.Status()
	height(t, 2*time.Minute, dead.Head.Height+6, dead.Safe.Height+4, a, b)

	b.Kill()
	stands := a.Status().Head.Height
	rest(t, 8*time.Second)                         // four slots, one of them ours at least
	if s := a.Status(); s.Head.Height > stands+1 { // what was approved by both before the kill may still be notarized
		t.Errorf("one of three went on from %d to %d", stands, s.Head.Height)
	}
	b.Launch()
	height(t, time.Minute, stands+2, 0, a, b)

	height(t, 3*time.Minute, 24, 20, a, b)
	c.UntilGone(10 * time.Second)
	c.Forget()
	c.Launch()
	start := time.Now()
	height(t, time.Minute, 24, 20, c)
	t.Logf("one that knew only genesis was at height 24 after %s", time.Since(start).Round(time.Millisecond))
	before := c.Status().Authored
	c.Until("it authors again", 2*time.Minute, func() bool { s, ok := c.TryStatus(); return ok && s.Authored > before })

	for _, n := range nodes {
		n.Kill()
	}
	for _, n := range nodes {
		n.UntilGone(10 * time.Second)
	}
	for _, n := range nodes {
		n.Launch()
	}
	var at chain.Height
	a.Until("all answer", time.Minute, func() bool { s, ok := a.TryStatus(); at = s.Head.Height; return ok && s.Ready })
	height(t, time.Minute, at+4, at, nodes...)

	oneChain(t, nodes)
}

// oneChain stops all nodes and compares what they hold as safe, height by height.
func oneChain(t *testing.T, nodes []*devnet.Node) {
	t.Helper()
	var longest []chain.Hash
	for _, n := range nodes {
		n.Stop()
		n.UntilGone(10 * time.Second)
		safe, err := n.SafeBlocks()
		if err != nil {
			t.Fatal(err)
		}
		for h := range min(len(safe), len(longest)) {
			if safe[h] != longest[h] {
				t.Fatalf("height %d is safe with %s on one node and with %s on another", h+1, longest[h], safe[h])
			}
		}
		if len(safe) > len(longest) {
			longest = safe
		}
	}
	t.Logf("%d safe blocks, the same in all stores", len(longest))
}
