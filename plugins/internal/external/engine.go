package external

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/ethdb/pebble"
	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/internal/engineapi"
	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// Config is what Open needs.
type Config struct {
	Genesis  *execution.Genesis
	Endpoint string // http://HOST:PORT of the authenticated port
	Secret   string // path of the JWT secret's file
	RPC      string // http://HOST:PORT of the public JSON-RPC; empty: no wallets, and the pool cannot be read
	DataDir  string // absolute; keeps execution requests, which a client does not give back
}

// Engine is an external client. It implements engine.Engine and engine.EngineWithPool. Methods may be called
// concurrently; Build and Import take turns.
type Engine struct {
	cfg      Config
	log      hclog.Logger
	api      engineapi.Client
	rpc      *engineapi.Conn // nil without a public JSON-RPC
	db       *pebble.Database
	requests execution.Requests

	writer sync.Mutex // held by Build and Import, so that nobody else moves the head meanwhile

	check sync.Mutex // held by verify: one at a time
	mu    sync.Mutex // guards state
	state state

	gate     sync.RWMutex // held for reading by every call; Close takes it for writing
	closed   bool         // guarded by gate
	cancel   context.CancelFunc
	watching sync.WaitGroup
	progress atomic.Uint64
}

// state is what is known of the client.
type state struct {
	seen    bool      // it was the right one, once
	ready   bool      // it is the right one, and answered last time
	wrong   bool      // err will not pass by itself
	err     error     // why it is not ready
	since   time.Time // of err
	version string
	reader  *engineapi.Conn // who serves receipts
}

var (
	_ engine.Engine         = (*Engine)(nil)
	_ engine.EngineWithPool = (*Engine)(nil)
)

// How often the client is looked at: while it is away, and while all is well.
const (
	awayInterval  = time.Second
	readyInterval = 5 * time.Second
)

// Size of the database of requests: it is tiny, and so are these.
const (
	dbCacheMiB = 16
	dbHandles  = 16
)

// Open makes the connection and looks at the client. One that is the wrong one is refused; one that does not answer yet
// is waited for: Health says so.
func Open(ctx context.Context, c Config, log hclog.Logger) (*Engine, error) {
	secret, err := engineapi.ReadSecret(c.Secret)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("create data folder: %w", err)
	}
	e := &Engine{cfg: c, log: log}
	conn, err := engineapi.Dial(c.Endpoint, &secret)
	if err != nil {
		return nil, err
	}
	e.api = engineapi.Client{Conn: conn}
	if c.RPC != "" {
		if e.rpc, err = engineapi.Dial(c.RPC, nil); err != nil {
			return nil, err
		}
	}
	if e.db, err = pebble.New(filepath.Join(c.DataDir, "requests"), dbCacheMiB, dbHandles, "", false); err != nil {
		return nil, fmt.Errorf("open the store of execution requests in %s: %w", c.DataDir, err)
	}
	e.requests = execution.Requests{DB: e.db}
	err = e.verify(ctx)
	if err != nil && e.known().wrong {
		return nil, errors.Join(err, e.Close())
	}
	watch, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	e.watching.Go(func() { e.watch(watch) })
	return e, nil
}

// Close waits for running calls and releases the data folder. The client goes on. It is idempotent.
func (e *Engine) Close() error {
	e.gate.Lock()
	defer e.gate.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	if e.cancel != nil {
		e.cancel()
	}
	e.watching.Wait()
	e.api.Close()
	if e.rpc != nil {
		e.rpc.Close()
	}
	if err := e.db.Close(); err != nil {
		return fmt.Errorf("close the store of execution requests: %w", err)
	}
	return nil
}

// enter admits a call once the client is known to be the right one; the caller must call leave at its end.
func (e *Engine) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.gate.RLock()
	if e.closed {
		e.gate.RUnlock()
		return nil, fmt.Errorf("%w: it is closed", engine.ErrUnavailable)
	}
	if e.known().ready {
		return e.gate.RUnlock, nil
	}
	if err := e.verify(ctx); err != nil {
		e.gate.RUnlock()
		return nil, err
	}
	return e.gate.RUnlock, nil
}

func (e *Engine) known() state {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}

// failed takes note of an error of a call: when no answer came, the client is looked at before the next call, because
// who answers then may be another one.
func (e *Engine) failed(err error) error {
	if errors.Is(err, engineapi.ErrNoAnswer) || errors.Is(err, engineapi.ErrUnauthorized) {
		e.note(err, false)
	}
	return err
}

// note keeps an outcome of looking at the client, and says when it changes.
func (e *Engine) note(err error, wrong bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	was := e.state
	e.state.ready, e.state.err, e.state.wrong = err == nil, err, wrong
	switch {
	case err == nil && !was.ready:
		e.state.seen, e.state.since = true, time.Time{}
		e.log.Info("execution client is here", "client", e.state.version, "endpoint", e.cfg.Endpoint)
	case err != nil && (was.ready || was.err == nil || was.wrong != wrong):
		e.state.since = time.Now()
		e.log.Warn("execution client does not serve", "endpoint", e.cfg.Endpoint, "error", err)
	}
}

// watch looks at the client until ctx ends.
func (e *Engine) watch(ctx context.Context) {
	for {
		wait := awayInterval
		if e.known().ready {
			wait = readyInterval
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		_ = e.verify(ctx) // noted, and said when it changes
	}
}

// Health reports the client's state: starting until it was seen, failed when it is the wrong one, degraded while it is
// away. Its progress counts payloads judged and built.
func (e *Engine) Health() lifecycle.Health {
	h := lifecycle.Health{State: lifecycle.Ready, Progress: e.progress.Load()}
	switch s := e.known(); {
	case s.ready:
	case s.wrong:
		h.State, h.Message = lifecycle.Failed, s.err.Error()
	case !s.seen:
		h.State, h.Message = lifecycle.Starting, fmt.Sprintf("waits for the execution client: %v", s.err)
	default:
		h.State, h.Message = lifecycle.Degraded,
			fmt.Sprintf("the execution client does not answer since %s: %v", s.since.UTC().Format(time.TimeOnly), s.err)
	}
	return h
}
