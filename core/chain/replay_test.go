package chain_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/block"
	alys "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
)

// witness is an engine that remembers its imports and may bend their answers.
type witness struct {
	*enginetest.Memory
	imports []engine.ImportRequest
	bend    func(r engine.ImportRequest, result engine.ImportResult) (engine.ImportResult, error)
}

func (w *witness) Import(ctx context.Context, r engine.ImportRequest) (engine.ImportResult, error) {
	w.imports = append(w.imports, r)
	result, err := w.Memory.Import(ctx, r)
	if err != nil || w.bend == nil {
		return result, err
	}
	return w.bend(r, result)
}

func newEngine(t *testing.T, s *spec.Spec) *witness {
	t.Helper()
	m, err := enginetest.NewMemory(s.GenesisJSON())
	must(t, err)
	return &witness{Memory: m}
}

// give imports blocks into an engine and makes the last one its head, as another node would have.
func give(t *testing.T, e engine.Engine, blocks ...*block.Block) {
	t.Helper()
	var r engine.ImportRequest
	for _, b := range blocks {
		r.Payloads = append(r.Payloads, b.Execution)
	}
	r.Forkchoice = &engine.Forkchoice{Head: blocks[len(blocks)-1].Header.PayloadHash}
	result, err := e.Import(t.Context(), r)
	must(t, err)
	if result.Heads.Head.Hash != r.Forkchoice.Head {
		t.Fatalf("engine is at %v", result.Heads.Head)
	}
}

func checkHeads(t *testing.T, e engine.Engine, head, safe, finalized *block.Block) {
	t.Helper()
	st, err := e.Status(t.Context())
	must(t, err)
	want := engine.Heads{}
	for _, x := range []struct {
		b  *block.Block
		to *chain.Ref
	}{{head, &want.Head}, {safe, &want.Safe}, {finalized, &want.Finalized}} {
		*x.to = chain.Ref{Height: x.b.Header.Height, Hash: x.b.Header.PayloadHash}
	}
	if diff := cmp.Diff(want, st.Heads); diff != "" {
		t.Errorf("engine's heads (-want +got):\n%s", diff)
	}
}

func TestO13_EngineIsCaughtUpFromTheStore(t *testing.T) {
	n := newNode(t, spec.DevPrague(1))
	n.transfers(5)
	a, b := fork(n)
	n.setHeads(a[5], a[2])
	stranger := newNode(t, n.spec) // has a chain that we never saw
	alien := stranger.extend(n.Genesis(), 2)
	alien = append(alien, stranger.grow(alien[2], n.first()+50))

	tests := []struct {
		name     string
		has      [][]*block.Block // runs of blocks that the engine has; the last block is its head
		from     chain.Ref
		payloads int
	}{
		{"with nothing", nil, n.Genesis().Ref(), 5},
		{"with a part", [][]*block.Block{a[1:3]}, a[2].Ref(), 3},
		{"with all", [][]*block.Block{a[1:]}, a[5].Ref(), 0},
		{"on the branch that lost", [][]*block.Block{a[1:4], b[4:]}, a[3].Ref(), 2},
		{"on the branch that lost, with ours beside it", [][]*block.Block{a[1:], b[4:]}, a[3].Ref(), 2},
		{"at a head that we do not know, with a part of ours", [][]*block.Block{a[1:4], alien[1:]}, a[3].Ref(), 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newEngine(t, n.spec)
			for _, run := range tt.has {
				give(t, e, run...)
			}
			n.restart()
			got, err := n.Replay(t.Context(), e)
			must(t, err)
			want := alys.Replayed{From: tt.from, To: a[5].Ref(), Payloads: tt.payloads}
			if got != want {
				t.Errorf("replayed %+v, want %+v", got, want)
			}
			checkHeads(t, e, a[5], a[2], n.Genesis())
		})
	}
}

func TestReplayGoesInBatchesWithAForkchoiceEach(t *testing.T) {
	n := newNode(t, spec.Dev())
	line := n.extend(n.Genesis(), 2*alys.MaxReplayPayloads+7)
	tip := line[len(line)-1]
	n.setHeads(tip, line[70])
	e := newEngine(t, n.spec)
	got, err := n.Replay(t.Context(), e)
	must(t, err)
	if got.Payloads != len(line)-1 {
		t.Errorf("%d payloads, want %d", got.Payloads, len(line)-1)
	}
	var sizes []int
	for _, r := range e.imports {
		if r.Forkchoice == nil {
			continue // the try of the first payload
		}
		sizes = append(sizes, len(r.Payloads))
		if early := r.Forkchoice.Head == line[64].Header.PayloadHash; early != r.Forkchoice.Safe.IsZero() {
			t.Errorf("safe is %s while the head is %s", r.Forkchoice.Safe, r.Forkchoice.Head)
		}
	}
	if diff := cmp.Diff([]int{64, 64, 7, 0}, sizes); diff != "" {
		t.Errorf("payloads by forkchoice (-want +got):\n%s", diff)
	}
	checkHeads(t, e, tip, line[70], n.Genesis())
}

