package route_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/sdk/chain"
)

var (
	errRefused = errors.New("refused")
	errAway    = errors.New("HSM is away")
	errSyncing = errors.New("engine is syncing")
	errGone    = errors.New("process is gone")
)

// plugin is a fake of every shape: it answers with what it is told to.
type plugin struct {
	label string
	gen   route.Generation

	mu     sync.Mutex
	answer string
	err    error
	down   error // Client fails
	delay  time.Duration
	asked  int
	log    []string
	gate   chan struct{} // if not nil, a call waits until it is closed
	gone   atomic.Bool
}

func newPlugin(label string) *plugin { return &plugin{label: label, gen: 1, answer: "ok"} }

func (p *plugin) ID() route.ID { return route.ID{Plugin: p.label, Generation: p.gen} }

func (p *plugin) Client() (*plugin, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p, p.down
}

func (p *plugin) with(f func(*plugin)) *plugin {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
	return p
}

func (p *plugin) fails(err error) *plugin { return p.with(func(p *plugin) { p.err = err }) }
func (p *plugin) says(s string) *plugin   { return p.with(func(p *plugin) { p.answer, p.err = s, nil }) }

func (p *plugin) takes(d time.Duration) *plugin {
	return p.with(func(p *plugin) { p.delay = d })
}

func (p *plugin) times() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func (p *plugin) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.log...)
}

// do is a call.
func (p *plugin) do(ctx context.Context, what string) (string, error) {
	p.mu.Lock()
	p.asked++
	p.log = append(p.log, what)
	answer, err, delay, gate := p.answer, p.err, p.delay, p.gate
	p.mu.Unlock()
	if p.gone.Load() {
		return "", errGone
	}
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	if p.gone.Load() {
		return "", errGone
	}
	return answer, err
}

// watcher is an observer that keeps everything.
type watcher struct {
	mu       sync.Mutex
	calls    []route.Called
	compared []route.Comparison
	changes  []route.Changed
	alarms   []route.Alarm
}

func (w *watcher) Called(c route.Called)       { w.keep(func() { w.calls = append(w.calls, c) }) }
func (w *watcher) Compared(c route.Comparison) { w.keep(func() { w.compared = append(w.compared, c) }) }

func (w *watcher) Changed(c route.Changed) { w.keep(func() { w.changes = append(w.changes, c) }) }

func (w *watcher) Alarm(a route.Alarm) { w.keep(func() { w.alarms = append(w.alarms, a) }) }
func (w *watcher) keep(f func())       { w.mu.Lock(); defer w.mu.Unlock(); f() }
func (w *watcher) alarmed() []route.Alarm {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]route.Alarm(nil), w.alarms...)
}

func (w *watcher) comparisons() map[route.Verdict]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[route.Verdict]int{}
	for _, c := range w.compared {
		out[c.Verdict]++
	}
	return out
}

type positions = route.Positions[*plugin]

// newRoute makes a route with positions.
func newRoute(t *testing.T, p positions, o route.Options) (*route.Route[*plugin], *watcher) {
	t.Helper()
	w := &watcher{}
	o.Name, o.Observer = "signer", w
	r := route.New[*plugin](o)
	if err := r.Set(p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, w
}

func opts() route.Opts[string] {
	return route.Opts[string]{
		IsAnswer: func(err error) bool { return errors.Is(err, errRefused) },
		Check: func(s string) error {
			if s == "forged" {
				return errors.New("signature does not verify")
			}
			return nil
		},
		Compare: func(a, b string) route.Verdict {
			if a == b {
				return route.Agree
			}
			return route.Disagree
		},
	}
}

// ask calls the route for a slot with a budget of 1 s.
func ask(t *testing.T, r *route.Route[*plugin], slot chain.Slot) (string, error) {
	t.Helper()
	return route.Call(t.Context(), r, request(slot), func(ctx context.Context, p *plugin) (string, error) {
		return p.do(ctx, fmt.Sprint(slot))
	}, opts())
}

func request(slot chain.Slot) route.Request {
	return route.Request{Name: "approve", Slot: &slot, Budget: time.Second}
}
