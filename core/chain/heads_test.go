package chain_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/block"
	alys "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
)

func refs(blocks ...*block.Block) []chain.Ref {
	var out []chain.Ref
	for _, b := range blocks {
		out = append(out, b.Ref())
	}
	return out
}

// fork is a chain of five with a rival branch of two above block 3: g a1 a2 a3 a4 a5, a3 b4 b5.
func fork(n *node) (a, b []*block.Block) {
	a = n.extend(n.Genesis(), 5)
	b4 := n.grow(a[3], a[5].Header.Slot+1)
	b5 := n.grow(b4, b4.Header.Slot+1)
	return a, append(slices.Clone(a[:4]), b4, b5)
}

func TestReorganizationRepointsHeadsAndIndex(t *testing.T) {
	n := newNode(t, spec.Dev())
	a, b := fork(n)
	got := n.setHeads(b[5], a[1])
	want := alys.Reorg{Old: refs(a[4], a[5]), New: refs(b[4], b[5])}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reorganization (-want +got):\n%s", diff)
	}
	n.restart()
	head, safe, finalized := n.Heads()
	if head != b[5].Ref() || safe != a[1].Ref() || finalized != n.Genesis().Ref() {
		t.Errorf("heads are %v, %v, %v", head, safe, finalized)
	}
	for _, x := range b {
		if at, err := n.BlockAt(x.Header.Height); err != nil || at.Ref() != x.Ref() {
			t.Errorf("height %d is not of the new branch: %v", x.Header.Height, err)
		}
	}
	if got := n.setHeads(a[4], a[1]); !cmp.Equal(got, alys.Reorg{Old: refs(b[4], b[5]), New: refs(a[4])}) {
		t.Errorf("back to a shorter branch: %+v", got)
	}
	if _, err := n.BlockAt(5); !errors.Is(err, alys.ErrUnknownBlock) {
		t.Errorf("height 5 is above the head: %v", err)
	}
	if got := n.setHeads(a[4], a[1]); !cmp.Equal(got, alys.Reorg{}) {
		t.Errorf("the same heads again: %+v", got)
	}
}

func TestO1_HeadsNeverLeaveTheSafeChain(t *testing.T) {
	n := newNode(t, spec.Dev())
	a, b := fork(n)
	n.setHeads(a[5], a[4])
	before, _, _ := n.Heads()
	for name, try := range map[string][2]chain.Ref{
		"a head on the other branch":    {b[5].Ref(), a[4].Ref()},
		"a head below safe":             {a[3].Ref(), a[3].Ref()},
		"safe goes back":                {a[5].Ref(), a[3].Ref()},
		"safe on another branch":        {a[5].Ref(), b[4].Ref()},
		"safe above the head":           {a[4].Ref(), a[5].Ref()},
		"genesis as head":               {n.Genesis().Ref(), n.Genesis().Ref()},
		"both on the branch that lost":  {b[5].Ref(), b[4].Ref()},
		"a safe block that is nowhere":  {a[5].Ref(), {Height: 5, Hash: chain.Hash{1}}},
		"a safe height far in the fog":  {a[5].Ref(), {Height: ^chain.Height(0), Hash: chain.Hash{1}}},
		"the head's hash, other height": {{Height: 4, Hash: a[5].Header.Hash()}, a[4].Ref()},
	} {
		_, err := n.SetHeads(t.Context(), try[0], try[1])
		if !errors.Is(err, alys.ErrBelowSafe) && !errors.Is(err, alys.ErrUnknownBlock) {
			t.Errorf("%s: %v, want ErrBelowSafe", name, err)
		}
		if head, safe, _ := n.Heads(); head != before || safe != a[4].Ref() {
			t.Fatalf("%s moved the heads to %v, %v", name, head, safe)
		}
	}
	if _, err := n.SetHeads(t.Context(), chain.Ref{Height: 6, Hash: chain.Hash{9}}, a[4].Ref()); !errors.Is(err, alys.ErrUnknownBlock) {
		t.Errorf("an unknown head: %v, want ErrUnknownBlock", err)
	}
}

