package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// afterExit is how long the pipes of a dead process are still read: a grandchild may hold the other end for ever.
const afterExit = 200 * time.Millisecond

// busyTries and busyPause bound the wait for a binary that a fork elsewhere still holds open for writing (ETXTBSY).
const (
	busyTries = 100
	busyPause = 10 * time.Millisecond
)

// Spec says what to run.
type Spec struct {
	Path     string   // absolute
	Env      []string // NAME=value, complete; a later one wins
	Dir      string   // working folder
	NoCore   bool     // forbid core dumps: the process will hold secrets
	SweepEnv string   // an entry of Env that no other process has: finds descendants that left the group
}

// Process is a running or ended process. Stdout and Stderr must be read to their end.
type Process struct {
	PID    int
	Stdout io.ReadCloser
	Stderr io.ReadCloser

	cmd   *exec.Cmd
	pipes [2]*os.File
	sweep string
	done  chan struct{}

	mu     sync.Mutex
	reaped bool // guarded by mu: the pid may belong to someone else from now on

	err error // set before done is closed
}

// Run starts spec. The process is in a group of its own, has an empty stdin, and gets SIGKILL when the host dies.
func (s *Spawner) Run(ctx context.Context, spec Spec) (*Process, error) {
	p := &Process{sweep: spec.SweepEnv, done: make(chan struct{})}
	var writers [2]*os.File
	for i := range p.pipes {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(p.pipes[:i])
			closeAll(writers[:i])
			return nil, fmt.Errorf("make pipe: %w", err)
		}
		p.pipes[i], writers[i] = r, w
	}
	defer closeAll(writers[:])
	if err := s.exec(ctx, p, spec, writers); err != nil {
		closeAll(p.pipes[:])
		return nil, err
	}
	p.PID = p.cmd.Process.Pid
	p.Stdout, p.Stderr = p.pipes[0], p.pipes[1]
	if spec.NoCore {
		forbidCore(p.PID)
	}
	go p.wait()
	return p, nil
}

// exec starts the command, again while the file is busy. A command that failed to start cannot be used twice.
func (s *Spawner) exec(ctx context.Context, p *Process, spec Spec, out [2]*os.File) error {
	for try := 0; ; try++ {
		p.cmd = &exec.Cmd{
			Path: spec.Path, Args: []string{spec.Path}, Env: spec.Env, Dir: spec.Dir,
			Stdout: out[0], Stderr: out[1], SysProcAttr: attributes(),
		}
		err := s.Start(p.cmd)
		if !errors.Is(err, syscall.ETXTBSY) || try == busyTries {
			return err
		}
		select {
		case <-time.After(busyPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// wait sees the death, ends what is left of the group while the pid is still ours, and then reaps.
func (p *Process) wait() {
	awaitExit(p.PID)
	p.mu.Lock()
	signalGroup(p.PID, syscall.SIGKILL)
	err := p.cmd.Wait()
	p.reaped = true
	p.mu.Unlock()
	p.err = err
	if p.sweep != "" {
		KillByEnv(p.sweep)
	}
	for _, r := range p.pipes {
		// A reader that is at the end does not notice; one that a stray descendant keeps waiting is released.
		_ = r.SetReadDeadline(time.Now().Add(afterExit))
	}
	close(p.done)
}

// Done is closed when the process is dead and reaped, and its group killed.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the process ended: nil for exit code 0, an *exec.ExitError otherwise. It may be called after Done.
func (p *Process) Err() error { return p.err }

// Signal sends sig to the whole process group, unless the process is reaped.
func (p *Process) Signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		signalGroup(p.PID, sig)
	}
}

// Kill sends SIGTERM to the group, SIGKILL after grace, and returns when the process is dead. A frozen process dies
// too. Grace 0 kills at once.
func (p *Process) Kill(grace time.Duration) {
	if grace > 0 {
		p.Signal(syscall.SIGTERM)
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-p.done:
			return
		case <-t.C:
		}
	}
	p.Signal(syscall.SIGKILL)
	<-p.done
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
