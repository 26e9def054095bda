package enginetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

func testFresh(t *testing.T, s *subject) {
	if s.status.ClientVersion == "" || s.status.ChainID == 0 || s.status.Genesis.IsZero() {
		t.Errorf("client version, chain id or genesis is missing: %+v", s.status)
	}
	s.wantHead(t, s.genesis())
}

func testBuild(t *testing.T, s *subject) {
	parent := s.genesis()
	for range 3 {
		r := s.request(parent)
		d := s.build(t, r)
		p := d.Payload
		if p.ParentHash != r.Parent || p.Number != parent.Height+1 || p.Timestamp != r.Timestamp {
			t.Fatalf("payload %d on %s at %d, want %d on %s at %d",
				p.Number, p.ParentHash, p.Timestamp, parent.Height+1, r.Parent, r.Timestamp)
		}
		if p.FeeRecipient != r.FeeRecipient || p.PrevRandao != r.PrevRandao || len(p.ExtraData) > 32 {
			t.Errorf("fee recipient, prev randao or extra data is not as asked: %+v", p)
		}
		if diff := cmp.Diff(r.ParentBeaconRoot, d.ParentBeaconRoot); diff != "" {
			t.Errorf("parent beacon root (-want +got):\n%s", diff)
		}
		if got, want := p.BlobGasUsed != nil && p.ExcessBlobGas != nil, s.forked("cancun", p.Timestamp); got != want {
			t.Errorf("blob gas present: %v, want %v", got, want)
		}
		if got, want := d.Requests != nil, s.forked("prague", p.Timestamp); got != want {
			t.Errorf("execution requests present: %v, want %v", got, want)
		}
		s.wantImported(t, d)
		parent = ref(d)
	}
}

func testBuiltHash(t *testing.T, s *subject) {
	d := s.build(t, s.request(s.genesis()))
	got, err := BlockHash(d)
	if err != nil {
		t.Fatal(err)
	}
	if got != d.Payload.BlockHash {
		t.Errorf("block hash says %s, the fields hash to %s", d.Payload.BlockHash, got)
	}
}

// testForks wants the schedule ascending, and nothing built at the horizon.
func testForks(t *testing.T, s *subject) {
	var last uint64
	for _, f := range s.status.Forks {
		if f.Name == "" || f.Timestamp < last {
			t.Errorf("forks are unnamed or not ascending: %+v", s.status.Forks)
		}
		last = f.Timestamp
	}
	if s.status.Horizon == nil {
		return
	}
	r := s.request(s.genesis())
	r.Timestamp = *s.status.Horizon
	if s.forked("cancun", r.Timestamp) {
		r.ParentBeaconRoot = &chain.Hash{0xbe}
	}
	if _, err := s.e.Build(within(t, buildTime), r); !errors.Is(err, engine.ErrUnsupportedFork) {
		t.Errorf("build at the horizon: got error %v, want %v", err, engine.ErrUnsupportedFork)
	}
}

// testAnswerBy gives the call much more time than the proposer has.
func testAnswerBy(t *testing.T, s *subject) {
	r := s.request(s.genesis())
	start := time.Now()
	r.AnswerBy = chain.UnixMilli(start.Add(buildTime).UnixMilli())
	if _, err := s.e.Build(within(t, callTimeout), r); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 2*buildTime {
		t.Errorf("the payload came after %s, wanted in %s", took, buildTime)
	}
}

func testBuildUnknownParent(t *testing.T, s *subject) {
	r := s.request(chain.Ref{Height: 9, Hash: chain.Hash{0xde, 0xad}})
	if _, err := s.e.Build(within(t, buildTime), r); !errors.Is(err, engine.ErrSyncing) {
		t.Errorf("got error %v, want %v", err, engine.ErrSyncing)
	}
}

func testImport(t *testing.T, s *subject) {
	blocks := s.extend(t, s.genesis(), 1)
	s.wantHead(t, ref(blocks[0]))
}

