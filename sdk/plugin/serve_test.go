package plugin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugintest"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/wire"
)

// waitFor bounds every wait of these tests.
const waitFor = 15 * time.Second

// probe is the compiled test plugin.
var probe = struct {
	once sync.Once
	path string
}{}

func binary(t *testing.T) string {
	t.Helper()
	probe.once.Do(func() {
		dir, err := os.MkdirTemp("", "probe") //nolint:usetesting // shared by all tests of the package
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "probe")
		if out, err := exec.Command("go", "build", "-o", path, "./testdata/probe").CombinedOutput(); err != nil { //nolint:noctx // once
			t.Fatalf("build: %v\n%s", err, out)
		}
		probe.path = path
	})
	if probe.path == "" {
		t.Fatal("the test plugin was not built")
	}
	return probe.path
}

func TestMain(m *testing.M) {
	code := m.Run()
	if probe.path != "" {
		_ = os.RemoveAll(filepath.Dir(probe.path))
	}
	os.Exit(code)
}

func options(t *testing.T) plugintest.Options {
	t.Helper()
	return plugintest.Options{Path: binary(t), Kind: lifecycle.Signer}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(waitFor)
	defer deadline.Stop()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			t.Fatalf("not in %s: %s", waitFor, what)
		}
	}
}

// approve calls Approve, whose slot says what the probe does.
func approve(ctx context.Context, c *wire.Client, slot chain.Slot) error {
	_, err := c.Signer().Approve(ctx, signer.Approval{Header: chain.Header{Version: chain.HeaderVersion, Slot: slot}})
	return err
}

func TestByHand(t *testing.T) {
	for _, arg := range []string{"describe", "--version", "-version"} {
		out, err := exec.CommandContext(t.Context(), binary(t), arg).Output()
		if err != nil {
			t.Fatalf("%s: %v", arg, err)
		}
		var d struct {
			Kind, Name, Version string
			Capabilities        []string
			Protocol            int
		}
		if err := json.Unmarshal(out, &d); err != nil {
			t.Fatalf("%s: %v in %s", arg, err, out)
		}
		if d.Kind != "signer" || d.Name != "probe" || d.Version != "0.1.0" || d.Protocol != wire.ProtocolVersion || len(d.Capabilities) != 1 {
			t.Errorf("%s: %+v", arg, d)
		}
	}
	for _, args := range [][]string{nil, {"help"}, {"describe", "more"}} {
		cmd := exec.CommandContext(t.Context(), binary(t), args...)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("%v: exit %v", args, err)
		}
		for _, want := range []string{"is a plugin of alys", `plugin "signer" "probe" {`, "primary = plugin.signer.probe", "describe"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%v: it does not say %q:\n%s", args, want, out)
			}
		}
	}
}

func TestAPluginThatDoesNotImplementItsKindSaysSo(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), binary(t))
	cmd.Env = append(os.Environ(), "PROBE_KIND=engine")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "does not implement engine.Engine") {
		t.Errorf("got %v, %s", err, out)
	}
}

func TestAPluginUnderTheWrongKindDoesNotStart(t *testing.T) {
	o := options(t)
	o.Kind = lifecycle.Engine
	_, err := plugintest.TryLaunch(t, o)
	if err == nil || !strings.Contains(err.Error(), `is of kind \"signer\" and the node started it as \"engine\"`) {
		t.Errorf("got %v", err)
	}
}

func TestPrintsDoNotBreakTheHandshake(t *testing.T) {
	o := options(t)
	o.Env = []string{"PROBE_PRINTS=1"}
	p := plugintest.Launch(t, o)
	if err := approve(t.Context(), p.Client, 3); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"printed before the handshake", "printed in a call"} {
		eventually(t, want+" is logged", func() bool { return strings.Contains(p.Log.String(), want) })
	}
}

func TestAPanicIsAnErrorOfThatCall(t *testing.T) {
	p := plugintest.Launch(t, options(t))
	err := approve(t.Context(), p.Client, 2)
	if err == nil || !strings.Contains(err.Error(), "handler panicked: a nil map, say") {
		t.Fatalf("got %v", err)
	}
	if err := approve(t.Context(), p.Client, 9); err != nil {
		t.Errorf("the next call: %v", err)
	}
	eventually(t, "the stack is logged", func() bool { return strings.Contains(p.Log.String(), "(*probe).Approve") })
}

