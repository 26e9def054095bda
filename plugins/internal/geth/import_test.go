package geth_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

func TestImportOf1000PayloadsInOneRequest(t *testing.T) {
	blocks := start(t, fork{}).extend(1000)
	n := start(t, fork{})
	last := blocks[len(blocks)-1].Payload
	want := chain.Ref{Height: 1000, Hash: last.BlockHash}
	if got := n.head(blocks...).Heads.Head; got != want {
		t.Fatalf("head read back is %v, want %v", got, want)
	}
}

func TestImportWithoutForkchoiceLeavesTheHead(t *testing.T) {
	blocks := start(t, fork{}).extend(200)
	n := start(t, fork{})
	genesis := n.status().Heads
	for i := range blocks {
		res, err := n.Import(t.Context(), engine.ImportRequest{Payloads: blocks[i : i+1]})
		if err != nil {
			t.Fatal(err)
		}
		if res.Statuses[0].Verdict != engine.Valid || res.Heads != genesis {
			t.Fatalf("payload %d: %+v", i, res)
		}
	}
	n.head(blocks[199]) // known already: the forkchoice is what counts
}

func TestImportCrossesTheForks(t *testing.T) {
	f := fork{cancun: 20, prague: 40}
	a, b := start(t, f), start(t, f)
	blocks := a.extend(30)
	for i, want := range map[int]struct{ root, requests bool }{8: {}, 9: {root: true}, 18: {root: true}, 19: {root: true, requests: true}} {
		if d := blocks[i]; (d.ParentBeaconRoot != nil) != want.root || (d.Requests != nil) != want.requests {
			t.Errorf("payload %d at %d: root %v, requests %v", i, d.Payload.Timestamp, d.ParentBeaconRoot, d.Requests)
		}
	}
	b.head(blocks...)
	if d := cmp.Diff(a.status().Heads, b.status().Heads); d != "" {
		t.Error(d)
	}
}

