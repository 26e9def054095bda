package chain_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/chain"
)

// TestD06_StateIsTheSameByRestartReplayAndReorganization grows a random tree with transactions across two checkpoints,
// moves the heads about, and compares every state's bytes: in the node that grew it, in the same node with cold caches,
// and in one that gets the blocks in another order.
func TestD06_StateIsTheSameByRestartReplayAndReorganization(t *testing.T) {
	for seed := range uint64(3) {
		rng := rand.New(rand.NewPCG(seed, 6))
		n := newNode(t, spec.Dev())
		trunk := n.extend(n.Genesis(), 60)
		tree := append([]*block.Block{}, trunk...)
		slot := trunk[60].Header.Slot
		for range 30 {
			if rng.IntN(3) == 0 {
				n.transfers(1 + rng.IntN(3))
			}
			slot++
			parent := tree[len(tree)-1-rng.IntN(min(len(tree)-1, 6))]
			child := n.grow(parent, slot)
			tree = append(tree, child)
			if rng.IntN(2) == 0 {
				n.setHeads(child, n.Genesis())
				n.forkchoice()
			}
		}
		want := map[chain.Hash][]byte{}
		paid := 0
		for _, b := range tree {
			s, err := n.State(b.Header.Hash())
			must(t, err)
			want[b.Header.Hash()] = s.Encode()
			if s.Fees.Big().Sign() > 0 {
				paid++
			}
		}
		if paid == 0 {
			t.Fatalf("seed %d: no state has fees, the test shows nothing", seed)
		}
		other := newNode(t, n.spec)
		for _, b := range shuffledParentsFirst(rng, tree[1:]) {
			receipts, err := n.engine.Receipts(t.Context(), b.Header.PayloadHash)
			must(t, err)
			must(t, other.Insert(t.Context(), b, receipts))
		}
		n.restart()
		for _, node := range []*node{n, other} {
			for _, i := range rng.Perm(len(tree)) {
				hash := tree[i].Header.Hash()
				s, err := node.State(hash)
				must(t, err)
				if !bytes.Equal(s.Encode(), want[hash]) {
					t.Fatalf("seed %d: state of block %d %s differs", seed, tree[i].Header.Height, hash)
				}
			}
		}
	}
}

// shuffledParentsFirst is a random order in which every parent comes before its children.
func shuffledParentsFirst(rng *rand.Rand, blocks []*block.Block) []*block.Block {
	left := append([]*block.Block{}, blocks...)
	missing := map[chain.Hash]bool{}
	for _, b := range left {
		missing[b.Header.Hash()] = true
	}
	var out []*block.Block
	for len(left) > 0 {
		i := rng.IntN(len(left))
		b := left[i]
		if missing[b.Header.Parent] {
			continue
		}
		delete(missing, b.Header.Hash())
		out = append(out, b)
		left[i] = left[len(left)-1]
		left = left[:len(left)-1]
	}
	return out
}

func BenchmarkInsert(b *testing.B) {
	for name, txs := range map[string]int{"empty": 0, "50 transfers": 50} {
		b.Run(name, func(b *testing.B) {
			n := newNode(b, spec.Dev())
			tip, slot := n.Genesis(), n.first()
			for b.Loop() {
				b.StopTimer()
				n.transfers(txs)
				next := n.build(tip, slot)
				receipts := n.execute(next)
				b.StartTimer()
				if err := n.Insert(b.Context(), next, receipts); err != nil {
					b.Fatal(err)
				}
				n.setHeads(next, n.Genesis())
				b.StopTimer()
				n.forkchoice()
				b.StartTimer()
				tip, slot = next, slot+1
			}
		})
	}
}
