package process_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alys-node/alys/core/host/internal/process"
)

func spawner(t *testing.T) *process.Spawner {
	t.Helper()
	s := process.NewSpawner()
	t.Cleanup(s.Close)
	return s
}

// shell runs a script; its output must be read to the end.
func shell(t *testing.T, s *process.Spawner, text string) *process.Process {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := s.Run(t.Context(), process.Spec{Path: path, Dir: "/", Env: []string{"A=1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(0) })
	return p
}

func line(t *testing.T, r io.Reader) string {
	t.Helper()
	text, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(text)
}

func TestAProcessHasAGroupOfItsOwnAndAnEmptyStdin(t *testing.T) {
	p := shell(t, spawner(t), "read x; echo \"stdin:$x env:$A\" \"$(ps -o pgid= -p $$ 2>/dev/null || cut -d' ' -f5 /proc/$$/stat)\"\n")
	got := strings.Fields(line(t, p.Stdout))
	if len(got) != 3 || got[0] != "stdin:" || got[1] != "env:1" || got[2] != strconv.Itoa(p.PID) {
		t.Errorf("the process saw %v, its pid is %d", got, p.PID)
	}
	<-p.Done()
	if p.Err() != nil {
		t.Errorf("ended with %v", p.Err())
	}
}

func TestKillEndsAProcessThatIgnoresSIGTERM(t *testing.T) {
	p := shell(t, spawner(t), "trap '' TERM\necho up\nwhile :; do sleep 1; done\n")
	line(t, p.Stdout)
	began := time.Now()
	p.Kill(100 * time.Millisecond)
	if took := time.Since(began); took < 100*time.Millisecond || took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	p.Signal(syscall.SIGKILL) // reaped: must not hit anybody
}

func TestKillLetsAProcessEndPolitely(t *testing.T) {
	p := shell(t, spawner(t), "trap 'exit 3' TERM\necho up\nwhile :; do sleep 0.01; done\n")
	line(t, p.Stdout)
	p.Kill(10 * time.Second)
	if p.Err() == nil || p.Err().Error() != "exit status 3" {
		t.Errorf("ended with %v", p.Err())
	}
}

func TestThePipesEndThoughAGrandchildHoldsThem(t *testing.T) {
	// The parent ends only when the child has left its group: until then the child would die with it.
	left := filepath.Join(t.TempDir(), "left")
	p := shell(t, spawner(t), fmt.Sprintf("setsid sh -c 'echo $$; : > %[1]s; exec sleep 3600' &\nwhile [ ! -e %[1]s ]; do sleep 0.01; done\nexit 0\n", left))
	r := bufio.NewReader(p.Stdout)
	text, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, _ := strconv.Atoi(strings.TrimSpace(text))
	defer func() { _ = syscall.Kill(child, syscall.SIGKILL) }()
	if _, err := io.Copy(io.Discard, r); err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading on ended with %v", err)
	}
}

func TestABusyBinaryIsTriedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "busy")
	raw, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Skip(err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(raw); err != nil {
		t.Fatal(err)
	}
	s := spawner(t)
	time.AfterFunc(50*time.Millisecond, func() { _ = f.Close() })
	p, err := s.Run(t.Context(), process.Spec{Path: path, Dir: "/"})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
}

func TestAClosedSpawnerStartsNothing(t *testing.T) {
	s := process.NewSpawner()
	s.Close()
	s.Close()
	if _, err := s.Run(t.Context(), process.Spec{Path: "/bin/true", Dir: "/"}); !errors.Is(err, process.ErrSpawnerClosed) {
		t.Errorf("run: %v", err)
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	u, err := process.UsageOf(os.Getpid())
	if err != nil || u.RSS < 1<<20 || u.OpenFiles < 3 {
		t.Errorf("usage is %+v, %v", u, err)
	}
	if _, err := process.UsageOf(1 << 30); err == nil {
		t.Error("a process that is not there has a usage")
	}
}

// TestKillByEnvReturnsWhenTheProcessesAreGone kills shells that start others as fast as they can.
func TestKillByEnvReturnsWhenTheProcessesAreGone(t *testing.T) {
	entry := "PROCESS_TEST_STRAY=" + t.TempDir()
	for range 3 {
		cmd := exec.Command("/bin/sh", "-c", "while :; do setsid /bin/sleep 60 & read _ < /dev/null; sleep 0.01; done")
		cmd.Env = append(os.Environ(), entry)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait() // it was killed
	}
	if n := process.KillByEnv(entry); n < 3 {
		t.Errorf("%d killed", n)
	}
	if n := process.KillByEnv(entry); n != 0 {
		t.Errorf("%d were left", n)
	}
}
