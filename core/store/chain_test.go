package store_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/alys-node/alys/core/block"
	alys "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
)

// history makes a chain of count blocks, without storing it anywhere that the test looks at.
func history(t *testing.T, s *spec.Spec, count int) []*block.Block {
	t.Helper()
	genesis, err := s.Genesis()
	must(t, err)
	st := open(t, store.Options{Dir: t.TempDir(), Genesis: genesis.Header.Hash()})
	c, err := alys.Open(t.Context(), alys.Options{Spec: s, Store: st})
	must(t, err)
	e, err := enginetest.NewMemory(s.GenesisJSON())
	must(t, err)
	line := []*block.Block{genesis}
	for i := range count {
		parent := line[i].Header
		attrs, err := c.Attributes(parent.Hash(), s.FirstSlot()+chain.Slot(i))
		must(t, err)
		data, err := e.Build(t.Context(), attrs)
		must(t, err)
		qc := block.QC{Block: parent.Hash()}
		if parent.Height > 0 {
			qc.Signers = block.Signers{1}
		}
		b, err := c.Assemble(parent.Hash(), s.FirstSlot()+chain.Slot(i), qc, data)
		must(t, err)
		_, err = e.Import(t.Context(), engine.ImportRequest{Payloads: []chain.ExecutionData{data}})
		must(t, err)
		must(t, c.Insert(t.Context(), b, nil))
		line = append(line, b)
	}
	return line
}

// live puts the rest of a history into a chain as a node does, and tells acked of every head that is durable.
func live(t *testing.T, c *alys.Chain, line []*block.Block, acked func(chain.Height)) {
	t.Helper()
	head, _, _ := c.Heads()
	for h := head.Height + 1; h < chain.Height(len(line)); h++ {
		b := line[h]
		must(t, c.Check(t.Context(), b))
		must(t, c.Insert(t.Context(), b, nil))
		must(t, c.PutQC(t.Context(), block.QC{Block: b.Header.Hash(), Signers: block.Signers{1}}))
		safe := line[max(h, 2)-2]
		if h == 1 {
			safe = line[0]
		}
		_, err := c.SetHeads(t.Context(), b.Ref(), safe.Ref())
		must(t, err)
		acked(h)
	}
}

// TestD05_ChainIsWholeAfterACrashBetweenAnyTwoWrites cuts the power at every write of a living chain, opens what the disk
// may hold then, and lets the chain go on to the same end.
func TestD05_ChainIsWholeAfterACrashBetweenAnyTwoWrites(t *testing.T) {
	s := spec.DevPrague(1)
	line := history(t, s, 8)
	tip := line[len(line)-1]
	mem := vfs.NewCrashableMem()
	rng := rand.New(rand.NewPCG(3, 4))
	type cut struct {
		fs    *vfs.MemFS
		acked chain.Height
	}
	var cuts []cut
	durable := chain.Height(0)
	record := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			cuts = append(cuts, cut{mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng}), durable})
		}
		return nil
	})
	o := store.Options{Dir: t.TempDir(), Genesis: line[0].Header.Hash()}
	run := func(o store.Options, from chain.Height) []byte {
		st, err := store.Open(o)
		must(t, err)
		defer func() { must(t, st.Close()) }()
		c, err := alys.Open(t.Context(), alys.Options{Spec: s, Store: st})
		must(t, err)
		head, safe, _ := c.Heads()
		if head.Height < from {
			t.Fatalf("head is %d, %d was durable", head.Height, from)
		}
		if head != line[head.Height].Ref() || safe != line[safe.Height].Ref() {
			t.Fatalf("heads are %v and %v", head, safe)
		}
		blocks, certs, err := c.Unsafe()
		must(t, err)
		for _, b := range blocks {
			if _, err := c.State(b.Header.Hash()); err != nil {
				t.Fatalf("block %d without its state: %v", b.Header.Height, err)
			}
		}
		if len(blocks) > 3 || len(certs) > len(blocks)+1 {
			t.Fatalf("%d unsafe blocks, %d certificates", len(blocks), len(certs))
		}
		live(t, c, line, func(h chain.Height) { durable = h })
		state, err := c.State(tip.Header.Hash())
		must(t, err)
		return state.Encode()
	}
	want := run(o.WithFS(errorfs.Wrap(mem, record)), 0)
	if len(cuts) < 50 {
		t.Fatalf("only %d cuts: the test shows too little", len(cuts))
	}
	for i, c := range cuts {
		if got := run(o.WithFS(c.fs), c.acked); !bytes.Equal(got, want) {
			t.Fatalf("cut %d of %d ends in another state", i, len(cuts))
		}
	}
}
