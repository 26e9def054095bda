package devnet

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/alys-node/alys/core/admin"
)

// Node is a node on a data folder of its own; Start runs it, again after it died if a test wants.
type Node struct {
	Dir string // the data folder; its path is short, because sockets lie below it

	t               testing.TB
	bin             Binaries
	program         string   // that Launch runs
	space           string   // network namespace that it runs in; empty: ours
	wallet, metrics string   // host:port
	p2p             int      // port of the p2p listener; 0: any
	pressure        pressure // when the node was made
	cmd             *exec.Cmd
	done            chan struct{} // closed when the process was waited for
}

// New prepares a node and starts nothing. extra is more text for its alys.hcl. What the test leaves behind is ended and
// removed; after a failure the node's log is kept and its end shown.
func New(t testing.TB, bin Binaries, extra string) *Node {
	t.Helper()
	dir, err := os.MkdirTemp("", "alys-e2e-") //nolint:usetesting // t.TempDir is too long for the sockets below it
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{Dir: dir, t: t, bin: bin, program: bin.Alys, pressure: readPressure()}
	t.Cleanup(func() {
		if t.Failed() {
			n.KeepLog()
		}
		n.Kill()
		n.killTree()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := n.prepare(extra); err != nil {
		t.Fatal(err)
	}
	return n
}

// P2P is the port on loopback that the node of a federation is dialled at.
func (n *Node) P2P() int { return n.p2p }

// Config is the path of the node's alys.hcl.
func (n *Node) Config() string { return filepath.Join(n.Dir, "alys.hcl") }

// Launch starts the process, in a process group of its own, and returns at once.
func (n *Node) Launch() {
	n.t.Helper()
	out, err := os.OpenFile(filepath.Join(n.Dir, "stdout"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	defer out.Close() //nolint:errcheck // the child has its own
	args := []string{n.program, "run", "-c", n.Config()}
	if n.space != "" {
		args = append([]string{"ip", "netns", "exec", n.space}, args...)
	}
	n.cmd = exec.Command(args[0], args[1:]...)
	n.cmd.Stdout, n.cmd.Stderr = out, out
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	done := make(chan struct{})
	n.done = done
	cmd := n.cmd
	go func() {
		_ = cmd.Wait() // its state is read from cmd
		close(done)
	}()
}

// Start launches the node and waits until it produced a block.
func (n *Node) Start() {
	n.t.Helper()
	n.Launch()
	n.Until("first block", time.Minute, func() bool { s, ok := n.TryStatus(); return ok && s.Head.Height > 0 && s.Ready })
}

// PID is the node's process, 0 when it does not run.
func (n *Node) PID() int {
	if n.cmd == nil || n.cmd.Process == nil || n.ended() {
		return 0
	}
	return n.cmd.Process.Pid
}

func (n *Node) ended() bool {
	select {
	case <-n.done:
		return true
	default:
		return false
	}
}

// Signal sends a signal to the node's process group.
func (n *Node) Signal(sig syscall.Signal) {
	n.t.Helper()
	if err := syscall.Kill(-n.cmd.Process.Pid, sig); err != nil {
		n.t.Fatalf("signal the node: %v", err)
	}
}

// Kill ends the node with SIGKILL and waits for the process, not for its plugins.
func (n *Node) Kill() {
	if n.PID() == 0 {
		return
	}
	_ = n.cmd.Process.Kill() // it may have ended just now
	<-n.done
}

// WaitExit waits for the node's end and gives its exit code (-1 when a signal ended it).
func (n *Node) WaitExit(limit time.Duration) int {
	n.t.Helper()
	select {
	case <-n.done:
	case <-time.After(limit):
		n.t.Fatalf("the node did not end within %s", limit)
	}
	return n.cmd.ProcessState.ExitCode()
}

// Stop asks the node to stop and wants exit code 0.
func (n *Node) Stop() {
	n.t.Helper()
	n.Signal(syscall.SIGTERM)
	if code := n.WaitExit(30 * time.Second); code != 0 {
		n.t.Fatalf("the node ended with %d\n%s", code, n.read("stdout"))
	}
}

// TryStatus asks for the status; false when no node answers.
func (n *Node) TryStatus() (admin.Status, bool) {
	ctx, cancel := context.WithTimeout(n.t.Context(), 5*time.Second)
	defer cancel()
	s, err := admin.NewClient(filepath.Join(n.Dir, "alys.sock")).Status(ctx)
	return s, err == nil
}

// Status asks for the status.
func (n *Node) Status() admin.Status {
	n.t.Helper()
	s, ok := n.TryStatus()
	if !ok {
		n.t.Fatal("the node does not answer")
	}
	return s
}

// Slots asks for the last slots.
func (n *Node) Slots() admin.Slots {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 5*time.Second)
	defer cancel()
	s, err := admin.NewClient(filepath.Join(n.Dir, "alys.sock")).Slots(ctx)
	if err != nil {
		n.t.Fatal(err)
	}
	return s
}

// Primary is the process that serves a role; PID 0 when none is up.
func (n *Node) Primary(role string) admin.GenerationStatus {
	s, ok := n.TryStatus()
	if !ok {
		return admin.GenerationStatus{}
	}
	for _, g := range s.Roles[role].Generations {
		if slices.Contains(g.Positions, "primary") {
			return g
		}
	}
	return admin.GenerationStatus{}
}

// config is the text of alys.hcl.
func (n *Node) config() string {
	n.t.Helper()
	raw, err := os.ReadFile(n.Config())
	if err != nil {
		n.t.Fatal(err)
	}
	return string(raw)
}

// Edit replaces text in alys.hcl; the old text must be there.
func (n *Node) Edit(oldText, newText string) {
	n.t.Helper()
	text := n.config()
	if !strings.Contains(text, oldText) {
		n.t.Fatalf("%q is not in alys.hcl", oldText)
	}
	changed := strings.Replace(text, oldText, newText, 1)
	if err := os.WriteFile(n.Config()+".new", []byte(changed), 0o600); err != nil {
		n.t.Fatal(err)
	}
	if err := os.Rename(n.Config()+".new", n.Config()); err != nil {
		n.t.Fatal(err)
	}
}

// Alys runs a command of the operator on the node and gives what it printed; ok is exit code 0.
func (n *Node) Alys(args ...string) (out string, ok bool) {
	n.t.Helper()
	return n.AlysWithin(2*time.Minute, args...)
}

// AlysWithin is Alys for a command that takes long.
func (n *Node) AlysWithin(limit time.Duration, args ...string) (out string, ok bool) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), limit)
	defer cancel()
	raw, err := exec.CommandContext(ctx, n.bin.Alys, append(args, "-c", n.Config())...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		n.t.Fatalf("alys %s: %v", strings.Join(args, " "), err)
	}
	return string(raw), err == nil
}

