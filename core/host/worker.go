package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/alys-node/alys/core/host/internal/output"
	"github.com/alys-node/alys/core/host/internal/process"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/wire"
	"github.com/alys-node/alys/sdk/wire/pluginv1"
)

// worker is one plugin process with its connection: what a generation and a probe have in common.
type worker struct {
	host   *Host
	name   Name
	log    hclog.Logger
	dir    string // for sockets; removed after death
	out    *output.Forwarder
	calls  *calls
	plugin *goplugin.Client
	close  func() // plugin.Kill, once: ends the process politely, and then what go-plugin holds of it
	runner *pluginRunner
	conn   grpc.ClientConnInterface
	client *wire.Client
	since  time.Time
	done   chan struct{}

	mu    sync.Mutex // guards up, asked and why
	up    bool       // it became ready: its end is worth telling
	asked bool       // the host ends it on purpose
	why   error      // the reason, if it is not simply that

	err error // why it died; set before done is closed
}

// startSlack is how much longer go-plugin waits than the host, so that the host's deadline is the one that counts.
const startSlack = time.Second

// start runs a binary up to the handshake. ctx bounds it, and so does Close; on error nothing is left behind.
func (h *Host) start(ctx context.Context, b Block, bin Binary, number uint64) (*worker, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-h.quit:
			cancel(ErrClosed)
		case <-ctx.Done():
		}
	}()
	w, err := h.newWorker(b, number)
	if err != nil {
		return nil, err
	}
	env, err := environment(b.Env)
	if err != nil {
		h.drop(w)
		return nil, err
	}
	release := func() bool { return true }
	c := h.clientConfig(w)
	if deadline, ok := ctx.Deadline(); ok {
		c.StartTimeout = time.Until(deadline) + startSlack
	}
	c.HandshakeConfig = wire.Handshake(b.Kind)
	c.VersionedPlugins = wire.VersionedPlugins(b.Kind)
	c.RunnerFunc = func(_ hclog.Logger, cmd *exec.Cmd, sockets string) (runner.Runner, error) {
		w.runner.sockets = sockets
		w.runner.spec = process.Spec{
			Path: bin.Path, Dir: w.dir, Env: append(env, cmd.Env...),
			NoCore: b.Kind == lifecycle.Signer, SweepEnv: socketDirEnv + sockets,
		}
		return w.runner, nil
	}
	w.runner.started = func(p *process.Process) {
		release = context.AfterFunc(ctx, func() { p.Kill(0) })
	}
	w.plugin = goplugin.NewClient(c)
	w.close = sync.OnceFunc(w.plugin.Kill)
	err = w.connect(b)
	if !release() && err == nil {
		err = timeoutOr(ctx, "no connection")
	}
	if w.runner.proc == nil {
		w.close()
		h.drop(w)
		return nil, err
	}
	if err != nil {
		err = w.runner.explain(ctx, err)
		w.end(err)
		go w.finish()
		<-w.done
		return nil, err
	}
	go w.finish()
	if err := h.register(w); err != nil {
		w.kill(err)
		return nil, err
	}
	return w, nil
}

func (h *Host) newWorker(b Block, number uint64) (*worker, error) {
	w := &worker{
		host: h, name: Name{Kind: b.Kind, Label: b.Label, Generation: number},
		log:  h.config.Log.Named(string(b.Kind) + "." + b.Label),
		dir:  filepath.Join(h.run.path, strconv.FormatUint(h.serial.Add(1), 10)),
		done: make(chan struct{}), since: time.Now(),
	}
	if number > 0 {
		w.log = w.log.With("generation", number)
	}
	if err := h.admit(); err != nil {
		return nil, err
	}
	if err := os.Mkdir(w.dir, 0o700); err != nil {
		h.drop(w)
		return nil, fmt.Errorf("make run folder: %w", err)
	}
	l := h.config.Limits
	w.out = output.New(w.log, output.Limits{
		LinesPerSecond: l.LogLines, LineBytes: l.LogLineBytes, LastLines: l.LastLines, PanicBytes: l.PanicBytes,
	})
	w.calls = newCalls(w.name, h.observer, h.config.Timings, l.Calls)
	w.calls.tamper = h.config.Tamper
	w.runner = &pluginRunner{spawner: h.spawner, command: b.Command, limits: l, out: w.out, judged: make(chan struct{})}
	return w, nil
}

// clientConfig is a fresh configuration: go-plugin writes into it, so it serves one start only.
func (h *Host) clientConfig(w *worker) *goplugin.ClientConfig {
	return &goplugin.ClientConfig{
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: w.dir},
		Logger:           hclog.NewNullLogger(),
		SyncStdout:       w.out.Writer(),
		SyncStderr:       w.out.Writer(),
		GRPCDialOptions: append(wire.DialOptions(),
			grpc.WithChainUnaryInterceptor(w.calls.unary), grpc.WithChainStreamInterceptor(w.calls.stream)),
	}
}

// connect starts the process, dials it, and makes the client.
func (w *worker) connect(b Block) error {
	protocol, err := w.plugin.Client()
	if err != nil {
		return err
	}
	raw, err := protocol.Dispense(string(b.Kind))
	if err != nil {
		return err
	}
	client, ok := raw.(*wire.Client)
	if !ok {
		return fmt.Errorf("dispensed %T", raw)
	}
	w.client = client.WithLabel(b.Label)
	if g, ok := protocol.(*goplugin.GRPCClient); ok {
		w.conn = g.Conn
	}
	return nil
}

