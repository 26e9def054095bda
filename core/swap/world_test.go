package swap_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/core/swap"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// world is everything around a controller: processes, routes and a journal that outlives hosts.
type world struct {
	t       *testing.T
	journal *memory
	opts    swap.Options

	mu      sync.Mutex
	procs   []*process
	routes  map[swap.Role]*control
	fail    map[string]error         // by label: launching fails
	refuse  map[string]error         // by label: admission fails
	unequal map[string]error         // by label: BeforeFlip fails
	hang    map[string]bool          // by label: admission takes until its context ends
	takes   map[string]time.Duration // by label: how long launching takes
	asked   []string                 // admissions: "role position label#generation"
	ended   []swap.Result            // how probations ended by themselves
	stops   []func()                 // end the Run of hosts
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, journal: &memory{}, routes: map[swap.Role]*control{},
		fail: map[string]error{}, refuse: map[string]error{}, unequal: map[string]error{}, hang: map[string]bool{},
		takes: map[string]time.Duration{},
	}
	p := swap.DefaultProbation()
	w.opts = swap.Options{Launcher: w, Routes: w, Admitter: w, Journal: w.journal, Probation: &p, Ended: func(r swap.Report) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ended = append(w.ended, r.Result)
	}}
	return w
}

// noProbation makes a swap end with its flip.
func (w *world) noProbation() *world {
	w.opts.Probation = &swap.Probation{}
	return w
}

// host makes a controller on the world's journal.
func (w *world) host() *swap.Controller {
	w.t.Helper()
	c, err := swap.New(w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// die ends a host as kill -9 does: its processes and routes are gone, the journal stays.
func (w *world) die() {
	for _, stop := range w.stops {
		stop()
	}
	w.stops = nil
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.procs {
		p.kill()
	}
	w.procs = nil
	for _, c := range w.routes {
		_ = c.route.Close()
	}
	w.routes = map[swap.Role]*control{}
	w.journal.after = nil
}

func (w *world) Launch(ctx context.Context, r swap.LaunchRequest) (swap.Process, error) {
	w.mu.Lock()
	takes := w.takes[r.Block.ID.Label]
	w.mu.Unlock()
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fail[r.Block.ID.Label]; err != nil {
		return nil, err
	}
	same := 0
	for _, p := range w.procs {
		if p.isClosed() {
			continue
		}
		if p.block.ID == r.Block.ID {
			same++
		}
		for _, x := range p.block.Resources {
			if slices.Contains(r.Block.Resources, x) {
				return nil, fmt.Errorf("%s %s is in use by %s", x.Kind, x.Value, p.name())
			}
		}
	}
	if same > 1 {
		w.t.Errorf("third generation of %s", r.Block.ID)
	}
	for _, p := range w.procs {
		if p.block.ID == r.Block.ID && p.generation >= r.Generation {
			w.t.Errorf("generation %d of %s after %d", r.Generation, r.Block.ID, p.generation)
		}
	}
	p := &process{block: r.Block, generation: r.Generation, next: make(chan struct{}), answer: "ok"}
	w.procs = append(w.procs, p)
	return p, nil
}

func (w *world) Admit(ctx context.Context, a swap.Admission) error {
	w.mu.Lock()
	w.asked = append(w.asked, fmt.Sprintf("%s %s %s", a.Role, a.Position, a.New.(*process).name()))
	hang := w.hang[a.New.Plugin().Label]
	w.mu.Unlock()
	if hang {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refuse[a.New.Plugin().Label]
}

func (w *world) BeforeFlip(_ context.Context, a swap.Admission) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unequal[a.New.Plugin().Label]
}

func (w *world) Route(r swap.Role) (swap.RouteControl, error) { return w.control(r), nil }

func (w *world) control(r swap.Role) *control {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.routes[r]
	if c == nil {
		c = &control{route: route.New[*process](route.Options{Name: string(r)})}
		w.routes[r] = c
	}
	return c
}

// live lists the processes that run, as "label#generation".
func (w *world) live() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, p := range w.procs {
		if !p.isClosed() {
			out = append(out, p.name())
		}
	}
	slices.Sort(out)
	return out
}

// labels is live without generations.
func (w *world) labels() string {
	var out []string
	for _, n := range w.live() {
		label, _, _ := strings.Cut(n, "#")
		out = append(out, label)
	}
	return strings.Join(out, " ")
}

// find returns the newest live process of a label.
func (w *world) find(label string) *process {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range slices.Backward(w.procs) {
		if p.block.ID.Label == label && !p.isClosed() {
			return p
		}
	}
	w.t.Fatalf("no live process of %s", label)
	return nil
}

// serves is the block hash of the primary that answers a role now; "" when nobody does.
func (w *world) serves(r swap.Role) string {
	w.t.Helper()
	got, err := w.control(r).call(w.t.Context(), time.Second)
	if err != nil {
		return ""
	}
	return got
}

// process is one fake generation.
type process struct {
	block      swap.Block
	generation swap.Generation
	why        error // set before a crash

	mu     sync.Mutex
	deaths int
	next   chan struct{}
	closed bool
	answer string
	delay  time.Duration
	drains time.Duration // how long Close takes
}

func (p *process) Plugin() swap.PluginID       { return p.block.ID }
func (p *process) Generation() swap.Generation { return p.generation }
func (p *process) Crash() error                { return p.why }
func (p *process) name() string                { return fmt.Sprintf("%s#%d", p.block.ID.Label, p.generation) }

func (p *process) Close(context.Context) error {
	p.mu.Lock()
	p.closed = true
	drains := p.drains
	p.mu.Unlock()
	if drains > 0 {
		<-time.After(drains)
	}
	return nil
}

func (p *process) kill() { _ = p.Close(context.Background()) }

func (p *process) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

func (p *process) Deaths() (int, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.deaths, p.next
}

func (p *process) crash() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaths++
	close(p.next)
	p.next = make(chan struct{})
}

