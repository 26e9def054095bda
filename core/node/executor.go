package node

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// executor is the driver's engine: a route of engines with one writer.
type executor struct {
	writer   *route.Writer[engine.Engine]
	slotTime func(chain.Slot) time.Duration
}

// executed is what an engine made of a payload. INVALID is an answer, so it is a value and not an error.
type executed struct {
	verdict  engine.Verdict
	reason   string
	receipts []chain.Receipt
}

// errForkchoice means that an engine reports other heads than it was told.
var errForkchoice = errors.New("engine reports another head than it was given")

// Build implements driver.Engine.
func (x *executor) Build(ctx context.Context, slot chain.Slot, r engine.BuildRequest) (chain.ExecutionData, error) {
	budget := x.slotTime(slot)
	if deadline, ok := ctx.Deadline(); ok {
		budget = min(budget, time.Until(deadline))
	}
	request := route.Request{Name: "build", Slot: &slot, Budget: budget}
	return untilAnswered(ctx, budget, func() (chain.ExecutionData, error) {
		return route.Ask(ctx, x.writer, request, func(ctx context.Context, e engine.Engine) (chain.ExecutionData, error) {
			return e.Build(ctx, r)
		}, route.Opts[chain.ExecutionData]{})
	})
}

// Execute implements driver.Engine.
func (x *executor) Execute(ctx context.Context, slot chain.Slot, data chain.ExecutionData) ([]chain.Receipt, error) {
	request := route.Request{
		Name: fmt.Sprintf("import %d", data.Payload.Number), Slot: &slot, Budget: x.slotTime(slot), Size: payloadSize(data),
	}
	out, err := untilAnswered(ctx, x.slotTime(slot), func() (executed, error) {
		return route.Write(ctx, x.writer, request, func(ctx context.Context, e engine.Engine) (executed, error) {
			return execute(ctx, e, data)
		}, route.Opts[executed]{Compare: compareExecutions})
	})
	switch {
	case err != nil:
		return nil, err
	case out.verdict == engine.Invalid:
		return nil, fmt.Errorf("%w: the engine says INVALID: %s", driver.ErrInvalid, out.reason)
	}
	return out.receipts, nil
}

func execute(ctx context.Context, e engine.Engine, data chain.ExecutionData) (executed, error) {
	res, err := e.Import(ctx, engine.ImportRequest{Payloads: []chain.ExecutionData{data}})
	if err != nil {
		return executed{}, err
	}
	if len(res.Statuses) != 1 {
		return executed{}, fmt.Errorf("import %d: %w: %d verdicts for one payload", data.Payload.Number, engine.ErrUnavailable, len(res.Statuses))
	}
	status := res.Statuses[0]
	switch status.Verdict {
	case engine.Syncing:
		return executed{}, fmt.Errorf("import %d: %w", data.Payload.Number, engine.ErrSyncing)
	case engine.Invalid:
		return executed{verdict: engine.Invalid, reason: status.Reason}, nil
	case engine.Valid:
	default:
		return executed{}, fmt.Errorf("import %d: %w: verdict %q", data.Payload.Number, engine.ErrUnavailable, status.Verdict)
	}
	receipts, err := e.Receipts(ctx, data.Payload.BlockHash)
	if err != nil {
		return executed{}, fmt.Errorf("receipts of %d: %w", data.Payload.Number, err)
	}
	return executed{verdict: engine.Valid, receipts: receipts}, nil
}

// compareExecutions holds two engines' answers against each other: VALID against INVALID, or other receipts, is a
// disagreement on correctness.
func compareExecutions(used, other executed) route.Verdict {
	if used.verdict == other.verdict && reflect.DeepEqual(used.receipts, other.receipts) {
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
