package node

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/sdk/chain"
)

// Run runs the node until ctx ends (nil) or something fails that a node must not go on without: the first error, which
// names its stage.
//
// The order: store, guard, chain and host were opened by New (the guard before any signer can be called). Then the
// operator's socket and the metrics, which answer while the rest comes up; the plugins, by the journal and then by the
// file; consensus, restored from the store; wallets. The end goes backwards.
func (n *Node) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	outside := n.supervise(ctx)
	err := n.runCore(ctx, cancel)
	cancel(err)
	<-outside
	return errors.Join(err, n.close(context.WithoutCancel(ctx)))
}

// runCore runs what takes the node down with it.
func (n *Node) runCore(ctx context.Context, cancel context.CancelCauseFunc) error {
	if err := n.startPlugins(ctx); err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the stop came first: what failed then failed because of it
		}
		return fmt.Errorf("start plugins: %w", err)
	}
	d, err := n.startConsensus(ctx)
	if err != nil {
		return fmt.Errorf("start consensus: %w", err)
	}
	n.opt.Event(Event{At: time.Now(), Ready: n.listeners()})
	close(n.up)
	stages := []*part{
		n.tree.has(stageSwap, n.swap.Run),
		n.tree.has(stageSync, n.wheel.Run),
		n.tree.has(stageFollow, n.follower.Run),
		n.tree.has(stageConsensus, d.Run),
		n.tree.has(stageTransactions, n.followBlocks),
		n.tree.has(stageConfiguration, n.watchFile),
	}
	if n.network != nil {
		stages = append(stages, n.tree.has(stageNetwork, n.network.Run))
	}
	done := make(chan error, len(stages))
	for _, s := range stages {
		go func() {
			err := s.Serve(ctx)
			if ctx.Err() != nil {
				err = nil // the stop came first
			}
			if err != nil {
				err = fmt.Errorf("%s: %w", s, err)
				cancel(err)
			}
			done <- err
		}()
	}
	var errs []error
	for range stages {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

// supervise runs what may fail without taking the node down: it is restarted. The channel closes when all of it ended.
func (n *Node) supervise(ctx context.Context) <-chan struct{} {
	services := []*part{n.tree.has(serviceAdmin, n.admin.Run)}
	if n.server != nil {
		services = append(services, n.tree.has(serviceMetrics, n.server.Run))
	}
	if n.wallet != nil {
		services = append(services, n.tree.has(serviceWallet, n.wallet.Run))
	}
	if n.network != nil {
		services = append(services, n.tree.has(serviceRelay, n.relay.Run), n.tree.has(serviceClock, n.newClockWatch().Run))
	}
	services = append(services, n.tree.has(serviceMigrations, n.runMigrations))
	if n.chaos != nil {
		services = append(services, n.tree.has(serviceChaos, n.runChaos))
	}
	return n.tree.run(ctx, services)
}

// startConsensus restores consensus and makes its driver.
func (n *Node) startConsensus(ctx context.Context) (*driver.Driver, error) {
	if empty := n.keyless(); empty != "" {
		n.log.Error("ALARM: " + empty)
		n.watch.say("ALARM " + empty)
	}
	self, err := n.ownKeys(ctx)
	if err != nil {
		return nil, err
	}
	n.slots.recall(n.chain)
	restored, bodies, err := restore(ctx, n.chain, n.guard, self)
	if err != nil {
		return nil, err
	}
	schedule := n.spec.Agreement()
	machine, err := consensus.New(consensus.Config{Genesis: n.chain.Genesis().Header, Schedule: schedule, Self: self, Verifier: n.verifier}, restored)
	if err != nil {
		return nil, err
	}
	var approver driver.Signer = &authority{guard: n.guard, route: n.routes.approvals, holds: n.live.holds, slotTime: n.spec.SlotDuration}
	var doppel *doppelganger
	if n.network != nil {
		if doppel, err = n.newDoppelganger(ctx, self, approver); err != nil {
			return nil, err
		}
		approver = doppel
	}
	head, safe, _ := n.chain.Heads()
	d := driver.New(driver.Options{
		Machine: machine, Schedule: schedule, Self: self, Bodies: bodies, Heads: driver.Heads{Head: head, Safe: safe},
		Chain: book{n.chain}, Engine: n.executor, Network: n.sending(), Observer: n.watch, Now: time.Now, Log: n.log.Named("consensus"),
		Signer: approver,
	})
	n.mu.Lock()
	n.driver, n.self, n.doppel = d, self, doppel
	n.mu.Unlock()
	n.metrics.Height.WithLabelValues("head").Set(float64(head.Height))
	n.metrics.Height.WithLabelValues("safe").Set(float64(safe.Height))
	if behind := n.clockBehind(time.Now()); behind != "" {
		n.log.Error("ALARM: " + behind)
		n.watch.say("ALARM " + behind)
	}
	if n.network != nil && len(self) > 0 {
		if text := unchecked(len(n.spec.Set(head.Height+1).Keys), n.network.NamedPeers()); text != "" {
			n.log.Warn(text)
		}
	}
	n.log.Info("consensus starts", "head", head.Height, "safe", safe.Height, "authority_keys", len(self))
	return d, nil
}

// ownKeys are the authority keys that this node signs with: those that its signers hold or have signed with before, or the
// one that the configuration names.
func (n *Node) ownKeys(ctx context.Context) ([]chain.BLSPublicKey, error) {
	signed, err := n.guard.Show(ctx)
	if err != nil {
		return nil, fmt.Errorf("read guard: %w", err)
	}
	var out []chain.BLSPublicKey
	head, _, _ := n.chain.Heads()
	for _, set := range n.spec.Authorities {
		if next := n.spec.Set(head.Height + 1); set.From < next.From {
			continue // a set that is over
		}
		for _, k := range set.Keys {
			if n.signsWith(k, signed) && !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	}
	return out, nil
}

// stopTimeout bounds each stage of a stop.
const stopTimeout = 15 * time.Second

// close ends everything that is open, backwards. A stage that overruns is named, with what the goroutines do.
func (n *Node) close(ctx context.Context) error {
	var errs []error
	stage := func(name string, f func(context.Context) error) {
		ctx, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- f(ctx) }()
		select {
		case err := <-done:
			if err != nil {
				errs = append(errs, fmt.Errorf("stop %s: %w", name, err))
			}
		case <-time.After(stopTimeout + time.Second):
			stacks := make([]byte, 1<<20)
			n.log.Error("a stage of the stop takes too long", "stage", name, "goroutines", string(stacks[:runtime.Stack(stacks, true)]))
			errs = append(errs, fmt.Errorf("stop %s: took longer than %s", name, stopTimeout))
		}
	}
	if n.admin != nil {
		stage("admin", func(context.Context) error { return closed(n.admin.Close()) })
	}
	if n.server != nil {
		stage("metrics", func(context.Context) error { return n.server.Close() })
	}
	if n.wallet != nil {
		stage("wallet", func(context.Context) error { return n.wallet.Close() })
	}
	if n.network != nil {
		stage("network", func(context.Context) error { return n.network.Close() })
	}
	if n.swap != nil {
		stage("plugins", n.swap.Close)
	}
	if n.migrationsLog != nil {
		stage("migrations", func(context.Context) error { return n.migrationsLog.Close() })
	}
	if n.journal != nil {
		stage("journal", func(context.Context) error { return n.journal.Close() })
	}
	if n.routes != nil {
		stage("routes", func(context.Context) error { n.routes.close(); return nil })
	}
	if n.host != nil {
		stage("host", func(context.Context) error { return n.host.Close() })
	}
	if n.store != nil {
		stage("store", func(context.Context) error { return n.store.Close() })
	}
	return errors.Join(errs...)
}
