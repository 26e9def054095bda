package devnet

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/alys-node/alys/core/swap"
)

// NewHalting is New for a node that HaltAt can stop at a record of its swap journal.
func NewHalting(t testing.TB, bin Binaries, extra string) *Node {
	t.Helper()
	n := New(t, bin, extra)
	n.program = bin.Halt
	return n
}

// When is a side of a record of the swap journal.
type When string

// The sides.
const (
	Before When = "before" // what leads to the record was done, and it is not written
	After  When = "after"  // the record is durable, and nothing was done because of it
)

// HaltAt makes the swap of the node halt at the next record of a state.
func (n *Node) HaltAt(when When, s swap.State) {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.Dir, "halt-at"), []byte(string(when)+" "+string(s)), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// UntilHalted waits until the node stands where HaltAt said.
func (n *Node) UntilHalted(limit time.Duration) {
	n.t.Helper()
	n.Until("halt at the record", limit, func() bool {
		_, err := os.Stat(filepath.Join(n.Dir, "halted"))
		return err == nil
	})
}

// Resume lets a halted node go on, and makes a dead one's successor not halt.
func (n *Node) Resume() {
	n.t.Helper()
	for _, name := range []string{"halt-at", "halted"} {
		if err := os.Remove(filepath.Join(n.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			n.t.Fatal(err)
		}
	}
}

// TearJournal leaves what a power cut leaves of a record that was being written: its first bytes.
func (n *Node) TearJournal() {
	n.t.Helper()
	f, err := os.OpenFile(filepath.Join(n.Dir, "journal"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		n.t.Fatal(err)
	}
	_, err = f.WriteString(`{"v":1,"prev":"`)
	if err := errors.Join(err, f.Close()); err != nil {
		n.t.Fatal(err)
	}
}

// AuditDead is Audit for a node that was killed and is to be started again: it reads a copy, so that what the death left
// behind is the next node's to deal with.
func (n *Node) AuditDead() (Audited, error) {
	n.t.Helper()
	copied := *n
	copied.Dir = n.t.TempDir()
	for _, part := range []string{"store", filepath.Join("state", "signer")} {
		if err := os.CopyFS(filepath.Join(copied.Dir, part), os.DirFS(filepath.Join(n.Dir, part))); err != nil {
			return Audited{}, err
		}
	}
	return copied.Audit()
}

// Committed is the serial of the last commit in the swap journal of a dead node, read from a copy.
func (n *Node) Committed() (serial uint64, err error) {
	n.t.Helper()
	raw, err := os.ReadFile(filepath.Join(n.Dir, "journal"))
	if err != nil {
		return 0, err
	}
	path := filepath.Join(n.t.TempDir(), "journal")
	if err := os.WriteFile(path, raw, 0o600); err != nil { //nolint:gosec // a copy in a folder of the test
		return 0, err
	}
	j, err := swap.OpenFileJournal(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	records, err := j.Load(n.t.Context())
	for _, r := range records {
		if slices.Contains([]swap.State{swap.Flipped, swap.FlippedBack, swap.Snapshot}, r.State) {
			serial = r.Serial
		}
	}
	return serial, err
}