// Begin is Alys for a command whose end does not matter, such as one whose node is about to die.
func (n *Node) Begin(args ...string) {
	n.t.Helper()
	cmd := exec.CommandContext(n.t.Context(), n.bin.Alys, append(args, "-c", n.Config())...)
	if err := cmd.Start(); err != nil {
		n.t.Fatalf("alys %s: %v", strings.Join(args, " "), err)
	}
	go func() { _ = cmd.Wait() }()
}

// WalletURL is where wallets reach the node; scheme is http or ws.
func (n *Node) WalletURL(scheme string) string { return scheme + "://" + n.wallet }

// Wallet is a client of the wallet listener.
func (n *Node) Wallet(scheme string) *ethclient.Client {
	n.t.Helper()
	c, err := ethclient.DialContext(n.t.Context(), n.WalletURL(scheme))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(c.Close)
	return c
}

// Until waits for a condition, which it looks at every few milliseconds.
func (n *Node) Until(what string, limit time.Duration, cond func() bool) time.Duration {
	n.t.Helper()
	start := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Since(start) > limit {
			n.t.Fatalf("%s: not within %s", what, limit)
		}
		select {
		case <-tick.C:
		case <-n.t.Context().Done():
			n.t.Fatalf("%s: the test ended", what)
		}
	}
	return time.Since(start)
}

// UntilBlocks waits for count more blocks.
func (n *Node) UntilBlocks(count int) {
	n.t.Helper()
	want := n.Status().Head.Height
	for range count {
		want++
	}
	n.Until("more blocks", time.Duration(count+10)*2*time.Second, func() bool { s, ok := n.TryStatus(); return ok && s.Head.Height >= want })
}

// LogTail is the end of the node's log.
func (n *Node) LogTail(lines int) string {
	all := strings.Split(strings.TrimSpace(n.read("stdout")+n.read("alys.log")), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// KeepLog shows the end of the log and keeps all of it in the temporary folder.
func (n *Node) KeepLog() {
	kept := n.Dir + ".log"
	if err := os.WriteFile(kept, []byte(n.read("stdout")+n.read("alys.log")), 0o600); err != nil {
		n.t.Error(err)
	}
	n.t.Logf("the node's log is kept in %s; its end:\n%s", kept, n.LogTail(40))
}

func (n *Node) read(name string) string {
	raw, err := os.ReadFile(filepath.Join(n.Dir, name))
	if err != nil {
		return ""
	}
	return string(raw)
}
