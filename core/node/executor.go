package node

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"golang.org/x/sync/errgroup"

	corechain "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// executor is the driver's engine: a route of engines with one writer.
type executor struct {
	writer   *route.Writer[engine.Engine]
	slotTime func(chain.Slot) time.Duration
	onTrial  func(route.ID) bool // an engine that a migration brings in; nil: there is none
}

// executed is what an engine made of a run of payloads: the receipts of those before the first that is INVALID. That is an
// answer, so it is a value and not an error.
type executed struct {
	receipts [][]chain.Receipt
	invalid  bool
	reason   string
}

// errForkchoice means that an engine reports other heads than it was told.
var errForkchoice = errors.New("engine reports another head than it was given")

// Build implements driver.Engine.
func (x *executor) Build(ctx context.Context, slot chain.Slot, r engine.BuildRequest) (chain.ExecutionData, error) {
	budget := x.slotTime(slot)
	var builder route.ID
	request := route.Request{Name: "build", Slot: &slot, Answered: func(id route.ID) { builder = id }}
	build := func() (chain.ExecutionData, error) {
		if deadline, ok := ctx.Deadline(); ok { // a second build has what the first one left
			budget = min(budget, time.Until(deadline))
		}
		request.Budget = budget
		return untilAnswered(ctx, budget, func() (chain.ExecutionData, error) {
			return route.Ask(ctx, x.writer, request, func(ctx context.Context, e engine.Engine) (chain.ExecutionData, error) {
				return e.Build(ctx, r)
			}, route.Opts[chain.ExecutionData]{})
		})
	}
	data, err := build()
	if err != nil || x.onTrial == nil || !x.onTrial(builder) {
		return data, err
	}
	// The slot is lost if others find out only when it is proposed.
	if _, err := x.Execute(ctx, slot, data); !errors.Is(err, driver.ErrInvalid) {
		return data, nil // VALID, or nobody answered: the block is judged again before it is approved
	} else {
		x.writer.Route().Distrust(builder, fmt.Sprintf("its payload %s is no good: %s", data.Payload.BlockHash.Short(), err))
	}
	return build()
}

// Execute implements driver.Engine. Of a run that did not come to its end for want of an answer nothing is returned: what
// the engine has executed it knows when it is asked again.
func (x *executor) Execute(ctx context.Context, slot chain.Slot, run ...chain.ExecutionData) ([][]chain.Receipt, error) {
	budget := min(x.slotTime(slot)*time.Duration(len(run)), longestRun)
	request := route.Request{Name: fmt.Sprintf("import %d", run[0].Payload.Number), Slot: &slot, Budget: budget}
	for _, data := range run {
		request.Size += payloadSize(data)
	}
	out, err := untilAnswered(ctx, budget, func() (executed, error) {
		return route.Write(ctx, x.writer, request, func(ctx context.Context, e engine.Engine) (executed, error) {
			return execute(ctx, e, run)
		}, route.Opts[executed]{Compare: compareExecutions, Check: func(out executed) error { return soundReceipts(run, out.receipts) }})
	})
	switch {
	case err != nil:
		return nil, err
	case out.invalid:
		return out.receipts, fmt.Errorf("%w: the engine says INVALID: %s", driver.ErrInvalid, out.reason)
	}
	return out.receipts, nil
}

// Limits of what an engine is given at once.
const (
	longestRun   = 20 * time.Second // below what a write on a plugin may take
	piecePayload = 16               // payloads of one Import, whose receipts are read while the next ones are executed
	pieceBytes   = 8 << 20
)

// execute gives an engine a run in pieces, and reads the receipts of each while the next is executed: reading is no order,
// and may go beside one.
func execute(ctx context.Context, e engine.Engine, run []chain.ExecutionData) (executed, error) {
	out := executed{receipts: make([][]chain.Receipt, len(run))}
	reading, ctx := errgroup.WithContext(ctx)
	reading.SetLimit(1)
	for done := 0; done < len(run) && !out.invalid; {
		n := pieceOf(run[done:])
		valid, err := importPiece(ctx, e, run[done:done+n], &out)
		if err != nil {
			return executed{}, errors.Join(err, reading.Wait())
		}
		read := run[done : done+valid]
		into := out.receipts[done : done+valid]
		reading.Go(func() error { return readReceipts(ctx, e, read, into) })
		done += valid
		if out.invalid {
			out.receipts = out.receipts[:done]
		}
	}
	if err := reading.Wait(); err != nil {
		return executed{}, err
	}
	return out, nil
}

