package devnet_test

import (
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/internal/devnet"
	"github.com/alys-node/alys/core/swap"
)

// change is a change of alys.hcl that an apply carries out, and the records that it writes.
type change struct {
	name     string
	role     string
	from, to string // text of alys.hcl
	old, new string // who serves the role before and after
	states   []swap.State
}

var (
	beside   = []swap.State{swap.Intent, swap.Started, swap.Admitted, swap.Flipped, swap.Done}
	handover = []swap.State{swap.Intent, swap.Started, swap.Handover, swap.Admitted, swap.Flipped, swap.Done}
)

// changes are one of each way to swap, for each kind.
func changes() []change {
	return []change{
		{"a signer beside the old one", "signer", "primary = plugin.signer.local\n", "primary = plugin.signer.local2\n", "local", "local2", beside},
		{
			"a signer in place, by handover", "signer", "    bench    = true\n  }\n}\n\nplugin \"signer\" \"local2\"",
			"    bench    = true\n    allow_export = false\n  }\n}\n\nplugin \"signer\" \"local2\"", "local", "local", handover,
		},
		{"an engine on its own folder", "engine", "primary = plugin.engine.v5\n", "primary = plugin.engine.other\n", "v5", "other", beside},
		{"an engine in place, by handover", "engine", "\"engine\" \"v5\" {\n  command = \"alys-engine-v5\"\n", "\"engine\" \"v5\" {\n  command = \"alys-engine-v5\"\n  config {\n    cache = \"48MiB\"\n  }\n", "v5", "v5", handover},
		{"a sync strategy", "sync", "primary = plugin.sync.sequential\n", "primary = plugin.sync.other\n", "sequential", "other", beside},
	}
}

// others are the blocks that changes go to.
const others = `plugin "engine" "other" {
  command = "alys-engine-v5"
}

plugin "sync" "other" {
  command = "alys-sync-sequential"
}
`

// story is a way to a record that no apply of a good change writes.
type story struct {
	state swap.State
	extra string
	tell  func(t *testing.T, n *devnet.Node, when devnet.When)
}

func stories() []story {
	return []story{
		{swap.FlippedBack, "", killedAtFlippedBack},
		{swap.Failed, noProbation(), killedAtFailed},
		{swap.HostStarted, noProbation(), killedAtHostStarted},
		{swap.Launched, noProbation(), killedAtLaunched},
		{swap.Stopped, noProbation(), killedAtStopped},
		{swap.Snapshot, noProbation(), killedAtSnapshot},
	}
}

// TestEveryStateOfTheJournalHasAKill fails for a state that somebody adds to the journal without saying what a node does
// that is killed there.
func TestEveryStateOfTheJournalHasAKill(t *testing.T) {
	killed := map[swap.State]bool{}
	for _, c := range changes() {
		for _, s := range c.states {
			killed[s] = true
		}
	}
	for _, s := range stories() {
		killed[s.state] = true
	}
	for _, s := range swap.States() {
		if !killed[s] {
			t.Errorf("no node is killed at %q: add it to a change or a story", s)
		}
	}
}

// sides are the moments around a record at which a node is killed: in CI after each, and before the commit; with
// -devnet.everymoment before each too.
func sides(s swap.State) []devnet.When {
	if *everyMoment || s == swap.Flipped {
		return []devnet.When{devnet.Before, devnet.After}
	}
	return []devnet.When{devnet.After}
}

// TestEndToEndKilledAtEveryRecordOfASwap kills a real node with real plugins at each record that a swap writes, and wants
// exactly the old or the new route back: old before the record "flipped" is durable, new from then on.
func TestEndToEndKilledAtEveryRecordOfASwap(t *testing.T) {
	for _, c := range changes() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := startHalting(t, noProbation()+others)
			for _, s := range c.states {
				for _, when := range sides(s) {
					c.kill(t, n, when, s)
					if committed(when, s) {
						c.from, c.to, c.old, c.new = c.to, c.from, c.new, c.old
					}
				}
			}
			agree(t, n)
		})
	}
}

