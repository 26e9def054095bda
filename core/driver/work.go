package driver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// job is one order for the engine's goroutine; one of build, judge (or header alone: the body is not here), advance and
// synced.
type job struct {
	build   *consensus.Build
	judge   *block.Block
	header  chain.Header
	advance *consensus.Advance
	synced  *synced
}

// forkchoiceTimeout is the longest that one order of heads is waited for; it is given again before the next order.
const (
	forkchoiceTimeout = 5 * time.Second
	judgeTimeout      = 8 * time.Second // execution-apis: newPayload
)

// work carries out engine orders one after another. An error stops the node: the store failed.
func (d *Driver) work(ctx context.Context) error {
	behind := false // the engine has not taken the last heads yet
	for {
		var j job
		select {
		case <-ctx.Done():
			return nil
		case j = <-d.jobs:
		}
		switch {
		case j.build != nil:
			d.build(ctx, *j.build, &behind)
		case j.advance != nil:
			if err := d.advance(ctx, *j.advance, &behind); err != nil {
				return err
			}
		case j.synced != nil:
			d.execute(ctx, *j.synced)
		default:
			if err := d.judge(ctx, j); err != nil {
				return err
			}
		}
	}
}

func (d *Driver) build(ctx context.Context, e consensus.Build, behind *bool) {
	start := d.opt.Now()
	call, cancel := context.WithTimeout(ctx, d.buildTime(e, start))
	defer cancel()
	b, err := d.buildBlock(call, e, behind)
	d.opt.Observer.EngineCall("build", d.opt.Now().Sub(start), err)
	if err != nil {
		d.opt.Log.Warn("no block built", "slot", e.Slot, "parent", e.Parent.Height, "error", err)
		d.post(ctx, consensus.BuildFailed{Slot: e.Slot})
		return
	}
	d.post(ctx, arrived{body: b, Event: consensus.Built{Header: b.Header, ParentQC: b.ParentQC}})
}

// buildTime is how long a build may take: until its deadline, and never longer than the slot, whatever the wall clock
// does meanwhile.
func (d *Driver) buildTime(e consensus.Build, now time.Time) time.Duration {
	slot := d.opt.Schedule.SlotStart(e.Slot + 1).Time().Sub(d.opt.Schedule.SlotStart(e.Slot).Time())
	return min(max(e.Deadline.Time().Sub(now), time.Millisecond), slot)
}

func (d *Driver) buildBlock(ctx context.Context, e consensus.Build, behind *bool) (*block.Block, error) {
	if err := d.followHeads(ctx, e.Slot, behind); err != nil {
		return nil, err
	}
	parent := e.Parent.Hash()
	attributes, err := d.opt.Chain.Attributes(parent, e.Slot)
	if err != nil {
		return nil, fmt.Errorf("attributes on %s: %w", parent.Short(), err)
	}
	data, err := d.opt.Engine.Build(ctx, e.Slot, attributes)
	if err != nil {
		// An engine that lost blocks stays where it is until it is told the heads again.
		*behind = errors.Is(err, engine.ErrSyncing)
		return nil, fmt.Errorf("build on %s: %w", parent.Short(), err)
	}
	b, err := d.opt.Chain.Assemble(parent, e.Slot, e.ParentQC, data)
	if err != nil {
		return nil, fmt.Errorf("assemble block: %w", err)
	}
	return b, nil
}

// judge checks, executes and stores a block, and tells the machine the verdict. Only a failing store is an error.
func (d *Driver) judge(ctx context.Context, j job) error {
	hash := j.header.Hash()
	verdict, reason, err := d.verdict(ctx, j)
	if err != nil {
		return err
	}
	if verdict == consensus.VerdictInvalid || verdict == consensus.VerdictUnknown {
		d.opt.Log.Warn("block not approvable", "height", j.header.Height, "block", hash.Short(), "verdict", verdict, "reason", reason)
	}
	d.post(ctx, consensus.Judged{Hash: hash, Verdict: verdict, Reason: reason})
	return nil
}