// amnesiac has blocks whose state it lost: it executes on a block only if it executed that one since its start.
func TestO14_EngineThatLostItsStatesIsReplayedFromFurtherBack(t *testing.T) {
	n := newNode(t, spec.Dev())
	line := n.extend(n.Genesis(), 20)
	e := newEngine(t, n.spec)
	give(t, e, line[1:16]...)
	fresh := map[chain.Hash]bool{}
	for _, b := range line[:7] {
		fresh[b.Header.PayloadHash] = true // states up to 6 are on its disk
	}
	e.bend = func(r engine.ImportRequest, result engine.ImportResult) (engine.ImportResult, error) {
		for i, d := range r.Payloads {
			if !fresh[d.Payload.ParentHash] {
				return engine.ImportResult{Statuses: append(result.Statuses[:i:i], engine.PayloadStatus{Hash: d.Payload.BlockHash, Verdict: engine.Syncing})}, nil
			}
			fresh[d.Payload.BlockHash] = true
		}
		return result, nil
	}
	got, err := n.Replay(t.Context(), e)
	must(t, err)
	if got.From != line[15].Ref() || got.Payloads < 14 {
		t.Errorf("replayed %+v", got)
	}
	checkHeads(t, e, line[20], n.Genesis(), n.Genesis())

	e.bend = func(r engine.ImportRequest, result engine.ImportResult) (engine.ImportResult, error) {
		for i := range result.Statuses {
			result.Statuses[i].Verdict = engine.Syncing
		}
		return result, nil
	}
	n.extend(line[20], 1)
	if _, err := n.Replay(t.Context(), e); !errors.Is(err, engine.ErrSyncing) {
		t.Errorf("an engine that only syncs: %v, want ErrSyncing", err)
	}
}

func TestD35_EveryAnswerOfTheEngineIsExamined(t *testing.T) {
	n := newNode(t, spec.Dev())
	line := n.extend(n.Genesis(), 3)

	lying := newEngine(t, n.spec)
	_, err := n.Replay(t.Context(), enginetest.Lying{Memory: lying.Memory, Height: 2})
	var disagreement *alys.DisagreementError
	if !errors.As(err, &disagreement) || disagreement.Block.Height != 2 {
		t.Errorf("INVALID for a stored block: %v, want a DisagreementError at 2", err)
	}

	for name, tt := range map[string]struct {
		want error
		bend func(r engine.ImportRequest, result engine.ImportResult) (engine.ImportResult, error)
	}{
		"a head that did not move": {engine.ErrDidNotMove, func(r engine.ImportRequest, result engine.ImportResult) (engine.ImportResult, error) {
			result.Heads = engine.Heads{}
			return result, nil
		}},
		"no status": {nil, func(r engine.ImportRequest, result engine.ImportResult) (engine.ImportResult, error) {
			result.Statuses = nil
			return result, nil
		}},
		"a verdict that does not exist": {nil, func(r engine.ImportRequest, result engine.ImportResult) (engine.ImportResult, error) {
			for i := range result.Statuses {
				result.Statuses[i].Verdict = "ACCEPTED"
			}
			return result, nil
		}},
		"an error": {engine.ErrUnavailable, func(engine.ImportRequest, engine.ImportResult) (engine.ImportResult, error) {
			return engine.ImportResult{}, engine.ErrUnavailable
		}},
	} {
		e := newEngine(t, n.spec)
		e.bend = tt.bend
		_, err := n.Replay(t.Context(), e)
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if head, _, _ := n.Heads(); head != line[3].Ref() {
		t.Errorf("our head moved to %v", head)
	}
	other := newEngine(t, spec.DevPrague(1))
	if _, err := n.Replay(t.Context(), other); !errors.Is(err, alys.ErrOtherExecution) {
		t.Errorf("another execution genesis: %v, want ErrOtherExecution", err)
	}
}

func TestD36_EngineIsToldSafeAndFinalizedAfterARestart(t *testing.T) {
	n := newNode(t, spec.Dev())
	line := n.extend(n.Genesis(), 4)
	n.setHeads(line[4], line[3])
	e := newEngine(t, n.spec)
	give(t, e, line[1:]...) // an engine that forgot safe and finalized when it started
	n.restart()
	fc, err := n.Forkchoice()
	must(t, err)
	want := engine.Forkchoice{Head: line[4].Header.PayloadHash, Safe: line[3].Header.PayloadHash, Finalized: n.Genesis().Header.PayloadHash}
	if fc != want {
		t.Errorf("forkchoice is %+v, want %+v", fc, want)
	}
	_, err = n.Replay(t.Context(), e)
	must(t, err)
	checkHeads(t, e, line[4], line[3], n.Genesis())
}

func TestPathMustBeOnTheChain(t *testing.T) {
	n := newNode(t, spec.Dev())
	a, b := fork(n)
	for name, path := range map[string][2]chain.Ref{
		"to a block beside the chain":   {a[1].Ref(), b[5].Ref()},
		"from a block beside the chain": {b[4].Ref(), a[5].Ref()},
		"downwards":                     {a[5].Ref(), a[1].Ref()},
	} {
		for _, err := range n.Payloads(t.Context(), path[0], path[1]) {
			if !errors.Is(err, alys.ErrUnknownBlock) {
				t.Errorf("%s: %v, want ErrUnknownBlock", name, err)
			}
		}
	}
	count := 0
	for batch, err := range n.Payloads(t.Context(), a[2].Ref(), a[5].Ref()) {
		must(t, err)
		count += len(batch.Payloads)
		if batch.Last != a[5].Ref() {
			t.Errorf("last is %v", batch.Last)
		}
	}
	if count != 3 {
		t.Errorf("%d payloads from 2 to 5", count)
	}
	for _, err := range n.Payloads(ended(t), a[2].Ref(), a[5].Ref()) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("ended context: %v", err)
		}
	}
}