func testImportAgain(t *testing.T, s *subject) {
	blocks := s.extend(t, s.genesis(), 2)
	s.wantImported(t, blocks...)
	s.wantHead(t, ref(blocks[1]))
}

func testImportWithoutForkchoice(t *testing.T, s *subject) {
	d := s.build(t, s.request(s.genesis()))
	out, err := s.e.Import(ctx(t), engine.ImportRequest{Payloads: []chain.ExecutionData{d}})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Statuses) != 1 || out.Statuses[0].Verdict != engine.Valid {
		t.Fatalf("statuses %+v, want one VALID", out.Statuses)
	}
	if out.Heads.Head != s.genesis() {
		t.Errorf("head is %+v, want genesis", out.Heads.Head)
	}
	s.wantHead(t, s.genesis())
}

func testImportMany(t *testing.T, s *subject) {
	blocks := s.extend(t, s.genesis(), 8)
	second := &subject{h: s.h, e: s.h.New(t), status: s.status}
	second.wantImported(t, blocks...)
	second.wantHead(t, ref(blocks[7]))
}

func testSecondEngine(t *testing.T, s *subject) {
	second := &subject{h: s.h, e: s.h.New(t), status: s.status}
	parent := s.genesis()
	for _, builder := range []*subject{s, second, s} {
		d := builder.build(t, builder.request(parent))
		s.wantImported(t, d)
		second.wantImported(t, d)
		parent = ref(d)
	}
}

func testTampered(t *testing.T, s *subject) {
	d := s.build(t, s.request(s.genesis()))
	for _, test := range []struct {
		name   string
		tamper func(*chain.ExecutionData)
		rehash bool
	}{
		{"another block hash", func(d *chain.ExecutionData) { d.Payload.BlockHash[0] ^= 1 }, false},
		{"another state root under the old hash", func(d *chain.ExecutionData) { d.Payload.StateRoot[0] ^= 1 }, false},
		{"another state root", func(d *chain.ExecutionData) { d.Payload.StateRoot[0] ^= 1 }, true},
		{"another receipts root", func(d *chain.ExecutionData) { d.Payload.ReceiptsRoot[0] ^= 1 }, true},
		{"more gas used", func(d *chain.ExecutionData) { d.Payload.GasUsed++ }, true},
		{"a bloom bit", func(d *chain.ExecutionData) { d.Payload.LogsBloom[0] ^= 1 }, true},
		{"another number", func(d *chain.ExecutionData) { d.Payload.Number++ }, true},
		{"the parent's timestamp", func(d *chain.ExecutionData) { d.Payload.Timestamp = s.h.GenesisTime }, true},
		{"a withdrawal more", func(d *chain.ExecutionData) {
			d.Payload.Withdrawals = append(d.Payload.Withdrawals, chain.Withdrawal{Amount: 1})
		}, true},
	} {
		bad := d
		test.tamper(&bad)
		if test.rehash {
			bad = rehash(t, bad)
		}
		out := s.importAll(t, bad)
		if len(out.Statuses) != 1 || out.Statuses[0].Verdict != engine.Invalid {
			t.Errorf("%s: statuses %+v, want one INVALID", test.name, out.Statuses)
		}
		s.wantHead(t, s.genesis())
	}
	s.wantImported(t, d)
}

func testRunStops(t *testing.T, s *subject) {
	blocks := s.extend(t, s.genesis(), 3)
	second := &subject{h: s.h, e: s.h.New(t), status: s.status}
	bad := blocks[1]
	bad.Payload.StateRoot[0] ^= 1
	bad = rehash(t, bad)
	out := second.importAll(t, blocks[0], bad, blocks[2])
	var verdicts []engine.Verdict
	for _, st := range out.Statuses {
		verdicts = append(verdicts, st.Verdict)
	}
	if diff := cmp.Diff([]engine.Verdict{engine.Valid, engine.Invalid}, verdicts); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	second.wantHead(t, s.genesis())
}

