package store_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
)

func blockHeads(b *block.Block) block.Heads {
	return block.Heads{Head: b.Ref(), Safe: b.Ref(), Finalized: b.Ref()}
}

// writerEnv tells a re-executed test binary to be the process that is killed.
const writerEnv = "ALYS_STORE_TEST_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		if err := writeForever(dir, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeForever makes a chain, one block and one move of the heads at a time, and says each height that is durable.
func writeForever(dir string, out io.Writer) error {
	s, err := store.Open(store.Options{Dir: dir, Genesis: genesis})
	if err != nil {
		return err
	}
	height, parent := chain.Height(0), genesis
	if heads, err := s.Heads(); err == nil {
		height, parent = heads.Head.Height, heads.Head.Hash
	}
	if _, err := fmt.Fprintln(out, "open"); err != nil {
		return err
	}
	for {
		height++
		b := testBlock(height, parent, 1)
		if err := s.InsertBlocks(block.Derived{Block: b, State: []byte(height.String())}); err != nil {
			return err
		}
		if err := s.SetHeads(blockHeads(b), []chain.Ref{b.Ref()}); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, height); err != nil {
			return err
		}
		parent = b.Header.Hash()
	}
}

// startWriter re-executes the test binary on dir.
func startWriter(t *testing.T, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), writerEnv+"="+dir)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(pipe)
	if !lines.Scan() || lines.Text() != "open" {
		t.Fatalf("the writer did not open the store: %q", lines.Text())
	}
	return cmd, lines
}

func TestKilledProcessLosesNothingThatItWasToldIsDurable(t *testing.T) {
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	dir := t.TempDir()
	for round := range rounds {
		cmd, lines := startWriter(t, dir)
		// Another process may not come near.
		if _, err := store.Open(store.Options{Dir: dir, Genesis: genesis}); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), strconv.Itoa(cmd.Process.Pid)) {
			t.Fatalf("second process: %v, want ErrLocked with process id %d", err, cmd.Process.Pid)
		}
		kill := time.AfterFunc(time.Duration(20+rand.IntN(60))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		acked := chain.Height(0)
		for lines.Scan() {
			n, err := strconv.ParseUint(lines.Text(), 10, 64)
			must(t, err)
			acked = chain.Height(n)
		}
		_ = cmd.Wait()
		kill.Stop()
		s, err := store.Open(store.Options{Dir: dir, Genesis: genesis})
		must(t, err)
		heads, err := s.Heads()
		if errors.Is(err, store.ErrNotFound) && acked == 0 {
			must(t, s.Close())
			continue
		}
		must(t, err)
		if heads.Head.Height < acked {
			t.Fatalf("round %d: head is %d, %d was durable", round, heads.Head.Height, acked)
		}
		checkWhole(t, s, heads)
		must(t, s.Close())
	}
}

// checkWhole checks that every block up to the head is there with its state, indexed, and follows the one before.
func checkWhole(t *testing.T, s *store.Store, heads block.Heads) {
	t.Helper()
	parent := genesis
	for height := chain.Height(1); height <= heads.Head.Height; height++ {
		h, err := s.Canonical(height)
		must(t, err)
		b, err := s.Block(h)
		must(t, err)
		state, err := s.State(h)
		must(t, err)
		if b.Header.Parent != parent || b.Header.Height != height || string(state) != height.String() {
			t.Fatalf("height %d: parent %s, want %s; state %q", height, b.Header.Parent, parent, state)
		}
		if _, err := s.QC(parent); err != nil {
			t.Fatal(err)
		}
		parent = h
	}
	if parent != heads.Head.Hash {
		t.Fatalf("the index ends in %s, the head is %s", parent, heads.Head.Hash)
	}
}

// TestPowerCutAtAnyWriteLeavesAWholeStore takes what a disk may hold at each write that the database makes, with any part
// of what was not synced, and opens it.
func TestPowerCutAtAnyWriteLeavesAWholeStore(t *testing.T) {
	mem := vfs.NewCrashableMem()
	rng := rand.New(rand.NewPCG(1, 2))
	type cut struct {
		fs    *vfs.MemFS
		acked chain.Height
	}
	var cuts []cut
	acked := chain.Height(0)
	record := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			cuts = append(cuts, cut{mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng}), acked})
		}
		return nil
	})
	o := options(t)
	s, err := store.Open(o.WithFS(errorfs.Wrap(mem, record)))
	must(t, err)
	parent := genesis
	for height := chain.Height(1); height <= 12; height++ {
		b := testBlock(height, parent, 1)
		must(t, s.InsertBlocks(block.Derived{Block: b, State: []byte(height.String())}))
		must(t, s.SetHeads(blockHeads(b), []chain.Ref{b.Ref()}))
		acked, parent = height, b.Header.Hash()
	}
	must(t, s.Close())
	opened := 0
	for i, c := range cuts {
		s, err := store.Open(o.WithFS(c.fs))
		if err != nil {
			t.Fatalf("cut %d of %d: %v", i, len(cuts), err)
		}
		heads, err := s.Heads()
		switch {
		case errors.Is(err, store.ErrNotFound) && c.acked == 0:
		case err != nil:
			t.Fatalf("cut %d: %v", i, err)
		case heads.Head.Height < c.acked:
			t.Fatalf("cut %d: head is %d, %d was durable", i, heads.Head.Height, c.acked)
		default:
			checkWhole(t, s, heads)
			opened++
		}
		must(t, s.Close())
	}
	if opened < 24 {
		t.Errorf("only %d of %d cuts had a head: the test shows too little", opened, len(cuts))
	}
}
