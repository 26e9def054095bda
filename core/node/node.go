package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/admin"
	ledger "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/chaos"
	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/core/follow"
	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/host"
	"github.com/alys-node/alys/core/migrate"
	"github.com/alys-node/alys/core/network"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/core/swap"
	"github.com/alys-node/alys/core/telemetry"
	"github.com/alys-node/alys/core/wallet"
	"github.com/alys-node/alys/sdk/chain"
)

// Loader reads a configuration again: the node's own path and variables when they are empty.
type Loader func(path string, vars map[string]string, varFiles []string) (*config.Config, config.Diagnostics)

// Options are what a node needs. Config and Load are required.
type Options struct {
	Config  *config.Config
	Load    Loader
	Version string
	Log     hclog.Logger
	Event   func(Event) // called for every block and everything else that a person would want to see; nil: nobody looks
	Chaos   *Chaos      // break the plugins while the node runs; on a development chain only. nil: do not
	// Journal, if not nil, wraps the swap journal: tests stop the host between two of its records.
	Journal func(swap.Journal) swap.Journal
}

// Node is one node. New opens it, Run runs it.
type Node struct {
	opt     Options
	log     hclog.Logger
	spec    *spec.Spec
	genesis chain.Hash
	started time.Time

	store    *store.Store
	guard    *guard.Guard
	chain    *ledger.Chain
	host     *host.Host
	blocks   *blocks
	live     *processes
	routes   *routes
	wheel    *wheel
	swap     *swap.Controller
	journal  *swap.FileJournal
	executor *executor

	migrations    *migrate.Controller
	migrationsLog *migrate.FileLog
	meter         *meter

	carrier *carrier
	metrics *telemetry.Metrics
	watch   *watch
	slots   *slotLog
	tree    *tree
	chaos   *chaos.Chaos // nil but for Options.Chaos

	network  *network.Network // nil without peers
	peers    *peers
	relay    *relay
	verifier *verifier
	follower *follow.Follower

	wallet *wallet.Proxy
	server *telemetry.Server
	admin  *admin.Server

	collect chan driver.Advanced // the newest head, for work that follows a block
	benches atomic.Bool          // a measurement runs
	checks  atomic.Bool          // the stored chain is being checked

	up chan struct{} // closed when consensus runs

	mu     sync.Mutex
	driver *driver.Driver // guarded by mu; nil until consensus runs
	doppel *doppelganger  // guarded by mu; nil without peers, and until consensus runs
	self   []chain.BLSPublicKey
}

// Errors at start.
var (
	// ErrUnsupported means that the configuration asks for something that this version does not do.
	ErrUnsupported = errors.New("not supported by this version")
)

// New opens a node: everything that can fail does it here, and then nothing of it is left open. It starts no plugin.
func New(ctx context.Context, o Options) (*Node, error) {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.Event == nil {
		o.Event = func(Event) {}
	}
	n := &Node{opt: o, log: o.Log, started: time.Now(), collect: make(chan driver.Advanced, 1), up: make(chan struct{})}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.close(ctx))
	}
	return n, nil
}

// open opens the parts in start order: store, guard, chain, network, host, routes, listeners.
func (n *Node) open(ctx context.Context) error {
	c := n.opt.Config
	if err := supported(c); err != nil {
		return err
	}
	var err error
	if n.spec, err = loadSpec(c); err != nil {
		return err
	}
	genesis, err := n.spec.Genesis()
	if err != nil {
		return fmt.Errorf("genesis of %s: %w", n.spec.Name, err)
	}
	n.genesis = genesis.Header.Hash()
	n.metrics = telemetry.New(n.opt.Version, n.spec.Name)
	n.slots = newSlotLog(n.spec.Agreement(), time.Now)
	n.meter = n.newMeter()
	n.watch = &watch{meter: n.meter, hurry: n.hurry, metrics: n.metrics, log: n.log, event: n.opt.Event, advanced: n.advanced, slots: n.slots}
	n.tree = newTree(n.metrics, n.log)
	if err := n.openChaos(); err != nil {
		return err
	}
	n.store, err = store.Open(store.Options{Dir: c.Node.DataDir, Genesis: n.genesis, Log: n.log.Named("store")})
	if err != nil {
		return err
	}
	n.guard, err = guard.Open(ctx, guard.Options{
		Store: n.store, Genesis: n.genesis, Now: time.Now, Drift: c.Chain.MaxDrift, Peers: n.peerOffset, Observe: n.watch.guarded,
		SlotAt: func(t time.Time) chain.Slot { return n.spec.SlotAt(chain.UnixMilli(t.UnixMilli())) },
	})
	if err != nil {
		return fmt.Errorf("open guard: %w", err)
	}
	n.chain, err = ledger.Open(ctx, ledger.Options{Spec: n.spec, Store: n.store, Log: n.log.Named("chain")})
	if err != nil {
		return err
	}
	if err := n.openNetwork(); err != nil {
		return err
	}
	n.carrier = &carrier{store: n.store, chain: n.chain, fresh: func(...store.PendingTx) {}, log: n.log.Named("wallet")}
	if n.network != nil {
		n.carrier.fresh = n.relay.Announce
	}
	n.host, err = host.New(n.hostConfig())
	if err != nil {
		return err
	}
	if err := n.openRoles(); err != nil {
		return err
	}
	return n.listen()
}

