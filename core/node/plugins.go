package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	ledger "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/follow"
	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/host"
	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/core/swap"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/syncer"
	"github.com/alys-node/alys/sdk/wire"
)

// horizonMargin is how far away an engine's fork horizon must be: time to swap it again before it is reached.
const horizonMargin = 24 * time.Hour

// openRoles connects routes, swap and the parts that call plugins.
func (n *Node) openRoles() error {
	c := n.opt.Config
	n.live = &processes{live: map[route.ID]*process{}}
	n.routes = newRoutes(n.watch, n.onTrial)
	n.blocks = newBlocks(c)
	kept, err := n.store.OpenDownloads(follow.DiskLimit)
	if err != nil {
		return err
	}
	n.follower = follow.New(follow.Options{
		Schedule: n.spec.Agreement(), Verifier: n.verifier, Network: fetcher{n.network}, Importer: importer{n.consensus}, Disk: downloads{kept}, Log: n.log.Named("sync"),
		Heads:   func() (head, safe chain.Ref) { head, safe, _ = n.chain.Heads(); return head, safe },
		Has:     book{n.chain}.Has,
		Check:   ledger.CheckBody,
		Publish: func(e syncer.Event) { n.wheel.Publish(e) },
	})
	n.wheel = newWheel(n.routes.sync, n.follower)
	n.executor = &executor{slotTime: n.spec.SlotDuration, onTrial: n.engineOnTrial, writer: route.NewWriter(n.routes.engine, route.WriterOptions[engine.Engine]{
		IsBehind: func(err error) bool { return errors.Is(err, engine.ErrSyncing) },
		CatchUp:  func(ctx context.Context, id route.ID, e engine.Engine) error { return n.replay(ctx, label(id), e) },
	})}
	file, err := swap.OpenFileJournal(filepath.Join(c.Node.DataDir, "journal"))
	if err != nil {
		return fmt.Errorf("open swap journal: %w", err)
	}
	n.journal = file
	var journal swap.Journal = file
	if n.opt.Journal != nil {
		journal = n.opt.Journal(file)
	}
	execution := n.chain.Genesis().Execution.Payload
	forks, err := forksOf(n.spec.GenesisJSON())
	if err != nil {
		return err
	}
	if err := n.openMigrations(); err != nil {
		return err
	}
	n.swap, err = swap.New(swap.Options{
		Launcher: &launcher{host: n.host, blocks: n.blocks, live: n.live, attached: n.attached, broke: n.broke},
		Routes:   n.routes,
		Admitter: &admitter{
			guard: n.guard, signs: n.validates(), genesis: n.genesis, chainID: n.spec.ChainID, forks: forks, el: execution.BlockHash,
			margin: uint64(horizonMargin / time.Second), self: n.requiredKeys, catchUp: n.catchUp, trial: trySync,
			now: func() uint64 { return uint64(time.Now().Unix()) },
			listed: func(ctx context.Context, p *process, c *wire.Client) ([]signer.Key, error) {
				return p.listKeys(ctx, c.Signer())
			},
		},
		Journal: journal, Logger: n.log.Named("swap"), Probation: probation(c.Swap), Timeouts: timeouts(c.Swap),
		Ended: n.probationEnded, Retired: n.prune, Awaited: func(err error) bool { return errors.Is(err, engine.ErrSyncing) },
	})
	return err
}

// prune removes the copies of plugins that the journal does not name any more.
func (n *Node) prune(digests []string) {
	keep := make([]host.Digest, len(digests))
	for i, d := range digests {
		keep[i] = host.Digest(digestPrefix + d)
	}
	if err := n.host.Prune(keep); err != nil {
		n.log.Warn("old copies of plugins were not removed", "error", err)
	}
}

