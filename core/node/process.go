package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alys-node/alys/core/host"
	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/core/swap"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/wire"
)

// process is one generation as swap and routes see it: a supervised instance of the host, which may be restarted under
// the same generation after a crash.
type process struct {
	id         swap.PluginID
	generation swap.Generation
	instance   *host.Instance
	started    time.Time
	keys       atomic.Pointer[[]signer.Key] // what a signer listed last
	rpc        atomic.Pointer[string]       // where an engine's wallet RPC listens

	mu     sync.Mutex
	deaths int           // guarded by mu, as the fields below
	next   chan struct{} // closed and replaced when the process dies
	crash  error         // what it died of last
}

// Plugin implements swap.Process.
func (p *process) Plugin() swap.PluginID { return p.id }

// Generation implements swap.Process.
func (p *process) Generation() swap.Generation { return p.generation }

// Deaths implements swap.Process.
func (p *process) Deaths() (int, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.deaths, p.next
}

// Crash implements swap.Process.
func (p *process) Crash() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.crash
}

// Close implements swap.Process.
func (p *process) Close(ctx context.Context) error {
	p.instance.Stop(ctx)
	return nil
}

func (p *process) changed(s host.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.Restarts <= p.deaths {
		return
	}
	p.deaths, p.crash = s.Restarts, s.Reason
	close(p.next)
	p.next = make(chan struct{})
}

func (p *process) routeID() route.ID {
	return route.ID{Plugin: string(p.id.Kind) + "." + p.id.Label, Generation: route.Generation(p.generation)}
}

// client is the connection to the process that serves now.
func (p *process) client() (*wire.Client, error) {
	g, err := p.instance.Current()
	if err != nil {
		return nil, err
	}
	return g.Client(), nil
}

// holds reports whether the signer listed a key.
func (p *process) holds(id signer.KeyID) bool {
	keys := p.keys.Load()
	if keys == nil {
		return false
	}
	for _, k := range *keys {
		if k.ID == id {
			return true
		}
	}
	return false
}

// approves reports whether the signer listed a key that approves blocks.
func (p *process) approves() bool {
	keys := p.keys.Load()
	return keys != nil && slices.ContainsFunc(*keys, func(k signer.Key) bool { return k.Purpose == signer.PurposeApproval })
}

// listKeys asks a signer for its keys and remembers the answer.
func (p *process) listKeys(ctx context.Context, s signer.Signer) ([]signer.Key, error) {
	keys, err := s.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list keys of %s: %w", p.id, err)
	}
	p.keys.Store(&keys)
	return keys, nil
}

// errNoWalletRPC means that an engine serves no wallets.
var errNoWalletRPC = errors.New("the engine serves no wallet RPC")

// walletRPC is where an engine's wallet RPC listens, while the engine is up.
func (p *process) walletRPC() (string, error) {
	if _, err := p.client(); err != nil {
		return "", err
	}
	if rpc := p.rpc.Load(); rpc != nil && *rpc != "" {
		return *rpc, nil
	}
	return "", errNoWalletRPC
}

// processes knows every live process, for status and keys.
type processes struct {
	mu   sync.Mutex
	live map[route.ID]*process // guarded by mu
}

func (ps *processes) add(p *process) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.live[p.routeID()] = p
}

func (ps *processes) remove(p *process) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	delete(ps.live, p.routeID())
}

func (ps *processes) get(id route.ID) *process {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.live[id]
}

func (ps *processes) holds(id route.ID, key signer.KeyID) bool {
	p := ps.get(id)
	return p != nil && p.holds(key)
}

func (ps *processes) all(kind lifecycle.Kind) []*process {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	var out []*process
	for _, p := range ps.live {
		if p.id.Kind == kind {
			out = append(out, p)
		}
	}
	return out
}

// launcher starts processes for swap.
type launcher struct {
	host     *host.Host
	blocks   *blocks
	live     *processes
	attached func(ctx context.Context, p *process, c *wire.Client) error // by kind, after every start
	broke    func(id swap.PluginID, reason error)                        // its breaker is open; returns at once
}

// Launch implements swap.Launcher.
func (l *launcher) Launch(ctx context.Context, r swap.LaunchRequest) (swap.Process, error) {
	block, err := l.blocks.clear(r.Block)
	if err != nil {
		return nil, err
	}
	p := &process{id: r.Block.ID, generation: r.Generation, started: time.Now(), next: make(chan struct{})}
	p.instance, err = l.host.Supervise(ctx, block, host.Digest(digestPrefix+r.Block.Digest), host.Hooks{
		Ready: func(ctx context.Context, g *host.Generation) error { return l.attached(ctx, p, g.Client()) },
		Changed: func(s host.State) {
			p.changed(s)
			if s.Phase == host.PhaseBroken {
				go l.broke(p.id, s.Reason) // swap may hold a lock while it starts a process
			}
		},
	})
	if err != nil {
		return nil, err
	}
	l.live.add(p) // complete: whoever finds it there reads it without a lock
	return &tracked{p, l.live}, nil
}

// tracked forgets a process when it is closed.
type tracked struct {
	*process
	live *processes
}

// Close implements swap.Process.
func (t *tracked) Close(ctx context.Context) error {
	err := t.process.Close(ctx)
	t.live.remove(t.process)
	return err
}

// errNotOurs means that a process of another launcher came back: a broken invariant of the node.
var errNotOurs = errors.New("process was not started by this node")

func ours(p swap.Process) (*process, error) {
	if t, ok := p.(*tracked); ok {
		return t.process, nil
	}
	return nil, fmt.Errorf("%T: %w", p, errNotOurs)
}
