package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/swap"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// benchSwaps swaps the signer between the one that alys.hcl names and another one. It takes the way of an apply; alys.hcl
// itself is not touched, so a node that dies meanwhile comes back to it.
type benchSwaps struct {
	node    *Node
	states  [2]swap.Desired // as configured, and with the other signer
	at      int             // which of the two runs
	reports []swap.Report
}

// benchSwaps prepares the two states. What runs must be what alys.hcl says: it is what the measurement comes back to.
func (n *Node) benchSwaps(ctx context.Context, with string) (*benchSwaps, error) {
	c, d, diags := n.read(ctx, admin.Source{})
	if err := diags.Err(); err != nil {
		return nil, &admin.Error{Code: "invalid", Message: err.Error(), Hint: "run `alys plan`"}
	}
	plan, err := n.swap.Plan(ctx, d)
	if err != nil {
		return nil, operatorError(err)
	}
	if !plan.NoOp() {
		return nil, &admin.Error{Code: "conflict", Message: "what runs is not what alys.hcl says", Hint: "run `alys apply` first: a measurement comes back to the file"}
	}
	role := roleApproval
	if _, narrowed := d.Roles[role]; !narrowed {
		role = roleSigner
	}
	other, err := benchOther(c, d.Roles[role].Primary, with)
	if err != nil {
		return nil, err
	}
	one, found := resolve(ctx, n.host, c, other)
	if err := found.Err(); err != nil {
		return nil, &admin.Error{Code: "invalid", Message: err.Error()}
	}
	n.blocks.remember(one.block.Hash, one.host)
	swapped := swap.Desired{Roles: maps.Clone(d.Roles), Plugins: maps.Clone(d.Plugins), Hash: "bench:" + d.Hash, Source: d.Source}
	r := swapped.Roles[role]
	r.Primary = swapID(other.ID)
	swapped.Roles[role], swapped.Plugins[r.Primary] = r, one.block
	return &benchSwaps{node: n, states: [2]swap.Desired{d, swapped}}, nil
}

// benchOther is the signer to swap with: as named, or the only other block with the same command.
func benchOther(c *config.Config, primary swap.PluginID, with string) (*config.Plugin, error) {
	var signers, fit []*config.Plugin
	var command string
	for _, p := range c.Plugins {
		switch {
		case p.ID.Kind != lifecycle.Signer:
		case swapID(p.ID) == primary:
			command = p.Command
		default:
			signers = append(signers, p)
		}
	}
	var names []string
	for _, p := range signers {
		names = append(names, p.ID.Name)
		if p.ID.Name == with || with == "" && p.Command == command {
			fit = append(fit, p)
		}
	}
	if len(fit) == 1 {
		return fit[0], nil
	}
	slices.Sort(names)
	e := &admin.Error{Code: "unknown", Message: fmt.Sprintf("no signer to swap %s with", primary), Hint: "give alys.hcl a second plugin block with the command " + command}
	if len(names) > 0 {
		e.Hint = "name one with --with: " + strings.Join(names, ", ")
	}
	return nil, e
}

// next swaps to the other state.
func (b *benchSwaps) next(ctx context.Context) error {
	d := b.states[1-b.at]
	p, err := b.node.swap.Plan(ctx, d)
	if err != nil {
		return operatorError(err)
	}
	if p.NoOp() {
		return &admin.Error{Code: "conflict", Message: "somebody else changed the route meanwhile", Hint: "`alys status` shows it; measure again"}
	}
	// A swap that has begun is ended, whoever waits for it.
	report, err := b.node.swap.Apply(context.WithoutCancel(ctx), p, d, swap.ApplyOptions{Unwatched: true, By: "alys bench"})
	b.node.reported(report, err)
	if err != nil {
		return operatorError(err)
	}
	b.at = 1 - b.at
	b.reports = append(b.reports, report)
	return nil
}

// restore goes back to what alys.hcl says; it is for nil, too.
func (b *benchSwaps) restore(ctx context.Context) error {
	if b == nil || b.at == 0 {
		return nil
	}
	counted := b.reports
	err := b.next(ctx)
	b.reports = counted
	return err
}

// benchHeld names how long callers waited among the steps.
const benchHeld = "held"

// steps evaluates the swaps by step.
func (b *benchSwaps) steps() []admin.BenchStep {
	var names []string
	times := map[string][]time.Duration{}
	note := func(name string, d time.Duration) {
		if _, seen := times[name]; !seen {
			names = append(names, name)
		}
		times[name] = append(times[name], d)
	}
	for _, r := range b.reports {
		var all time.Duration
		for _, s := range r.Steps {
			note(string(s.Step), s.Took)
			all += s.Took
		}
		note(benchHeld, r.Held)
		note("whole", all)
	}
	out := make([]admin.BenchStep, 0, len(names))
	for _, name := range names {
		slices.Sort(times[name])
		out = append(out, admin.BenchStep{Step: name, P50: quantile(times[name], 0.5), P99: quantile(times[name], 0.99), Max: quantile(times[name], 1)})
	}
	return out
}
