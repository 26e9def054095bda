package geth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/catalyst"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/version"
	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// ErrInUse means that another process has the data folder open.
var ErrInUse = errors.New("data folder is in use by another process")

// Config is what Open needs.
type Config struct {
	DataDir      string // absolute; created when it is not there
	Genesis      *execution.Genesis
	Name         string // at most 32 bytes; marks payloads built here
	WalletSocket string // absolute path of the unix socket for wallets; empty: no wallet RPC
	Cache        uint64 // bytes for database and state caches; 0: DefaultCache
	Archive      bool   // keep the state of every block
	Verbose      bool   // log geth's own info, as debug
	MinFree      uint64 // bytes that must be free on the data folder's file system; 0: DefaultMinFree
}

// Defaults of Config, in bytes.
const (
	DefaultCache   = 64 << 20
	DefaultMinFree = 256 << 20
)

// Engine is an embedded geth. It implements engine.Engine and engine.EngineWithPool. Methods may be called
// concurrently; Build and Import take turns.
type Engine struct {
	cfg    Config
	log    hclog.Logger
	stack  *node.Node
	eth    *eth.Ethereum
	api    *catalyst.ConsensusAPI
	wallet *wallet // nil without a wallet socket

	gate   sync.RWMutex // held for reading by every call; Close takes it for writing
	closed bool         // guarded by gate

	writer     sync.Mutex // held by Build and Import
	lastCommit commitMark // guarded by writer

	builds   sync.WaitGroup // builds that outlived their deadline
	progress atomic.Uint64
}

var (
	_ engine.Engine         = (*Engine)(nil)
	_ engine.EngineWithPool = (*Engine)(nil)
)

// Open opens or creates the data folder, starts geth and, when asked for, the wallet RPC. It refuses a folder of
// another chain (ErrOtherChain), one whose past blocks were executed under another fork schedule (ErrForkSchedule,
// where geth alone would silently rewind) and one that is open elsewhere (ErrInUse).
func Open(c Config, log hclog.Logger) (*Engine, error) {
	if c.Cache == 0 {
		c.Cache = DefaultCache
	}
	if c.MinFree == 0 {
		c.MinFree = DefaultMinFree
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("create data folder: %w", err)
	}
	if err := checkFree(c.DataDir, c.MinFree); err != nil {
		return nil, err
	}
	e := &Engine{cfg: c, log: log}
	if err := e.start(routeLogs(log.Named("geth"), c.Verbose)); err != nil {
		return nil, err
	}
	if c.WalletSocket != "" {
		w, err := serveWallet(e.eth, c.WalletSocket, log)
		if err != nil {
			return nil, errors.Join(err, e.stack.Close())
		}
		e.wallet = w
	}
	h := e.eth.BlockChain().CurrentBlock()
	e.lastCommit = commitMark{height: h.Number.Uint64(), at: time.Now()}
	log.Info("engine is open", "client", clientVersion(), "chain_id", c.Genesis.ChainID(), "head", h.Number, "hash", h.Hash())
	return e, nil
}

func (e *Engine) start(glog gethLogger) (err error) {
	e.stack, err = node.New(nodeConfig(e.cfg.DataDir, glog))
	if errors.Is(err, node.ErrDatadirUsed) {
		return fmt.Errorf("%w: %s", ErrInUse, e.cfg.DataDir)
	}
	if err != nil {
		return fmt.Errorf("open data folder %s: %w", e.cfg.DataDir, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.stack.Close())
		}
	}()
	if err := checkStored(e.stack, e.cfg.Genesis); err != nil {
		return err
	}
	e.eth, err = eth.New(e.stack, ethConfig(e.cfg))
	if err != nil {
		return fmt.Errorf("open chain database in %s: %w", e.cfg.DataDir, err)
	}
	e.api = catalyst.NewConsensusAPI(e.eth)
	if err := e.stack.Start(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	// geth has no peers to be behind of: without this it ignores a forkchoice to an older head until the first one.
	e.eth.SetSynced()
	return e.reloadJournal()
}

// Close ends the wallet RPC, waits for running calls, writes the state of the head and releases the data folder.
// Later calls fail with engine.ErrUnavailable. It is idempotent.
func (e *Engine) Close() error {
	var err error
	if e.wallet != nil {
		err = e.wallet.close()
	}
	e.gate.Lock()
	defer e.gate.Unlock()
	if e.closed {
		return err
	}
	e.closed = true
	e.builds.Wait()
	if cerr := e.stack.Close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("close chain database: %w", cerr))
	}
	return err
}

// enter admits a call; the caller must call the returned function at its end.
func (e *Engine) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.gate.RLock()
	if e.closed {
		e.gate.RUnlock()
		return nil, fmt.Errorf("%w: it is closed", engine.ErrUnavailable)
	}
	return e.gate.RUnlock, nil
}

// Check is nil when the engine can serve, and otherwise an engine.ErrUnavailable that says why.
func (e *Engine) Check() error {
	e.gate.RLock()
	defer e.gate.RUnlock()
	if e.closed {
		return fmt.Errorf("%w: it is closed", engine.ErrUnavailable)
	}
	return checkFree(e.cfg.DataDir, e.cfg.MinFree)
}

// Health reports whether the engine can serve; its progress counts payloads judged and built.
func (e *Engine) Health() lifecycle.Health {
	h := lifecycle.Health{State: lifecycle.Ready, Progress: e.progress.Load()}
	if err := e.Check(); err != nil {
		h.State, h.Message = lifecycle.Failed, err.Error()
	}
	return h
}

// Status implements engine.Engine.
func (e *Engine) Status(ctx context.Context) (engine.Status, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return engine.Status{}, err
	}
	defer leave()
	s := engine.Status{
		ClientVersion: clientVersion(),
		ChainID:       e.cfg.Genesis.ChainID(),
		Genesis:       e.cfg.Genesis.Hash(),
		Forks:         e.cfg.Genesis.Forks(),
		Horizon:       e.cfg.Genesis.Horizon(),
		Heads:         e.heads(),
	}
	if e.wallet != nil {
		s.WalletRPC = "unix:" + e.cfg.WalletSocket
	}
	return s, nil
}

// heads reads the three heads back from geth.
func (e *Engine) heads() engine.Heads {
	bc := e.eth.BlockChain()
	return engine.Heads{
		Head: execution.Ref(bc.CurrentBlock()), Safe: execution.Ref(bc.CurrentSafeBlock()), Finalized: execution.Ref(bc.CurrentFinalBlock()),
	}
}

func clientVersion() string {
	return fmt.Sprintf("geth/v%d.%d.%d/%s-%s/%s", version.Major, version.Minor, version.Patch,
		runtime.GOOS, runtime.GOARCH, runtime.Version())
}
