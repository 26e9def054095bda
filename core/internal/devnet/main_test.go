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
	swaps       = flag.Int("devnet.swaps", 10, "hot swaps of the signer")
	kills       = flag.Int("devnet.kills", 3, "kill -9 of each of signer, engine, sync and node")
	rate        = flag.Float64("devnet.rate", 40, "bench signatures a second while the signer is swapped")
	laps        = flag.Int("devnet.laps", 5, "hot swaps of the signer under the load of bench signatures")
	calm        = flag.Duration("devnet.calm", 3*time.Second, "how long the load runs before the swaps")
	lan         = flag.Duration("devnet.lan", 0, "how long each state of a shaped and cut network lasts; 0: not tried; needs root")
	slots       = flag.Int("devnet.slots", 6, "slots of each length in which the time to a notarized block is measured")
	hostileFor  = flag.Duration("devnet.hostile", 4*time.Second, "how long each attack of hostile peers lasts")
	everyMoment = flag.Bool("devnet.everymoment", false, "kill the node on both sides of every record of the swap journal")
	everyLie    = flag.Bool("devnet.everylie", false, "let the candidate of a migration tell every lie in every place")
	folder      = flag.String("devnet.folder", "", "where to build the programs; they stay there, so that the next run links only what changed")
	idle        = flag.Duration("devnet.idle", 6*time.Second, "how long to look at memory and idle CPU")
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
	dir, err := *folder, error(nil)
	if dir == "" {
		dir, err = os.MkdirTemp("", "alys-bin-")
		defer os.RemoveAll(dir)
	}
	if err == nil {
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

// everySlot stops the node and wants a block in every slot since the first, as the chain tells it; missed is what the
// node itself counted. On a machine without CPU for the node it is told and not judged.
func everySlot(t *testing.T, n *devnet.Node, missed uint64) {
	t.Helper()
	share, starved := n.Starved()
	lost := missed
	blocks := audit(t, n).Blocks
	for i, b := range blocks[1:] {
		if gap := uint64(b.Header.Slot - blocks[i].Header.Slot); gap > 1 {
			t.Logf("no block between slot %d and %d (block %d)", blocks[i].Header.Slot, b.Header.Slot, b.Header.Height)
			lost += gap - 1
		}
	}
	switch {
	case lost == 0:
	case starved:
		t.Logf("NOT JUDGED: slots were missed, and processes of this machine waited for a CPU for %.0f %% of the time", 100*share)
		n.KeepLog()
	default:
		t.Errorf("slots were missed: %d by the node's own count (pressure on the CPU: %.0f %% of the time)", missed, 100*share)
	}
}
