package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/core/swap"
	"github.com/alys-node/alys/core/telemetry"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// advanced notes the newest head for followBlocks. It never blocks: an older one that was not handled yet is replaced.
func (n *Node) advanced(a driver.Advanced) {
	for {
		select {
		case n.collect <- a:
			return
		default:
		}
		select {
		case <-n.collect:
		default:
		}
	}
}

// followBlocks does what follows a block and may lag behind it: the strategy is told, wallets' transactions are kept and
// forgotten.
func (n *Node) followBlocks(ctx context.Context) error {
	_, safe, _ := n.chain.Heads()
	settled := safe.Height
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-n.collect:
			n.follower.Advanced(a.Head.Height)
			_, _, finalized := n.chain.Heads()
			n.metrics.Height.WithLabelValues("finalized").Set(float64(finalized.Height))
			n.metrics.Slot.Set(float64(n.spec.SlotAt(chain.UnixMilli(time.Now().UnixMilli()))))
			err := n.carryTransactions(ctx, settled, a.Safe.Height)
			if ctx.Err() != nil {
				return nil //nolint:nilerr // the node stops: the next start looks after them
			}
			if err != nil {
				n.log.Warn("wallets' transactions were not looked after", "error", err)
				continue
			}
			settled = max(settled, a.Safe.Height)
		}
	}
}

func (n *Node) carryTransactions(ctx context.Context, from, to chain.Height) error {
	if err := n.carrier.Settle(from, to); err != nil {
		return err
	}
	count, _ := n.store.PendingCount()
	n.metrics.PendingTxs.Set(float64(count))
	e, err := n.primaryEngine()
	if err != nil {
		return nil //nolint:nilerr // an engine that is away has no pool to look at, and is offered ours when it is back
	}
	if err := n.carrier.Collect(ctx, e); err != nil {
		return err
	}
	// The one that serves now may have stood by when another one took them from the wallet.
	n.carrier.Spread(ctx, append(n.standbyEngines(), e)...)
	return nil
}

// standbyEngines are the engines on the route that are up and not the primary.
func (n *Node) standbyEngines() []engine.Engine {
	p := n.routes.engine.Positions()
	var out []engine.Engine
	for _, t := range []route.Target[engine.Engine]{p.Fallback, p.Shadow, p.Canary, p.Warm} {
		if t == nil {
			continue
		}
		if e, err := t.Client(); err == nil {
			out = append(out, e)
		}
	}
	return out
}

func (n *Node) primaryEngine() (engine.Engine, error) {
	primary := n.routes.engine.Positions().Primary
	if primary == nil {
		return nil, errors.New("no engine")
	}
	return primary.Client()
}

// watchDebounce is how long a file must be quiet before it is read: an editor writes in steps.
const watchDebounce = 500 * time.Millisecond

// watchFile applies the configuration whenever it is saved, if node.watch is on.
func (n *Node) watchFile(ctx context.Context) error {
	if !n.opt.Config.Node.Watch {
		<-ctx.Done()
		return nil
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch configuration: %w", err)
	}
	defer w.Close() //nolint:errcheck // nothing is lost
	// The folder is watched, not the file: editors replace files.
	if err := w.Add(n.opt.Config.Dir); err != nil {
		return fmt.Errorf("watch %s: %w", n.opt.Config.Dir, err)
	}
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-w.Events:
			if filepath.Ext(e.Name) == ".hcl" {
				quiet.Reset(watchDebounce)
			}
		case err := <-w.Errors:
			n.log.Warn("watching the configuration", "error", err)
		case <-quiet.C:
			n.Reload(ctx, "watch")
		}
	}
}

// Reload reads the configuration again and applies it. What is wrong is logged and changes nothing.
func (n *Node) Reload(ctx context.Context, by string) {
	c, diags := n.opt.Load("", nil, nil)
	if diags.HasErrors() {
		n.log.Error("configuration not applied: it has errors, what runs goes on", "by", by, "error", diags.Err())
		n.watch.say("configuration not applied: " + diags.Err().Error())
		return
	}
	d, diags, err := n.desired(ctx, c)
	if err == nil {
		err = diags.Err()
	}
	if err != nil {
		n.log.Error("configuration not applied: what runs goes on", "by", by, "error", err)
		n.watch.say("configuration not applied: " + err.Error())
		return
	}
	if err := n.heed(ctx, c); err != nil {
		n.log.Error("configuration not applied: what runs goes on", "by", by, "error", err)
		return
	}
	report, err := n.swap.Reload(ctx, d, by)
	n.reported(report, err)
	if err == nil {
		n.blocks.use(c)
	}
}

