package node

import (
	"context"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/block"
	ledger "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
)

// carrying is a carrier over a real store and chain, with an engine in memory.
type carrying struct {
	*carrier
	t      *testing.T
	engine *enginetest.Memory
	nonce  uint64
	slot   chain.Slot
}

func newCarrying(t *testing.T) *carrying {
	t.Helper()
	s := spec.Dev()
	genesis, err := s.Genesis()
	must(t, err)
	db, err := store.Open(store.Options{Dir: t.TempDir(), Genesis: genesis.Header.Hash()})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	c, err := ledger.Open(t.Context(), ledger.Options{Spec: s, Store: db})
	must(t, err)
	return &carrying{
		carrier: &carrier{store: db, chain: c, fresh: func(...store.PendingTx) {}, log: hclog.NewNullLogger()}, t: t, engine: devEngine(t), slot: s.FirstSlot(),
	}
}

// transfer is a signed transfer of the development account.
func (c *carrying) transfer() []byte {
	c.t.Helper()
	key, err := crypto.ToECDSA(common.FromHex(spec.DevAccountKey))
	must(c.t, err)
	to := common.Address{1}
	tx := types.MustSignNewTx(key, types.LatestSignerForChainID(big.NewInt(spec.DevChainID)), &types.DynamicFeeTx{
		ChainID: big.NewInt(spec.DevChainID), Nonce: c.nonce, Gas: 21000, To: &to,
		GasTipCap: big.NewInt(params.GWei), GasFeeCap: big.NewInt(50 * params.GWei),
	})
	c.nonce++
	raw, err := tx.MarshalBinary()
	must(c.t, err)
	return raw
}

// grow makes a block of what the engine's pool has and makes it head.
func (c *carrying) grow() *block.Block {
	c.t.Helper()
	head, safe, _ := c.chain.Heads()
	attributes, err := c.chain.Attributes(head.Hash, c.slot)
	must(c.t, err)
	data, err := c.engine.Build(c.t.Context(), attributes)
	must(c.t, err)
	b, err := c.chain.Assemble(head.Hash, c.slot, block.QC{Block: head.Hash}, data)
	must(c.t, err)
	_, err = c.engine.Import(c.t.Context(), engine.ImportRequest{
		Payloads: []chain.ExecutionData{data}, Forkchoice: &engine.Forkchoice{Head: data.Payload.BlockHash},
	})
	must(c.t, err)
	receipts, err := c.engine.Receipts(c.t.Context(), data.Payload.BlockHash)
	must(c.t, err)
	must(c.t, c.chain.Insert(c.t.Context(), b, receipts))
	_, err = c.chain.SetHeads(c.t.Context(), b.Ref(), safe)
	must(c.t, err)
	c.slot++
	return b
}

func (c *carrying) wantKept(n int) {
	c.t.Helper()
	if got, _ := c.store.PendingCount(); got != n {
		c.t.Errorf("%d transactions are kept, want %d", got, n)
	}
}

func (c *carrying) wantInPool(e *enginetest.Memory, n int) {
	c.t.Helper()
	txs, err := e.PendingTransactions(c.t.Context(), 100)
	must(c.t, err)
	if len(txs) != n {
		c.t.Errorf("%d transactions in the pool, want %d", len(txs), n)
	}
}

func TestTransactionOutlivesTheEngineThatTookIt(t *testing.T) {
	c := newCarrying(t)
	c.Keep(c.transfer())
	c.Keep(c.transfer())
	c.wantKept(2)
	next := devEngine(t)
	must(t, c.Offer(t.Context(), next))
	c.wantInPool(next, 2)
	must(t, c.Offer(t.Context(), next)) // known transactions are no error
	c.wantInPool(next, 2)
}

// poolless is an engine without a pool, and deaf one whose pool does not answer.
type (
	poolless struct{ engine.Engine }
	deaf     struct{ *enginetest.Memory }
)

// AddTransactions implements engine.EngineWithPool.
func (deaf) AddTransactions(context.Context, [][]byte) ([]engine.AddResult, error) {
	return nil, errors.New("away")
}

// TestEngineThatStandsByHasThePoolToo: once each, and one that is away does not hold up the others.
func TestEngineThatStandsByHasThePoolToo(t *testing.T) {
	c := newCarrying(t)
	standby := devEngine(t)
	c.Keep(c.transfer())
	c.Spread(t.Context(), poolless{devEngine(t)}, deaf{devEngine(t)}, standby)
	c.wantInPool(standby, 1)
	late := devEngine(t)
	c.Spread(t.Context(), late)
	c.wantInPool(late, 0)
	c.Keep(c.transfer())
	c.Spread(t.Context(), standby)
	c.wantInPool(standby, 2)
}

func TestTransactionsThatCameToTheEngineItselfAreKeptToo(t *testing.T) {
	c := newCarrying(t)
	_, err := c.engine.AddTransactions(t.Context(), [][]byte{c.transfer(), c.transfer()})
	must(t, err)
	must(t, c.Collect(t.Context(), c.engine))
	must(t, c.Collect(t.Context(), c.engine))
	c.wantKept(2)
}

func TestTransactionIsKeptUntilItsBlockIsSafe(t *testing.T) {
	c := newCarrying(t)
	raw := c.transfer()
	c.Keep(raw)
	must(t, c.Offer(t.Context(), c.engine))
	b := c.grow()
	if len(b.Execution.Payload.Transactions) != 1 {
		t.Fatalf("block with %d transactions", len(b.Execution.Payload.Transactions))
	}
	must(t, c.Settle(0, 0))
	must(t, c.Offer(t.Context(), c.engine)) // whose head has it: the block may still leave the chain
	c.wantKept(1)
	_, err := c.chain.SetHeads(t.Context(), b.Ref(), b.Ref())
	must(t, err)
	must(t, c.Settle(0, 1))
	c.wantKept(0)
	must(t, c.Settle(0, 1))
	if err := c.Settle(1, 2); !errors.Is(err, ledger.ErrUnknownBlock) {
		t.Errorf("a block that is not there was settled: %v", err)
	}
}

func TestEngineWithoutAPoolIsLeftAlone(t *testing.T) {
	c := newCarrying(t)
	c.Keep(c.transfer())
	var plain engine.Engine = struct{ engine.Engine }{c.engine}
	must(t, c.Offer(t.Context(), plain))
	must(t, c.Collect(t.Context(), plain))
	c.wantInPool(c.engine, 0)
}

func TestTooLargeTransactionIsNotKept(t *testing.T) {
	c := newCarrying(t)
	c.Keep(make([]byte, store.MaxTransactionBytes+1))
	c.wantKept(0)
}

func TestNothingIsOfferedWhenNothingIsKept(t *testing.T) {
	c := newCarrying(t)
	e := enginetest.WithFault(c.engine, enginetest.Slow(time.Hour))
	must(t, c.Offer(t.Context(), e))
}
