package host_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/alys-node/alys/core/host"
)

// victimEnv makes the test binary a host that waits to be killed.
const victimEnv = "HOST_TEST_VICTIM"

func victim(data, plugins string) {
	h, err := host.New(host.Config{DataDir: data, PluginDir: plugins, Timings: quick()})
	if err != nil {
		fmt.Fprintln(os.Stdout, "error:", err)
		return
	}
	bin, err := h.Stage(context.Background(), "tester", nil)
	if err != nil {
		fmt.Fprintln(os.Stdout, "error:", err)
		return
	}
	if _, err := h.Launch(context.Background(), tester("child"), bin.Digest); err != nil {
		fmt.Fprintln(os.Stdout, "error:", err)
		return
	}
	fmt.Fprintln(os.Stdout, "up")
	select {}
}

// startVictim starts a host in a process of its own, with one plugin and that plugin's two children.
func startVictim(t *testing.T, data string) *exec.Cmd {
	t.Helper()
	dir, err := plugins()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+data, victimEnv+"_PLUGINS="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "up\n" {
		t.Fatalf("the victim said %q", line)
	}
	return cmd
}

func TestNothingSurvivesAHostThatWasKilled(t *testing.T) {
	data, err := os.MkdirTemp("", "alysd") //nolint:usetesting // t.TempDir is too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(data) }()
	cmd := startVictim(t, data)
	run := filepath.Join(data, "run")

	// A second host on the same folder leaves a living one alone.
	second, err := host.New(host.Config{DataDir: data, Timings: quick()})
	if err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(run); len(entries) != 2 {
		t.Errorf("run folder of two hosts holds %v", entries)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, "the plugin dies with its host", func() bool { return len(descendants(data)) <= 2 })
	third, err := host.New(host.Config{DataDir: data, Timings: quick()})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the next host ends the plugin's children", func() bool { return len(descendants(data)) == 0 })
	if entries, _ := os.ReadDir(run); len(entries) != 1 {
		t.Errorf("the dead host's run folder is still there: %v", entries)
	}
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestALongDataFolderStillHasSockets(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	b := open(t, func(c *host.Config) { c.DataDir = long })
	g := b.mustLaunch(tester(""))
	if err := call(t.Context(), g); err != nil {
		t.Error(err)
	}
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), strings.Repeat("t", 60)))
	_, err := host.New(host.Config{DataDir: long})
	if !errors.Is(err, host.ErrSocketPath) || !strings.Contains(err.Error(), "data_dir") || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("with no short folder anywhere: %v", err)
	}
}

func TestARunFolderThatSomebodyElsePutThereIsRefused(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	tmp, err := os.MkdirTemp("", "t") //nolint:usetesting // t.TempDir is too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	t.Setenv("TMPDIR", tmp)
	if err := os.Symlink(t.TempDir(), filepath.Join(tmp, "alys-"+itoa(os.Getuid()))); err != nil {
		t.Fatal(err)
	}
	if _, err := host.New(host.Config{DataDir: long}); !errors.Is(err, host.ErrSocketPath) || !strings.Contains(err.Error(), "not a folder of this user") {
		t.Errorf("error is %v", err)
	}
}

// TestANoexecDataFolderIsExplained mounts a file system in a mount namespace of one thread, which the test then throws
// away: nothing of it is seen outside.
func TestANoexecDataFolderIsExplained(t *testing.T) {
	data := t.TempDir()
	errs := make(chan error, 1)
	skipped := make(chan error, 1)
	go func() {
		lockThread()
		err := errors.Join(
			syscall.Unshare(syscall.CLONE_FS|syscall.CLONE_NEWNS),
			unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.Mount("none", data, "tmpfs", unix.MS_NOEXEC, "size=1m"),
		)
		if err != nil {
			skipped <- err
			return
		}
		_, err = host.New(host.Config{DataDir: data})
		errs <- err
	}()
	select {
	case err := <-skipped:
		t.Skipf("cannot mount here: %v", err)
	case err := <-errs:
		if !errors.Is(err, host.ErrNoExec) || !strings.Contains(err.Error(), data) || !strings.Contains(err.Error(), "noexec") {
			t.Errorf("error is %v", err)
		}
	}
}

func TestABrokenGenerationCounterIsNotStartedAnew(t *testing.T) {
	b := open(t)
	digest := b.stage(tester(""))
	path := filepath.Join(b.dataDir, "plugins", "generation")
	if err := os.WriteFile(path, []byte("seven"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Launch(t.Context(), tester(""), digest); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("launch: %v", err)
	}
}