func testUnknownParent(t *testing.T, s *subject) {
	blocks := s.extend(t, s.genesis(), 2)
	second := &subject{h: s.h, e: s.h.New(t), status: s.status}
	out := second.importAll(t, blocks[1])
	if len(out.Statuses) != 1 || out.Statuses[0].Verdict != engine.Syncing {
		t.Errorf("statuses %+v, want one SYNCING", out.Statuses)
	}
	second.wantHead(t, s.genesis())
	second.wantImported(t, blocks...)
}

func testUnknownHead(t *testing.T, s *subject) {
	blocks := s.extend(t, s.genesis(), 1)
	f := engine.Forkchoice{Head: chain.Hash{0xde, 0xad}}
	if _, err := s.e.Import(ctx(t), engine.ImportRequest{Forkchoice: &f}); !errors.Is(err, engine.ErrSyncing) {
		t.Errorf("got error %v, want %v", err, engine.ErrSyncing)
	}
	s.wantHead(t, ref(blocks[0]))
}

func testReorganization(t *testing.T, s *subject) {
	base := s.extend(t, s.genesis(), 1)[0]
	left := s.build(t, s.request(ref(base)))
	r := s.request(ref(base))
	r.FeeRecipient[0]++
	right := s.build(t, r)
	if ref(left) == ref(right) {
		t.Fatal("two requests gave one block")
	}
	s.wantImported(t, left)
	s.wantImported(t, right)
	s.wantImported(t, left)
}

func testHeads(t *testing.T, s *subject) {
	blocks := s.extend(t, s.genesis(), 3)
	f := engine.Forkchoice{
		Head: blocks[2].Payload.BlockHash, Safe: blocks[1].Payload.BlockHash, Finalized: blocks[0].Payload.BlockHash,
	}
	out, err := s.e.Import(ctx(t), engine.ImportRequest{Forkchoice: &f})
	if err != nil {
		t.Fatal(err)
	}
	want := engine.Heads{Head: ref(blocks[2]), Safe: ref(blocks[1]), Finalized: ref(blocks[0])}
	if diff := cmp.Diff(want, out.Heads); diff != "" {
		t.Errorf("heads of the answer (-want +got):\n%s", diff)
	}
	st, err := s.e.Status(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, st.Heads); diff != "" {
		t.Errorf("heads of the status (-want +got):\n%s", diff)
	}
}

func testPayloads(t *testing.T, s *subject) {
	blocks := s.extend(t, s.genesis(), 3)
	got, err := s.e.Payloads(ctx(t), []chain.Hash{
		blocks[2].Payload.BlockHash, {0xde, 0xad}, blocks[0].Payload.BlockHash,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []*chain.ExecutionData{&blocks[2], nil, &blocks[0]}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("payloads (-want +got):\n%s", diff)
	}
}

func testWithdrawals(t *testing.T, s *subject) {
	r := s.request(s.genesis())
	r.Withdrawals = []chain.Withdrawal{
		{Index: 0, Address: chain.Address{1}, Amount: 5},
		{Index: 1, Address: chain.Address{1}, Amount: 5}, // the same cause twice is two entries
		{Index: 2, Address: chain.Address{2}, Amount: 1 << 40},
	}
	d := s.build(t, r)
	if diff := cmp.Diff(r.Withdrawals, d.Payload.Withdrawals); diff != "" {
		t.Errorf("withdrawals (-want +got):\n%s", diff)
	}
	s.wantImported(t, d)
}

func testEndedContext(t *testing.T, s *subject) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.e.Status(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("status: got error %v, want %v", err, context.Canceled)
	}
	d := s.build(t, s.request(s.genesis()))
	f := engine.Forkchoice{Head: d.Payload.BlockHash}
	r := engine.ImportRequest{Payloads: []chain.ExecutionData{d}, Forkchoice: &f}
	if _, err := s.e.Import(ended, r); !errors.Is(err, context.Canceled) {
		t.Errorf("import: got error %v, want %v", err, context.Canceled)
	}
	s.wantImported(t, d)
}
