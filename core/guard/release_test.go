package guard_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// finalBelow finalizes blocks up to a height.
func finalBelow(height chain.Height) func(context.Context, chain.Ref) (bool, error) {
	return func(_ context.Context, b chain.Ref) (bool, error) { return b.Height <= height, nil }
}

func withPayments(t testing.TB, store guard.Store, ps ...guard.Payment) guard.Options {
	t.Helper()
	o := options(store, atSlot(20))
	o.Finalized = finalBelow(10)
	g := open(t, o)
	for _, p := range ps {
		if err := g.ReserveBitcoin(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func release(id byte, height chain.Height) guard.Release {
	return guard.Release{Payment: chain.Hash{id}, Void: chain.Ref{Height: height, Hash: chain.Hash{200, id}}}
}

// TestVoidFreesTheOtherInputs is the way out of a standstill: payment 1 spends outpoints 1 and 2, a void takes 1 away,
// and 2 must be signable for the payment that follows.
func TestVoidFreesTheOtherInputs(t *testing.T) {
	store := guard.NewMemoryStore()
	o := withPayments(t, store, payment(1, 0, 1, 2), payment(1, 1, 1, 2), payment(3, 0, 3))
	g := open(t, o)
	wantRefused(t, g.ReserveBitcoin(t.Context(), payment(2, 0, 2, 4)), guard.ReasonOutpointTaken)
	for range 2 { // a second release changes nothing
		if err := g.ReleaseBitcoin(t.Context(), release(1, 9)); err != nil {
			t.Fatal(err)
		}
	}
	for _, g := range []*guard.Guard{g, open(t, o)} { // and after a restart
		wantRefused(t, g.ReserveBitcoin(t.Context(), payment(2, 0, 2, 3)), guard.ReasonOutpointTaken) // 3 is another's
		if err := g.ReserveBitcoin(t.Context(), payment(2, 0, 2, 4)); err != nil {
			t.Fatal(err)
		}
		for _, p := range []guard.Payment{payment(1, 0, 1, 2), payment(1, 1, 1, 2), payment(1, 2, 1, 2), payment(1, 0, 5)} {
			wantRefused(t, g.ReserveBitcoin(t.Context(), p), guard.ReasonReleased)
		}
	}
	states, err := open(t, o).Show(t.Context())
	if err != nil || len(states) != 1 {
		t.Fatalf("got %v, %v", states, err)
	}
	if s := states[0]; s.Records != 5 || s.Payments != 2 || s.Outpoints != 3 || s.Released != 1 {
		t.Errorf("got %+v, want 5 records, 2 payments of 3 outpoints, 1 released", s)
	}
}

func TestReleaseOnlyWithAFinalizedVoid(t *testing.T) {
	away := errors.New("store is away")
	tests := []struct {
		name      string
		finalized func(context.Context, chain.Ref) (bool, error)
		release   guard.Release
		want      guard.Reason // empty: a failure
	}{
		{"the void is not finalized", finalBelow(8), release(1, 9), guard.ReasonNotFinalized},
		{"nothing tells", nil, release(1, 9), guard.ReasonNotFinalized},
		{"telling fails", func(context.Context, chain.Ref) (bool, error) { return true, away }, release(1, 9), ""},
		{"no payment is named", finalized, release(0, 9), guard.ReasonMalformed},
		{"no block is named", finalized, guard.Release{Payment: chain.Hash{1}}, guard.ReasonMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := withPayments(t, guard.NewMemoryStore(), payment(1, 0, 1, 2))
			o.Finalized = tt.finalized
			var last guard.Event
			o.Observe = func(e guard.Event) { last = e }
			g := open(t, o)
			err := g.ReleaseBitcoin(t.Context(), tt.release)
			if tt.want != "" {
				wantRefused(t, err, tt.want)
			} else if !errors.Is(err, away) || errors.Is(err, signer.ErrRefused) {
				t.Fatalf("got %v, want a failure", err)
			}
			if last.Err == nil || last.Reason != tt.want {
				t.Errorf("got event %+v", last)
			}
			o.Finalized = finalized
			wantRefused(t, open(t, o).ReserveBitcoin(t.Context(), payment(2, 0, 2)), guard.ReasonOutpointTaken)
		})
	}
}

func TestCrashInARelease(t *testing.T) {
	for _, after := range []bool{false, true} {
		t.Run(map[bool]string{false: "the record was not written", true: "the record was written"}[after], func(t *testing.T) {
			disk := guard.NewMemoryStore()
			o := withPayments(t, disk, payment(1, 0, 1, 2))
			o.Store = &crashing{Store: disk, left: 1, after: after}
			err := open(t, o).ReleaseBitcoin(t.Context(), release(1, 9))
			if !errors.Is(err, guard.ErrNotRecorded) || errors.Is(err, signer.ErrRefused) {
				t.Fatalf("got %v, want a failure", err)
			}
			o.Store = disk
			err = open(t, o).ReserveBitcoin(t.Context(), payment(2, 0, 2))
			if !after {
				wantRefused(t, err, guard.ReasonOutpointTaken)
			} else if err != nil {
				t.Fatal(err)
			}
			if err := open(t, o).ReleaseBitcoin(t.Context(), release(1, 9)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestReleaseOfAPaymentNeverSignedBarsIt(t *testing.T) {
	o := withPayments(t, guard.NewMemoryStore())
	var kinds []guard.EventKind
	o.Observe = func(e guard.Event) { kinds = append(kinds, e.Kind) }
	g := open(t, o)
	for range 2 {
		if err := g.ReleaseBitcoin(t.Context(), release(1, 9)); err != nil {
			t.Fatal(err)
		}
	}
	wantRefused(t, open(t, o).ReserveBitcoin(t.Context(), payment(1, 0, 1)), guard.ReasonReleased)
	if want := []guard.EventKind{guard.EventReleased, guard.EventRepeated, guard.EventRefused}; !cmp.Equal(kinds, want) {
		t.Errorf("got events %v, want %v", kinds, want)
	}
}

// TestBitcoinRecordsAreNeverTrimmed has more records than the window of approvals, with a release as the last.
func TestBitcoinRecordsAreNeverTrimmed(t *testing.T) {
	store := guard.NewMemoryStore()
	o := withPayments(t, store, payment(1, 0, 1))
	g := open(t, o)
	for version := range uint32(2*guard.Window + 5) {
		p := payment(2, version, 2, 3)
		p.TxID = chain.Hash{2, byte(version), byte(version >> 8)}
		if err := g.ReserveBitcoin(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.ReleaseBitcoin(t.Context(), release(2, 9)); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, open(t, o).ReserveBitcoin(t.Context(), payment(3, 0, 1)), guard.ReasonOutpointTaken)
}

func TestReleasesMoveWithAnExport(t *testing.T) {
	o := withPayments(t, guard.NewMemoryStore(), payment(1, 0, 1, 2))
	old := open(t, o)
	if err := old.ReleaseBitcoin(t.Context(), release(1, 9)); err != nil {
		t.Fatal(err)
	}
	if err := old.ReserveBitcoin(t.Context(), payment(2, 0, 2)); err != nil {
		t.Fatal(err)
	}
	data, err := old.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	t.Run("to an empty guard", func(t *testing.T) {
		fresh := open(t, withPayments(t, guard.NewMemoryStore()))
		for _, want := range []guard.ImportReport{{Payments: 1, Released: 1}, {}} { // the second time it changes nothing
			if got, err := fresh.Import(t.Context(), data); err != nil || !cmp.Equal(got, want) {
				t.Fatalf("got %+v, %v, want %+v", got, err, want)
			}
		}
		wantRefused(t, fresh.ReserveBitcoin(t.Context(), payment(1, 0, 1, 2)), guard.ReasonReleased)
		wantRefused(t, fresh.ReserveBitcoin(t.Context(), payment(3, 0, 2)), guard.ReasonOutpointTaken)
		if again, err := fresh.Export(t.Context()); err != nil || string(again) != string(data) {
			t.Fatalf("a second export differs: %v\n%s", err, cmp.Diff(string(data), string(again)))
		}
	})
	t.Run("it frees nothing that is held here", func(t *testing.T) {
		g := open(t, withPayments(t, guard.NewMemoryStore(), payment(1, 0, 1, 2)))
		_, err := g.Import(t.Context(), data)
		wantRefused(t, err, guard.ReasonImportConflicts)
		wantRefused(t, g.ReserveBitcoin(t.Context(), payment(2, 0, 2)), guard.ReasonOutpointTaken)
		if err := g.ReleaseBitcoin(t.Context(), release(1, 9)); err != nil { // our own view decides
			t.Fatal(err)
		}
		if _, err := g.Import(t.Context(), data); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("an older export does not bring the payment back", func(t *testing.T) {
		older, err := open(t, withPayments(t, guard.NewMemoryStore(), payment(1, 0, 1, 2))).Export(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := old.Import(t.Context(), older); err != nil || !cmp.Equal(got, guard.ImportReport{}) {
			t.Fatalf("got %+v, %v, want no change", got, err)
		}
		wantRefused(t, old.ReserveBitcoin(t.Context(), payment(1, 0, 1, 2)), guard.ReasonReleased)
	})
}

func TestExportHoldsWhatAnotherGuardOnTheStoreWrote(t *testing.T) {
	key, store, c := newSecret(t), guard.NewMemoryStore(), atSlot(100)
	a, b := open(t, options(store, c)), open(t, options(store, c))
	reserve(t, a, key.id, header(10, 4, 1))
	if _, err := b.Show(t.Context()); err != nil { // b knows slot 10
		t.Fatal(err)
	}
	reserve(t, a, key.id, header(11, 5, 1))
	data, err := b.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fresh := open(t, options(guard.NewMemoryStore(), c))
	if _, err := fresh.Import(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	_, err = fresh.ReserveApproval(t.Context(), key.id, header(11, 5, 2))
	wantRefused(t, err, guard.ReasonConflict)
}

func TestCallersOutpointsAreTheirOwn(t *testing.T) {
	o := withPayments(t, guard.NewMemoryStore())
	g := open(t, o)
	p := payment(1, 0, 1, 2)
	if err := g.ReserveBitcoin(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	p.Outpoints[0] = outpoints(9)[0]
	if err := g.ReleaseBitcoin(t.Context(), release(1, 9)); err != nil {
		t.Fatal(err)
	}
	if err := g.ReserveBitcoin(t.Context(), payment(2, 0, 1, 2)); err != nil {
		t.Fatalf("the guard kept the caller's slice: %v", err)
	}
}