func TestSignalsAreIgnoredUntilDrain(t *testing.T) {
	p := plugintest.Launch(t, options(t))
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		if err := syscall.Kill(p.Pid, s); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the signals are seen", func() bool { return strings.Count(p.Log.String(), "signal ignored") == 2 })
	if err := approve(t.Context(), p.Client, 9); err != nil {
		t.Fatalf("after the signals: %v", err)
	}
	if err := p.Client.Plugin().Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(p.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the drained plugin ends on SIGTERM", p.Exited)
}

func TestTheOrderOfTheLifecycle(t *testing.T) {
	o := options(t)
	o.Probe = true
	p := plugintest.Launch(t, o)
	c, ctx := p.Client, t.Context()
	wantHealth := func(want lifecycle.State) {
		t.Helper()
		if h, err := c.Plugin().Health(ctx); err != nil || h.State != want {
			t.Errorf("health %+v, %v, want %s", h, err, want)
		}
	}
	wantError := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	watch := func() error {
		return c.Signer().Watch(ctx, func(context.Context, signer.Event) error { return nil })
	}
	wantHealth(lifecycle.Starting)
	wantError(approve(ctx, c, 9), lifecycle.ErrNotConfigured)
	wantError(watch(), lifecycle.ErrNotConfigured)

	marker := filepath.Join(t.TempDir(), "drained")
	o.ConfigJSON = []byte(`{"drain":` + strconv.Quote(marker) + `}`)
	config := plugintest.Config(t, o)
	wantError(c.Plugin().Configure(ctx, config), nil)
	wantError(c.Plugin().Configure(ctx, config), lifecycle.ErrConfigured)
	wantHealth(lifecycle.Ready)

	watched, called := make(chan error, 1), make(chan error, 1)
	go func() { watched <- watch() }()
	go func() { called <- approve(ctx, c, 4) }()
	eventually(t, "the call runs", func() bool { return strings.Contains(p.Log.String(), "call is running") })
	wantError(c.Plugin().Drain(ctx), nil)
	select {
	case err := <-called: // Drain has waited for it
		wantError(err, nil)
	case <-time.After(waitFor):
		t.Error("the call that ran does not end")
	}
	wantError(<-watched, lifecycle.ErrDraining)
	if b, err := os.ReadFile(marker); err != nil || string(b) != "drained" {
		t.Errorf("the plugin's own Drain was not called: %q, %v", b, err)
	}
	wantHealth(lifecycle.Draining)
	wantError(approve(ctx, c, 9), lifecycle.ErrDraining)
	wantError(c.Plugin().Configure(ctx, config), lifecycle.ErrDraining)
	wantError(c.Plugin().Drain(ctx), nil)
}

func TestAFailedConfigureIsTold(t *testing.T) {
	o := options(t)
	o.Probe = true
	c := plugintest.Start(t, o)
	o.ConfigJSON = []byte(`{"fail":true}`)
	if err := c.Plugin().Configure(t.Context(), plugintest.Config(t, o)); !errors.Is(err, signer.ErrUnavailable) {
		t.Errorf("got %v, want %v", err, signer.ErrUnavailable)
	}
	h, err := c.Plugin().Health(t.Context())
	if err != nil || h.State != lifecycle.Failed || !strings.Contains(h.Message, "the HSM is not plugged in") {
		t.Errorf("health %+v, %v", h, err)
	}
	if err := approve(t.Context(), c, 9); !errors.Is(err, lifecycle.ErrNotConfigured) {
		t.Errorf("got %v, want %v", err, lifecycle.ErrNotConfigured)
	}
}

func TestDrainGivesUpOnACallThatDoesNotEnd(t *testing.T) {
	p := plugintest.Launch(t, options(t))
	c := p.Client
	called := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { called <- approve(ctx, c, 1) }()
	defer func() {
		cancel()
		<-called
	}()
	eventually(t, "the call runs", func() bool { return strings.Contains(p.Log.String(), "call is running") })
	drain, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	if err := c.Plugin().Drain(drain); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
}

// TestAPluginEndsWhenItsHostIsGone starts a host that dies without a word.
func TestAPluginEndsWhenItsHostIsGone(t *testing.T) {
	h := wire.Handshake(lifecycle.Signer)
	host := exec.CommandContext(t.Context(), binary(t), "host", binary(t))
	host.Env = append(os.Environ(), h.MagicCookieKey+"="+h.MagicCookieValue, "PLUGIN_PROTOCOL_VERSIONS=1", "TMPDIR="+t.TempDir())
	in, err := host.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) }) // an error means that it has ended
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the plugin does not run: %v", err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := host.Wait(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the orphan ends", func() bool { return !running(pid) })
}

// running is false for a process that is gone, or that only waits for somebody to ask how it ended.
func running(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}
