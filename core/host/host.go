package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/host/internal/process"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// Host runs plugins. It is safe for concurrent use.
type Host struct {
	config   Config
	observer Observer
	stage    *stage
	counter  counter
	run      *runDir
	spawner  *process.Spawner
	serial   atomic.Uint64 // names run folders
	quit     chan struct{} // closed by Close: no start goes on

	mu        sync.Mutex // guards the rest
	closed    bool
	workers   map[*worker]struct{}
	instances map[*Instance]struct{}
	running   sync.WaitGroup // instances' goroutines
	alive     sync.WaitGroup // workers, from before their start to after their end
	closeErr  error
}

// New checks the data folder and clears away what a dead host left in it: processes, sockets, run folders. It starts
// nothing. Several hosts may share a data folder.
func New(c Config) (*Host, error) {
	if c.Log == nil {
		c.Log = hclog.NewNullLogger()
	}
	c.Timings, c.Limits = c.Timings.orDefaults(), c.Limits.orDefaults()
	var err error
	if c.DataDir, err = filepath.Abs(c.DataDir); err != nil {
		return nil, fmt.Errorf("find data folder: %w", err)
	}
	if c.PluginDir, err = filepath.Abs(c.PluginDir); err != nil {
		return nil, fmt.Errorf("find plugin folder: %w", err)
	}
	binaries := filepath.Join(c.DataDir, "plugins")
	if err := ownDir(binaries); err != nil {
		return nil, fmt.Errorf("make plugin folder: %w", err)
	}
	if process.NoExec(binaries) {
		return nil, noExec(binaries, nil)
	}
	run, err := openRunDir(c.DataDir)
	if err != nil {
		return nil, err
	}
	h := &Host{
		config: c, observer: c.Observer, stage: newStage(binaries), run: run, spawner: process.NewSpawner(),
		counter: counter{filepath.Join(binaries, "generation")},
		quit:    make(chan struct{}), workers: map[*worker]struct{}{}, instances: map[*Instance]struct{}{},
	}
	if h.observer == nil {
		h.observer = quiet{}
	}
	return h, nil
}

// Close stops every instance, generation and probe, all at once, and removes the run folder. It takes as long as the
// slowest plugin takes to drain and end, which Timings bound. It is idempotent.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return h.closeErr
	}
	h.closed = true
	close(h.quit)
	instances := make([]*Instance, 0, len(h.instances))
	for i := range h.instances {
		instances = append(instances, i)
	}
	h.mu.Unlock()

	t := h.config.Timings
	ctx, cancel := context.WithTimeout(context.Background(), t.Drain+t.Shutdown)
	defer cancel()
	var stops sync.WaitGroup
	for _, i := range instances {
		stops.Go(func() { i.Stop(ctx) })
	}
	stops.Wait()
	h.running.Wait()
	for _, w := range h.live() {
		stops.Go(func() { w.stop(ctx) })
	}
	stops.Wait()
	h.alive.Wait()
	h.spawner.Close()
	h.closeErr = h.run.remove()
	return h.closeErr
}

// live lists the processes that run.
func (h *Host) live() []*worker {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.workers))
}

// admit lets a worker begin.
func (h *Host) admit() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	h.alive.Add(1)
	return nil
}

// register takes note of a worker that has started.
func (h *Host) register(w *worker) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	h.workers[w] = struct{}{}
	return nil
}

// drop forgets a worker whose process is dead or never was, and removes its folder.
func (h *Host) drop(w *worker) {
	if err := os.RemoveAll(w.dir); err != nil {
		w.log.Warn("cannot remove run folder", "dir", w.dir, "error", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.workers, w)
	h.alive.Done()
}

// label keeps a label from becoming a path.
var label = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// check refuses a block that could not be told apart from others, or that would lead out of the data folder.
func (h *Host) check(b Block) error {
	if !slices.Contains(lifecycle.Kinds(), b.Kind) {
		return fmt.Errorf("plugin kind %q is none of %v", b.Kind, lifecycle.Kinds())
	}
	if !label.MatchString(b.Label) {
		return fmt.Errorf("plugin label %q: use at most 64 letters, digits, dots, - and _, starting with a letter or digit", b.Label)
	}
	return nil
}

// named makes sure that an error says which plugin it is about.
func named(b Block, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		if e.Kind == "" {
			e.Kind, e.Label = b.Kind, b.Label
		}
		return err
	}
	return fmt.Errorf("%s: %w", b, err)
}
