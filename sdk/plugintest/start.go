package plugintest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	goplugin "github.com/hashicorp/go-plugin"

	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/wire"
)

// How long a process may take, in a test on a busy machine.
const (
	startTimeout = 30 * time.Second
	stopTimeout  = 5 * time.Second
)

// Options say what to run and what to tell it.
type Options struct {
	Path       string         // the binary; see Build
	Kind       lifecycle.Kind // as which kind the host starts it
	ConfigJSON []byte         // the plugin's own block; nil means an empty object
	Host       lifecycle.Host // missing folders and the label are filled in
	Env        []string       // "NAME=value"; a plugin inherits nothing else
	Probe      bool           // do not call Configure
}

// Process is a running plugin.
type Process struct {
	Client *wire.Client
	Pid    int
	Log    *Log // what it logged, also through its standard output and error

	plugin *goplugin.Client
}

// Start runs a binary, configures it and returns its client. The process, with its group, ends at cleanup.
func Start(t testing.TB, o Options) *wire.Client {
	t.Helper()
	return Launch(t, o).Client
}

// Launch is Start for a test that needs the process too.
func Launch(t testing.TB, o Options) *Process {
	t.Helper()
	p, err := TryLaunch(t, o)
	if err != nil {
		t.Fatalf("start %s: %v", o.Path, err)
	}
	if o.Probe {
		return p
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	if err := bringUp(ctx, p.Client, Config(t, o)); err != nil {
		t.Fatalf("bring up %s: %v", o.Path, err)
	}
	return p
}

// TryLaunch starts the process and makes the handshake, without Configure. It is for binaries that must not start.
func TryLaunch(t testing.TB, o Options) (*Process, error) {
	t.Helper()
	runDir := shortTempDir(t)
	log := newLog(t)
	cmd := exec.Command(o.Path) // the test's own binary; go-plugin owns the process
	cmd.Env = append([]string{"TMPDIR=" + runDir, goplugin.EnvUnixSocketDir + "=" + runDir}, o.Env...)
	if dir, ok := os.LookupEnv("GOCOVERDIR"); ok {
		cmd.Env = append(cmd.Env, "GOCOVERDIR="+dir)
	}
	cmd.SysProcAttr = processGroup()
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  wire.Handshake(o.Kind),
		VersionedPlugins: wire.VersionedPlugins(o.Kind),
		Cmd:              cmd,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     startTimeout,
		GRPCDialOptions:  wire.DialOptions(),
		Logger:           log.logger(),
		SyncStdout:       log,
		SyncStderr:       log,
	})
	t.Cleanup(func() { stop(cmd, client) })
	rpc, err := client.Client()
	if err != nil {
		return nil, fmt.Errorf("%w; it logged: %s", err, log)
	}
	raw, err := rpc.Dispense(string(o.Kind))
	if err != nil {
		return nil, err
	}
	c, ok := raw.(*wire.Client)
	if !ok {
		return nil, fmt.Errorf("dispensed a %T", raw)
	}
	return &Process{
		Client: c.WithLabel(label(o)),
		Pid:    cmd.Process.Pid,
		Log:    log,
		plugin: client,
	}, nil
}

// Exited reports whether the process has ended.
func (p *Process) Exited() bool { return p.plugin.Exited() }

// stop ends the process: gracefully, and after stopTimeout by killing its group. go-plugin's Kill alone waits for ever
// for a frozen process.
func stop(cmd *exec.Cmd, client *goplugin.Client) {
	kill := func() {
		if cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // an error means that nothing is left
		}
	}
	timer := time.AfterFunc(stopTimeout, kill)
	defer timer.Stop()
	client.Kill()
	kill() // grandchildren
}

// Config is the configuration that Start gives a plugin.
func Config(t testing.TB, o Options) lifecycle.Config {
	t.Helper()
	h := o.Host
	h.Label = label(o)
	if h.DataDir == "" {
		h.DataDir = t.TempDir()
	}
	if h.RunDir == "" {
		h.RunDir = shortTempDir(t)
	}
	json := o.ConfigJSON
	if json == nil {
		json = []byte("{}")
	}
	return lifecycle.Config{JSON: json, Host: h}
}

func label(o Options) string {
	if o.Host.Label != "" {
		return o.Host.Label
	}
	return "test"
}

// bringUp does what the node does with a new process: Validate, Configure, and Health until it is ready or locked.
func bringUp(ctx context.Context, c *wire.Client, config lifecycle.Config) error {
	p := c.Plugin()
	ds, _, err := p.Validate(ctx, config)
	if err != nil {
		return err
	}
	if err := ds.Err(); err != nil {
		return err
	}
	if err := p.Configure(ctx, config); err != nil {
		return err
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		h, err := p.Health(ctx)
		if err != nil {
			return err
		}
		switch h.State {
		case lifecycle.Ready, lifecycle.Locked, lifecycle.Degraded:
			return nil
		case lifecycle.Starting:
		case lifecycle.Failed, lifecycle.Draining:
			return fmt.Errorf("plugin is %s: %s", h.State, h.Message)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), fmt.Errorf("plugin is still %s: %s", h.State, h.Message))
		}
	}
}

// shortTempDir is a folder whose path leaves room for a socket's name: a socket path has at most 108 bytes on Linux,
// and t.TempDir holds the test's name.
func shortTempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "alys") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
