package chainfile

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"github.com/alys-node/alys/core/internal/durable"
)

var (
	errBroken  = errors.New("broken")
	errNewer   = errors.New("newer")
	errRefuses = errors.New("refuses")
)

var format = Format{Name: "test file", Version: 1, Broken: errBroken, Newer: errNewer, Refuses: errRefuses}

func keep(into *[]string) func(Entry) error {
	return func(e Entry) error {
		*into = append(*into, string(e.Record))
		return nil
	}
}

// TestReplacementThatIsNotDurableRefusesRecords is internal because a folder that cannot be synced after a rename cannot be
// made for every user who runs tests.
func TestReplacementThatIsNotDurableRefusesRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var seen []string
	f, err := Open(path, format, keep(&seen))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Append([]byte(`1`)); err != nil {
		t.Fatal(err)
	}
	errDisk := errors.New("input/output error")
	f.syncDir = func(string) error { return errDisk }
	if replaced, err := f.Replace([][]byte{[]byte(`2`)}); !errors.Is(err, errDisk) || !replaced {
		t.Errorf("replace: %v, %v", replaced, err)
	}
	f.syncDir = durable.SyncDir
	if err := f.Append([]byte(`3`)); !errors.Is(err, errRefuses) {
		t.Errorf("a record after it: %v", err)
	}
	again, err := Open(path, format, keep(&seen))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	if len(seen) != 1 || seen[0] != `2` {
		t.Errorf("opened again it has %q", seen)
	}
}

// FuzzDecode is internal because a file for each input would measure the disk. What is read as whole must be followed by a
// new record as if nothing had been behind it.
func FuzzDecode(f *testing.F) {
	var whole []byte
	last := ""
	for range 3 {
		text, sum, err := format.Encode([]byte(`{"a":1}`), last)
		if err != nil {
			f.Fatal(err)
		}
		whole, last = append(whole, text...), sum
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-7])
	f.Add([]byte("\n{}\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		n := 0
		count := func(Entry) error { n++; return nil }
		c, err := format.Decode(bytes.NewReader(content), count)
		if err != nil {
			return
		}
		if c.Good < 0 || c.Good > int64(len(content)) {
			t.Fatalf("%d of %d bytes are whole", c.Good, len(content))
		}
		before := n
		text, _, err := format.Encode([]byte(`2`), c.Sum)
		if err != nil {
			t.Fatal(err)
		}
		n = 0
		if _, err := format.Decode(bytes.NewReader(append(content[:c.Good:c.Good], text...)), count); err != nil || n != before+1 {
			t.Fatalf("%d records and one more are %d, %v", before, n, err)
		}
	})
}
