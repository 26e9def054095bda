package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
)

func openDownloads(t *testing.T, dir string, limit uint64) *store.Downloads {
	t.Helper()
	s, err := store.Open(store.Options{Dir: dir, Genesis: genesis})
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.OpenDownloads(limit)
	if err = errors.Join(err, s.Close()); err != nil { // the folder of downloads needs the database only for its disk
		t.Fatal(err)
	}
	return d
}

func keepDownload(t *testing.T, d *store.Downloads, from, to chain.Height, size int) {
	t.Helper()
	if err := d.Keep(from, to, bytes.Repeat([]byte{byte(from)}, size)); err != nil {
		t.Fatal(err)
	}
}

func TestDownloadsAreThereAfterARestart(t *testing.T) {
	dir := t.TempDir()
	d := openDownloads(t, dir, 1000)
	keepDownload(t, d, 65, 128, 30)
	keepDownload(t, d, 1, 64, 20)
	keepDownload(t, d, 129, 130, 40)
	if err := d.Drop(129, 130); err != nil {
		t.Fatal(err)
	}
	d = openDownloads(t, dir, 1000)
	want := []store.Download{{From: 1, To: 64, Bytes: 20}, {From: 65, To: 128, Bytes: 30}}
	if diff := cmp.Diff(want, d.List()); diff != "" {
		t.Fatalf("downloads (-want +got):\n%s", diff)
	}
	got, err := d.Read(65, 128)
	if err != nil || !bytes.Equal(got, bytes.Repeat([]byte{65}, 30)) {
		t.Errorf("read %x, %v", got, err)
	}
	if _, err := d.Read(129, 130); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("read of what was dropped: %v, want ErrNotFound", err)
	}
}

func TestDownloadsAreBounded(t *testing.T) {
	dir := t.TempDir()
	d := openDownloads(t, dir, 100)
	keepDownload(t, d, 1, 10, 60)
	if err := d.Keep(11, 20, make([]byte, 41)); !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("101 of 100 bytes: %v, want ErrNoSpace", err)
	}
	keepDownload(t, d, 11, 20, 40)
	d = openDownloads(t, dir, 99)
	if diff := cmp.Diff([]store.Download{{From: 1, To: 10, Bytes: 60}}, d.List()); diff != "" {
		t.Errorf("downloads under a lower limit (-want +got):\n%s", diff)
	}
}

func TestDamagedDownloadsAreNotRead(t *testing.T) {
	dir := t.TempDir()
	d := openDownloads(t, dir, 1000)
	path := func(name string) string { return filepath.Join(dir, "downloads", name) }
	for _, damage := range []struct {
		name string
		do   func(t *testing.T, raw []byte) []byte
	}{
		{"a byte is another", func(_ *testing.T, raw []byte) []byte { raw[len(raw)/2] ^= 1; return raw }},
		{"torn", func(_ *testing.T, raw []byte) []byte { return raw[:len(raw)/2] }},
		{"of zeros", func(_ *testing.T, raw []byte) []byte { return make([]byte, len(raw)) }},
		{"empty", func(*testing.T, []byte) []byte { return nil }},
	} {
		t.Run(damage.name, func(t *testing.T) {
			keepDownload(t, d, 7, 9, 50)
			file := path("00000000000000000007-00000000000000000009.run")
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, damage.do(t, raw), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Read(7, 9); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("read: %v, want ErrCorrupt", err)
			}
		})
	}
	// What is no whole download at the start goes: an unfinished file, a stranger, a file of no content.
	for _, name := range []string{"00000000000000000001-00000000000000000002.run.part", "notes.txt"} {
		if err := os.WriteFile(path(name), []byte("some bytes"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := openDownloads(t, dir, 1000).List(); len(got) != 0 {
		t.Errorf("downloads: %v, want none", got)
	}
	left, err := os.ReadDir(filepath.Join(dir, "downloads"))
	if err != nil || len(left) != 0 {
		t.Errorf("left on disk: %v, %v", left, err)
	}
}
