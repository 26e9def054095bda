package devnet_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alys-node/alys/core/internal/devnet"
	"github.com/alys-node/alys/core/swap"
)

// TestEndToEndKilledAtTheOtherRecords kills a real node at the records that are written outside an apply that goes well.
func TestEndToEndKilledAtTheOtherRecords(t *testing.T) {
	for _, s := range stories() {
		for _, when := range sides(s.state) {
			t.Run(fmt.Sprintf("%s %s", when, s.state), func(t *testing.T) {
				t.Parallel()
				n := startHalting(t, s.extra)
				s.tell(t, n, when)
				agree(t, n)
			})
		}
	}
}

func mustApply(t *testing.T, n *devnet.Node, from, to string) {
	t.Helper()
	n.Edit(from, to)
	if out, ok := n.Alys("apply", "--auto-approve", "--allow-gap"); !ok {
		t.Fatalf("apply: %s", out)
	}
}

const (
	toLocal  = "primary = plugin.signer.local\n"
	toLocal2 = "primary = plugin.signer.local2\n"
	toBad    = "primary = plugin.signer.bad\n"
)

// killedAtFlippedBack is killed while an operator goes back: before the record the change is still on probation, after it
// the old route is back and the file that still wants the change is not tried again.
func killedAtFlippedBack(t *testing.T, n *devnet.Node, when devnet.When) {
	mustApply(t, n, toLocal, toLocal2)
	applied := n.Status().Serial
	n.HaltAt(when, swap.FlippedBack)
	n.Begin("rollback", "--role", "signer")
	n.UntilHalted(time.Minute)
	dead := die(t, n, when)
	n.Launch()
	if when == devnet.Before {
		want{role: "signer", serves: "local2", serial: applied, processes: 5}.back(t, n, dead, "killed before flipped_back")
		return
	}
	s := want{role: "signer", serves: "local", serial: applied + 1, processes: 4, drift: true}.back(t, n, dead, "killed after flipped_back")
	if len(s.Rejected) != 1 {
		t.Errorf("rejected: %+v", s.Rejected)
	}
}

// killedAtFailed is killed while it notes that a liar was not admitted. Its successor tries the file once more and stays
// with the old signer.
func killedAtFailed(t *testing.T, n *devnet.Node, when devnet.When) {
	before := n.Status()
	n.Edit(`mode   = "none"`, `mode   = "lies-at-once"`)
	n.HaltAt(when, swap.Failed)
	n.Edit(toLocal, toBad)
	n.Begin("apply", "--auto-approve")
	n.UntilHalted(time.Minute)
	dead := die(t, n, when)
	n.Launch()
	want{role: "signer", serves: "local", serial: before.Serial, processes: 4, drift: true}.back(t, n, dead, "killed at failed")
}

// killedAtHostStarted is killed while it comes up.
func killedAtHostStarted(t *testing.T, n *devnet.Node, when devnet.When) {
	before := n.Status()
	n.Stop()
	n.HaltAt(when, swap.HostStarted)
	n.Launch()
	n.UntilHalted(time.Minute)
	dead := die(t, n, when)
	n.Launch()
	want{role: "signer", serves: "local", serial: before.Serial, processes: 4}.back(t, n, dead, "killed at host_started")
}

// killedAtLaunched is killed while it starts a plugin again that did not start with the node.
func killedAtLaunched(t *testing.T, n *devnet.Node, when devnet.When) {
	keys := filepath.Join(n.Dir, "keys2")
	if err := os.Symlink("keys", keys); err != nil {
		t.Fatal(err)
	}
	n.Edit("plugin \"signer\" \"local2\" {\n  command = \"alys-signer-local\"\n  config {\n    keystore = \"./keys\"", "plugin \"signer\" \"local2\" {\n  command = \"alys-signer-local\"\n  config {\n    keystore = \"./keys2\"")
	mustApply(t, n, toLocal, toLocal+"  shadow = plugin.signer.local2\n")
	before := n.Status()
	n.Stop()
	if err := os.Rename(keys, keys+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keys, nil, 0o600); err != nil { // no folder: the signer does not start
		t.Fatal(err)
	}
	n.HaltAt(when, swap.Launched)
	n.Launch()
	n.UntilHalted(2 * time.Minute)
	dead := die(t, n, when)
	if err := os.Remove(keys); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(keys+".away", keys); err != nil {
		t.Fatal(err)
	}
	n.Launch()
	want{role: "signer", serves: "local", serial: before.Serial, processes: 5}.back(t, n, dead, "killed at launched")
}

