package guard_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

func TestDamagedRecordsStopTheGuard(t *testing.T) {
	tests := []struct {
		name   string
		change func([]guard.Record) []guard.Record
	}{
		{"a record in the middle is missing", func(r []guard.Record) []guard.Record { return append(r[:1:1], r[2:]...) }},
		{"a record in the middle is changed", func(r []guard.Record) []guard.Record { r[1].Block[0]++; return r }},
		{"the last record is missing", func(r []guard.Record) []guard.Record { return r[:len(r)-1] }},
		{"the last record is changed", func(r []guard.Record) []guard.Record { r[len(r)-1].Slot++; return r }},
		{"the first record is missing", func(r []guard.Record) []guard.Record { return r[1:] }},
		{"all records are missing", func([]guard.Record) []guard.Record { return nil }},
		{"two records changed places", func(r []guard.Record) []guard.Record { r[0], r[1] = r[1], r[0]; return r }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key, store, c := newSecret(t), &damaged{Store: guard.NewMemoryStore()}, atSlot(20)
			g := open(t, options(store, c))
			for slot := chain.Slot(1); slot <= 4; slot++ {
				reserve(t, g, key.id, header(slot, 1, 1))
			}
			store.change = tt.change
			if _, err := guard.Open(t.Context(), options(store, c)); !errors.Is(err, guard.ErrCorrupt) {
				t.Fatalf("got %v, want ErrCorrupt", err)
			}
		})
	}
}

func TestRecordsOfAnotherKeyAreNotAccepted(t *testing.T) {
	a, b := newSecret(t), newSecret(t)
	store, c := guard.NewMemoryStore(), atSlot(20)
	reserve(t, open(t, options(store, c)), a.id, header(10, 4, 1))
	records, version, err := store.Load(t.Context(), guard.Key{Genesis: genesis, ID: a.id})
	if err != nil {
		t.Fatal(err)
	}
	o := options(swapped{store, b.id, records, version}, c)
	if _, err := guard.Open(t.Context(), o); !errors.Is(err, guard.ErrCorrupt) {
		t.Fatalf("got %v, want ErrCorrupt", err)
	}
}

// swapped gives the records of one key for another. The version is honest for neither.
type swapped struct {
	guard.Store
	id      signer.KeyID
	records []guard.Record
	version guard.Version
}

func (s swapped) Keys(context.Context) ([]guard.Key, error) {
	return []guard.Key{{Genesis: genesis, ID: s.id}}, nil
}

func (s swapped) Load(context.Context, guard.Key) ([]guard.Record, guard.Version, error) {
	return s.records, s.version, nil
}

func TestUnreadableStoreFailsClosed(t *testing.T) {
	broken := errors.New("broken disk")
	o := options(unreadable{guard.NewMemoryStore(), broken}, atSlot(20))
	_, err := open(t, o).ReserveApproval(t.Context(), newSecret(t).id, header(10, 4, 1))
	if !errors.Is(err, broken) || errors.Is(err, signer.ErrRefused) {
		t.Fatalf("got %v, want a failure", err)
	}
}

type unreadable struct {
	guard.Store
	err error
}

func (s unreadable) Load(context.Context, guard.Key) ([]guard.Record, guard.Version, error) {
	return nil, guard.Version{}, s.err
}

func TestOldApprovalsMayBeDroppedAndTheMarkStays(t *testing.T) {
	const last = 3*guard.Window + 10
	key, store, c := newSecret(t), guard.NewMemoryStore(), atSlot(10*last)
	g := open(t, options(store, c))
	first := reserve(t, g, key.id, header(1, 1, 1))
	for slot := chain.Slot(2); slot <= last; slot++ {
		reserve(t, g, key.id, header(slot, chain.Height(slot), 1))
	}
	records, _, err := store.Load(t.Context(), guard.Key{Genesis: genesis, ID: key.id})
	if err != nil || len(records) != 2*guard.Window {
		t.Fatalf("the store kept %d records (%v), want %d", len(records), err, 2*guard.Window)
	}
	for _, g := range []*guard.Guard{g, open(t, options(store, c))} {
		_, err = g.ReserveApproval(t.Context(), key.id, first.Header)
		wantRefused(t, err, guard.ReasonStaleSlot)
		_, err = g.ReserveApproval(t.Context(), key.id, header(last+1, last-1, 1))
		wantRefused(t, err, guard.ReasonLowerHeight)
		reserve(t, g, key.id, header(last-guard.Window+1, last-guard.Window+1, 1)) // still known
	}
}

