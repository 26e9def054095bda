package swap_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/swap"
)

// written makes a journal of three records and returns its path.
func written(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "swap.journal")
	j := open(t, path)
	for _, s := range []swap.State{swap.Intent, swap.Flipped, swap.Done} {
		if err := j.Append(t.Context(), swap.Record{State: s, Serial: 7, Reason: "<&> é"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, path string) *swap.FileJournal {
	t.Helper()
	j, err := swap.OpenFileJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func states(t *testing.T, j swap.Journal) string {
	t.Helper()
	rs, err := j.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range rs {
		out = append(out, string(r.State))
	}
	return strings.Join(out, " ")
}

func TestFileJournalKeepsItsRecords(t *testing.T) {
	path := written(t)
	j := open(t, path)
	if got := states(t, j); got != "intent flipped done" {
		t.Errorf("records %s", got)
	}
	if err := j.Compact(t.Context(), []swap.Record{{State: swap.Snapshot, Serial: 7}}); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), swap.Record{State: swap.Stopped}); err != nil {
		t.Fatal(err)
	}
	again := open(t, path)
	if got := states(t, again); got != "snapshot stopped" || again.Cut() != 0 {
		t.Errorf("after compaction: %s, cut %d", got, again.Cut())
	}
}

func TestFileJournalTornAtAnyByteLosesOnlyTheLastRecord(t *testing.T) {
	path := written(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lastLine := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for n := lastLine; n < len(whole); n++ {
		torn := filepath.Join(t.TempDir(), "torn")
		if err := os.WriteFile(torn, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		j := open(t, torn)
		if got := states(t, j); got != "intent flipped" {
			t.Fatalf("cut at %d: %s", n, got)
		}
		if err := j.Append(t.Context(), swap.Record{State: swap.FlippedBack}); err != nil {
			t.Fatal(err)
		}
		if got := states(t, open(t, torn)); got != "intent flipped flipped_back" {
			t.Fatalf("cut at %d, then written: %s", n, got)
		}
	}
}

func TestFileJournalRefusesABrokenMiddle(t *testing.T) {
	whole, err := os.ReadFile(written(t))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for name, broken := range map[string][]byte{
		"a changed record":      bytes.Replace(whole, []byte(`"Serial":7`), []byte(`"Serial":8`), 1),
		"a changed last record": append(slicesJoin(lines[:2]), bytes.Replace(lines[2], []byte(`"Serial":7`), []byte(`"Serial":8`), 1)...),
		"a record left out":     append(append([]byte{}, lines[0]...), lines[2]...),
		"records swapped":       append(append([]byte{}, lines[1]...), lines[0]...),
		"garbage in the middle": append(append(append([]byte{}, lines[0]...), "xx\n"...), lines[1]...),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "broken")
			if err := os.WriteFile(path, broken, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := swap.OpenFileJournal(path); !errors.Is(err, swap.ErrJournalBroken) {
				t.Errorf("error %v", err)
			}
			if got, _ := os.ReadFile(path); !cmp.Equal(got, broken) {
				t.Error("the broken file was changed")
			}
		})
	}
}

func slicesJoin(ls [][]byte) []byte { return bytes.Join(ls, nil) }

func TestFileJournalAfterCloseWritesNothing(t *testing.T) {
	path := written(t)
	j := open(t, path)
	if err := errors.Join(j.Close(), j.Close()); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), swap.Record{State: swap.Intent}); err == nil {
		t.Error("a closed journal took a record")
	}
	if err := j.Append(t.Context(), swap.Record{State: swap.Intent}); !errors.Is(err, swap.ErrJournalRefuses) {
		t.Errorf("after a failed write that could not be undone: %v", err)
	}
}

func TestFileJournalOfANewerVersionIsToldApartFromADamagedOne(t *testing.T) {
	path := written(t)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Replace(raw, []byte(`"v":1`), []byte(`"v":2`), 1)
	if err := os.WriteFile(path, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := swap.OpenFileJournal(path); !errors.Is(err, swap.ErrJournalNewer) || errors.Is(err, swap.ErrJournalBroken) {
		t.Errorf("got %v, want ErrJournalNewer", err)
	}
}

func TestFileJournalNoticesACutHead(t *testing.T) {
	path := written(t)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(raw, []byte("\n"))
	if err := os.WriteFile(path, rest, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := swap.OpenFileJournal(path); !errors.Is(err, swap.ErrJournalBroken) {
		t.Errorf("got %v, want ErrJournalBroken", err)
	}
}

func TestFileJournalRefusesAStateThatItDoesNotKnow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "swap.journal")
	j := open(t, path)
	if err := j.Append(t.Context(), swap.Record{State: "owned"}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := swap.OpenFileJournal(path); !errors.Is(err, swap.ErrJournalBroken) {
		t.Errorf("got %v, want ErrJournalBroken", err)
	}
}
