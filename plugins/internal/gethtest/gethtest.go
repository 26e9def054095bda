// Package gethtest runs a real geth as a process of its own, for tests of engines that drive one.
//
// The binary is the one that `make geth` builds; a test without it fails and says so.
package gethtest

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startTime is how long a process may take to listen, on a busy machine.
const startTime = 2 * time.Minute

// Ports are below those that the kernel gives to outgoing connections: one of those may take a port between the moment that
// it was seen to be free and the moment that the process listens on it.
const (
	lowestPort = 20_000
	ports      = 12_000
)

// Options say what to run.
type Options struct {
	Genesis  []byte   // in geth's format
	GasLimit uint64   // that it builds towards; 0 means 30,000,000
	API      string   // namespaces of the public JSON-RPC; empty means eth,net,web3,txpool
	Args     []string // more arguments
}

// Client is a geth on a data folder and ports of its own.
type Client struct {
	Endpoint string // of the Engine API
	RPC      string // of the public JSON-RPC
	Secret   string // path of the JWT secret

	t    testing.TB
	dir  string
	args []string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process was waited for
}

// Start runs geth on a fresh folder and waits until it listens. It ends at cleanup.
func Start(t testing.TB, o Options) *Client {
	t.Helper()
	c := New(t, o)
	c.Launch()
	return c
}

// New prepares a folder and starts nothing.
func New(t testing.TB, o Options) *Client {
	t.Helper()
	c := &Client{t: t, dir: t.TempDir()}
	c.Secret = filepath.Join(c.dir, "jwt.hex")
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	c.write("jwt.hex", []byte("0x"+hex.EncodeToString(secret[:])))
	c.write("genesis.json", o.Genesis)
	if out, err := exec.CommandContext(t.Context(), binary(t), "init", "--datadir", c.data(), filepath.Join(c.dir, "genesis.json")).CombinedOutput(); err != nil {
		t.Fatalf("geth init: %v\n%s", err, out)
	}
	if o.GasLimit == 0 {
		o.GasLimit = 30_000_000
	}
	if o.API == "" {
		o.API = "eth,net,web3,txpool"
	}
	engine, public := freePort(t), freePort(t)
	c.Endpoint, c.RPC = "http://127.0.0.1:"+engine, "http://127.0.0.1:"+public
	c.args = append([]string{
		"--datadir", c.data(), "--authrpc.port", engine, "--authrpc.jwtsecret", c.Secret, "--ipcdisable", "--nodiscover", "--maxpeers", "0",
		"--port", "0", "--nat", "none", "--syncmode", "full", "--cache", "64", "--http", "--http.port", public, "--http.api", o.API,
		"--miner.gaslimit", fmt.Sprint(o.GasLimit), "--miner.gasprice", "1", "--miner.recommit", "100ms", "--txpool.pricelimit", "1",
	}, o.Args...)
	t.Cleanup(func() {
		c.Kill()
		if t.Failed() {
			t.Logf("geth's log ends:\n%s", c.logTail(30))
		}
	})
	return c
}

// ConfigJSON is the config block of an engine plugin that drives this client.
func (c *Client) ConfigJSON() []byte {
	return []byte(fmt.Sprintf(`{"mode":"external","endpoint":%q,"jwt_secret":%q,"rpc":%q}`, c.Endpoint, c.Secret, c.RPC))
}

// Launch starts the process, again after Kill, and waits until it listens.
func (c *Client) Launch() {
	c.t.Helper()
	out, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	c.cmd = exec.Command(binary(c.t), c.args...)
	c.cmd.Stdout, c.cmd.Stderr = out, out
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	cmd, done := c.cmd, make(chan struct{})
	c.done = done
	go func() {
		_ = cmd.Wait() // its end is what matters
		close(done)
	}()
	for _, url := range []string{c.Endpoint, c.RPC} {
		c.await(strings.TrimPrefix(url, "http://"))
	}
}

// await waits until the process listens on an address.
func (c *Client) await(address string) {
	c.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(startTime); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("geth does not listen on %s: %v\n%s", address, err, c.logTail(30))
		}
		select {
		case <-c.done:
			c.t.Fatalf("geth ended\n%s", c.logTail(30))
		case <-tick.C:
		}
	}
}

// Kill ends the process with SIGKILL and waits for its end.
func (c *Client) Kill() { c.signal(syscall.SIGKILL, true) }

// Stop asks the process to end and waits for its end: it writes all that it holds.
func (c *Client) Stop() { c.signal(syscall.SIGTERM, true) }

// Freeze stops the process without ending it, and returns when each of its threads stands; Thaw lets it go on.
func (c *Client) Freeze() {
	c.t.Helper()
	c.signal(syscall.SIGSTOP, false)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(startTime); !c.stands(); <-tick.C {
		if time.Now().After(deadline) {
			c.t.Fatal("geth does not stop")
		}
	}
}

// stands reports whether every thread of the process is stopped: the signal reaches those that run on another CPU later.
func (c *Client) stands() bool {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", c.cmd.Process.Pid))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, stat := range stats {
		raw, err := os.ReadFile(stat)
		if err != nil {
			return false // it ended just now
		}
		if _, state, found := strings.Cut(string(raw), ") "); !found || !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return len(stats) > 0
}

// Thaw undoes Freeze.
func (c *Client) Thaw() { c.signal(syscall.SIGCONT, false) }

func (c *Client) signal(s syscall.Signal, wait bool) {
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Signal(s) // it may have ended already
	if wait {
		<-c.done
		c.cmd = nil
	}
}

func (c *Client) data() string { return filepath.Join(c.dir, "data") }

func (c *Client) write(name string, content []byte) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), content, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c *Client) logTail(lines int) string {
	raw, err := os.ReadFile(filepath.Join(c.dir, "log"))
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// binary is the geth below the root of the repository that the test is in.
func binary(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("the test runs in no module")
		}
	}
	path := filepath.Join(dir, ".tools", "bin", "geth")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		t.Fatalf("there is no %s: run make geth", path)
	}
	return path
}

func freePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(lowestPort + mathrand.IntN(ports)) //nolint:gosec // any will do
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue // somebody has it
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no free port")
	return ""
}

// ModuleFile reads a file of another module's version, which the go command has or downloads.
func ModuleFile(t testing.TB, module, file string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module)
	cmd.Dir = t.TempDir() // outside of any module: nothing is written to a go.sum
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("download %s: %v\n%s", module, err, out)
	}
	var m struct{ Dir string }
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(m.Dir, filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