func TestEveryRecordCarriesTheMark(t *testing.T) {
	key, store, c := newSecret(t), guard.NewMemoryStore(), atSlot(100)
	g := open(t, options(store, c))
	first := reserve(t, g, key.id, header(10, 4, 1))
	reserve(t, g, key.id, header(11, 6, 1))
	if err := g.Complete(t.Context(), first, key.Sign(signer.ApprovalRoot(first.Header))); err != nil {
		t.Fatal(err)
	}
	if err := g.RaiseFloor(t.Context(), signer.Floor{Key: key.id, Slot: 5, Height: 8}); err != nil {
		t.Fatal(err)
	}
	records, _, err := store.Load(t.Context(), guard.Key{Genesis: genesis, ID: key.id})
	if err != nil {
		t.Fatal(err)
	}
	var got []guard.Mark
	for _, r := range records {
		got = append(got, r.Mark)
	}
	if want := []guard.Mark{{Slot: 10, Height: 4}, {Slot: 11, Height: 6}, {Slot: 11, Height: 6}, {Slot: 11, Height: 8}}; !cmp.Equal(got, want) {
		t.Fatalf("got marks %v, want %v", got, want)
	}
}

func TestOpenNeedsItsParts(t *testing.T) {
	c := atSlot(1)
	full := options(guard.NewMemoryStore(), c)
	tests := []struct {
		name string
		cut  func(*guard.Options)
	}{
		{"a store", func(o *guard.Options) { o.Store = nil }},
		{"a genesis", func(o *guard.Options) { o.Genesis = chain.Hash{} }},
		{"a clock", func(o *guard.Options) { o.Now = nil }},
		{"a schedule", func(o *guard.Options) { o.SlotAt = nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := full
			tt.cut(&o)
			if _, err := guard.Open(t.Context(), o); err == nil {
				t.Fatal("it opened")
			}
		})
	}
}

func TestRecordRoundTrip(t *testing.T) {
	common := guard.Record{Seq: 7, Keep: 3, Time: 1_700_000_000_123, Prev: guard.Version{1, 2}}
	tests := []struct {
		name string
		set  func(*guard.Record)
	}{
		{"approval", func(r *guard.Record) {
			r.Kind, r.Mark, r.Slot, r.Height, r.Block = guard.KindApproval, guard.Mark{Slot: 9, Height: 8}, 9, 8, chain.Hash{3}
		}},
		{"signature", func(r *guard.Record) {
			r.Kind, r.Mark, r.Slot, r.Height, r.Block = guard.KindSignature, guard.Mark{Slot: 9, Height: 8}, 7, 6, chain.Hash{3}
			r.Signature = chain.BLSSignature{5, 6}
		}},
		{"floor", func(r *guard.Record) { r.Kind, r.Mark, r.Slot = guard.KindFloor, guard.Mark{Slot: 9, Height: 8}, 9 }},
		{"bitcoin", func(r *guard.Record) {
			r.Kind, r.Payment, r.PaymentVersion, r.TxID = guard.KindBitcoin, chain.Hash{1}, 4, chain.Hash{2}
			r.Outpoints = []guard.Outpoint{{TxID: chain.Hash{1}, Vout: 1}, {TxID: chain.Hash{2}, Vout: 0xffffffff}}
		}},
		{"release", func(r *guard.Record) {
			r.Kind, r.Payment, r.Height, r.Block = guard.KindRelease, chain.Hash{1}, 8, chain.Hash{3}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := common
			tt.set(&want)
			if want.Kind.String() != tt.name {
				t.Errorf("the kind is called %s", want.Kind)
			}
			b := want.Encode()
			got, err := guard.DecodeRecord(b)
			if err != nil || !cmp.Equal(got, want) {
				t.Fatalf("%v\n%s", err, cmp.Diff(want, got))
			}
			for _, bad := range [][]byte{b[:len(b)-1], append(slices.Clip(b), 0), nil, b[:1]} {
				if _, err := guard.DecodeRecord(bad); !errors.Is(err, guard.ErrCorrupt) {
					t.Fatalf("%d of %d bytes: got %v, want ErrCorrupt", len(bad), len(b), err)
				}
			}
		})
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(guard.Record{Seq: 1, Kind: guard.KindApproval, Slot: 3}.Encode())
	f.Add(guard.Record{Seq: 1, Kind: guard.KindFloor}.Encode())
	f.Add(guard.Record{Seq: 1, Kind: guard.KindRelease, Height: 1}.Encode())
	f.Add(guard.Record{Seq: 1, Kind: guard.KindBitcoin, Outpoints: make([]guard.Outpoint, 2)}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := guard.DecodeRecord(b)
		if err == nil && string(r.Encode()) != string(b) {
			t.Fatalf("%x decodes to a record that encodes to %x", b, r.Encode())
		}
	})
}
