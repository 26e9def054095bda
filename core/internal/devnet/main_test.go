package devnet_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/alys-node/alys/core/internal/devnet"
)

// How much to do: little in CI, all that the README promises in `make bench`.
var (
	swaps = flag.Int("devnet.swaps", 10, "hot swaps of the signer")
	kills = flag.Int("devnet.kills", 3, "kill -9 of each of signer, engine and node")
	idle  = flag.Duration("devnet.idle", 6*time.Second, "how long to look at memory and idle CPU")
)

// binaries are built once, before the first test, and not for a short run.
var binaries devnet.Binaries

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if testing.Short() {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "alys-bin-")
	if err == nil {
		defer os.RemoveAll(dir)
		binaries, err = devnet.Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// start runs a node until the test ends.
func start(t *testing.T, extra string) *devnet.Node {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes")
	}
	n := devnet.New(t, binaries, extra)
	n.Start()
	return n
}

// audit stops the node and reads its disk.
func audit(t *testing.T, n *devnet.Node) devnet.Audited {
	t.Helper()
	n.Stop()
	n.UntilGone(5 * time.Second)
	if left := n.Sockets(); len(left) > 0 {
		t.Errorf("sockets left behind: %v", left)
	}
	a, err := n.Audit()
	if err != nil {
		t.Fatalf("audit: %v", err)
	}
	t.Logf("audit: %d blocks, %d approvals in the guard, %v in the signers' own", len(a.Blocks), a.Approvals, a.Signers)
	return a
}

// everySlot wants a block in every slot from the given height on.
func everySlot(t *testing.T, a devnet.Audited, from uint64) {
	t.Helper()
	for i, b := range a.Blocks {
		if i > 0 && uint64(b.Header.Height) > from && b.Header.Slot != a.Blocks[i-1].Header.Slot+1 {
			t.Errorf("no block between slot %d and %d (block %d)", a.Blocks[i-1].Header.Slot, b.Header.Slot, b.Header.Height)
		}
	}
}
