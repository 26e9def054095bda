package host_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/host"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// pluginDir is the folder that plugins made, for TestMain to remove.
var pluginDir string

// plugins is the folder with the compiled test plugin, made once, by the first test that wants it.
var plugins = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "alysp")
	if err != nil {
		return "", err
	}
	pluginDir = dir
	out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "tester"), "./testdata/testplugin").CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("build test plugin: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	if data := os.Getenv(victimEnv); data != "" {
		victim(data, os.Getenv(victimEnv+"_PLUGINS"))
		return
	}
	code := m.Run()
	if pluginDir != "" {
		_ = os.RemoveAll(pluginDir)
	}
	os.Exit(code)
}

// bench is a host on a data folder of its own, which is checked for leftovers at the end of the test.
type bench struct {
	*host.Host
	t       testing.TB
	dataDir string
	log     *logBuffer
	seen    *recorder
}

// quick are timings that keep tests short.
func quick() host.Timings {
	return host.Timings{
		Start: 20 * time.Second, HealthEvery: 50 * time.Millisecond, RestartMin: 10 * time.Millisecond, Drain: time.Second,
		Shutdown: 300 * time.Millisecond, Terminate: 200 * time.Millisecond,
	}
}

func open(t testing.TB, edit ...func(*host.Config)) *bench {
	t.Helper()
	dir, err := plugins()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.MkdirTemp("", "alysd") //nolint:usetesting // t.TempDir is too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	before := openFiles(t)
	b := &bench{t: t, dataDir: data, log: &logBuffer{}, seen: &recorder{}}
	c := host.Config{
		DataDir: data, PluginDir: dir, ChainID: 121212, Genesis: chain.Hash{1}, Timings: quick(), Observer: b.seen,
		Log: hclog.New(&hclog.LoggerOptions{Output: b.log, Level: hclog.Trace, JSONFormat: true}),
	}
	for _, e := range edit {
		e(&c)
	}
	if b.Host, err = host.New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		b.noLeftovers(before)
		_ = os.RemoveAll(data)
	})
	return b
}

// noLeftovers: no process, no socket, no folder, no file descriptor.
func (b *bench) noLeftovers(files int) {
	b.t.Helper()
	if pids := descendants(b.dataDir); len(pids) > 0 {
		b.t.Errorf("processes left: %v", pids)
	}
	_ = filepath.WalkDir(filepath.Join(b.dataDir, "run"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != filepath.Join(b.dataDir, "run") {
			b.t.Errorf("left in the run folder: %s (%v)", path, d.Type())
		}
		return nil
	})
	eventually(b.t, "open files are those of before", func() bool { return openFiles(b.t) <= files })
}

// descendants are the processes whose environment names the data folder, zombies aside.
func descendants(dataDir string) []string {
	var pids []string
	envs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range envs {
		if env, err := os.ReadFile(path); err == nil && bytes.Contains(env, []byte(dataDir)) {
			pids = append(pids, filepath.Base(filepath.Dir(path)))
		}
	}
	return pids
}

func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// eventually waits for a condition that is about to come true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

// tester is a block of the test plugin in a mode.
func tester(mode string) host.Block {
	return host.Block{
		Kind: lifecycle.Signer, Label: "test", Command: "tester", Env: map[string]string{"TESTPLUGIN_MODE": mode},
	}
}

// stage stages the block's command.
func (b *bench) stage(block host.Block) host.Digest {
	b.t.Helper()
	bin, err := b.Stage(b.t.Context(), block.Command, block.Checksums)
	if err != nil {
		b.t.Fatal(err)
	}
	return bin.Digest
}

func (b *bench) launch(block host.Block) (*host.Generation, error) {
	b.t.Helper()
	return b.Launch(b.t.Context(), block, b.stage(block))
}

func (b *bench) mustLaunch(block host.Block) *host.Generation {
	b.t.Helper()
	g, err := b.launch(block)
	if err != nil {
		b.t.Fatal(err)
	}
	return g
}

// call makes one call of the signer contract.
func call(ctx context.Context, g *host.Generation) error {
	_, err := g.Client().Signer().Keys(ctx)
	return err
}

// script puts an executable file into a folder of its own.
func script(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plugin.sh")
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) has(s string) bool { return strings.Contains(l.String(), s) }

// recorder keeps what the host tells its observer.
type recorder struct {
	mu      sync.Mutex
	started []host.Started
	exited  []host.Exited
	calls   []host.Call
	samples []host.Sample
}

func (r *recorder) PluginStarted(e host.Started) { record(r, &r.started, e) }
func (r *recorder) PluginExited(e host.Exited)   { record(r, &r.exited, e) }
func (r *recorder) PluginCalled(e host.Call)     { record(r, &r.calls, e) }
func (r *recorder) PluginSampled(e host.Sample)  { record(r, &r.samples, e) }

func record[E any](r *recorder, to *[]E, e E) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*to = append(*to, e)
}

func recorded[E any](r *recorder, from *[]E) []E {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]E(nil), *from...)
}

func itoa(n int) string { return strconv.Itoa(n) }

// lockThread makes the calling goroutine's thread its own, never given back.
func lockThread() { runtime.LockOSThread() }
