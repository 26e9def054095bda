package node

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
)

func twoSeconds(chain.Slot) time.Duration { return 2 * time.Second }

// next is what a builder would be asked for on the engine's genesis.
func next(e *enginetest.Memory) engine.BuildRequest {
	return engine.BuildRequest{Parent: e.Genesis(), Timestamp: spec.Dev().PayloadTime(spec.Dev().FirstSlot()), GasLimit: 30_000_000, Withdrawals: []chain.Withdrawal{}}
}

func built(t *testing.T, e *enginetest.Memory) chain.ExecutionData {
	t.Helper()
	data, err := e.Build(t.Context(), next(e))
	must(t, err)
	return data
}

func TestEngineBuildsExecutesAndFollows(t *testing.T) {
	e := devEngine(t)
	w, _ := engineRoute(t, nil, nil, e)
	x := &executor{writer: w, slotTime: twoSeconds}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	data, err := x.Build(ctx, 1, next(e))
	must(t, err)
	receipts, err := x.Execute(t.Context(), 1, data)
	must(t, err)
	if len(receipts) != 1 || len(receipts[0]) != 0 {
		t.Errorf("receipts of an empty block: %v", receipts)
	}
	must(t, x.Forkchoice(t.Context(), 1, engine.Forkchoice{Head: data.Payload.BlockHash}))
	s, err := e.Status(t.Context())
	must(t, err)
	if s.Heads.Head.Hash != data.Payload.BlockHash {
		t.Errorf("the engine's head is %v", s.Heads.Head)
	}
}

func TestInvalidIsAnAnswerAndNoFallbackIsAsked(t *testing.T) {
	e := devEngine(t)
	other := enginetest.WithFault(devEngine(t), nil)
	r := route.New[engine.Engine](route.Options{Name: "engine"})
	t.Cleanup(func() { _ = r.Close() })
	must(t, r.Set(route.Positions[engine.Engine]{
		Primary: at[engine.Engine]("engine.a", enginetest.Lying{Memory: e, Height: 1}), Fallback: at[engine.Engine]("engine.b", other),
	}))
	x := &executor{writer: route.NewWriter(r, route.WriterOptions[engine.Engine]{}), slotTime: twoSeconds}
	_, err := x.Execute(t.Context(), 1, built(t, e))
	wantIs(t, err, driver.ErrInvalid)
}

// A run is executed in pieces; of one that has an INVALID payload what comes before is answered.
func TestRunIsExecutedUpToTheInvalidPayload(t *testing.T) {
	source := devEngine(t)
	run := make([]chain.ExecutionData, 0, 50)
	for len(run) < cap(run) {
		r := next(source)
		if n := len(run); n > 0 {
			r.Parent, r.Timestamp = run[n-1].Payload.BlockHash, run[n-1].Payload.Timestamp+2
		}
		data, err := source.Build(t.Context(), r)
		must(t, err)
		_, err = source.Import(t.Context(), engine.ImportRequest{Payloads: []chain.ExecutionData{data}})
		must(t, err)
		run = append(run, data)
	}
	w, _ := engineRoute(t, nil, nil, devEngine(t))
	x := &executor{writer: w, slotTime: twoSeconds}
	receipts, err := x.Execute(t.Context(), 1, run...)
	must(t, err)
	if len(receipts) != len(run) {
		t.Errorf("%d of %d payloads are executed", len(receipts), len(run))
	}
	w, _ = engineRoute(t, nil, nil, enginetest.Lying{Memory: devEngine(t), Height: 39})
	x = &executor{writer: w, slotTime: twoSeconds}
	receipts, err = x.Execute(t.Context(), 1, run...)
	wantIs(t, err, driver.ErrInvalid)
	if len(receipts) != 38 {
		t.Errorf("%d payloads are executed before the invalid one, want 38", len(receipts))
	}
}

// withoutVerdicts and babbling are engines whose answers make no sense.
type (
	withoutVerdicts struct{ *enginetest.Memory }
	babbling        struct{ *enginetest.Memory }
	elsewhere       struct{ *enginetest.Memory }
)

func (withoutVerdicts) Import(context.Context, engine.ImportRequest) (engine.ImportResult, error) {
	return engine.ImportResult{}, nil
}

func (babbling) Import(context.Context, engine.ImportRequest) (engine.ImportResult, error) {
	return engine.ImportResult{Statuses: []engine.PayloadStatus{{Verdict: "PERHAPS"}}}, nil
}

func (elsewhere) Import(context.Context, engine.ImportRequest) (engine.ImportResult, error) {
	return engine.ImportResult{Heads: engine.Heads{Head: chain.Ref{Hash: chain.Hash{66}}}}, nil
}

