package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
)

func record(seq, keep uint64, prev guard.Version) guard.Record {
	return guard.Record{Seq: seq, Keep: keep, Prev: prev, Kind: guard.KindApproval, Slot: chain.Slot(seq), Height: chain.Height(seq), Block: chain.Hash{byte(seq)}}
}

func TestGuardRecordsSurviveAndAreTrimmed(t *testing.T) {
	o := options(t)
	s := open(t, o)
	ctx := t.Context()
	key, longer := guard.Key{Genesis: genesis, ID: "bls:0x01"}, guard.Key{Genesis: genesis, ID: "bls:0x0102"}
	var v guard.Version
	var want []guard.Record
	for seq := uint64(1); seq <= 5; seq++ {
		keep := uint64(1)
		if seq == 5 {
			keep = 4
		}
		rec := record(seq, keep, v)
		next, err := s.CompareAndSwap(ctx, key, v, rec)
		must(t, err)
		if next != rec.Hash(key) {
			t.Fatalf("version after record %d is not its hash", seq)
		}
		v = next
		if seq >= 4 {
			want = append(want, rec)
		}
	}
	if _, err := s.CompareAndSwap(ctx, longer, guard.Version{}, record(1, 1, guard.Version{})); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s, o)
	got, version, err := s.Load(ctx, key)
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" || version != v {
		t.Errorf("version %x, want %x; records (-want +got):\n%s", version, v, diff)
	}
	keys, err := s.Keys(ctx)
	must(t, err)
	if diff := cmp.Diff([]guard.Key{key, longer}, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if got, version, err := s.Load(ctx, guard.Key{Genesis: genesis, ID: "x"}); err != nil || len(got) != 0 || version != (guard.Version{}) {
		t.Errorf("an unknown key: %v, %v, %v", got, version, err)
	}
}

func TestGuardConflictsAreRefused(t *testing.T) {
	s := open(t, options(t))
	key := guard.Key{Genesis: genesis, ID: "k"}
	v, err := s.CompareAndSwap(t.Context(), key, guard.Version{}, record(1, 1, guard.Version{}))
	must(t, err)
	for name, try := range map[string]struct {
		old guard.Version
		rec guard.Record
	}{
		"from nothing again":       {guard.Version{}, record(1, 1, guard.Version{})},
		"from another version":     {guard.Version{7}, record(2, 1, guard.Version{7})},
		"a sequence that is taken": {v, record(1, 1, v)},
	} {
		if _, err := s.CompareAndSwap(t.Context(), key, try.old, try.rec); !errors.Is(err, guard.ErrConflict) {
			t.Errorf("%s: %v, want ErrConflict", name, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.CompareAndSwap(ended, key, v, record(2, 1, v)); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

func TestOneOfManyGuardsWins(t *testing.T) {
	s := open(t, options(t))
	key := guard.Key{Genesis: genesis, ID: "k"}
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			rec := record(1, 1, guard.Version{})
			rec.Block = chain.Hash{byte(i)}
			_, errs[i] = s.CompareAndSwap(t.Context(), key, guard.Version{}, rec)
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, guard.ErrConflict) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d swaps from the same version succeeded", won, len(errs))
	}
}

func BenchmarkGuardCompareAndSwap(b *testing.B) {
	s, err := store.Open(store.Options{Dir: b.TempDir(), Genesis: genesis})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	key := guard.Key{Genesis: genesis, ID: "k"}
	var v guard.Version
	seq := uint64(0)
	for b.Loop() {
		seq++
		keep := uint64(1)
		if seq > guard.Window {
			keep = seq - guard.Window
		}
		if v, err = s.CompareAndSwap(b.Context(), key, v, record(seq, keep, v)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInsertBlocks(b *testing.B) {
	for _, size := range []int{1, 50 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%d bytes", size), func(b *testing.B) {
			s, err := store.Open(store.Options{Dir: b.TempDir(), Genesis: genesis})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			height := chain.Height(0)
			parent := genesis
			for b.Loop() {
				height++
				x := testBlock(height, parent, 1)
				x.Execution.Payload.Transactions[0] = make([]byte, size)
				if err := s.InsertBlocks(block.Derived{Block: x, State: []byte("state")}); err != nil {
					b.Fatal(err)
				}
				parent = x.Header.Hash()
			}
		})
	}
}
