package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin/runner"

	"github.com/alys-node/alys/core/host/internal/output"
	"github.com/alys-node/alys/core/host/internal/process"
)

var _ runner.Runner = (*pluginRunner)(nil)

// pluginRunner is go-plugin's handle on a process. go-plugin sees of stdout the first line only, and of stderr nothing:
// the rest is read here, so that no flood, endless line or grandchild can hold go-plugin up.
type pluginRunner struct {
	spawner *process.Spawner
	command string // as alys.hcl names it
	spec    process.Spec
	sockets string // the folder that go-plugin made for sockets
	limits  Limits
	out     *output.Forwarder
	started func(*process.Process)

	proc    *process.Process
	first   *io.PipeReader // the handshake line, for go-plugin
	readers sync.WaitGroup // of stdout and stderr

	judged  chan struct{} // closed when verdict is set
	verdict error         // of the handshake; io.EOF: stdout ended without a line
	stayed  bool          // it closed stdout and did not end
}

// Start runs the process.
func (r *pluginRunner) Start(ctx context.Context) error {
	p, err := r.spawner.Run(ctx, r.spec)
	if err != nil {
		if errors.Is(err, process.ErrSpawnerClosed) {
			return ErrClosed
		}
		return explainExec(r.command, r.spec.Path, err)
	}
	r.proc = p
	r.started(p)
	first, w := io.Pipe()
	r.first = first
	r.readers.Go(func() { r.out.Copy(p.Stderr) })
	r.readers.Go(func() { r.stdout(w) })
	return nil
}

// stdout judges the handshake, hands it on, and forwards whatever else is printed as log lines.
func (r *pluginRunner) stdout(w *io.PipeWriter) {
	br := bufio.NewReader(r.proc.Stdout)
	h, err := readHandshake(br, r.limits.HandshakeBytes)
	if err == nil {
		err = h.check(r.sockets)
	}
	r.verdict = err
	close(r.judged)
	if err == nil {
		_, _ = fmt.Fprintln(w, h.line)
	}
	_ = w.Close()
	r.out.Copy(readCloser{br, r.proc.Stdout})
}

type readCloser struct {
	io.Reader
	io.Closer
}

// Stdout is the handshake line, once it is found good.
func (r *pluginRunner) Stdout() io.ReadCloser { return r.first }

// Stderr is empty.
func (*pluginRunner) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name is the path of the copy that runs.
func (r *pluginRunner) Name() string { return r.spec.Path }

// ID is the process id; empty before the start.
func (r *pluginRunner) ID() string {
	if r.proc == nil {
		return ""
	}
	return strconv.Itoa(r.proc.PID)
}

// Wait returns when the process is dead.
func (r *pluginRunner) Wait(context.Context) error {
	<-r.proc.Done()
	return r.proc.Err()
}

// Kill ends the process group at once. go-plugin calls it after a failed start, and when a polite end took too long. A
// process that just closed its stdout is most likely ending by itself, and its exit status is worth a short wait.
func (r *pluginRunner) Kill(context.Context) error {
	if r.proc == nil {
		return nil
	}
	select {
	case <-r.judged:
		if errors.Is(r.verdict, io.EOF) && !r.dies(closedStdout) {
			r.stayed = true
		}
	default:
	}
	r.proc.Kill(0)
	return nil
}

// dies reports whether the process is dead within d.
func (r *pluginRunner) dies(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-r.proc.Done():
		return true
	case <-t.C:
		return false
	}
}

// Diagnose is empty: the host explains a failed start itself.
func (*pluginRunner) Diagnose(context.Context) string { return "" }

// PluginToHost does not translate: host and plugin share a machine.
func (*pluginRunner) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

// HostToPlugin does not translate.
func (*pluginRunner) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}

// closedStdout is how long a process that closed stdout without a handshake may take to end, and dying how long one
// whose connection broke may take to be seen dead.
const (
	closedStdout = time.Second
	dying        = 500 * time.Millisecond
)

// noHandshake is what a plugin did that was silent until its time was over.
const noHandshake = "it printed no handshake on stdout"

// explain says why no connection came about; err is what go-plugin made of it. The process is dead afterwards.
func (r *pluginRunner) explain(ctx context.Context, err error) error {
	defer r.proc.Kill(0)
	select {
	case <-r.judged:
	case <-ctx.Done():
		return timeoutOr(ctx, noHandshake)
	}
	switch {
	case r.verdict != nil && !errors.Is(r.verdict, io.EOF):
		return r.verdict
	case ctx.Err() != nil && r.verdict != nil: // killed at its deadline, which closed stdout
		return timeoutOr(ctx, noHandshake)
	case ctx.Err() != nil:
		return timeoutOr(ctx, "it did not answer after the handshake")
	case r.stayed:
		return &Error{Err: ErrHandshake, Detail: "it closed stdout", Hint: "a plugin's main must call plugin.Serve"}
	case r.verdict == nil && !r.dies(dying):
		return &Error{Err: ErrHandshake, Cause: err, Output: r.out.Last(), Hint: builtWithSDK}
	}
	<-r.proc.Done()
	return r.exited()
}

// refusedKind reports whether a line is what a plugin prints when it is started as a kind that it is not: the SDK's text,
// or go-plugin's for a cookie that it does not know.
func refusedKind(line string) bool {
	return strings.Contains(line, "and the node started it as") || strings.Contains(line, "This binary is a plugin")
}

func (r *pluginRunner) exited() error {
	r.readers.Wait()
	last := r.out.Last()
	if slices.ContainsFunc(last, refusedKind) {
		return &Error{
			Err: ErrWrongKind, Detail: "it refused to start as this kind", Output: last,
			Hint: "check the kind in the plugin block against what the binary is for",
		}
	}
	return &Error{Err: ErrExited, Detail: exitText(r.proc.Err()), Output: last, Hint: "run it by hand to see what it wants"}
}

// exitText is how a process ended, in words.
func exitText(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// What to do next, where several failures have the same answer.
const (
	raiseStart   = "if it only is slow, raise start_timeout in the swap block"
	builtWithSDK = "build the plugin with the SDK of this release of alys, or keep to the protocol in sdk/wire/proto"
)

// timeoutOr is an ErrStartTimeout when ctx ran out of time, and its cause when it was cancelled.
func timeoutOr(ctx context.Context, what string) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &Error{Err: ErrStartTimeout, Detail: what, Hint: raiseStart}
	}
	return context.Cause(ctx)
}