func (d *Driver) verdict(ctx context.Context, j job) (consensus.Verdict, string, error) {
	b := j.judge
	switch {
	case d.opt.Chain.Has(j.header.Hash()):
		return consensus.VerdictApprovable, "", nil
	case b == nil:
		return consensus.VerdictUnknown, "the body is not here", nil
	}
	if err := d.opt.Chain.Check(ctx, b); err != nil {
		if errors.Is(err, ErrInvalid) {
			return consensus.VerdictInvalid, err.Error(), nil
		}
		return consensus.VerdictUnknown, err.Error(), nil
	}
	start := d.opt.Now()
	call, cancel := context.WithTimeout(ctx, judgeTimeout)
	defer cancel()
	receipts, err := d.opt.Engine.Execute(call, j.header.Slot, b.Execution)
	d.opt.Observer.EngineCall("import", d.opt.Now().Sub(start), err)
	switch {
	case errors.Is(err, ErrInvalid):
		return consensus.VerdictInvalid, err.Error(), nil
	case err != nil:
		return consensus.VerdictUnknown, err.Error(), nil
	}
	switch err := d.opt.Chain.Insert(ctx, Executed{b, receipts[0]}); {
	case errors.Is(err, ErrInvalid):
		return consensus.VerdictInvalid, err.Error(), nil
	case errors.Is(err, ErrUnavailable): // the engine's receipts do not fit the block: its fault, not the block's
		return consensus.VerdictUnknown, err.Error(), nil
	case err != nil:
		return 0, "", fmt.Errorf("store block %d: %w", j.header.Height, err)
	}
	return consensus.VerdictApprovable, "", nil
}

// advance makes the heads durable and gives them to the engine. An engine that is away gets them later.
func (d *Driver) advance(ctx context.Context, e consensus.Advance, behind *bool) error {
	moved, err := d.opt.Chain.SetHeads(ctx, e.Head, e.Safe)
	if err != nil {
		return fmt.Errorf("store heads: %w", err)
	}
	d.mu.Lock()
	before := d.heads
	d.heads = Heads{e.Head, e.Safe}
	d.mu.Unlock()
	head, err := d.opt.Chain.Block(e.Head.Hash)
	if err != nil {
		return fmt.Errorf("read head %d: %w", e.Head.Height, err)
	}
	*behind = true
	if err := d.followHeads(ctx, head.Header.Slot, behind); err != nil {
		d.opt.Log.Warn("the engine did not take the new head: it is told again", "height", e.Head.Height, "error", err)
	}
	if e.Head == before.Head {
		return nil // at the start, or only safe moved: not a new block
	}
	d.opt.Observer.Advanced(Advanced{
		Head: e.Head, Safe: e.Safe, Slot: head.Header.Slot, Txs: len(head.Execution.Payload.Transactions),
		Own: d.isOwn(head.Header.Slot, head.Header.Height), Moved: moved,
		SinceSlot: d.opt.Now().Sub(d.opt.Schedule.SlotStart(head.Header.Slot).Time()),
	})
	return nil
}

// followHeads gives the engine the present fork choice, unless it has it.
func (d *Driver) followHeads(ctx context.Context, slot chain.Slot, behind *bool) error {
	if !*behind {
		return nil
	}
	f, err := d.opt.Chain.Forkchoice()
	if err != nil {
		return fmt.Errorf("fork choice: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, forkchoiceTimeout)
	defer cancel()
	start := d.opt.Now()
	err = d.opt.Engine.Forkchoice(ctx, slot, f)
	d.opt.Observer.EngineCall("forkchoice", d.opt.Now().Sub(start), err)
	*behind = err != nil
	return err
}

func (d *Driver) isOwn(slot chain.Slot, height chain.Height) bool {
	i, ok := d.opt.Schedule.Author(slot, height)
	if !ok {
		return false
	}
	set, ok := d.opt.Schedule.Set(height)
	if !ok || i >= len(set.Keys) {
		return false
	}
	return slices.Contains(d.opt.Self, set.Keys[i])
}