// attached makes a process that came up, for the first time or again after a crash, ready to serve: an engine is caught
// up from our store, for as long as it takes, and gets the wallets' transactions; a signer is asked for its keys.
func (n *Node) attached(ctx context.Context, p *process, c *wire.Client) error {
	asked, cancel := context.WithTimeout(ctx, n.opt.Config.Swap.StartTimeout)
	defer cancel()
	switch p.id.Kind {
	case lifecycle.Signer:
		_, err := p.listKeys(asked, c.Signer())
		return err
	case lifecycle.Engine:
		s, err := c.Engine().Status(asked)
		if err != nil {
			return fmt.Errorf("ask engine: %w", err)
		}
		p.rpc.Store(&s.WalletRPC)
		return n.replay(ctx, p.id.Label, c.Engine())
	case lifecycle.Sync:
	}
	return nil
}

// catchUp is replay for an engine that is admitted: what it misses was replayed when it was attached.
func (n *Node) catchUp(ctx context.Context, e engine.Engine) error { return n.replay(ctx, "", e) }

// replay brings an engine to our heads and gives it the transactions that we keep. What it executed on the way counts for
// the migration of its role.
func (n *Node) replay(ctx context.Context, label string, e engine.Engine) error {
	started := time.Now()
	did, err := n.chain.Replay(ctx, e)
	if ctx.Err() == nil { // the stop of the node, or of the apply, is nobody's fault
		n.meter.replayed(string(roleEngine), label, uint64(did.Payloads), time.Since(started), err)
	}
	if err != nil {
		return fmt.Errorf("catch the engine up: %w", err)
	}
	if did.Payloads > 0 {
		n.log.Info("engine caught up", "from", did.From.Height, "to", did.To.Height, "payloads", did.Payloads)
	}
	if err := n.carrier.Offer(ctx, e); err != nil {
		n.log.Warn("the engine did not take kept transactions", "error", err)
	}
	return nil
}

// signsWith reports whether this node signs with an authority key: it may, and a live signer holds it, or the guard knows
// that it did before. A signer that is away when the node starts must find consensus waiting for it when it is back.
func (n *Node) signsWith(k chain.BLSPublicKey, signed []guard.KeyState) bool {
	if !n.maySign(k) {
		return false
	}
	for _, p := range n.live.all(lifecycle.Signer) {
		if p.holds(signer.BLSKey(k)) {
			return true
		}
	}
	return signedWith(k, signed)
}

// maySign reports whether the configuration lets this node sign with a key.
func (n *Node) maySign(k chain.BLSPublicKey) bool {
	v := n.opt.Config.Validator
	return v == nil || v.Enabled && (v.ApprovalKey == "" || v.ApprovalKey == k.String() || "0x"+v.ApprovalKey == k.String())
}

// signedWith reports whether the guard knows of a block that was signed, or was to be, with a key.
func signedWith(k chain.BLSPublicKey, signed []guard.KeyState) bool {
	return slices.ContainsFunc(signed, func(s guard.KeyState) bool { return s.Key == signer.BLSKey(k) && !s.Block.IsZero() })
}

// requiredKeys are the keys that a newcomer must be able to use: those that consensus signs with. Before it runs, which is
// when a start goes on to a changed file, they are the keys that the guard knows; a node that never signed has none.
func (n *Node) requiredKeys(ctx context.Context) ([]signer.KeyID, error) {
	n.mu.Lock()
	running, self := n.driver != nil, n.self
	n.mu.Unlock()
	if !running {
		signed, err := n.guard.Show(ctx)
		if err != nil {
			return nil, fmt.Errorf("read guard: %w", err)
		}
		head, _, _ := n.chain.Heads()
		for _, k := range n.spec.Set(head.Height + 1).Keys {
			if n.maySign(k) && signedWith(k, signed) {
				self = append(self, k)
			}
		}
	}
	out := make([]signer.KeyID, len(self))
	for i, k := range self {
		out[i] = signer.BLSKey(k)
	}
	return out, nil
}

// walletBackend is where the serving engine's wallet RPC listens.
func (n *Node) walletBackend() (string, error) {
	primary := n.routes.engine.Positions().Primary
	if primary == nil {
		return "", errors.New("there is no engine yet")
	}
	p := n.live.get(primary.ID())
	if p == nil {
		return "", errors.New("the engine is being replaced")
	}
	return p.walletRPC()
}
