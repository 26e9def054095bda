package blackboxtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/hashicorp/go-plugin/runner"
)

// maxRecorded bounds what is kept of one output, in bytes.
const maxRecorded = 4 << 20

// recorder keeps what a process writes. It is safe for concurrent use.
type recorder struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

// Write never fails: what is too much is dropped, so that a flood cannot hold the process up.
func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if room := maxRecorded - r.text.Len(); room > 0 {
		r.text.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// String is all that was kept so far.
func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// last is the end of what was written, for messages.
func (r *recorder) last() string {
	s := strings.TrimSpace(r.String())
	if len(s) > maxSaw/2 {
		s = "… " + strings.ToValidUTF8(s[len(s)-maxSaw/2:], "")
	}
	if s == "" {
		return "it wrote nothing to its standard error"
	}
	return "it wrote: " + s
}

var _ runner.Runner = (*spawned)(nil)

// spawned is go-plugin's handle on a process of the suite's own making: both outputs are recorded as they are, and a
// kill reaches the whole process group. go-plugin sees the first line of stdout only.
type spawned struct {
	cmd            *exec.Cmd
	stdout, stderr *recorder
	first          io.ReadCloser // the first line of stdout, for go-plugin
	// orphaned is true for a plugin behind a shell, which stands for a host that is killed. The shell tells the plugin's
	// process id through a pipe.
	orphaned bool

	pid     int // the plugin's
	done    chan struct{}
	status  error // how it ended; valid once done is closed
	readers sync.WaitGroup
}

// hostScript is a host: it starts the plugin, tells its process id and waits.
const hostScript = `"$0" 3>&- & echo $! >&3; exec 3>&-; wait`

// Start runs the process.
func (s *spawned) Start(context.Context) error {
	outR, outW, err := os.Pipe()
	if err != nil {
		return err
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		return err
	}
	pidR, pidW, err := os.Pipe()
	if err != nil {
		return err
	}
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = nil, outW, errW
	if s.orphaned {
		s.cmd.ExtraFiles = []*os.File{pidW}
	}
	err = s.cmd.Start()
	_, _, _ = outW.Close(), errW.Close(), pidW.Close()
	if err != nil {
		_, _, _ = outR.Close(), errR.Close(), pidR.Close()
		return err
	}
	s.done = make(chan struct{})
	first, tell := io.Pipe()
	s.first = first
	s.readers.Go(func() { s.readStdout(outR, tell) })
	s.readers.Go(func() { _, _ = io.Copy(s.stderr, errR); _ = errR.Close() })
	go func() {
		s.status = s.cmd.Wait()
		close(s.done)
	}()
	s.pid = s.cmd.Process.Pid
	if s.orphaned {
		return s.readPid(pidR)
	}
	return pidR.Close()
}

func (s *spawned) readPid(r io.ReadCloser) error {
	text, err := io.ReadAll(r)
	_ = r.Close()
	if err != nil {
		return err
	}
	if s.pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
		return fmt.Errorf("the shell told no process id: %w", err)
	}
	return nil
}

// readStdout gives go-plugin the first line and keeps everything.
func (s *spawned) readStdout(r io.ReadCloser, tell *io.PipeWriter) {
	defer func() { _ = r.Close() }()
	br := bufio.NewReaderSize(io.TeeReader(r, s.stdout), 1<<16)
	first, err := br.ReadSlice('\n')
	if err == nil || len(first) > 0 {
		_, _ = tell.Write(first)
	}
	_ = tell.Close()
	_, _ = io.Copy(io.Discard, br)
}

// Stdout is the first line.
func (s *spawned) Stdout() io.ReadCloser { return s.first }

// Stderr is empty: the suite reads it.
func (*spawned) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name is the binary.
func (s *spawned) Name() string { return s.cmd.Path }

// ID is the process id.
func (s *spawned) ID() string { return strconv.Itoa(s.pid) }

// Wait returns when the process has ended.
func (s *spawned) Wait(context.Context) error {
	<-s.done
	return s.status
}

// Kill ends the process group.
func (s *spawned) Kill(context.Context) error {
	if s.cmd.Process == nil {
		return nil
	}
	return killGroup(s.cmd.Process.Pid)
}

// killGroup ends what is left of a process group.
func killGroup(pid int) error {
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// Diagnose is empty: the suite tells what the process wrote.
func (*spawned) Diagnose(context.Context) string { return "" }

// PluginToHost does not translate: both share a machine.
func (*spawned) PluginToHost(network, addr string) (string, string, error) { return network, addr, nil }

// HostToPlugin does not translate.
func (*spawned) HostToPlugin(network, addr string) (string, string, error) { return network, addr, nil }