// turn makes the process answer otherwise from now on.
func (p *process) turn(answer string, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer, p.delay = answer, delay
}

var errClosed = errors.New("process is closed")

// serve is a call to the plugin; the answer names the block.
func (p *process) serve(ctx context.Context) (string, error) {
	p.mu.Lock()
	closed, answer, delay := p.closed, p.answer, p.delay
	p.mu.Unlock()
	if closed {
		return "", errClosed
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	if answer != "ok" {
		return "", errors.New(answer)
	}
	if p.isClosed() {
		return "", errClosed // cut off in the middle
	}
	return p.block.Hash, nil
}

// target makes a process a target of core/route.
type target struct{ p *process }

func (t target) ID() route.ID {
	return route.ID{Plugin: t.p.block.ID.String(), Generation: route.Generation(t.p.generation)}
}
func (t target) Client() (*process, error) { return t.p, nil }

// control adapts core/route to swap, as the node does.
type control struct{ route *route.Route[*process] }

func (c *control) call(ctx context.Context, budget time.Duration) (string, error) {
	return route.Call(ctx, c.route, route.Request{Budget: budget}, func(ctx context.Context, p *process) (string, error) { return p.serve(ctx) }, route.Opts[string]{})
}

func (c *control) Set(p swap.Positions) error {
	at := func(p swap.Process) route.Target[*process] {
		if p == nil {
			return nil
		}
		return target{p.(*process)}
	}
	return c.route.Set(route.Positions[*process]{
		Primary: at(p.Primary), Fallback: at(p.Fallback), Shadow: at(p.Shadow), Canary: at(p.Canary), Warm: at(p.Warm),
		Share: route.Share(p.Percent * 100), Step: p.Step, Probation: p.Probation,
	})
}

func (c *control) Hold()                             { c.route.Hold() }
func (c *control) Release()                          { c.route.Release() }
func (c *control) Quiesce(ctx context.Context) error { return c.route.Quiesce(ctx) }
func (c *control) State() string                     { return string(c.route.State()) }
func (c *control) Promote() error                    { return c.route.Promote() }

func (c *control) Drain(ctx context.Context, p swap.Process) error {
	return c.route.Drain(ctx, target{p.(*process)}.ID())
}

func (c *control) Stats(p swap.Process, since time.Time) swap.Stats {
	w := c.route.Window(target{p.(*process)}.ID(), since)
	return swap.Stats{Calls: w.Calls, Failures: w.Failures, Last: w.Last, Disputes: w.Disputes, Unsound: w.Unsound, Latencies: w.Latencies}
}

// memory is a journal that keeps what a file would: the encoded records.
type memory struct {
	mu    sync.Mutex
	all   [][]byte
	fail  map[swap.State]error
	after func(swap.State) // called after each record; a test ends the host in it
}

func (m *memory) Append(_ context.Context, r swap.Record) error {
	if err := m.add(r); err != nil {
		return err
	}
	if m.after != nil {
		m.after(r.State)
	}
	return nil
}

func (m *memory) add(r swap.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail[r.State]; err != nil {
		return err
	}
	b, err := json.Marshal(r)
	m.all = append(m.all, b)
	return err
}

func (m *memory) Load(context.Context) ([]swap.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []swap.Record
	for _, b := range m.all {
		var r swap.Record
		if err := json.Unmarshal(b, &r); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func (m *memory) Compact(_ context.Context, rs []swap.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = nil
	for _, r := range rs {
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		m.all = append(m.all, b)
	}
	return nil
}

// states lists what is in the journal.
func (m *memory) states() string {
	rs, err := m.Load(context.Background())
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, r := range rs {
		out = append(out, string(r.State))
	}
	return strings.Join(out, " ")
}

// plugin is an id "kind.label" of a test.
func plugin(s string) swap.PluginID {
	kind, label, _ := strings.Cut(s, ".")
	return swap.PluginID{Kind: lifecycle.Kind(kind), Label: label}
}

// wants builds a desired state: roles as given, and a block for every plugin in them; the hash of a block is its label
// and the version.
func wants(version string, roles map[swap.Role]swap.Route, claims ...string) swap.Desired {
	d := swap.Desired{Roles: roles, Plugins: map[swap.PluginID]swap.Block{}}
	var text []string
	add := func(id swap.PluginID) {
		b := swap.Block{ID: id, Command: "alys-" + id.Label, Digest: strings.Repeat("ab", 32), Config: json.RawMessage(`{ "v": "` + version + `" }`), Hash: id.Label + "-" + version}
		for _, c := range claims {
			label, value, _ := strings.Cut(c, "=")
			if label == id.Label {
				b.Resources = append(b.Resources, lifecycle.Resource{Kind: "path", Value: value})
			}
		}
		d.Plugins[id] = b
	}
	for role, r := range roles {
		add(r.Primary)
		for _, o := range []*swap.PluginID{r.Fallback, r.Shadow} {
			if o != nil {
				add(*o)
			}
		}
		if r.Canary != nil {
			add(r.Canary.Plugin)
		}
		text = append(text, fmt.Sprintf("%s %+v", role, r.Primary))
		if r.Fallback != nil {
			text = append(text, "fallback "+r.Fallback.String())
		}
		if r.Shadow != nil {
			text = append(text, "shadow "+r.Shadow.String())
		}
		if r.Canary != nil {
			text = append(text, fmt.Sprintf("canary %v", *r.Canary))
		}
	}
	slices.Sort(text)
	d.Hash = version + " " + strings.Join(text, ",")
	return d
}

// signer wants one signer alone.
func signer(label, version string, claims ...string) swap.Desired {
	return wants(version, map[swap.Role]swap.Route{"signer": {Primary: plugin("signer." + label)}}, claims...)
}

// start brings a host up, or ends the test.
func (w *world) start(d swap.Desired) *swap.Controller {
	w.t.Helper()
	c := w.host()
	if _, err := c.Start(w.t.Context(), d); err != nil {
		w.t.Fatalf("start: %v", err)
	}
	return c
}

// apply plans and applies.
func apply(t *testing.T, c *swap.Controller, d swap.Desired, o swap.ApplyOptions) (swap.Report, error) {
	t.Helper()
	p, err := c.Plan(t.Context(), d)
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	return c.Apply(t.Context(), p, d, o)
}

func mustApply(t *testing.T, c *swap.Controller, d swap.Desired) swap.Report {
	t.Helper()
	r, err := apply(t, c, d, swap.ApplyOptions{})
	if err != nil {
		t.Fatalf("apply: %v", err)
	}
	return r
}
