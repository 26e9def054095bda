package guard_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

func TestExportMovesEverythingThatMatters(t *testing.T) {
	key, c := newSecret(t), atSlot(100)
	o := options(guard.NewMemoryStore(), c)
	o.Finalized = finalized
	old := open(t, o)
	r := reserve(t, old, key.id, header(10, 4, 1))
	sig := key.Sign(signer.ApprovalRoot(r.Header))
	if err := old.Complete(t.Context(), r, sig); err != nil {
		t.Fatal(err)
	}
	if err := old.ReserveBitcoin(t.Context(), payment(1, 0, 1, 2)); err != nil {
		t.Fatal(err)
	}
	data, err := old.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	o.Store = guard.NewMemoryStore()
	fresh := open(t, o)
	report, err := fresh.Import(t.Context(), data)
	want := guard.ImportReport{Raised: []signer.Floor{{Key: key.id, Slot: 10, Height: 4}}, Payments: 1}
	if err != nil || !cmp.Equal(report, want) {
		t.Fatalf("%v\n%s", err, cmp.Diff(want, report))
	}
	if again := reserve(t, fresh, key.id, r.Header); again.Recorded == nil || *again.Recorded != sig {
		t.Fatal("the recorded answer did not move")
	}
	_, err = fresh.ReserveApproval(t.Context(), key.id, header(10, 4, 2))
	wantRefused(t, err, guard.ReasonConflict)
	wantRefused(t, fresh.ReserveBitcoin(t.Context(), payment(2, 0, 2)), guard.ReasonOutpointTaken)

	again, err := fresh.Export(t.Context())
	if err != nil || string(again) != string(data) {
		t.Fatalf("a second export differs: %v\n%s", err, cmp.Diff(string(data), string(again)))
	}
	report, err = fresh.Import(t.Context(), data)
	if want := (guard.ImportReport{Known: []signer.KeyID{key.id}}); err != nil || !cmp.Equal(report, want) {
		t.Fatalf("importing twice: %v\n%s", err, cmp.Diff(want, report))
	}
}

