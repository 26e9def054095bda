package enginetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// callTimeout bounds each call of the suite. A build uses all of buildTime.
const (
	callTimeout = 30 * time.Second
	buildTime   = 2 * time.Second
)

// Harness tells Run how to bring up the engine under test.
type Harness struct {
	// New brings up an engine at genesis. What it starts ends at t's cleanup.
	New func(t *testing.T) engine.Engine
	// Description is what the plugin says of itself.
	Description lifecycle.Description
	// GenesisTime is the timestamp of the execution genesis, in unix seconds.
	GenesisTime uint64
	// Interval is the distance of the suite's blocks, in seconds; 0 means 2. With a fork time between two blocks the
	// suite crosses the fork.
	Interval uint64
	// Transaction makes the n-th transaction (an EIP-2718 envelope) of one account that can pay for it. Optional: without
	// it, blocks are empty and the pool's content is not checked.
	Transaction func(t *testing.T, n uint64) []byte
}

// Run checks an engine against the contract of sdk/engine, one subtest a rule.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.Interval == 0 {
		h.Interval = 2
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, *subject)
	}{
		{"a fresh engine stands at genesis", testFresh},
		{"a payload is built as asked", testBuild},
		{"a built payload has the hash that its fields have", testBuiltHash},
		{"building on an unknown parent is syncing", testBuildUnknownParent},
		{"a built payload is imported and becomes the head", testImport},
		{"importing again changes nothing", testImportAgain},
		{"payloads without forkchoice do not move the head", testImportWithoutForkchoice},
		{"many payloads are imported with one forkchoice", testImportMany},
		{"a second engine imports what the first has built", testSecondEngine},
		{"a tampered payload is INVALID", testTampered},
		{"a run stops at its first INVALID payload", testRunStops},
		{"a payload with an unknown parent is SYNCING", testUnknownParent},
		{"a forkchoice to an unknown block does not move the heads", testUnknownHead},
		{"the head moves to a sibling above the finalized block", testReorganization},
		{"safe and finalized are read back", testHeads},
		{"payloads are returned by hash", testPayloads},
		{"withdrawals are kept as asked", testWithdrawals},
		{"receipts of an executed block are returned", testReceipts},
		{"an unknown block has no receipts", testUnknownBlock},
		{"transactions go from the pool into a block", testPool},
		{"a broken transaction is invalid, with a text", testBrokenTransaction},
		{"forks and horizon are in order", testForks},
		{"a payload is answered by the time asked for", testAnswerBy},
		{"an ended context ends the call", testEndedContext},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, newSubject(t, h))
		})
	}
}

// subject is one fresh engine in one subtest.
type subject struct {
	h      Harness
	e      engine.Engine
	status engine.Status // at genesis
}

func newSubject(t *testing.T, h Harness) *subject {
	t.Helper()
	s := &subject{h: h, e: h.New(t)}
	var err error
	if s.status, err = s.e.Status(ctx(t)); err != nil {
		t.Fatalf("status: %v", err)
	}
	return s
}

func ctx(t *testing.T) context.Context {
	t.Helper()
	return within(t, callTimeout)
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return c
}

// genesis is the reference to the genesis block.
func (s *subject) genesis() chain.Ref { return chain.Ref{Hash: s.status.Genesis} }

// request asks for a block at height on parent.
func (s *subject) request(parent chain.Ref) engine.BuildRequest {
	r := engine.BuildRequest{
		Parent:       parent.Hash,
		Timestamp:    s.h.GenesisTime + (uint64(parent.Height)+1)*s.h.Interval,
		FeeRecipient: chain.Address{0xfe, 0xe0},
		Withdrawals:  []chain.Withdrawal{},
		GasLimit:     30_000_000,
	}
	if s.forked("cancun", r.Timestamp) {
		root := chain.Hash{0xbe, byte(parent.Height)}
		r.ParentBeaconRoot = &root
	}
	return r
}

func (s *subject) forked(name string, timestamp uint64) bool {
	return slices.ContainsFunc(s.status.Forks, func(f engine.Fork) bool {
		return f.Name == name && f.Timestamp <= timestamp
	})
}

func (s *subject) build(t *testing.T, r engine.BuildRequest) chain.ExecutionData {
	t.Helper()
	d, err := s.e.Build(within(t, buildTime), r)
	if err != nil {
		t.Fatalf("build on %s: %v", r.Parent, err)
	}
	return d
}

func ref(d chain.ExecutionData) chain.Ref {
	return chain.Ref{Height: d.Payload.Number, Hash: d.Payload.BlockHash}
}

// extend builds n blocks on parent, importing each as the head.
func (s *subject) extend(t *testing.T, parent chain.Ref, n int) []chain.ExecutionData {
	t.Helper()
	var out []chain.ExecutionData
	for range n {
		d := s.build(t, s.request(parent))
		s.wantImported(t, d)
		out = append(out, d)
		parent = ref(d)
	}
	return out
}

// importAll imports payloads and makes the last the head.
func (s *subject) importAll(t *testing.T, ds ...chain.ExecutionData) engine.ImportResult {
	t.Helper()
	r := engine.ImportRequest{Payloads: ds}
	if len(ds) > 0 {
		r.Forkchoice = &engine.Forkchoice{Head: ds[len(ds)-1].Payload.BlockHash}
	}
	out, err := s.e.Import(ctx(t), r)
	if err != nil {
		t.Fatalf("import %d payloads: %v", len(ds), err)
	}
	return out
}

// wantImported wants every payload VALID and the last one to be the head.
func (s *subject) wantImported(t *testing.T, ds ...chain.ExecutionData) {
	t.Helper()
	out := s.importAll(t, ds...)
	if len(out.Statuses) != len(ds) {
		t.Fatalf("%d statuses for %d payloads: %+v", len(out.Statuses), len(ds), out.Statuses)
	}
	for i, d := range ds {
		if st := out.Statuses[i]; st.Verdict != engine.Valid || st.Hash != d.Payload.BlockHash {
			t.Fatalf("payload %d: status %+v, want VALID for %s", i, st, d.Payload.BlockHash)
		}
	}
	if want := ref(ds[len(ds)-1]); out.Heads.Head != want {
		t.Fatalf("head is %+v, want %+v", out.Heads.Head, want)
	}
}

// wantHead asks for the status.
func (s *subject) wantHead(t *testing.T, want chain.Ref) {
	t.Helper()
	st, err := s.e.Status(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	if st.Heads.Head != want {
		t.Errorf("head is %+v, want %+v", st.Heads.Head, want)
	}
}

// rehash makes a changed payload consistent with itself.
func rehash(t *testing.T, d chain.ExecutionData) chain.ExecutionData {
	t.Helper()
	hash, err := BlockHash(d)
	if err != nil {
		t.Fatal(err)
	}
	d.Payload.BlockHash = hash
	return d
}
