package node

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/thejerf/suture/v4"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/telemetry"
)

// The parts of the node. The first error of a stage stops the node; a service is started again, alone.
const (
	stageSwap          = "swap"
	stageSync          = "sync"
	stageFollow        = "import"
	stageConsensus     = "consensus"
	stageTransactions  = "transactions"
	stageConfiguration = "configuration"
	stageNetwork       = "network"

	serviceAdmin      = "admin"
	serviceMetrics    = "metrics" // and the console
	serviceWallet     = "wallet"
	serviceRelay      = "relay" // of transactions, to peers
	serviceClock      = "clock" // compared with peers
	serviceMigrations = "migrations"
	serviceChaos      = "chaos" // on a development chain that is tried
)

// States of a part.
const (
	partStarting   = "starting"
	partRunning    = "running"
	partRestarting = "restarting"
	partStopped    = "stopped"
)

var (
	errEnded    = errors.New("ended by itself")
	errPanicked = errors.New("panicked")
)

// tree is the node's supervision tree: what runs, under which rule, and how often it was started again. All parts are
// known before the node runs, so that status shows what is still to come.
type tree struct {
	metrics *telemetry.Metrics
	log     hclog.Logger
	parts   []*part // in start order
}

func newTree(m *telemetry.Metrics, log hclog.Logger) *tree {
	t := &tree{metrics: m, log: log}
	for _, name := range []string{serviceAdmin, serviceMetrics, serviceWallet, serviceRelay, serviceClock, serviceMigrations, serviceChaos} {
		t.parts = append(t.parts, &part{tree: t, name: name, group: admin.GroupServices})
	}
	for _, name := range []string{stageSwap, stageSync, stageFollow, stageConsensus, stageTransactions, stageConfiguration} {
		t.parts = append(t.parts, &part{tree: t, name: name, group: admin.GroupCore, state: partStarting, since: time.Now()})
	}
	t.parts = append(t.parts, &part{tree: t, name: stageNetwork, group: admin.GroupCore}) // unless the node has no peers
	return t
}

func (t *tree) find(name string) *part {
	return t.parts[slices.IndexFunc(t.parts, func(p *part) bool { return p.name == name })]
}

// has says what a part runs: whoever serves it.
func (t *tree) has(name string, run func(context.Context) error) *part {
	p := t.find(name)
	p.run = run
	p.to(partStarting, nil)
	return p
}

// panicked counts a panic in one request of a service, which the service outlived.
func (t *tree) panicked(name string) func() {
	p := t.find(name)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.panics++
		t.metrics.ServicePanics.WithLabelValues(name).Inc()
	}
}

// run starts services and starts them again when they end, with suture's default of a pause after five failures in a
// row. The channel closes when all of them ended after ctx.
func (t *tree) run(ctx context.Context, services []*part) <-chan struct{} {
	s := suture.New("alys", suture.Spec{
		EventHook: func(e suture.Event) {
			switch e.Type() {
			case suture.EventTypeStopTimeout, suture.EventTypeBackoff, suture.EventTypeResume:
				t.log.Warn("supervision", "event", e.String())
			case suture.EventTypeServicePanic, suture.EventTypeServiceTerminate: // the part itself said it
			}
		},
		Timeout: stopTimeout,
	})
	for _, p := range services {
		s.Add(p)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(ctx) // ends with ctx; what its services said was logged
	}()
	return done
}

// status is every part that the configuration has, in start order.
func (t *tree) status() []admin.ServiceStatus {
	out := make([]admin.ServiceStatus, 0, len(t.parts))
	for _, p := range t.parts {
		p.mu.Lock()
		if p.state != "" {
			out = append(out, admin.ServiceStatus{
				Name: p.name, Group: p.group, State: p.state, Restarts: p.restarts, Panics: p.panics, LastError: p.last, Since: p.since,
			})
		}
		p.mu.Unlock()
	}
	return out
}

// part is one part of the tree.
type part struct {
	tree        *tree
	name, group string
	run         func(context.Context) error

	mu       sync.Mutex // guards the rest
	state    string     // "" for one that this configuration does not have
	since    time.Time
	starts   int
	restarts int
	panics   int
	last     string
}

// String implements fmt.Stringer, for logs.
func (p *part) String() string { return p.name }

// Serve implements suture.Service: it runs the part once. nil only when ctx ended; a panic is an error.
func (p *part) Serve(ctx context.Context) (err error) {
	p.to(partRunning, nil)
	defer func() {
		if v := recover(); v != nil {
			p.tree.panicked(p.name)()
			p.tree.log.Error("a part of the node panicked", "part", p.name, "panic", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: %v", errPanicked, v)
		}
		switch {
		case ctx.Err() != nil:
			p.to(partStopped, err)
			return
		case err == nil:
			err = errEnded
		}
		if p.group == admin.GroupCore {
			p.to(partStopped, err)
			return
		}
		p.to(partRestarting, err)
		p.tree.log.Error("a service failed and is started again", "service", p.name, "error", err)
	}()
	return p.run(ctx)
}

func (p *part) to(state string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state, p.since = state, time.Now()
	if err != nil {
		p.last = err.Error()
	}
	if state != partRunning {
		return
	}
	if p.starts++; p.starts > 1 {
		p.restarts++
		p.tree.metrics.ServiceRestarts.WithLabelValues(p.name).Inc()
	}
}