// committed is the rule of the journal: the record "flipped" is the commit.
func committed(when devnet.When, s swap.State) bool {
	return s == swap.Done || s == swap.Flipped && when == devnet.After
}

// kill applies a change, kills the node at a record, and wants it back.
func (c change) kill(t *testing.T, n *devnet.Node, when devnet.When, s swap.State) {
	t.Helper()
	before := n.Status()
	n.HaltAt(when, s)
	n.Edit(c.from, c.to)
	n.Begin("apply", "--auto-approve", "--allow-gap")
	n.UntilHalted(time.Minute)
	dead := die(t, n, when)
	w := want{role: c.role, serves: c.old, serial: before.Serial, processes: 4}
	if committed(when, s) {
		w.serves, w.serial = c.new, before.Serial+1
	} else {
		n.Edit(c.to, c.from) // else the start would go on to what the file wants
	}
	n.Launch()
	w.back(t, n, dead, fmt.Sprintf("killed %s %s", when, s))
}

// die kills the node where it halted, waits until nothing of it runs, and reads its disk. A record that was about to be
// written is there in part.
func die(t *testing.T, n *devnet.Node, when devnet.When) devnet.Audited {
	t.Helper()
	n.Kill()
	n.UntilGone(20 * time.Second)
	n.Resume()
	if when == devnet.Before {
		n.TearJournal()
	}
	a, err := n.AuditDead()
	if err != nil {
		t.Fatalf("audit after the kill: %v", err)
	}
	return a
}

// want is what a node that comes back must be.
type want struct {
	role, serves string
	serial       uint64
	processes    int
	drift        bool
}

// back waits until the node produces, and holds it against what is wanted and against its disk when it died.
func (w want) back(t *testing.T, n *devnet.Node, dead devnet.Audited, what string) admin.Status {
	t.Helper()
	head := dead.Blocks[len(dead.Blocks)-1]
	took := n.Until("block after "+what, 2*time.Minute, func() bool {
		s, ok := n.TryStatus()
		return ok && s.Head.Height > head.Header.Height && n.Primary(w.role).PID != 0
	})
	s := n.Status()
	t.Logf("%s: %s serves at serial %d, next block %s after the restart (promise: 10s)", what, w.serves, s.Serial, took.Round(time.Millisecond))
	if g := n.Primary(w.role); g.Plugin != w.serves || s.Serial != w.serial || s.Drift != w.drift {
		t.Errorf("%s: %s serves at serial %d (drift %v), want %s at %d (drift %v)\n%s", what, g.Plugin, s.Serial, s.Drift, w.serves, w.serial, w.drift, n.LogTail(30))
	}
	b, err := n.Wallet("http").HeaderByNumber(t.Context(), new(big.Int).SetUint64(uint64(head.Header.Height)))
	if err != nil || b.Hash().String() != head.Execution.Payload.BlockHash.String() {
		t.Errorf("%s: the engine's block %d is %v (%v), the store had %s", what, head.Header.Height, b, err, head.Execution.Payload.BlockHash)
	}
	leftovers(t, n, w.processes, what)
	return s
}

// leftovers wants the processes of this node and no others, and one run folder with one folder for each plugin.
func leftovers(t *testing.T, n *devnet.Node, processes int, what string) {
	t.Helper()
	var left []devnet.Process
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
		if left = n.Processes(); len(left) == processes { // a client of the command line may be about to end
			break
		}
	}
	if len(left) != processes {
		t.Errorf("%s: %d processes, want %d: %+v", what, len(left), processes, left)
	}
	runs, err := filepath.Glob(filepath.Join(n.Dir, "run", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	runs = slices.DeleteFunc(runs, func(p string) bool { return filepath.Base(p) == "lock" })
	if hosts, _ := os.ReadDir(filepath.Join(n.Dir, "run")); len(hosts) != 1 || len(runs) != processes-1 {
		t.Errorf("%s: run folders %v below %v, want one for each of %d plugins", what, runs, hosts, processes-1)
	}
}

// startHalting runs a node that can be halted until the test ends.
func startHalting(t *testing.T, extra string) *devnet.Node {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes")
	}
	n := devnet.NewHalting(t, binaries, extra)
	n.Start()
	return n
}
