package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/node"
)

// patience is how long a script waits for something that must come.
const patience = 45 * time.Second

type scriptCommand = func(ts *testscript.TestScript, neg bool, args []string)

// scriptCommands are what the scripts know beside testscript's own commands.
func scriptCommands() map[string]scriptCommand {
	return map[string]scriptCommand{
		"prepare":       prepare,
		"federation":    federationOf,
		"exits":         exits,
		"await":         await,
		"one-of-many":   oneOfMany,
		"until-refused": untilRefused,
		"edit":          edit,
		"hex":           writeHex,
		"repeat":        repeat,
		"crash":         crash,
		"terminate":     terminate,
		"listen":        listen,
		"tmpfs":         tmpfs,
		"nothing-runs":  nothingRuns,
	}
}

func usage(ts *testscript.TestScript, ok bool, text string) {
	if !ok {
		ts.Fatalf("usage: %s", text)
	}
}

// prepare DIR makes the data folder of a development chain whose listeners take free ports.
func prepare(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "prepare DIR")
	path, err := node.PrepareDev(ts.MkAbs(args[0]))
	ts.Check(err)
	raw, err := os.ReadFile(path)
	ts.Check(err)
	for _, name := range []string{"wallet", "metrics", "p2p"} {
		raw = append(raw, "\nlistener \""+name+"\" {\n  address = \"127.0.0.1:0\"\n}\n"...)
	}
	ts.Check(os.WriteFile(path, raw, 0o600))
}

// federation DIR N makes the data folders of a development federation of N nodes on ports that are free.
func federationOf(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2, "federation DIR N")
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	free := func() int {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		defer l.Close()
		return l.Addr().(*net.TCPAddr).Port
	}
	ports := make([]node.DevPorts, n)
	for i := range ports {
		ports[i] = node.DevPorts{Wallet: free(), Metrics: free(), P2P: free()}
	}
	_, err = node.PrepareFederation(ts.MkAbs(args[0]), n, func(i int) node.DevPorts { return ports[i] })
	ts.Check(err)
}

// exits CODE COMMAND... runs a command and wants exactly this exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 2, "exits CODE COMMAND...")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	// A command that hangs is told to stop, and fails here with timeout's code.
	err = ts.Exec("timeout", append([]string{strconv.Itoa(int(patience / time.Second))}, args[1:]...)...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// await PATTERN COMMAND... runs a command again and again until its output matches. Afterwards stdout is its output.
func await(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 2, "await PATTERN COMMAND...")
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%q did not come", args[0])
		}
	}
}

// until-refused NAME FILE NAME FILE applies one configuration after the other, until one is refused: on a full disk the
// journal can be written as far as it has room in its last page. $NAME is then the name of the one that was applied last;
// the second is what runs at first.
func untilRefused(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 4, "until-refused NAME FILE NAME FILE")
	ts.Setenv("NAME", args[2])
	for range 20 {
		for i := 0; i < len(args); i += 2 {
			if ts.Exec("timeout", strconv.Itoa(int(patience/time.Second)), "alys", "apply", "--auto-approve", "-c", args[i+1]) != nil {
				return
			}
			ts.Setenv("NAME", args[i])
		}
	}
	ts.Fatalf("every configuration was applied")
}

// one-of-many N PATTERN COMMAND... runs a command N times at once: one must succeed, and each other must print PATTERN.
func oneOfMany(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 3, "one-of-many N PATTERN COMMAND...")
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	type result struct {
		out []byte
		err error
	}
	results := make(chan result, n)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for range n {
		cmd := exec.CommandContext(ctx, filepath.Join(built, "bin", args[2]), args[3:]...)
		cmd.Dir = ts.MkAbs(".")
		go func() {
			out, err := cmd.CombinedOutput()
			results <- result{out, err}
		}()
	}
	won := 0
	for range n {
		switch r := <-results; {
		case r.err == nil:
			won++
		case !pattern.Match(r.out):
			ts.Fatalf("a loser says: %s", r.out)
		}
	}
	if won != 1 {
		ts.Fatalf("%d of %d succeeded, want 1", won, n)
	}
}

// edit FILE OLD NEW replaces a text that must be there once at least; \n in the texts is a line break.
func edit(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 3, "edit FILE OLD NEW")
	lines := strings.NewReplacer(`\n`, "\n")
	was, text := lines.Replace(args[1]), ts.ReadFile(args[0])
	if !strings.Contains(text, was) {
		ts.Fatalf("%q is not in %s", was, args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, was, lines.Replace(args[2]), 1)), 0o600))
}

// hex FILE DIGITS writes bytes.
func writeHex(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2, "hex FILE DIGITS")
	raw, err := hex.DecodeString(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), raw, 0o600))
}

// repeat FILE COUNT TEXT writes a text COUNT times.
func repeat(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 3, "repeat FILE COUNT TEXT")
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), bytes.Repeat([]byte(args[2]), n), 0o600))
}

// crash DIR PLUGIN kills the process of a plugin of the node on DIR.
func crash(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2, "crash DIR PLUGIN")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := admin.NewClient(filepath.Join(ts.MkAbs(args[0]), socketName)).Status(ctx)
	ts.Check(err)
	for _, r := range s.Roles {
		for _, g := range r.Generations {
			if g.Plugin == args[1] && g.PID > 0 {
				ts.Check(syscall.Kill(g.PID, syscall.SIGKILL))
				return
			}
		}
	}
	ts.Fatalf("no plugin %s runs", args[1])
}

// terminate DIR [KILL] asks the node on DIR to stop, as a service manager does, or kills it.
func terminate(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && (len(args) == 1 || len(args) == 2 && args[1] == "KILL"), "terminate DIR [KILL]")
	signal := syscall.SIGTERM
	if len(args) == 2 {
		signal = syscall.SIGKILL
	}
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(filepath.Join(args[0], "alys.lock"))))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, signal))
}

// listen NAME takes a port and puts its address into the environment.
func listen(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "listen NAME")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

// tmpfs DIR OPTIONS mounts a file system of its own on DIR.
func tmpfs(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2, "tmpfs DIR OPTIONS")
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(ts.Exec("mount", "-t", "tmpfs", "-o", args[1], "tmpfs", dir))
	ts.Defer(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// mayMount reports whether this process can mount a tmpfs.
func mayMount(t *testing.T) bool {
	t.Helper()
	dir := t.TempDir()
	if syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k") != nil {
		return false
	}
	return syscall.Unmount(dir, 0) == nil
}

// nothing-runs DIR wants no process, socket, lock and run folder left of a node on DIR.
func nothingRuns(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "nothing-runs DIR")
	dir := ts.MkAbs(args[0])
	programs, err := filepath.Glob("/proc/[0-9]*/exe")
	ts.Check(err)
	for _, p := range programs {
		if target, err := os.Readlink(p); err == nil && strings.HasPrefix(target, dir+"/") {
			ts.Fatalf("%s still runs %s", filepath.Dir(p), target)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, socketName)); err == nil {
		ts.Fatalf("the socket is left")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "run", "*")); len(left) > 0 {
		ts.Fatalf("%v is left", left)
	}
	lock, err := os.Open(filepath.Join(dir, "alys.lock"))
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	ts.Check(err)
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		ts.Fatalf("the lock is held: %v", err)
	}
}
