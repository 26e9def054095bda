package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/node"
	"github.com/alys-node/alys/sdk/chain"
)

// stopGrace is how long a node of a development federation may take to stop before it is killed.
const stopGrace = 30 * time.Second

// federation is a development chain of several nodes, each a process of its own that runs `alys run`.
type federation struct {
	out   io.Writer
	nodes []*federated
}

// federated is one node. It may be stopped, killed and started by hand: what is seen of it is asked over its socket.
type federated struct {
	name   string
	config string
	client *admin.Client
	head   chain.Height // as it said last
	up     bool
}

// devNodes runs n nodes until ctx ends.
func (f *flags) devNodes(ctx context.Context, out io.Writer, dir string, n int) error {
	if err := checkSocketPath(filepath.Join(dir, fmt.Sprintf("node-%d", n-1), socketName)); err != nil {
		return fmt.Errorf("%w: choose a shorter --data-dir", err)
	}
	paths, err := node.PrepareFederation(dir, n, node.DefaultDevPorts)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	fed := &federation{out: out}
	_, _ = fmt.Fprintf(out, "alys dev: starting %d nodes in %s\n", n, dir)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, n)
	for _, path := range paths {
		x := &federated{name: filepath.Base(filepath.Dir(path)), config: path, client: admin.NewClient(filepath.Join(filepath.Dir(path), socketName))}
		fed.nodes = append(fed.nodes, x)
		go func() { ended <- fed.run(ctx, exe, x) }()
	}
	fed.welcome()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		fed.watch(ctx)
	}()
	var errs []error
	for range n {
		errs = append(errs, <-ended)
	}
	if ctx.Err() == nil {
		errs = append(errs, errors.New("every node has ended"))
	}
	cancel()
	<-watched
	return errors.Join(errs...)
}

// run runs one node and tells when it ends by itself. The node ends with this process, however this one ends.
func (fed *federation) run(ctx context.Context, exe string, x *federated) error {
	runtime.LockOSThread() // the death signal is sent when the thread that started the child ends
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, exe, "run", "-c", x.config)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM} // Ctrl-C is for this process to hand on
	var stderr tail
	cmd.Stdout, cmd.Stderr = &stderr, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil // it was told to stop
	}
	text := "it ended by itself"
	if err != nil {
		text = err.Error()
	}
	if last := stderr.text(); last != "" {
		text += "\n  " + strings.ReplaceAll(last, "\n", "\n  ")
	}
	_, _ = fmt.Fprintf(fed.out, "%s  %s ended: %s\n          start it again, in another terminal: alys run -c %s\n", time.Now().Format(time.TimeOnly), x.name, text, x.config)
	return nil
}

func (fed *federation) welcome() {
	first := fed.nodes[0]
	account := node.DevAccount()
	for _, x := range fed.nodes {
		where := "with errors in it"
		if c, diags := config.Load(x.config, config.Options{}); !diags.HasErrors() { // the operator may have edited it
			where = fmt.Sprintf("wallet http://%s   console http://%s", c.Listeners.Wallet.Address, c.Listeners.Metrics.Address)
		}
		_, _ = fmt.Fprintf(fed.out, "  %s   %s   %s\n", x.name, where, x.config)
	}
	_, _ = fmt.Fprintf(fed.out, `  funded account %s, private key %s (dev only: every key here is public)

Try next, in another terminal:
  alys watch --data-dir %s
  kill -9 a node and start it again with alys run: %d of %d must run for blocks to go on
Ctrl-C stops everything.

`, account.Address, account.PrivateKey, filepath.Dir(first.config), (2*len(fed.nodes)+2)/3, len(fed.nodes))
}

// watchEvery is how often the nodes are asked where they are.
const watchEvery = 500 * time.Millisecond

// watch prints a line whenever the highest head grows.
func (fed *federation) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var highest chain.Height
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var safe chain.Height
		var slot chain.Slot
		best := highest
		var wg sync.WaitGroup
		statuses := make([]*admin.Status, len(fed.nodes))
		for i, x := range fed.nodes {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, watchEvery)
				defer cancel()
				if s, err := x.client.Status(ctx); err == nil {
					statuses[i] = &s
				}
			})
		}
		wg.Wait()
		for i, s := range statuses {
			x := fed.nodes[i]
			if x.up = s != nil; !x.up {
				continue
			}
			x.head, safe, slot = s.Head.Height, max(safe, s.Safe.Height), max(slot, s.Slot)
			best = max(best, x.head)
		}
		if best > highest {
			highest = best
			_, _ = fmt.Fprintf(fed.out, "%s  slot %d  block %-6d safe %-6d %s\n", time.Now().Format(time.TimeOnly), slot, best, safe, fed.heads())
		}
	}
}

func (fed *federation) heads() string {
	parts := make([]string, len(fed.nodes))
	for i, x := range fed.nodes {
		parts[i] = fmt.Sprintf("%s %d", x.name, x.head)
		if !x.up {
			parts[i] = x.name + " down"
		}
	}
	return strings.Join(parts, "  ")
}

// tailBytes is how much of a node's output is kept to say why it ended.
const tailBytes = 2 << 10

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte // guarded by mu
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if extra := len(t.buf) - tailBytes; extra > 0 {
		t.buf = append([]byte(nil), t.buf[extra:]...)
	}
	return len(p), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}
