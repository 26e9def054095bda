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
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limit := before
	limit.Cur = uint64(st.Size()) + 20 // the next line fits only in part
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	err = g.Approve(key, header(11, 4, 1))
	restored := unix.Setrlimit(unix.RLIMIT_FSIZE, &before)
	if restored != nil {
		t.Fatal(restored)
	}
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