func TestO1_FailingBlockMovesNothing(t *testing.T) {
	n := newNode(t, spec.Dev())
	line := n.extend(n.Genesis(), 3)
	bad := n.build(line[3], line[3].Header.Slot+1)
	bad.Execution.Payload.StateRoot[0] ^= 1
	if err := n.Insert(t.Context(), bad, nil); !errors.Is(err, alys.ErrInvalid) {
		t.Fatalf("error is %v, want ErrInvalid", err)
	}
	n.restart()
	if head, _, _ := n.Heads(); head != line[3].Ref() {
		t.Errorf("head is %v", head)
	}
	n.extend(line[3], 1)
}

func TestO3_EmptyNode(t *testing.T) {
	n := newNode(t, spec.Dev())
	genesis := n.Genesis().Ref()
	for range 2 {
		head, safe, finalized := n.Heads()
		if head != genesis || safe != genesis || finalized != genesis {
			t.Fatalf("heads of an empty node are %v, %v, %v", head, safe, finalized)
		}
		blocks, certs, err := n.Unsafe()
		must(t, err)
		if len(blocks)+len(certs) != 0 {
			t.Errorf("%d blocks and %d certificates above genesis", len(blocks), len(certs))
		}
		n.setHeads(n.Genesis(), n.Genesis())
		if got, err := n.Replay(t.Context(), n.engine); err != nil || got.Payloads != 0 {
			t.Errorf("replay of nothing: %+v, %v", got, err)
		}
		if _, err := n.SetHeads(t.Context(), chain.Ref{}, chain.Ref{}); err == nil {
			t.Error("no block as head was taken")
		}
		n.restart()
	}
}

func TestUnsafeGivesBackEveryBranchAboveSafe(t *testing.T) {
	n := newNode(t, spec.Dev())
	a, b := fork(n)
	dead := n.grow(a[1], b[5].Header.Slot+1) // a rival of a2
	n.setHeads(a[5], a[2])
	must(t, n.PutQC(t.Context(), certificate(a[5].Header)))
	n.restart()
	blocks, certs, err := n.Unsafe()
	must(t, err)
	got := map[chain.Hash]bool{}
	for i, x := range blocks {
		got[x.Header.Hash()] = true
		if i > 0 && x.Header.Height < blocks[i-1].Header.Height {
			t.Error("a parent comes after its child")
		}
	}
	for _, want := range []*block.Block{a[3], a[4], a[5], b[4], b[5]} {
		if !got[want.Header.Hash()] {
			t.Errorf("block %d is missing", want.Header.Height)
		}
	}
	if got[dead.Header.Hash()] || len(blocks) != 5 {
		t.Errorf("%d blocks, want 5 and none beside the safe chain", len(blocks))
	}
	certified := map[chain.Hash]bool{}
	for _, q := range certs {
		certified[q.Block] = true
	}
	for _, want := range []*block.Block{a[2], a[3], a[4], b[4], a[5]} {
		if !certified[want.Header.Hash()] {
			t.Errorf("the certificate of block %d is missing", want.Header.Height)
		}
	}
	if len(certs) != 5 {
		t.Errorf("%d certificates, want 5", len(certs))
	}
}

func TestStoreOfAnotherShapeIsRefused(t *testing.T) {
	n := newNode(t, spec.Dev())
	line := n.extend(n.Genesis(), 2)
	// Heads that the index does not have: only a bug or a hand on the files makes them.
	wrong := block.Heads{Head: chain.Ref{Height: 2, Hash: chain.Hash{1}}, Safe: line[0].Ref(), Finalized: line[0].Ref()}
	must(t, n.store.SetHeads(wrong, nil))
	if _, err := alys.Open(t.Context(), alys.Options{Spec: n.spec, Store: n.store}); !errors.Is(err, alys.ErrInconsistent) {
		t.Errorf("error is %v, want ErrInconsistent", err)
	}
	other := newNode(t, spec.DevNodes(3))
	if _, err := alys.Open(t.Context(), alys.Options{Spec: n.spec, Store: other.store}); !errors.Is(err, alys.ErrInconsistent) {
		t.Errorf("another chain's store: %v, want ErrInconsistent", err)
	}
}

var _ alys.Store = (*store.Store)(nil)