func TestSenselessAnswersAreNoAnswers(t *testing.T) {
	for name, make := range map[string]func(*enginetest.Memory) engine.Engine{
		"no verdict":      func(m *enginetest.Memory) engine.Engine { return withoutVerdicts{m} },
		"unknown verdict": func(m *enginetest.Memory) engine.Engine { return babbling{m} },
		"unavailable": func(m *enginetest.Memory) engine.Engine {
			return enginetest.WithFault(m, enginetest.Failing(engine.ErrUnavailable))
		},
		"syncing for ever": func(m *enginetest.Memory) engine.Engine {
			return enginetest.WithFault(m, enginetest.Failing(engine.ErrSyncing))
		},
		"hanging": func(m *enginetest.Memory) engine.Engine { return enginetest.WithFault(m, enginetest.Slow(time.Hour)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := devEngine(t)
				w, _ := engineRoute(t, nil, nil, make(m))
				x := &executor{writer: w, slotTime: twoSeconds}
				start := time.Now()
				_, err := x.Execute(t.Context(), 1, built(t, m))
				wantIs(t, err, driver.ErrUnavailable)
				if errors.Is(err, driver.ErrInvalid) {
					t.Error("no answer was taken for INVALID")
				}
				if took := time.Since(start); took > 4*time.Second {
					t.Errorf("the call took %s, the slot has 2s", took)
				}
			})
		})
	}
}

func TestForkchoiceIsReadBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := engineRoute(t, nil, nil, elsewhere{devEngine(t)})
		x := &executor{writer: w, slotTime: twoSeconds}
		err := x.Forkchoice(t.Context(), 1, engine.Forkchoice{Head: chain.Hash{1}})
		wantIs(t, err, driver.ErrUnavailable)
	})
}

func TestEngineThatRestartsIsAskedAgainInTheSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := devEngine(t)
		w, places := engineRoute(t, nil, nil, m)
		x := &executor{writer: w, slotTime: twoSeconds}
		places[0].leave(errors.New("restarting"))
		time.AfterFunc(time.Second, func() { places[0].leave(nil) })
		_, err := x.Execute(t.Context(), 1, built(t, m))
		must(t, err)
	})
}

func TestBuildEndsWithItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := devEngine(t)
		w, _ := engineRoute(t, nil, nil, enginetest.WithFault(m, enginetest.Slow(time.Hour)))
		x := &executor{writer: w, slotTime: twoSeconds}
		ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := x.Build(ctx, 1, next(m)); err == nil {
			t.Fatal("a hanging engine built a block")
		}
		if took := time.Since(start); took > 700*time.Millisecond {
			t.Errorf("the build took %s of 600ms", took)
		}
	})
}

func TestEngineThatIsBehindIsCaughtUpAndThenAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead, behind := devEngine(t), devEngine(t)
		first := built(t, ahead)
		_, err := ahead.Import(t.Context(), engine.ImportRequest{Payloads: []chain.ExecutionData{first}})
		must(t, err)
		r := next(ahead)
		r.Parent, r.Timestamp = first.Payload.BlockHash, r.Timestamp+2
		second, err := ahead.Build(t.Context(), r)
		must(t, err)

		caught := 0
		w, _ := engineRoute(t, nil, func(ctx context.Context, _ route.ID, e engine.Engine) error {
			caught++
			_, err := e.Import(ctx, engine.ImportRequest{Payloads: []chain.ExecutionData{first}})
			return err
		}, behind)
		x := &executor{writer: w, slotTime: twoSeconds}
		_, err = x.Execute(t.Context(), 2, second)
		must(t, err)
		if caught != 1 {
			t.Errorf("caught up %d times", caught)
		}
	})
}

func TestEnginesThatDisagreeAreTold(t *testing.T) {
	a := executed{receipts: [][]chain.Receipt{{{Success: true}}}}
	for _, test := range []struct {
		name  string
		other executed
		want  route.Verdict
	}{
		{"the same", executed{receipts: [][]chain.Receipt{{{Success: true}}}}, route.Agree},
		{"other receipts", executed{receipts: [][]chain.Receipt{{{}}}}, route.Disagree},
		{"INVALID", executed{invalid: true}, route.Disagree},
	} {
		if got := compareExecutions(a, test.other); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestPayloadSizeCountsTransactions(t *testing.T) {
	d := chain.ExecutionData{Payload: chain.Payload{Transactions: [][]byte{make([]byte, 10), make([]byte, 20)}}}
	if got := payloadSize(d) - payloadSize(chain.ExecutionData{}); got != 30 {
		t.Errorf("two transactions of 30 bytes count %d", got)
	}
}
