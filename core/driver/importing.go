package driver

import (
	"context"
	"errors"
	"fmt"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
)

// synced is a run of blocks that came by sync. done has room for the outcome.
type synced struct {
	blocks []*block.Block
	qc     block.QC
	done   chan error
}

// executed is what the engine made of a run: the blocks before the first that it did not say VALID to, and why it went no
// further.
type executed struct {
	synced
	run []Executed
	err error
}

// kept is the event of a stored run. Who gave the run hears its outcome when consensus has dealt with it.
type kept struct {
	done chan<- error
	err  error
	consensus.Event
}

// Import gives a run of notarized blocks that came by sync to the engine, to the store and to consensus, which moves the
// heads once for the run. Each block is the child of the one before, qc certifies the last, and every body is its header's:
// the caller has verified that. Import does not wait: the channel gets the outcome, once, and while one run is stored the
// engine may execute the next, which begins with the child of this one's last. ErrUnavailable when the engine did not
// answer, too many orders wait for it or the run before was not stored; ErrInvalid when a block breaks the chain's rules or
// is built on nothing that is stored. Both leave stored what came before.
func (d *Driver) Import(blocks []*block.Block, qc block.QC) <-chan error {
	s := &synced{blocks: blocks, qc: qc, done: make(chan error, 1)}
	if err := d.enqueue(job{synced: s}); err != nil {
		s.done <- fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return s.done
}

// execute lets the engine judge a run, and hands on what is VALID, to be stored while the engine does the next order.
func (d *Driver) execute(ctx context.Context, s synced) {
	x := executed{synced: s}
	if first := s.blocks[0].Header; first.Parent != d.tip && !d.opt.Chain.Has(first.Parent) {
		x.err = fmt.Errorf("%w: block %d: its parent %s is not stored", ErrInvalid, first.Height, first.Parent.Short())
	} else {
		x.run, x.err = d.executeRun(ctx, s.blocks)
	}
	if x.err == nil {
		d.tip = s.blocks[len(s.blocks)-1].Header.Hash()
	}
	select {
	case d.stores <- x:
	case <-ctx.Done():
	}
}

// executeRun is the engine's part of an import. Blocks that are stored were executed before they were.
func (d *Driver) executeRun(ctx context.Context, blocks []*block.Block) ([]Executed, error) {
	out := make([]Executed, 0, len(blocks))
	for len(blocks) > 0 && d.opt.Chain.Has(blocks[0].Header.Hash()) {
		out, blocks = append(out, Executed{Block: blocks[0]}), blocks[1:]
	}
	if len(blocks) == 0 {
		return out, nil
	}
	payloads := make([]chain.ExecutionData, len(blocks))
	for i, b := range blocks {
		payloads[i] = b.Execution
	}
	start := d.opt.Now()
	receipts, err := d.opt.Engine.Execute(ctx, blocks[len(blocks)-1].Header.Slot, payloads...)
	d.opt.Observer.EngineCall("import", d.opt.Now().Sub(start), err)
	for i, r := range receipts {
		out = append(out, Executed{blocks[i], r})
	}
	if err == nil {
		return out, nil
	}
	kind := ErrUnavailable
	if errors.Is(err, ErrInvalid) {
		kind = ErrInvalid
	}
	return out, fmt.Errorf("%w: block %d: %w", kind, blocks[len(receipts)].Header.Height, err)
}

// keep stores what the engine has executed, run after run, until ctx ends or the store fails.
func (d *Driver) keep(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case x := <-d.stores:
			if err := d.storeRun(ctx, x); err != nil {
				return err
			}
		}
	}
}

// storeRun stores a run and tells consensus. Only a failing store is an error.
func (d *Driver) storeRun(ctx context.Context, x executed) error {
	stored, err := d.insertRun(ctx, x.run)
	switch {
	case errors.Is(err, ErrInvalid), errors.Is(err, ErrUnavailable):
		x.err = err
	case err != nil:
		return err
	}
	if stored == 0 {
		x.done <- x.err
		return nil
	}
	e := consensus.Imported{Run: make([]consensus.Proposal, stored)}
	for i, b := range x.run[:stored] {
		e.Run[i] = consensus.Proposal{Header: b.Block.Header, ParentQC: b.Block.ParentQC}
	}
	if stored == len(x.blocks) {
		e.QC = &x.qc
	}
	d.post(ctx, kept{x.done, x.err, e})
	return nil
}

// insertRun stores a run, and counts the blocks that are stored then.
func (d *Driver) insertRun(ctx context.Context, run []Executed) (stored int, err error) {
	if len(run) == 0 {
		return 0, nil
	}
	first := run[0].Block.Header
	if !d.opt.Chain.Has(first.Parent) {
		return 0, fmt.Errorf("%w: block %d: its parent was not stored", ErrUnavailable, first.Height)
	}
	if err := d.opt.Chain.Insert(ctx, run...); err != nil {
		for stored < len(run) && d.opt.Chain.Has(run[stored].Block.Header.Hash()) {
			stored++
		}
		return stored, fmt.Errorf("store blocks from %d on: %w", first.Height, err)
	}
	return len(run), nil
}