// describe asks who the plugin is, and finds a plugin of another kind that did not look at its cookie.
func (w *worker) describe(ctx context.Context) (lifecycle.Description, error) {
	d, err := w.client.Plugin().Describe(ctx)
	if err == nil {
		return d, nil
	}
	if _, malformed := errors.AsType[*wire.MalformedReplyError](err); malformed && w.conn != nil {
		raw, rawErr := pluginv1.NewPluginClient(w.conn).Describe(ctx, &pluginv1.DescribeRequest{})
		if rawErr == nil && raw.GetKind() != string(w.name.Kind) {
			return d, &Error{
				Err: ErrWrongKind, Detail: fmt.Sprintf("it says that its kind is %s", quote(raw.GetKind())),
				Hint: "check the kind in the plugin block against what the binary is for",
			}
		}
	}
	return d, w.blame(ctx, ErrHandshake, err)
}

// blame explains a call that failed during the start: the process died, time ran out, or it answered so.
func (w *worker) blame(ctx context.Context, sentinel, err error) error {
	if ctx.Err() != nil {
		return timeoutOr(ctx, err.Error())
	}
	e := &Error{Err: sentinel, Cause: err, Output: w.out.Last()}
	if malformed, ok := errors.AsType[*wire.MalformedReplyError](err); ok {
		e.Hint = fmt.Sprintf("its answer to %s is not one of protocol version %d: build it with the SDK of this release of alys, or keep to sdk/wire/proto", malformed.Call, wire.ProtocolVersion)
		return e
	}
	call, ok := errors.AsType[*wire.CallError](err)
	if !ok {
		return e
	}
	switch {
	case call.Code == codes.Canceled || call.Code == codes.DeadlineExceeded: // the plugin saw our deadline first
		e.Err, e.Hint = ErrStartTimeout, raiseStart
	case call.Code == codes.Unavailable && w.runner.dies(dying):
		return w.runner.exited()
	case call.Code == codes.ResourceExhausted && errors.Is(sentinel, ErrHandshake):
		e.Hint = fmt.Sprintf("one message of a plugin has at most %d MiB: mend the plugin", wire.MaxMessageBytes>>20)
	case errors.Is(sentinel, ErrHandshake):
		e.Hint = builtWithSDK
	case errors.Is(sentinel, ErrUnhealthy):
		e.Hint = "see what it logged under its name"
	}
	return e
}

// ready notes that the process serves.
func (w *worker) ready() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.up = true
}

// end notes that the host ends the process, and why.
func (w *worker) end(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.asked {
		w.asked, w.why = true, why
	}
}

// finish cleans up after the death of the process, whatever it died of.
func (w *worker) finish() {
	p := w.runner.proc
	<-p.Done()
	w.runner.readers.Wait()
	w.close() // the process is dead: this closes go-plugin's connections and waits for its goroutines
	w.mu.Lock()
	up, asked, why := w.up, w.asked, w.why
	w.mu.Unlock()
	switch {
	case !asked:
		w.err = &Error{
			Kind: w.name.Kind, Label: w.name.Label, Err: ErrCrashed, Detail: exitText(p.Err()), Output: w.out.Last(),
		}
	case why != nil:
		w.err = why
	default:
		w.err = ErrStopped
	}
	if up {
		w.tell(asked && why == nil)
	}
	w.host.drop(w)
	close(w.done)
}

// tell logs and reports the end of a generation that was up. The end of any other is an error that somebody gets.
func (w *worker) tell(asked bool) {
	panicText := w.out.Panic()
	switch {
	case asked:
		w.log.Info("plugin stopped", "pid", w.runner.proc.PID)
	case panicText != "":
		w.log.Error("plugin panicked", "pid", w.runner.proc.PID, "panic", panicText)
	default:
		w.log.Error("plugin ended", "pid", w.runner.proc.PID, "error", w.err)
	}
	w.host.observer.PluginExited(Exited{Name: w.name, Asked: asked, Reason: w.err.Error(), Panic: panicText})
}

// stop ends the process: go-plugin's shutdown call, SIGTERM to the group, SIGKILL to the group, each with its time.
// When ctx ends first, what remains of the polite part is skipped.
func (w *worker) stop(ctx context.Context) {
	w.end(nil)
	go w.close() // may hang on a frozen process; returns when it is dead, and finish waits for that
	t := time.NewTimer(w.host.config.Timings.Shutdown)
	defer t.Stop()
	grace := w.host.config.Timings.Terminate
	select {
	case <-w.runner.proc.Done():
	case <-t.C:
	case <-ctx.Done():
		grace = 0
	}
	w.runner.proc.Kill(grace)
	<-w.done
}

// kill ends the process at once.
func (w *worker) kill(why error) {
	w.end(why)
	w.runner.proc.Kill(0)
	<-w.done
}

// environment is the block's own, in the form of os/exec.
func environment(env map[string]string) ([]string, error) {
	out := make([]string, 0, len(env))
	for name, value := range env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return nil, fmt.Errorf("environment variable %q: a name must not be empty or hold =, and nothing may hold NUL", name)
		}
		out = append(out, name+"="+value)
	}
	return out, nil
}