func (n *Node) hostConfig() host.Config {
	c := hostConfig(n.opt.Config, n.spec, n.genesis, n.log.Named("plugin"), n.watch)
	if n.chaos != nil {
		c.Tamper = func(of host.Name, method string, reply any) {
			n.chaos.Answer(pluginName(of.Kind, of.Label), method, reply)
		}
	}
	return c
}

// hostConfig is the plugin host's part of a configuration.
func hostConfig(c *config.Config, s *spec.Spec, genesis chain.Hash, log hclog.Logger, observer host.Observer) host.Config {
	return host.Config{
		DataDir: c.Node.DataDir, PluginDir: pluginDir(c), RequireChecksum: !s.Dev, ChainID: s.ChainID, Genesis: genesis,
		GenesisJSON: s.GenesisJSON(), Log: log, Observer: observer,
		Timings: host.Timings{
			Start: c.Swap.StartTimeout, HealthEvery: c.Swap.HealthInterval, HealthTimeout: c.Swap.HealthTimeout,
			HealthFailures: c.Swap.HealthFailures, Drain: c.Swap.DrainTimeout,
			RestartMin: c.Restart.Initial, RestartMax: c.Restart.Max, RestartJitter: c.Restart.Jitter, RestartReset: c.Restart.ResetAfter,
			BreakerDeaths: c.Restart.BreakerFailures, BreakerWindow: c.Restart.BreakerWindow, BreakerHalfOpen: c.Restart.BreakerHalfOpen,
		},
		Limits: host.Limits{Calls: c.Swap.MaxInFlight},
	}
}

// pluginDir is where plugins are looked up: as configured, or beside the executable.
func pluginDir(c *config.Config) string {
	if c.Node.PluginDir != "" {
		return c.Node.PluginDir
	}
	exe, err := os.Executable()
	if err != nil {
		return "plugins"
	}
	if resolved, err := filepath.EvalSymlinks(exe); err == nil {
		exe = resolved
	}
	return filepath.Join(filepath.Dir(exe), "plugins")
}

// loadSpec reads the chain spec that the configuration names.
func loadSpec(c *config.Config) (*spec.Spec, error) {
	if c.Chain.SpecPath == "" {
		s, ok := spec.BuiltIn(c.Chain.Spec)
		if !ok {
			return nil, fmt.Errorf("there is no built-in chain %q: there are dev, with one authority, and dev-2 to dev-%d; a spec of your own is named by its path",
				c.Chain.Spec, spec.MaxDevNodes)
		}
		return s, nil
	}
	raw, err := os.ReadFile(c.Chain.SpecPath)
	if err != nil {
		return nil, fmt.Errorf("read chain spec: %w", err)
	}
	s, err := spec.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("chain spec %s: %w", c.Chain.SpecPath, err)
	}
	return s, nil
}

// listen opens every listener, so that a port in use is told before anything starts.
func (n *Node) listen() error {
	var err error
	l := n.opt.Config.Listeners
	if l.Wallet.Enabled {
		n.wallet, err = wallet.New(wallet.Options{
			Address: l.Wallet.Address, Hosts: l.Wallet.Origins, Wait: walletWait, Backend: n.walletBackend, Keep: n.carrier.Keep,
			Observe: func(code int) { n.metrics.WalletRequests.WithLabelValues(fmt.Sprint(code)).Inc() },
			MaxBody: int64(l.Wallet.MaxBody), Timeout: l.Wallet.Timeout, MaxConns: l.Wallet.MaxConnections,
			Panicked: n.tree.panicked(serviceWallet), Log: n.log.Named("wallet"),
		})
		if err != nil {
			return fmt.Errorf("%w: is another node running? set another address in listener \"wallet\"", err)
		}
	}
	if l.Metrics.Enabled {
		n.server, err = telemetry.NewServer(telemetry.ServerOptions{
			Address: l.Metrics.Address, Metrics: n.metrics, Ready: n.readiness, Extra: admin.Console(n),
			Timeout: l.Metrics.Timeout, MaxConns: l.Metrics.MaxConnections,
			Panicked: n.tree.panicked(serviceMetrics), Log: n.log.Named("metrics"),
		})
		if err != nil {
			return fmt.Errorf("%w: is another node running? set another address in listener \"metrics\"", err)
		}
	}
	n.admin, err = admin.NewServer(n.opt.Config.Node.AdminSocket, n, n.tree.panicked(serviceAdmin), n.log.Named("admin"))
	return err
}

// walletWait is how long a wallet's request waits for an engine: longer than a restart takes.
const walletWait = 15 * time.Second