// reported counts and tells how a change ended.
func (n *Node) reported(r swap.Report, err error) {
	for _, role := range r.Roles {
		n.metrics.Swaps.WithLabelValues(string(role), string(r.Result)).Inc()
	}
	for _, s := range r.Steps {
		n.metrics.SwapStep.WithLabelValues(string(s.Step)).Observe(s.Took.Seconds())
	}
	switch {
	case err != nil:
		n.log.Error("configuration not applied: what runs goes on", "error", err)
		n.watch.say("configuration not applied: " + err.Error())
	case r.Result == swap.ResultFailed || r.Result == "":
		n.log.Error("configuration not applied: what runs goes on", "error", r.Problem)
		n.watch.say("configuration not applied: " + r.Problem)
	case r.Result != swap.ResultNoOp:
		n.log.Info("configuration applied", "serial", r.Serial, "result", r.Result, "roles", r.Roles)
		n.watch.say(changeText(r))
		if r.Result == swap.ResultDone && r.Problem != "" {
			n.log.Error("the change is applied, and after it something went wrong", "serial", r.Serial, "error", r.Problem)
		}
	}
}

// probationEnded counts and tells how a probation ended by itself.
func (n *Node) probationEnded(r swap.Report) {
	for _, role := range r.Roles {
		n.metrics.Swaps.WithLabelValues(string(role), string(r.Result)).Inc()
	}
	if r.Result == swap.ResultFlippedBack {
		n.flippedBack(r)
		n.log.Error("ALARM: a change was flipped back", "serial", r.Serial, "roles", r.Roles, "reason", r.Problem)
		n.watch.say("ALARM " + changeText(r))
		return
	}
	n.log.Info("probation is over", "serial", r.Serial, "roles", r.Roles)
	if r.Problem != "" {
		n.log.Error("the probation is over, and after it something went wrong", "serial", r.Serial, "error", r.Problem)
	}
}

// changeText says in one line what a change did.
func changeText(r swap.Report) string {
	names := make([]string, len(r.Roles))
	for i, role := range r.Roles {
		names[i] = string(role)
	}
	roles := strings.Join(names, ", ")
	switch r.Result {
	case swap.ResultProbation:
		return fmt.Sprintf("%s swapped (serial %d), on probation: the old plugin stays warm", roles, r.Serial)
	case swap.ResultFlippedBack:
		return fmt.Sprintf("%s went back to the route before (serial %d): %s", roles, r.Serial, r.Problem)
	case swap.ResultFailed:
		return fmt.Sprintf("%s not swapped, what ran goes on: %s", roles, r.Problem)
	case swap.ResultDone, swap.ResultNoOp:
	}
	return fmt.Sprintf("%s run as configured (serial %d)", roles, r.Serial)
}

// readiness says whether the node does its work.
func (n *Node) readiness() telemetry.Readiness {
	r := telemetry.Readiness{Parts: map[string]string{}}
	if n.consensus() == nil {
		r.Reasons = append(r.Reasons, "still starting")
	}
	if empty := n.keyless(); empty != "" {
		r.Reasons = append(r.Reasons, empty)
	}
	if behind := n.clockBehind(time.Now()); behind != "" {
		r.Reasons = append(r.Reasons, behind)
	}
	if off := clockOff(n.peerClocks()); off != "" && n.signs() {
		r.Reasons = append(r.Reasons, off)
	}
	if t := n.doppelganger(); t != nil {
		head, _, _ := n.chain.Heads()
		if why := t.HoldsBack(head.Height + 1); why != "" {
			r.Reasons = append(r.Reasons, why)
		}
	}
	for _, role := range n.swap.Status().Roles {
		r.Parts[string(role.Role)] = role.State
		if role.State != string(route.Broken) {
			continue
		}
		reason := fmt.Sprintf("nobody answers for role %s", role.Role)
		if role.Trouble != "" {
			reason += ": " + role.Trouble
		}
		r.Reasons = append(r.Reasons, reason)
	}
	for _, s := range n.tree.status() {
		r.Parts[s.Name] = s.State
		if s.State == partRestarting {
			r.Reasons = append(r.Reasons, fmt.Sprintf("service %s is being started again: %s", s.Name, s.LastError))
		}
	}
	r.Ready = len(r.Reasons) == 0
	return r
}
