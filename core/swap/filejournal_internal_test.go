package swap

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
)

// TestCompactionThatIsNotDurableRefusesRecords is internal because a folder that cannot be synced after a rename cannot be
// made for every user who runs tests.
func TestCompactionThatIsNotDurableRefusesRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "swap.journal")
	j, err := OpenFileJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	if err := j.Append(t.Context(), Record{State: Intent}); err != nil {
		t.Fatal(err)
	}
	errDisk := errors.New("input/output error")
	j.syncDir = func(string) error { return errDisk }
	if err := j.Compact(t.Context(), []Record{{State: Snapshot, Serial: 7}}); !errors.Is(err, errDisk) {
		t.Errorf("compact: %v", err)
	}
	j.syncDir = syncDir
	if err := j.Append(t.Context(), Record{State: Flipped, Serial: 8}); !errors.Is(err, ErrJournalRefuses) {
		t.Errorf("a record after it: %v", err)
	}
	again, err := OpenFileJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	if err := again.Append(t.Context(), Record{State: Flipped, Serial: 8}); err != nil {
		t.Fatal(err)
	}
	rs, err := again.Load(t.Context())
	if err != nil || len(rs) != 2 || rs[0].State != Snapshot || rs[1].Serial != 8 {
		t.Errorf("opened again it has %+v, %v", rs, err)
	}
}

// FuzzDecodeJournal is internal because a file for each input would measure the disk. What is read as whole must be
// followed by a new record as if nothing had been behind it.
func FuzzDecodeJournal(f *testing.F) {
	var whole []byte
	last := ""
	for _, s := range States() {
		text, sum, err := encodeLine(Record{State: s, Serial: 1, Reason: "seed"}, last)
		if err != nil {
			f.Fatal(err)
		}
		whole, last = append(whole, text...), sum
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-7])
	f.Add([]byte("\n{}\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		records, good, last, err := decodeJournal(bytes.NewReader(content))
		if err != nil {
			return
		}
		if good < 0 || good > int64(len(content)) {
			t.Fatalf("%d of %d bytes are whole", good, len(content))
		}
		text, _, err := encodeLine(Record{State: Intent}, last)
		if err != nil {
			t.Fatal(err)
		}
		again, _, _, err := decodeJournal(bytes.NewReader(append(content[:good:good], text...)))
		if err != nil || len(again) != len(records)+1 {
			t.Fatalf("%d records and one more are %d, %v", len(records), len(again), err)
		}
	})
}
