package host_test

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/alys-node/alys/core/host"
	"github.com/alys-node/alys/core/internal/liars"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/wire"
)

// liarPath is the compiled liar, made once, by the first test that wants it.
var liarPath = sync.OnceValues(func() (string, error) {
	dir, err := plugins()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "liar")
	if out, err := exec.Command("go", "build", "-o", path, liars.Source).CombinedOutput(); err != nil {
		return "", errors.Join(err, errors.New(string(out)))
	}
	return path, nil
})

// liar is a block of the liar in a mode.
func liar(t testing.TB, mode string) host.Block {
	t.Helper()
	path, err := liarPath()
	if err != nil {
		t.Fatal(err)
	}
	return host.Block{Kind: lifecycle.Signer, Label: "bad", Command: path, Env: map[string]string{"LIAR": mode}}
}

// TestLiars starts every liar of the list. One that does not come up is told by its error, with what to do, and nothing of
// it is left; one that comes up is stopped, and nothing of it is left either.
func TestLiars(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for what never answers")
	}
	for _, l := range liars.All() {
		t.Run(l.Does, func(t *testing.T) {
			b := open(t, func(c *host.Config) {
				if errors.Is(l.Start, host.ErrStartTimeout) {
					c.Timings.Start = 2 * time.Second
				}
			})
			rss := ownMemory(t)
			block := liar(t, l.Mode)
			if l.Pin != "" {
				block.Checksums = []string{l.Pin}
			}
			g, err := start(t, b, block)
			switch {
			case l.Start == nil && err != nil:
				t.Fatal(err)
			case l.Start == nil:
				g.Stop(t.Context())
			case !errors.Is(err, l.Start):
				t.Fatalf("error is %v, want %v", err, l.Start)
			default:
				explained(t, err)
			}
			if pids := descendants(b.dataDir); len(pids) > 0 {
				t.Errorf("processes left: %v", pids)
			}
			if grown := ownMemory(t) - rss; grown > 64<<20 {
				t.Errorf("the host grew by %d MB", grown>>20)
			}
		})
	}
}

// start checks and launches, as a node does.
func start(t *testing.T, b *bench, block host.Block) (*host.Generation, error) {
	t.Helper()
	p, err := b.Probe(t.Context(), block)
	if err != nil {
		return nil, err
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	return b.Launch(t.Context(), block, p.Digest)
}

// explained wants an error that names the plugin and says what to do.
func explained(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*host.Error](err)
	if !ok || e.Label != "bad" || e.Hint == "" {
		t.Errorf("the error does not say which plugin, or what to do: %v", err)
	}
}

// ownMemory is what this process holds, in bytes.
func ownMemory(t *testing.T) int64 {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return u.Maxrss << 10
}

func TestAHealthQuestionThatIsNotAnsweredEndsThePlugin(t *testing.T) {
	b := open(t, func(c *host.Config) { c.Timings.HealthTimeout, c.Timings.HealthFailures = 300*time.Millisecond, 2 })
	i := b.supervise(liar(t, "hang-health"), host.Hooks{})
	g, _ := i.Current()
	_, _ = g.Client().Signer().Approve(t.Context(), approval()) // from now on it does not answer
	next := current(t, i, g)
	if !errors.Is(g.Err(), host.ErrUnhealthy) || !errors.Is(g.Err(), context.DeadlineExceeded) {
		t.Errorf("its end: %v", g.Err())
	}
	if err := call(t.Context(), next); err != nil {
		t.Errorf("its successor: %v", err)
	}
}

func TestAHugeAnswerIsRefusedBeforeItIsRead(t *testing.T) {
	b := open(t)
	_, err := b.launch(liar(t, "huge"))
	call, ok := errors.AsType[*wire.CallError](err)
	if !ok || call.Code != codes.ResourceExhausted {
		t.Errorf("error is %v", err)
	}
}

func TestAPluginThatHangsInItsDrainIsEnded(t *testing.T) {
	b := open(t)
	g, err := b.launch(liar(t, "hang-drain"))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Drain(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drain: %v", err)
	}
	g.Stop(t.Context())
	if !errors.Is(g.Err(), host.ErrStopped) {
		t.Errorf("its end: %v", g.Err())
	}
}

// TestAFloodOnEveryWayOutIsBounded lets a plugin write as fast as it can on stdout, stderr and its log until thousands of
// lines were dropped: the host forwards what its limits allow, tells what it dropped, and gets its calls answered meanwhile.
func TestAFloodOnEveryWayOutIsBounded(t *testing.T) {
	b := open(t, func(c *host.Config) { c.Limits.LogLines = 20 })
	began := time.Now()
	g, err := b.launch(liar(t, "floods"))
	if err != nil {
		t.Fatal(err)
	}
	for calls := 0; calls < 20 || g.Stats().LinesLost < 2000; calls++ {
		if time.Since(began) > time.Minute {
			t.Fatalf("%d lines were dropped in a minute", g.Stats().LinesLost)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := call(ctx, g); err != nil {
			t.Errorf("a call in the flood: %v", err)
		}
		cancel()
	}
	g.Stop(t.Context())
	most := 20 * (5 + int(time.Since(began).Seconds()) + 1) // a burst of five seconds' worth
	if n := strings.Count(b.log.String(), "flood "); n > most*110 {
		t.Errorf("%d words came through, %d lines are allowed", n, most)
	}
	if !b.log.has(`"dropped":`) {
		t.Error("nobody was told")
	}
}

func TestALeakedChildEndsWithItsPlugin(t *testing.T) {
	for _, how := range []string{"stop", "crash"} {
		t.Run(how, func(t *testing.T) {
			b := open(t)
			g, err := b.launch(liar(t, "leaks"))
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the plugin, its child and its orphan run", func() bool { return len(descendants(b.dataDir)) == 3 })
			if how == "stop" {
				g.Stop(t.Context())
			} else {
				_ = syscall.Kill(g.PID, syscall.SIGKILL)
				<-g.Done()
			}
			eventually(t, "none is left", func() bool { return len(descendants(b.dataDir)) == 0 })
		})
	}
}
