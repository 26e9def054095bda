package watermark_test

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/alys-node/alys/plugins/internal/watermark"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// TestFullDiskFailsAndRecovers limits the size of this process's files for one write, which meets it like a full disk.
func TestFullDiskFailsAndRecovers(t *testing.T) {
	dir := t.TempDir()
	g := open(t, dir)
	approve(t, g, header(10, 4, 1))
	st, err := os.Stat(file(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	// the next line fits only in part
	limitFiles(t, uint64(st.Size())+20, func() { err = g.Approve(key, header(11, 4, 1)) })
	if !errors.Is(err, signer.ErrUnavailable) || !errors.Is(err, unix.EFBIG) || errors.Is(err, signer.ErrRefused) {
		t.Fatalf("got %v, want a failure with the disk's reason", err)
	}
	if g.Err() != nil {
		t.Fatalf("the guard gave up: %v", g.Err())
	}
	approve(t, g, header(11, 4, 2)) // nothing was signed for slot 11
	g = reopen(t, g, dir)
	if len(g.Cut()) != 0 {
		t.Error("a part of the failed line was left")
	}
	wantRefused(t, g.Approve(key, header(11, 4, 1)))
	if err := g.Spend(watermark.Spend{Payment: chain.Hash{1}, TxID: chain.Hash{1}, Outpoints: []string{"a:0"}}); err != nil {
		t.Fatal(err)
	}
}

// TestFullDiskWhileCompacting has no room for the new file: the old one stays, and the next try succeeds.
func TestFullDiskWhileCompacting(t *testing.T) {
	dir := t.TempDir()
	last := fullJournal(t, dir)
	g := open(t, dir)
	next := header(last+1, chain.Height(last+1), 1)
	var err error
	limitFiles(t, 100, func() { err = g.Approve(key, next) })
	if !errors.Is(err, signer.ErrUnavailable) || !errors.Is(err, unix.EFBIG) || errors.Is(err, signer.ErrRefused) {
		t.Fatalf("got %v, want a failure with the disk's reason", err)
	}
	if g.Err() != nil {
		t.Fatalf("the guard gave up: %v", g.Err())
	}
	approve(t, g, header(last+1, chain.Height(last+1), 2))
	g = reopen(t, g, dir)
	wantRefused(t, g.Approve(key, next))
	wantRefused(t, g.Approve(key, header(last, chain.Height(last), 2)))
}

// TestFullDiskAtTheFirstWrite leaves no file, so that the key starts as it was.
func TestFullDiskAtTheFirstWrite(t *testing.T) {
	dir := t.TempDir()
	g := open(t, dir)
	limitFiles(t, 10, func() {
		if err := g.Approve(key, header(1, 1, 1)); !errors.Is(err, signer.ErrUnavailable) || !errors.Is(err, unix.EFBIG) {
			t.Errorf("got %v, want a failure with the disk's reason", err)
		}
		if err := g.Raise([]signer.Floor{{Key: other, Slot: 5, Height: 5}}); !errors.Is(err, signer.ErrUnavailable) {
			t.Errorf("a floor: got %v, want a failure", err)
		}
	})
	approve(t, g, header(1, 1, 2))
	g = reopen(t, g, dir)
	wantRefused(t, g.Approve(key, header(1, 1, 1)))
}

// limitFiles runs fn while this process's files may have n bytes at most, which meets a write like a full disk.
func limitFiles(t *testing.T, n uint64, fn func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
	}()
	fn()
}
