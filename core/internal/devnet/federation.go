package devnet

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/alys-node/alys/core/node"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
)

// NewFederation prepares a development federation of count nodes that know each other, and starts none.
func NewFederation(t testing.TB, bin Binaries, count int) []*Node {
	t.Helper()
	dir, err := os.MkdirTemp("", "alys-fed-") //nolint:usetesting // t.TempDir is too long for the sockets below it
	if err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t, count)
	paths, err := node.PrepareFederation(dir, count, func(i int) node.DevPorts { return ports[i] })
	if err != nil {
		t.Fatal(err)
	}
	return federation(t, bin, dir, paths, ports)
}

// ExampleFederation prepares the nodes of a copy of examples/federation on ports of their own, with the checksums of the
// plugins that were built, and starts none.
func ExampleFederation(t testing.TB, bin Binaries, example string) []*Node {
	t.Helper()
	dir, err := os.MkdirTemp("", "alys-fed-") //nolint:usetesting // t.TempDir is too long for the sockets below it
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "node-*", "alys.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t, len(paths))
	var replace []string
	for i, p := range ports {
		documented := node.DefaultDevPorts(i)
		for was, is := range map[int]int{documented.Wallet: p.Wallet, documented.Metrics: p.Metrics} {
			replace = append(replace, fmt.Sprintf("127.0.0.1:%d", was), fmt.Sprintf("127.0.0.1:%d", is))
		}
		replace = append(replace, fmt.Sprintf("127.0.0.1:%d", documented.P2P), fmt.Sprintf("127.0.0.1:%d", p.P2P),
			fmt.Sprintf("tcp/%d/", documented.P2P), fmt.Sprintf("tcp/%d/", p.P2P))
	}
	moved := strings.NewReplacer(replace...)
	nodes := federation(t, bin, dir, paths, ports)
	for _, n := range nodes {
		raw, err := os.ReadFile(n.Config())
		if err != nil {
			t.Fatal(err)
		}
		for path, mode := range map[string]os.FileMode{"keys": 0o700, "keys/authority.json": 0o600, "p2p.key": 0o600} {
			if err := os.Chmod(filepath.Join(n.Dir, path), mode); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(n.Config(), []byte(moved.Replace(string(raw))), 0o600); err != nil { //nolint:gosec // the copy's own folder
			t.Fatal(err)
		}
		if out, ok := n.Alys("plugin", "pin"); !ok {
			t.Fatal(out)
		}
	}
	return nodes
}

// federation is nodes on the folders of their configurations, ended with the test, which removes dir.
func federation(t testing.TB, bin Binaries, dir string, paths []string, ports []node.DevPorts) []*Node {
	t.Helper()
	nodes := make([]*Node, len(paths))
	for i, path := range paths {
		nodes[i] = &Node{
			Dir: filepath.Dir(path), t: t, bin: bin, program: bin.Alys, pressure: readPressure(),
			wallet: fmt.Sprintf("127.0.0.1:%d", ports[i].Wallet), metrics: fmt.Sprintf("127.0.0.1:%d", ports[i].Metrics),
			p2p: ports[i].P2P,
		}
	}
	t.Cleanup(func() {
		for _, n := range nodes {
			n.Kill()
		}
		for _, n := range nodes {
			n.killTree()
			if t.Failed() {
				t.Logf("%s's log ends:\n%s", filepath.Base(n.Dir), n.LogTail(40))
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return nodes
}

func freePorts(t testing.TB, count int) []node.DevPorts {
	t.Helper()
	ports := make([]node.DevPorts, count)
	for i := range ports {
		for _, p := range []*int{&ports[i].Wallet, &ports[i].Metrics, &ports[i].P2P} {
			var err error
			if *p, err = portNumber(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return ports
}

func portNumber() (int, error) {
	address, err := freePort()
	if err != nil {
		return 0, err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}

// Forget removes everything that a stopped node has of the chain; its configuration, its keys with the signer's own
// record of what they signed, and its peer identity stay.
func (n *Node) Forget() {
	n.t.Helper()
	entries, err := os.ReadDir(n.Dir)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, e := range entries {
		switch e.Name() {
		case "alys.hcl", "keys", "p2p.key", "alys.log", "stdout":
			continue
		}
		if err := os.RemoveAll(filepath.Join(n.Dir, e.Name())); err != nil {
			n.t.Fatal(err)
		}
	}
}

// Clone copies all that a stopped node has, its keys as well, to another machine, as it were: with ports and a peer identity
// of its own. The clone does not run; it ends with the test.
func (n *Node) Clone() *Node {
	n.t.Helper()
	c := &Node{Dir: n.Dir + "-clone", t: n.t, bin: n.bin, program: n.program, pressure: n.pressure, wallet: n.wallet, metrics: n.metrics}
	if err := os.CopyFS(c.Dir, os.DirFS(n.Dir)); err != nil {
		n.t.Fatal(err)
	}
	for _, name := range []string{"p2p.key", "peers.json", "alys.log"} {
		if err := os.Remove(filepath.Join(c.Dir, name)); err != nil && !os.IsNotExist(err) {
			n.t.Fatal(err)
		}
	}
	for _, address := range []*string{&c.wallet, &c.metrics, nil} {
		free, err := freePort()
		if err != nil {
			n.t.Fatal(err)
		}
		if address == nil {
			c.Edit("listener \"p2p\" {\n  address = ", "listener \"p2p\" {\n  address = \""+free+"\" #")
			continue
		}
		c.Edit(*address, free)
		*address = free
	}
	n.t.Cleanup(func() { c.Kill(); c.killTree() })
	return c
}

// SafeBlocks reads the disk of a stopped node: the canonical hashes up to its safe block, from height 1 on.
func (n *Node) SafeBlocks() (hashes []chain.Hash, err error) {
	s, err := store.Open(store.Options{Dir: n.Dir})
	if err != nil {
		return nil, err
	}
	defer s.Close() //nolint:errcheck // only read
	heads, err := s.Heads()
	if err != nil {
		return nil, err
	}
	for h := chain.Height(1); h <= heads.Safe.Height; h++ {
		hash, err := s.Canonical(h)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", h, err)
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}

// Chain reads the disk of a stopped node: the headers of its canonical blocks, from height 1 to the head.
func (n *Node) Chain() (headers []chain.Header, err error) {
	s, err := store.Open(store.Options{Dir: n.Dir})
	if err != nil {
		return nil, err
	}
	defer s.Close() //nolint:errcheck // only read
	blocks, err := canonical(s)
	for _, b := range blocks {
		headers = append(headers, b.Header)
	}
	return headers, err
}
