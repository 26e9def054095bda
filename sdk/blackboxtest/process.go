package blackboxtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/wire"
)

// launch says how one process is started.
type launch struct {
	kind     lifecycle.Kind
	versions []int  // protocol versions that are offered; empty means the current one
	dataDir  string // kept over restarts; empty makes a fresh one
	orphaned bool   // behind a shell that can be killed alone
}

// plug is one running plugin.
type plug struct {
	client  *wire.Client
	conn    *grpc.ClientConn
	process *spawned
	version int // the negotiated protocol version
	host    lifecycle.Host
	temp    string    // its TMPDIR
	synced  *recorder // what a Go plugin prints after the handshake: go-plugin carries it over gRPC
	sockets string    // the folder for its socket: no other process has this value in its environment

	plugin *goplugin.Client
}

// start runs the binary as the node does (its environment holds nothing of the suite's own) and makes the handshake. The
// process ends at t's cleanup. On error the plug is there too, without a client: what it wrote is of interest.
func (s *subject) start(t testing.TB, l launch) (*plug, error) {
	t.Helper()
	if l.kind == "" {
		l.kind = s.kind
	}
	p := &plug{host: s.host(t, l), synced: &recorder{}}
	root := filepath.Dir(p.host.RunDir)
	p.temp = filepath.Join(root, "tmp")
	if err := os.Mkdir(p.temp, 0o700); err != nil {
		t.Fatal(err)
	}
	p.plugin = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  wire.Handshake(l.kind),
		VersionedPlugins: versions(l),
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     s.o.StartTimeout,
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: p.host.RunDir},
		GRPCDialOptions:  wire.DialOptions(),
		Logger:           hclog.NewNullLogger(),
		SyncStdout:       p.synced,
		SyncStderr:       p.synced,
		RunnerFunc:       p.spawner(s.o, l.orphaned),
	})
	t.Cleanup(func() { p.end(t) })
	return p, p.connect(l.kind, s.o.StartTimeout)
}

// versions makes go-plugin offer the versions of a launch.
func versions(l launch) map[int]goplugin.PluginSet {
	out := map[int]goplugin.PluginSet{}
	for _, v := range l.versions {
		out[v] = wire.Plugins(l.kind)
	}
	if len(out) == 0 {
		return wire.VersionedPlugins(l.kind)
	}
	return out
}

// host is what a process is told of the node.
func (s *subject) host(t testing.TB, l launch) lifecycle.Host {
	t.Helper()
	root, err := os.MkdirTemp("", "alys") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	h := s.chain
	h.Label, h.Generation, h.DataDir, h.RunDir = "conformance", 1, l.dataDir, filepath.Join(root, "run")
	if h.DataDir == "" {
		h.DataDir = filepath.Join(root, "data")
	}
	if err := errors.Join(os.MkdirAll(h.DataDir, 0o700), os.Mkdir(h.RunDir, 0o700)); err != nil {
		t.Fatal(err)
	}
	if l.kind != lifecycle.Engine {
		h.GenesisJSON = nil
	}
	return h
}

func (p *plug) spawner(o Options, orphaned bool) func(hclog.Logger, *exec.Cmd, string) (runner.Runner, error) {
	return func(_ hclog.Logger, spec *exec.Cmd, sockets string) (runner.Runner, error) {
		cmd := exec.Command(o.Path) // the binary under test; the suite ends it itself
		if orphaned {
			cmd = exec.Command("sh", "-c", hostScript, o.Path)
		}
		cmd.Dir, cmd.SysProcAttr = p.host.RunDir, ownGroup()
		cmd.Env = append(append([]string{"TMPDIR=" + p.temp}, o.Env...), spec.Env...)
		if dir, ok := os.LookupEnv("GOCOVERDIR"); ok {
			cmd.Env = append(cmd.Env, "GOCOVERDIR="+dir)
		}
		p.sockets = sockets
		p.process = &spawned{cmd: cmd, stdout: &recorder{}, stderr: &recorder{}, orphaned: orphaned}
		return p.process, nil
	}
}

func (p *plug) connect(kind lifecycle.Kind, patience time.Duration) error {
	watchdog := time.AfterFunc(2*patience, func() { // a process that is frozen after the handshake holds go-plugin up
		if p.process != nil {
			_ = p.process.Kill(context.Background())
		}
	})
	defer watchdog.Stop()
	rpc, err := p.plugin.Client()
	if err != nil {
		return fmt.Errorf("%w; %s", err, p.said())
	}
	g, ok := rpc.(*goplugin.GRPCClient)
	if !ok {
		return fmt.Errorf("it does not speak gRPC (%T)", rpc)
	}
	p.conn, p.version = g.Conn, p.plugin.NegotiatedVersion()
	p.client = wire.NewClient(g.Conn, kind, "conformance")
	return nil
}

// said is the end of what the process wrote, and how it ended.
func (p *plug) said() string {
	if p.process == nil || p.process.done == nil {
		return "it did not run"
	}
	text := p.process.stderr.last()
	select {
	case <-p.process.done:
		p.process.readers.Wait()
		return "it ended (" + p.process.cmd.ProcessState.String() + "); " + p.process.stderr.last()
	default:
		return text
	}
}

// end kills the process and everything that it started, frozen or not.
func (p *plug) end(t testing.TB) {
	if p.process == nil || p.process.done == nil {
		return
	}
	if err := p.kill(); err != nil {
		t.Errorf("kill %s: %v", p.process.ID(), err)
	}
	p.plugin.Kill()
	for _, pid := range p.descendants() {
		_ = syscall.Kill(pid, syscall.SIGKILL) // one that has left the group; an error means that it is gone
	}
}

// kill ends the process group by SIGKILL and waits until the process is gone.
func (p *plug) kill() error {
	if err := killGroup(p.process.cmd.Process.Pid); err != nil {
		return err
	}
	<-p.process.done
	return nil
}

// ended waits for the process to end by itself.
func (p *plug) ended(patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.process.done:
		return true
	case <-timer.C:
		return false
	}
}

// exited reports whether the process has ended.
func (p *plug) exited() bool {
	select {
	case <-p.process.done:
		return true
	default:
		return false
	}
}

// config is the configuration with another block, or the one of the options.
func (p *plug) config(block []byte) lifecycle.Config {
	return lifecycle.Config{JSON: block, Host: p.host}
}

// bringUp configures the process and waits for health, as the node does.
func (p *plug) bringUp(ctx context.Context, block []byte) (lifecycle.Health, error) {
	if err := p.client.Plugin().Configure(ctx, p.config(block)); err != nil {
		return lifecycle.Health{}, fmt.Errorf("%w; %s", err, p.said())
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		h, err := p.client.Plugin().Health(ctx)
		switch {
		case err != nil:
			return h, fmt.Errorf("%w; %s", err, p.said())
		case h.State == lifecycle.Ready || h.State == lifecycle.Locked || h.State == lifecycle.Degraded:
			return h, nil
		case h.State != lifecycle.Starting:
			return h, fmt.Errorf("it is %s: %s", h.State, h.Message)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return h, fmt.Errorf("it still is %s after the start timeout: %s", h.State, h.Message)
		}
	}
}

// shutdown asks the process to end, as go-plugin does: the service is go-plugin's own and its messages are empty.
func (p *plug) shutdown(ctx context.Context) error {
	return p.conn.Invoke(ctx, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
}