func TestImportNeverLowers(t *testing.T) {
	key, c := newSecret(t), atSlot(100)
	low := open(t, options(guard.NewMemoryStore(), c))
	reserve(t, low, key.id, header(10, 4, 1))
	data, err := low.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	high := open(t, options(guard.NewMemoryStore(), c))
	reserve(t, high, key.id, header(20, 3, 1))
	if _, err := high.Import(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	floors, err := high.Floors(t.Context())
	if want := []signer.Floor{{Key: key.id, Slot: 20, Height: 4}}; err != nil || !cmp.Equal(floors, want) {
		t.Fatalf("got %v, %v, want %v", floors, err, want)
	}
	_, err = high.ReserveApproval(t.Context(), key.id, header(10, 4, 1))
	wantRefused(t, err, guard.ReasonStaleSlot)
}

// exported is the export of a guard that approved one block, and signed it or not.
func exported(t *testing.T, key secret, h chain.Header, signed bool) []byte {
	t.Helper()
	g := open(t, options(guard.NewMemoryStore(), atSlot(300)))
	r := reserve(t, g, key.id, h)
	if signed {
		if err := g.Complete(t.Context(), r, key.Sign(signer.ApprovalRoot(h))); err != nil {
			t.Fatal(err)
		}
	}
	data, err := g.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestImportCoversWhatWasReservedAndNotSigned(t *testing.T) {
	for _, tc := range []struct {
		name          string
		theirs, above chain.Header
		covers        bool
	}{
		{name: "a later slot", theirs: header(200, 9, 2), covers: true},
		{name: "a higher block in an earlier slot", theirs: header(60, 6, 2), covers: true},
		{name: "a later slot, and another one was approved since", theirs: header(200, 9, 2), above: header(250, 9, 1), covers: true},
		{name: "an earlier slot", theirs: header(60, 5, 2)},
		{name: "the same block", theirs: header(100, 5, 1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key, store := newSecret(t), guard.NewMemoryStore()
			o := options(store, atSlot(300))
			g := open(t, o)
			signed := reserve(t, g, key.id, header(50, 4, 1))
			sig := key.Sign(signer.ApprovalRoot(signed.Header))
			if err := g.Complete(t.Context(), signed, sig); err != nil {
				t.Fatal(err)
			}
			x := reserve(t, g, key.id, header(100, 5, 1))
			if tc.above.Slot != 0 {
				reserve(t, g, key.id, tc.above)
			}
			report, err := g.Import(t.Context(), exported(t, key, tc.theirs, true))
			if err != nil || tc.covers && len(report.Raised) != 1 {
				t.Fatalf("%+v, %v", report, err)
			}
			for range 2 { // and after a restart
				_, err := g.ReserveApproval(t.Context(), key.id, x.Header)
				if tc.covers {
					wantRefused(t, err, guard.ReasonStaleSlot)
					wantRefused(t, g.Complete(t.Context(), x, key.Sign(signer.ApprovalRoot(x.Header))), guard.ReasonStaleSlot)
				} else if err != nil {
					t.Error(err)
				}
				if again := reserve(t, g, key.id, signed.Header); again.Recorded == nil || *again.Recorded != sig {
					t.Error("an answer that was kept is not given again")
				}
				g = open(t, o)
			}
			if tc.above.Slot != 0 {
				reserve(t, g, key.id, tc.above)
			}
		})
	}
}

func TestImportOfAnotherBlockInOurSlotIsRefusedAndOursIsNotSigned(t *testing.T) {
	for _, signed := range []bool{false, true} {
		key := newSecret(t)
		var alarms []guard.Reason
		o := options(guard.NewMemoryStore(), atSlot(300))
		o.Observe = func(e guard.Event) {
			if e.Alarm() {
				alarms = append(alarms, e.Reason)
			}
		}
		g := open(t, o)
		ours := reserve(t, g, key.id, header(100, 5, 1))
		if signed {
			if err := g.Complete(t.Context(), ours, key.Sign(signer.ApprovalRoot(ours.Header))); err != nil {
				t.Fatal(err)
			}
		}
		other := newSecret(t)
		data := exported(t, key, header(100, 5, 2), true)
		report, err := g.Import(t.Context(), data)
		wantRefused(t, err, guard.ReasonImportConflicts)
		if len(report.Known) != 0 || len(alarms) != 1 || alarms[0] != guard.ReasonImportConflicts {
			t.Errorf("report %+v, alarms %v", report, alarms)
		}
		again, err := g.ReserveApproval(t.Context(), key.id, ours.Header)
		if !signed {
			wantRefused(t, err, guard.ReasonStaleSlot)
		} else if err != nil || again.Recorded == nil {
			t.Errorf("the answer that was kept: %+v, %v", again, err)
		}
		_, err = g.ReserveApproval(t.Context(), key.id, header(100, 5, 2))
		wantRefused(t, err, guard.ReasonConflict)
		moved, err := g.Export(t.Context())
		if err != nil || strings.Contains(string(moved), ours.Block.String()) != signed {
			t.Errorf("signed %v, exported %s, %v", signed, moved, err)
		}
		reserve(t, g, other.id, header(100, 5, 2)) // another key's slots are its own
	}
}

func TestImportWithAnotherOwnerOfAnOutpointChangesNothing(t *testing.T) {
	c := atSlot(100)
	o := options(guard.NewMemoryStore(), c)
	o.Finalized = finalized
	theirs := open(t, o)
	for _, p := range []guard.Payment{payment(1, 0, 1), payment(2, 0, 2)} {
		if err := theirs.ReserveBitcoin(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	data, err := theirs.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o.Store = guard.NewMemoryStore()
	ours := open(t, o)
	if err := ours.ReserveBitcoin(t.Context(), payment(3, 0, 2)); err != nil {
		t.Fatal(err)
	}
	_, err = ours.Import(t.Context(), data)
	wantRefused(t, err, guard.ReasonImportConflicts)
	if err := ours.ReserveBitcoin(t.Context(), payment(4, 0, 1)); err != nil {
		t.Fatalf("a refused import took an outpoint: %v", err)
	}
}

func TestImportRefusesWhatIsNotAnExport(t *testing.T) {
	key, c := newSecret(t), atSlot(100)
	g := open(t, options(guard.NewMemoryStore(), c))
	r := reserve(t, g, key.id, header(10, 4, 1))
	if err := g.Complete(t.Context(), r, key.Sign(signer.ApprovalRoot(r.Header))); err != nil {
		t.Fatal(err)
	}
	good, err := g.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	replace := func(old, with string) string {
		s := strings.Replace(string(good), old, with, 1)
		if s == string(good) {
			t.Fatalf("the export does not hold %q", old)
		}
		return s
	}
	tests := []struct{ name, data string }{
		{"nothing", ""},
		{"no JSON", "genesis"},
		{"another format", replace(guard.ExportFormat, "eip-3076")},
		{"another chain", replace(genesis.String(), chain.Hash{1}.String())},
		{"a field that is not known", replace(`"format"`, `"x": 1, "format"`)},
		{"something after it", string(good) + "{}"},
		{"a key that is not one", replace(string(key.id), "bls:0x00")},
		{"a signature of another block", replace(r.Block.String(), chain.Hash{7}.String())},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fresh := open(t, options(guard.NewMemoryStore(), c))
			if _, err := fresh.Import(t.Context(), []byte(tt.data)); !errors.Is(err, guard.ErrNotAnExport) {
				t.Fatalf("got %v, want ErrNotAnExport", err)
			}
			if floors, err := fresh.Floors(t.Context()); err != nil || len(floors) != 0 {
				t.Fatalf("something was imported: %v, %v", floors, err)
			}
		})
	}
}

func FuzzImport(f *testing.F) {
	f.Add([]byte(`{"format":"alys-guard/1","genesis":"` + genesis.String() + `","keys":[],"payments":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		g := open(t, options(guard.NewMemoryStore(), atSlot(100)))
		if _, err := g.Import(t.Context(), b); err != nil {
			return
		}
		if _, err := g.Export(t.Context()); err != nil {
			t.Fatalf("an import cannot be exported: %v", err)
		}
	})
}

func TestShowAndRaiseFloor(t *testing.T) {
	key, c := newSecret(t), atSlot(100)
	o := options(guard.NewMemoryStore(), c)
	o.Finalized = finalized
	g := open(t, o)
	r := reserve(t, g, key.id, header(10, 4, 1))
	if err := g.ReserveBitcoin(t.Context(), payment(1, 0, 1, 2)); err != nil {
		t.Fatal(err)
	}
	got, err := g.Show(t.Context())
	if err != nil || len(got) != 2 {
		t.Fatalf("got %v, %v", got, err)
	}
	if k := got[0]; k.Key != guard.BitcoinID || k.Outpoints != 2 || k.Payments != 1 {
		t.Errorf("got %+v for Bitcoin", k)
	}
	if k := got[1]; k.Key != key.id || k.Slot != 10 || k.Height != 4 || k.Block != r.Block || k.Signed || k.Records != 1 {
		t.Errorf("got %+v for the key", k)
	}

	if err := g.RaiseFloor(t.Context(), signer.Floor{Key: key.id, Slot: 50, Height: 2}); err != nil {
		t.Fatal(err)
	}
	for _, g := range []*guard.Guard{g, open(t, o)} {
		_, err = g.ReserveApproval(t.Context(), key.id, header(50, 9, 1))
		wantRefused(t, err, guard.ReasonStaleSlot)
		_, err = g.ReserveApproval(t.Context(), key.id, header(51, 3, 1))
		wantRefused(t, err, guard.ReasonLowerHeight)
	}
	wantRefused(t, g.RaiseFloor(t.Context(), signer.Floor{Key: "secp256k1:02", Slot: 1}), guard.ReasonNotAnApprover)
}
