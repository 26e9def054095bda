package geth_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// crashDir, when set, makes the test binary the process that is killed.
const crashDir = "ALYS_TEST_CRASH_DIR"

func TestKilledEngineIsCaughtUp(t *testing.T) {
	const count = 300
	if dir := os.Getenv(crashDir); dir != "" {
		n := &node{Engine: openAt(t, dir), t: t}
		for i := range count {
			hash := n.extend(1)[0].Payload.BlockHash
			if f := (engine.Forkchoice{Head: hash, Safe: hash, Finalized: hash}); i%2 == 1 {
				if _, err := n.Import(t.Context(), engine.ImportRequest{Forkchoice: &f}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if self, err := os.FindProcess(os.Getpid()); err != nil || self.Kill() != nil {
			t.Fatal("cannot kill myself")
		}
		select {}
	}
	blocks := start(t, fork{}).extend(count)
	want := chain.Ref{Height: count, Hash: blocks[count-1].Payload.BlockHash}

	dir := filepath.Join(t.TempDir(), "data")
	victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledEngineIsCaughtUp$")
	victim.Env = append(os.Environ(), crashDir+"="+dir)
	var died *exec.ExitError
	if out, err := victim.CombinedOutput(); !errors.As(err, &died) || died.ExitCode() != -1 {
		t.Fatalf("the process was not killed: %v\n%s", err, out)
	}

	n := &node{Engine: openAt(t, dir), t: t}
	heads := n.status().Heads
	head := heads.Head
	t.Logf("killed at block %d, came back at %d", count, head.Height)
	if head.Height < count-100 || head.Height > count || head.Hash != blocks[head.Height-1].Payload.BlockHash {
		t.Fatalf("came back at %v", head)
	}
	if heads.Safe.Height > head.Height || heads.Finalized.Height > head.Height {
		t.Errorf("came back with a safe or finalized block above the head: %+v", heads)
	}
	for i := int(head.Height); i < count; i += 8 {
		n.head(blocks[i:min(count, i+8)]...)
	}
	if got := n.status().Heads.Head; got != want {
		t.Fatalf("head after replay is %v, want %v", got, want)
	}
	n.extend(10)
	want = n.status().Heads.Head
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n.Engine = openAt(t, dir)
	if got := n.status().Heads.Head; got != want {
		t.Fatalf("head after a clean restart is %v, want %v", got, want)
	}
}

func TestPooledWalletTransactionsSurviveARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	n := &node{Engine: openAt(t, dir), t: t}
	n.add(transfer(0), transfer(1))
	carried, err := n.PendingTransactions(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n.Engine = openAt(t, dir)
	n.add(carried...)
	if got := len(n.extend(1)[0].Payload.Transactions); got != 2 {
		t.Fatalf("%d transactions in the block, want 2", got)
	}
}