func TestImportStopsAtTheFirstThatIsNotValid(t *testing.T) {
	blocks := start(t, fork{}).extend(4)
	for _, tc := range []struct {
		name   string
		change func(*chain.ExecutionData)
		want   engine.Verdict
		reason string
	}{
		{"a wrong state root", func(d *chain.ExecutionData) { d.Payload.StateRoot[0] ^= 1 }, engine.Invalid, "blockhash mismatch"},
		{"a wrong block hash", func(d *chain.ExecutionData) { d.Payload.BlockHash[0] ^= 1 }, engine.Invalid, "blockhash mismatch"},
		{"garbage for a transaction", func(d *chain.ExecutionData) { d.Payload.Transactions = [][]byte{{0xff}} }, engine.Invalid, "transaction"},
		{"requests before Prague", func(d *chain.ExecutionData) { d.Requests = [][]byte{{0, 1}} }, engine.Invalid, "requests"},
		{"a beacon root before Cancun", func(d *chain.ExecutionData) { d.ParentBeaconRoot = new(chain.Hash) }, engine.Invalid, "beacon root"},
		{"blob gas before Cancun", func(d *chain.ExecutionData) { d.Payload.BlobGasUsed = new(uint64) }, engine.Invalid, "blob gas"},
		{"a gap before it", func(d *chain.ExecutionData) { *d = blocks[3] }, engine.Syncing, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := start(t, fork{})
			bad := blocks[1]
			tc.change(&bad)
			res, err := n.Import(t.Context(), engine.ImportRequest{
				Payloads:   []chain.ExecutionData{blocks[0], bad, blocks[2]},
				Forkchoice: &engine.Forkchoice{Head: blocks[0].Payload.BlockHash},
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(res.Statuses) != 2 || res.Statuses[0].Verdict != engine.Valid || res.Statuses[1].Verdict != tc.want {
				t.Fatalf("statuses %+v", res.Statuses)
			}
			if got := res.Statuses[1].Reason; !strings.Contains(got, tc.reason) {
				t.Errorf("reason %q, want one about %q", got, tc.reason)
			}
			if res.Heads.Head.Height != 0 {
				t.Error("the forkchoice was applied")
			}
		})
	}
}

// TestImportJudgesTheStateRoot has a payload whose hash is right and whose state root is not, so that execution decides.
func TestImportJudgesTheStateRoot(t *testing.T) {
	n := start(t, fork{})
	d := n.build(n.request(n.status().Heads.Head.Hash, genesisTime+2))
	d.Payload.StateRoot[0] ^= 1
	rehash(t, &d)
	for range 2 { // the second answer comes from geth's memory of bad blocks
		res, err := n.Import(t.Context(), engine.ImportRequest{Payloads: []chain.ExecutionData{d}})
		if err != nil {
			t.Fatal(err)
		}
		got := res.Statuses[0]
		if got.Verdict != engine.Invalid || got.LatestValid != d.Payload.ParentHash || got.Reason == "" {
			t.Fatalf("got %+v", got)
		}
	}
}

func TestImportPastTheHorizon(t *testing.T) {
	d := start(t, fork{}).extend(40)[39]
	n := start(t, fork{cancun: 20, prague: 40, osaka: 60})
	if _, err := n.Import(t.Context(), engine.ImportRequest{Payloads: []chain.ExecutionData{d}}); !errors.Is(err, engine.ErrUnsupportedFork) {
		t.Fatalf("got %v, want ErrUnsupportedFork", err)
	}
}

func TestForkchoice(t *testing.T) {
	n := start(t, fork{})
	main := n.extend(60)
	hash := func(height int) chain.Hash { return main[height-1].Payload.BlockHash }
	// A side chain of the height of the tip, on block 57.
	var side []chain.ExecutionData
	parent := hash(57)
	for i := range 3 {
		r := n.request(parent, main[56+i].Payload.Timestamp+1)
		side = append(side, n.build(r))
		parent = side[i].Payload.BlockHash
		if _, err := n.Import(t.Context(), engine.ImportRequest{Payloads: side[i:]}); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		name string
		f    engine.Forkchoice
		want error
		head chain.Ref
		safe chain.Height
	}{
		{name: "back to an ancestor 40 below", f: engine.Forkchoice{Head: hash(20)}, head: chain.Ref{Height: 20, Hash: hash(20)}},
		{name: "forward again", f: engine.Forkchoice{Head: hash(60)}, head: chain.Ref{Height: 60, Hash: hash(60)}},
		{
			name: "safe and finalized", f: engine.Forkchoice{Head: hash(60), Safe: hash(57), Finalized: hash(55)},
			head: chain.Ref{Height: 60, Hash: hash(60)}, safe: 57,
		},
		{
			name: "the side chain, above safe, equally high", f: engine.Forkchoice{Head: parent, Safe: hash(57), Finalized: hash(55)},
			head: chain.Ref{Height: 60, Hash: parent}, safe: 57,
		},
		{name: "and back", f: engine.Forkchoice{Head: hash(60)}, head: chain.Ref{Height: 60, Hash: hash(60)}, safe: 57},
		{
			name: "an ancestor below finalized", f: engine.Forkchoice{Head: hash(50)}, want: engine.ErrDidNotMove,
			head: chain.Ref{Height: 60, Hash: hash(60)}, safe: 57,
		},
		{
			name: "an unknown head", f: engine.Forkchoice{Head: chain.Hash{1}}, want: engine.ErrSyncing,
			head: chain.Ref{Height: 60, Hash: hash(60)}, safe: 57,
		},
		{
			name: "an unknown safe block", f: engine.Forkchoice{Head: hash(60), Safe: chain.Hash{1}}, want: engine.ErrUnknownBlock,
			head: chain.Ref{Height: 60, Hash: hash(60)}, safe: 57,
		},
	} {
		res, err := n.Import(t.Context(), engine.ImportRequest{Forkchoice: &step.f})
		if !errors.Is(err, step.want) {
			t.Errorf("%s: got %v, want %v", step.name, err, step.want)
		}
		if res.Heads.Head != step.head || res.Heads.Safe.Height != step.safe || res.Heads != n.status().Heads {
			t.Errorf("%s: heads %+v", step.name, res.Heads)
		}
	}
}

func TestImportAfterTheDeadline(t *testing.T) {
	n := start(t, fork{})
	d := n.build(n.request(n.status().Heads.Head.Hash, genesisTime+2))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Import(ctx, engine.ImportRequest{Payloads: []chain.ExecutionData{d}}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	n.head(d) // nothing was judged invalid by it
}
