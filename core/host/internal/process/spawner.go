package process

import (
	"errors"
	"os/exec"
	"runtime"
	"sync"
)

// ErrSpawnerClosed is returned by a start after Close.
var ErrSpawnerClosed = errors.New("process spawner is closed")

// Spawner forks every process from one operating-system thread that lives as long as the spawner. The kernel sends the
// parent-death signal when the *thread* that forked ends, so a thread of Go's pool would not do.
type Spawner struct {
	requests chan request
	quit     chan struct{}
	start    sync.Once
	stop     sync.Once
	done     sync.WaitGroup
}

type request struct {
	cmd    *exec.Cmd
	result chan error
}

// NewSpawner makes a spawner. Its thread starts with the first process.
func NewSpawner() *Spawner {
	return &Spawner{requests: make(chan request), quit: make(chan struct{})}
}

// Start is cmd.Start on the spawner's thread.
func (s *Spawner) Start(cmd *exec.Cmd) error {
	s.start.Do(func() { s.done.Go(s.loop) })
	r := request{cmd: cmd, result: make(chan error, 1)}
	select {
	case s.requests <- r:
		return <-r.result
	case <-s.quit:
		return ErrSpawnerClosed
	}
}

// Close ends the thread, and with it every process that still runs. It is idempotent.
func (s *Spawner) Close() {
	s.stop.Do(func() { close(s.quit) })
	s.done.Wait()
}

func (s *Spawner) loop() {
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	for {
		select {
		case r := <-s.requests:
			r.result <- r.cmd.Start()
		case <-s.quit:
			return
		}
	}
}