// killedAtStopped is killed at the end of a stop that was asked for.
func killedAtStopped(t *testing.T, n *devnet.Node, when devnet.When) {
	before := n.Status()
	n.HaltAt(when, swap.Stopped)
	n.Signal(syscall.SIGTERM)
	n.UntilHalted(time.Minute)
	dead := die(t, n, when)
	n.Launch()
	want{role: "signer", serves: "local", serial: before.Serial, processes: 4}.back(t, n, dead, "killed at stopped")
}

// killedAtSnapshot is killed while a long journal is shortened, after a change that was committed.
func killedAtSnapshot(t *testing.T, n *devnet.Node, when devnet.When) {
	before := n.Status()
	n.Stop()
	lengthen(t, filepath.Join(n.Dir, "journal"))
	n.Launch()
	n.Until("node on a long journal", time.Minute, func() bool { s, ok := n.TryStatus(); return ok && s.Ready })
	n.HaltAt(when, swap.Snapshot)
	n.Edit(toLocal, toLocal2)
	n.Begin("apply", "--auto-approve")
	n.UntilHalted(time.Minute)
	n.Kill()
	n.UntilGone(20 * time.Second)
	n.Resume()
	dead, err := n.AuditDead()
	if err != nil {
		t.Fatal(err)
	}
	n.Launch()
	want{role: "signer", serves: "local2", serial: before.Serial + 1, processes: 4}.back(t, n, dead, "killed at snapshot")
}

// lengthen adds so many records of past stops to a journal that the next swap compacts it.
func lengthen(t *testing.T, path string) {
	t.Helper()
	j, err := swap.OpenFileJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 256 {
		if err := j.Append(t.Context(), swap.Record{State: swap.Stopped, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestEndToEndHostKilledTwiceInProbationComesBackOld counts deaths and not stops: a node that is stopped, or killed at the
// end of its stop, goes on with the probation; the second kill ends it.
func TestEndToEndHostKilledTwiceInProbationComesBackOld(t *testing.T) {
	t.Parallel()
	n := startHalting(t, "")
	mustApply(t, n, toLocal, toLocal2)
	serial := n.Status().Serial
	on := want{role: "signer", serves: "local2", serial: serial, processes: 5}

	n.HaltAt(devnet.After, swap.Stopped)
	n.Signal(syscall.SIGTERM)
	n.UntilHalted(time.Minute)
	dead := die(t, n, devnet.After)
	n.Launch()
	on.back(t, n, dead, "stopped in probation")

	dead = die(t, n, devnet.After)
	n.Launch()
	on.back(t, n, dead, "killed in probation")

	dead = die(t, n, devnet.After)
	n.Launch()
	s := want{role: "signer", serves: "local", serial: serial + 1, processes: 4, drift: true}.back(t, n, dead, "killed twice in probation")
	if len(s.Rejected) != 1 {
		t.Errorf("rejected: %+v", s.Rejected)
	}
	if out, _ := n.Alys("status"); !strings.Contains(out, "died twice in the probation") {
		t.Errorf("the status does not tell:\n%s", out)
	}
	agree(t, n)
}

// TestEndToEndStoppedInTheMiddleOfASwap sends SIGTERM to every process of the node, as systemd does, while a swap stands
// at a record. The stop is clean, and what comes back is what the journal committed.
func TestEndToEndStoppedInTheMiddleOfASwap(t *testing.T) {
	t.Parallel()
	c := changes()[0]
	n := startHalting(t, noProbation())
	states := []swap.State{swap.Started, swap.Flipped}
	if *everyMoment {
		states = c.states
	}
	for _, s := range states {
		before := n.Status()
		n.HaltAt(devnet.After, s)
		n.Edit(c.from, c.to)
		n.Begin("apply", "--auto-approve")
		n.UntilHalted(time.Minute)
		for _, p := range n.Processes() {
			_ = syscall.Kill(p.PID, syscall.SIGTERM) // it may have ended just now
		}
		n.Resume()
		if code := n.WaitExit(time.Minute); code != 0 {
			t.Errorf("stopped after %s: exit code %d\n%s", s, code, n.LogTail(30))
		}
		n.UntilGone(10 * time.Second)
		if left := n.Sockets(); len(left) > 0 {
			t.Errorf("stopped after %s: sockets left: %v", s, left)
		}
		serial, err := n.Committed()
		if err != nil {
			t.Fatal(err)
		}
		dead, err := n.AuditDead()
		if err != nil {
			t.Fatal(err)
		}
		w := want{role: c.role, serves: c.old, serial: serial, processes: 4}
		if serial > before.Serial {
			w.serves = c.new
			c.from, c.to, c.old, c.new = c.to, c.from, c.new, c.old
		} else {
			n.Edit(c.to, c.from)
		}
		t.Logf("stopped after %s: %s comes back", s, w.serves)
		n.Launch()
		w.back(t, n, dead, fmt.Sprintf("stopped after %s", s))
	}
	agree(t, n)
}
