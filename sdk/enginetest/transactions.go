package enginetest

import (
	"errors"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// needPool gives the pool and a first transaction, or skips.
func (s *subject) needPool(t *testing.T) engine.EngineWithPool {
	t.Helper()
	if !slices.Contains(s.h.Description.Capabilities, lifecycle.CapPool) {
		t.Skipf("without capability %s", lifecycle.CapPool)
	}
	pool, ok := s.e.(engine.EngineWithPool)
	if !ok {
		t.Fatalf("describes capability %s and does not have its methods", lifecycle.CapPool)
	}
	return pool
}

// offer gives n transactions to the pool and wants this answer for all of them.
func (s *subject) offer(t *testing.T, pool engine.EngineWithPool, n uint64, want engine.AddCode) [][]byte {
	t.Helper()
	if s.h.Transaction == nil {
		t.Skip("the harness has no transactions")
	}
	var txs [][]byte
	for i := range n {
		txs = append(txs, s.h.Transaction(t, i))
	}
	answers, err := pool.AddTransactions(ctx(t), txs)
	if err != nil {
		t.Fatal(err)
	}
	if len(answers) != len(txs) {
		t.Fatalf("%d answers for %d transactions", len(answers), len(txs))
	}
	for i, a := range answers {
		if a.Code != want {
			t.Fatalf("transaction %d: got %s (%s), want %s", i, a.Code, a.Text, want)
		}
	}
	return txs
}

func testPool(t *testing.T, s *subject) {
	pool := s.needPool(t)
	txs := s.offer(t, pool, 3, engine.AddAdded)
	s.offer(t, pool, 3, engine.AddKnown)
	pending, err := pool.PendingTransactions(ctx(t), 100)
	if err != nil {
		t.Fatal(err)
	}
	if len(pending) != 3 || !slices.EqualFunc(pending, txs, slices.Equal[[]byte]) {
		t.Errorf("%d transactions are pending, want the 3 offered in their order", len(pending))
	}
	if some, err := pool.PendingTransactions(ctx(t), 2); err != nil || len(some) != 2 {
		t.Errorf("with limit 2 there are %d pending (error %v)", len(some), err)
	}
	d := s.build(t, s.request(s.genesis()))
	if len(d.Payload.Transactions) != 3 {
		t.Fatalf("block has %d transactions, want 3", len(d.Payload.Transactions))
	}
	s.wantImported(t, d)
	if left, err := pool.PendingTransactions(ctx(t), 100); err != nil || len(left) != 0 {
		t.Errorf("after the block %d are pending (error %v)", len(left), err)
	}
	s.offer(t, pool, 3, engine.AddKnown) // in the chain
}

func testBrokenTransaction(t *testing.T, s *subject) {
	pool := s.needPool(t)
	answers, err := pool.AddTransactions(ctx(t), [][]byte{{0xff}, {}})
	if err != nil {
		t.Fatal(err)
	}
	if len(answers) != 2 {
		t.Fatalf("%d answers for 2 transactions", len(answers))
	}
	for i, a := range answers {
		if a.Code != engine.AddInvalid || a.Text == "" {
			t.Errorf("answer %d is %+v, want %s and a text", i, a, engine.AddInvalid)
		}
	}
}

// testReceipts recomputes the receipts root that the header commits to.
func testReceipts(t *testing.T, s *subject) {
	want := 0
	if slices.Contains(s.h.Description.Capabilities, lifecycle.CapPool) && s.h.Transaction != nil {
		want = len(s.offer(t, s.needPool(t), 2, engine.AddAdded))
	}
	d := s.build(t, s.request(s.genesis()))
	s.wantImported(t, d)
	receipts, err := s.e.Receipts(ctx(t), d.Payload.BlockHash)
	if err != nil {
		t.Fatal(err)
	}
	if len(receipts) != want || len(receipts) != len(d.Payload.Transactions) {
		t.Fatalf("%d receipts of %d transactions, want %d", len(receipts), len(d.Payload.Transactions), want)
	}
	if got := ReceiptsRoot(receipts); got != d.Payload.ReceiptsRoot {
		t.Errorf("receipts hash to %s, header says %s", got, d.Payload.ReceiptsRoot)
	}
	if genesis, err := s.e.Receipts(ctx(t), s.status.Genesis); err != nil || len(genesis) != 0 {
		t.Errorf("genesis has %d receipts (error %v), want none", len(genesis), err)
	}
}

// ReceiptsRoot is the root that a header commits to (EIP-658, EIP-2718).
func ReceiptsRoot(rs []chain.Receipt) chain.Hash {
	list := make(types.Receipts, len(rs))
	for i, r := range rs {
		list[i] = receiptOf(r.Type, r.CumulativeGasUsed, Outcome{Failed: !r.Success, Logs: r.Logs})
	}
	return chain.Hash(types.DeriveSha(list, trie.NewStackTrie(nil)))
}

func testUnknownBlock(t *testing.T, s *subject) {
	if _, err := s.e.Receipts(ctx(t), chain.Hash{0xde, 0xad}); !errors.Is(err, engine.ErrUnknownBlock) {
		t.Errorf("got error %v, want %v", err, engine.ErrUnknownBlock)
	}
}