func pieceOf(run []chain.ExecutionData) int {
	n, size := 0, int64(0)
	for n < min(len(run), piecePayload) {
		size += payloadSize(run[n])
		if n > 0 && size > pieceBytes {
			break
		}
		n++
	}
	return n
}

// importPiece executes a piece and returns how many payloads of it are VALID; one that is INVALID is noted in out.
func importPiece(ctx context.Context, e engine.Engine, piece []chain.ExecutionData, out *executed) (int, error) {
	res, err := e.Import(ctx, engine.ImportRequest{Payloads: piece})
	if err != nil {
		return 0, err
	}
	for i, status := range res.Statuses[:min(len(res.Statuses), len(piece))] {
		switch status.Verdict {
		case engine.Valid:
		case engine.Invalid:
			out.invalid, out.reason = true, status.Reason
			return i, nil
		case engine.Syncing:
			return 0, fmt.Errorf("import %d: %w", piece[i].Payload.Number, engine.ErrSyncing)
		default:
			return 0, fmt.Errorf("import %d: %w: verdict %q", piece[i].Payload.Number, engine.ErrUnavailable, status.Verdict)
		}
	}
	if len(res.Statuses) != len(piece) {
		return 0, fmt.Errorf("import %d: %w: %d verdicts for %d payloads", piece[0].Payload.Number, engine.ErrUnavailable, len(res.Statuses), len(piece))
	}
	return len(piece), nil
}

// readReceipts asks for the receipts of every payload that has transactions; one without has none.
func readReceipts(ctx context.Context, e engine.Engine, piece []chain.ExecutionData, into [][]chain.Receipt) error {
	for i, data := range piece {
		if len(data.Payload.Transactions) == 0 {
			continue
		}
		receipts, err := e.Receipts(ctx, data.Payload.BlockHash)
		if err != nil {
			return fmt.Errorf("receipts of %d: %w", data.Payload.Number, err)
		}
		into[i] = receipts
	}
	return nil
}

// soundReceipts refuses receipts that cannot be those of the payloads: the engine's fault, for which another one may answer.
func soundReceipts(run []chain.ExecutionData, receipts [][]chain.Receipt) error {
	for i, r := range receipts {
		if err := corechain.CheckReceipts(run[i], r); err != nil {
			return fmt.Errorf("receipts of %d: %w", run[i].Payload.Number, err)
		}
	}
	return nil
}

// compareExecutions holds two engines' answers against each other: VALID against INVALID, or other receipts, is a
// disagreement on correctness.
func compareExecutions(used, other executed) route.Verdict {
	if used.invalid == other.invalid && reflect.DeepEqual(used.receipts, other.receipts) {
		return route.Agree
	}
	return route.Disagree
}

// Forkchoice implements driver.Engine.
func (x *executor) Forkchoice(ctx context.Context, slot chain.Slot, f engine.Forkchoice) error {
	request := route.Request{Name: "forkchoice", Slot: &slot, Budget: x.slotTime(slot)}
	_, err := untilAnswered(ctx, x.slotTime(slot), func() (chain.Hash, error) {
		return route.Write(ctx, x.writer, request, func(ctx context.Context, e engine.Engine) (chain.Hash, error) {
			res, err := e.Import(ctx, engine.ImportRequest{Forkchoice: &f})
			return res.Heads.Head.Hash, err
		}, route.Opts[chain.Hash]{
			Check: func(head chain.Hash) error {
				if head != f.Head {
					return fmt.Errorf("%w: %s instead of %s", errForkchoice, head.Short(), f.Head.Short())
				}
				return nil
			},
			Compare: func(a, b chain.Hash) route.Verdict {
				if a == b {
					return route.Agree
				}
				return route.Disagree
			},
		})
	})
	return err
}

// untilAnswered repeats a call that found nobody to answer (a plugin is restarting) while the slot lasts. The calls that
// it is used for have the same outcome when they are made twice.
func untilAnswered[T any](ctx context.Context, limit time.Duration, call func() (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		v, err := call()
		if err == nil || !errors.Is(err, route.ErrNoAnswer) && !errors.Is(err, route.ErrHeld) {
			return v, err
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return v, fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
		}
	}
}

func payloadSize(d chain.ExecutionData) int64 {
	n := 1024
	for _, tx := range d.Payload.Transactions {
		n += len(tx)
	}
	return int64(n)
}
