package node

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/core/swap"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/syncer"
	"github.com/alys-node/alys/sdk/wire"
)

// The roles that a node has a route for. A narrowed signer role takes its purpose out of the whole one.
const (
	roleSigner   swap.Role = "signer"
	roleApproval swap.Role = "signer/approval"
	roleBitcoin  swap.Role = "signer/bitcoin"
	roleEngine   swap.Role = "engine"
	roleSync     swap.Role = "sync"
)

// routes are the node's routes. It implements swap.Routes.
type routes struct {
	engine  *route.Route[engine.Engine]
	sync    *route.Route[syncer.Strategy]
	signers map[swap.Role]*route.Route[signer.Signer]

	mu       sync.Mutex
	controls map[swap.Role]swap.RouteControl // guarded by mu
}

func newRoutes(observer route.Observer, onTrial func(role swap.Role, id route.ID) bool) *routes {
	options := func(role swap.Role) route.Options {
		return route.Options{Name: string(role), Observer: observer, OnTrial: func(id route.ID) bool { return onTrial(role, id) }}
	}
	r := &routes{
		engine:   route.New[engine.Engine](options(roleEngine)),
		sync:     route.New[syncer.Strategy](options(roleSync)),
		signers:  map[swap.Role]*route.Route[signer.Signer]{},
		controls: map[swap.Role]swap.RouteControl{},
	}
	for _, role := range []swap.Role{roleSigner, roleApproval, roleBitcoin} {
		r.signers[role] = route.New[signer.Signer](options(role))
		r.controls[role] = control[signer.Signer]{r.signers[role], func(c *wire.Client) signer.Signer { return c.Signer() }}
	}
	r.controls[roleEngine] = control[engine.Engine]{r.engine, func(c *wire.Client) engine.Engine { return c.Engine() }}
	r.controls[roleSync] = control[syncer.Strategy]{r.sync, func(c *wire.Client) syncer.Strategy { return c.Strategy() }}
	return r
}

// Route implements swap.Routes.
func (r *routes) Route(role swap.Role) (swap.RouteControl, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.controls[role]
	if !ok {
		return nil, fmt.Errorf("there is no role %q: roles are %v with signer/approval and signer/bitcoin", role, lifecycle.Kinds())
	}
	return c, nil
}

// approvals is the route of approvals: the narrowed role if it is in use, else the whole one.
func (r *routes) approvals() *route.Route[signer.Signer] {
	if narrowed := r.signers[roleApproval]; narrowed.Positions().Primary != nil {
		return narrowed
	}
	return r.signers[roleSigner]
}

func (r *routes) close() {
	_ = r.engine.Close() // always nil: it waits for the route's own goroutines
	_ = r.sync.Close()
	for _, s := range r.signers {
		_ = s.Close()
	}
}

// target is a process as a route asks it.
type target[C any] struct {
	process *process
	of      func(*wire.Client) C
}

// ID implements route.Target.
func (t target[C]) ID() route.ID { return t.process.routeID() }

// Client implements route.Target.
func (t target[C]) Client() (C, error) {
	c, err := t.process.client()
	if err != nil {
		var none C
		return none, err
	}
	return t.of(c), nil
}

// control is a route as swap steers it.
type control[C any] struct {
	*route.Route[C]
	of func(*wire.Client) C
}

// Set implements swap.RouteControl.
func (c control[C]) Set(p swap.Positions) error {
	out := route.Positions[C]{Step: p.Step, Probation: p.Probation}
	if p.Canary != nil {
		out.Share = route.Share(math.Round(p.Percent * 100))
	}
	for _, place := range []struct {
		from swap.Process
		to   *route.Target[C]
	}{{p.Primary, &out.Primary}, {p.Fallback, &out.Fallback}, {p.Shadow, &out.Shadow}, {p.Canary, &out.Canary}, {p.Warm, &out.Warm}} {
		if place.from == nil {
			continue
		}
		process, err := ours(place.from)
		if err != nil {
			return err
		}
		*place.to = target[C]{process, c.of}
	}
	return c.Route.Set(out)
}

// Drain implements swap.RouteControl.
func (c control[C]) Drain(ctx context.Context, p swap.Process) error {
	process, err := ours(p)
	if err != nil {
		return err
	}
	return c.Route.Drain(ctx, process.routeID())
}

// Stats implements swap.RouteControl.
func (c control[C]) Stats(p swap.Process, since time.Time) swap.Stats {
	process, err := ours(p)
	if err != nil {
		return swap.Stats{}
	}
	w := c.Window(process.routeID(), since)
	return swap.Stats{
		Calls: w.Calls, Failures: w.Failures, Last: w.Last, Disputes: w.Disputes, Unsound: w.Unsound, Latencies: w.Latencies,
	}
}

// State implements swap.RouteControl.
func (c control[C]) State() string { return string(c.Route.State()) }
