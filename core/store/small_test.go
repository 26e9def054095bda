package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
)

func TestMessagesAreKeptUntilTheirHeightIsSafe(t *testing.T) {
	o := options(t)
	s := open(t, o)
	for _, m := range []store.Message{{Height: 9, Raw: []byte("c")}, {Height: 7, Raw: []byte("a")}, {Height: 8, Raw: []byte("b")}, {Height: 7, Raw: []byte("a")}} {
		must(t, s.PutMessage(m))
	}
	s = reopen(t, s, o)
	must(t, s.DropMessages(7))
	got, err := s.Messages()
	must(t, err)
	want := []store.Message{{Height: 8, Raw: []byte("b")}, {Height: 9, Raw: []byte("c")}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	must(t, s.DropMessages(^chain.Height(0)))
	if got, _ = s.Messages(); len(got) != 0 {
		t.Errorf("%d messages are left", len(got))
	}
}

func TestEvidenceIsNewOnce(t *testing.T) {
	o := options(t)
	s := open(t, o)
	for i, want := range []bool{true, false} {
		isNew, err := s.PutEvidence([]byte("two approvals"))
		must(t, err)
		if isNew != want {
			t.Errorf("time %d: new is %v, want %v", i+1, isNew, want)
		}
	}
	s = reopen(t, s, o)
	got, err := s.Evidence()
	must(t, err)
	if len(got) != 1 || string(got[0]) != "two approvals" {
		t.Errorf("evidence is %q", got)
	}
}

func TestValuesAboveTheirLimitAreRefused(t *testing.T) {
	s := open(t, options(t))
	_, txErr := s.AddPending(store.PendingTx{Raw: make([]byte, store.MaxTransactionBytes+1)})
	_, evidenceErr := s.PutEvidence(make([]byte, store.MaxEvidenceBytes+1))
	for name, err := range map[string]error{
		"message":     s.PutMessage(store.Message{Raw: make([]byte, store.MaxMessageBytes+1)}),
		"evidence":    evidenceErr,
		"document":    s.PutDocument("big", make([]byte, store.MaxDocumentBytes+1)),
		"transaction": txErr,
	} {
		if !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", name, err)
		}
	}
}

func TestDocumentIsReplacedAndDropped(t *testing.T) {
	s := open(t, options(t))
	must(t, s.PutDocument("a", []byte("1")))
	must(t, s.PutDocument("a", []byte("2")))
	if got, err := s.Document("a"); err != nil || string(got) != "2" {
		t.Errorf("document is %q, %v", got, err)
	}
	must(t, s.DropDocument("a"))
	if _, err := s.Document("a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after dropping: %v", err)
	}
	if err := s.PutDocument("", nil); err == nil {
		t.Error("a document without a name was taken")
	}
}

func tx(i, size int) store.PendingTx {
	return store.PendingTx{Hash: chain.Hash{byte(i >> 8), byte(i), 1}, Raw: bytes.Repeat([]byte{byte(i)}, size)}
}

func pendingIDs(t *testing.T, s *store.Store) []string {
	t.Helper()
	txs, err := s.Pending()
	must(t, err)
	ids := []string{}
	size := 0
	for _, x := range txs {
		ids = append(ids, fmt.Sprint(int(x.Hash[0])<<8|int(x.Hash[1])))
		size += len(x.Raw)
	}
	if n, bytes := s.PendingCount(); n != len(txs) || bytes != size {
		t.Errorf("count says %d transactions of %d bytes, there are %d of %d", n, bytes, len(txs), size)
	}
	return ids
}

func TestPendingTransactionsKeepTheirOrderAndTheirLimits(t *testing.T) {
	o := options(t)
	o.MaxPending, o.MaxPendingBytes = 4, 1000
	s := open(t, o)
	check := func(step string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(append([]string{}, want...), pendingIDs(t, s)); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", step, diff)
		}
	}
	add := func(want int, txs ...store.PendingTx) {
		t.Helper()
		news, err := s.AddPending(txs...)
		must(t, err)
		if len(news) != want {
			t.Errorf("%d of %d were new, want %d", len(news), len(txs), want)
		}
	}
	add(2, tx(1, 10), tx(2, 10), tx(1, 10))
	add(1, tx(3, 10), tx(2, 10))
	check("three, two of them offered twice", "1", "2", "3")
	s = reopen(t, s, o)
	check("after a restart", "1", "2", "3")
	add(2, tx(4, 10), tx(5, 10))
	check("above the count the oldest goes", "2", "3", "4", "5")
	must(t, s.DropPending(tx(3, 0).Hash, chain.Hash{9}))
	check("one is in a block, another was never here", "2", "4", "5")
	add(1, tx(6, 995))
	check("above the bytes the oldest go", "6")
	s = reopen(t, s, o)
	check("after a restart again", "6")
	must(t, s.DropPending(tx(6, 0).Hash))
	add(1, tx(7, 1))
	check("from empty", "7")
}

func FuzzStoredValues(f *testing.F) {
	b := testBlock(1, chain.Hash{7}, 1)
	h := b.Header.Hash()
	f.Add(b.Encode())
	f.Add([]byte{})
	s, err := store.Open(store.Options{Dir: f.TempDir(), Genesis: genesis})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	if err := errors.Join(s.InsertBlocks(block.Derived{Block: b, State: nil}), s.SetHeads(blockHeads(b), []chain.Ref{b.Ref()})); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, key := range [][]byte{store.BlockKey(h), store.HeaderKey(h), store.QCKey(b.Header.Parent), store.CanonicalKey(1), store.HeadsKey()} {
			must(t, s.Damage(key, func([]byte) []byte { return store.Frame(key, raw) }))
		}
		if got, err := s.Block(h); err == nil && got.Header.Hash() != h {
			t.Error("another block was given back")
		} else if err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("block: %v", err)
		}
		if got, err := s.Header(h); err == nil && got.Hash() != h {
			t.Error("another header was given back")
		}
		if got, err := s.QC(b.Header.Parent); err == nil && got.Block != b.Header.Parent {
			t.Error("another certificate was given back")
		}
		if _, err := s.Heads(); err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("heads: %v", err)
		}
		if _, err := s.Canonical(1); err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("canonical: %v", err)
		}
	})
}
