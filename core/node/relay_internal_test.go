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
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/holiman/uint256"

	"github.com/alys-node/alys/core/network"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// relaying is a relay over a real store and an engine in memory. What it tells is kept.
type relaying struct {
	*carrying
	*relay
	at   time.Time
	told [][]byte
	away error // of the engine
}

func newRelaying(t *testing.T) *relaying {
	t.Helper()
	heard, err := lru.New[chain.Hash, time.Time](relayMemory)
	must(t, err)
	r := &relaying{carrying: newCarrying(t), at: time.Unix(1_800_000_000, 0)}
	r.relay = &relay{
		chainID: big.NewInt(spec.DevChainID), pending: r.store.Pending, heard: heard, log: hclog.NewNullLogger(),
		now: func() time.Time { return r.at },
		offer: func(ctx context.Context, txs [][]byte) ([]engine.AddResult, error) {
			if r.away != nil {
				return nil, r.away
			}
			return r.engine.AddTransactions(ctx, txs)
		},
		publish: func(_ context.Context, txs [][]byte) error { r.told = append(r.told, txs...); return nil },
	}
	r.fresh = r.Announce
	return r
}

func (r *relaying) wantTold(t *testing.T, n int) {
	t.Helper()
	r.tell(t.Context(), r.take())
	if len(r.told) != n {
		t.Errorf("%d transactions were told, want %d", len(r.told), n)
	}
	r.told = nil
}

func TestWalletsTransactionIsToldOnce(t *testing.T) {
	r := newRelaying(t)
	raw := r.transfer()
	r.Keep(raw)
	r.Keep(raw)
	must(t, r.Offer(t.Context(), r.engine))
	must(t, r.Collect(t.Context(), r.engine))
	r.wantTold(t, 1)
}

func TestTransactionThatCameByWebSocketIsTold(t *testing.T) {
	r := newRelaying(t)
	_, err := r.engine.AddTransactions(t.Context(), [][]byte{r.transfer()})
	must(t, err)
	must(t, r.Collect(t.Context(), r.engine))
	r.wantTold(t, 1)
}

// TestPeersTransactionIsTakenAndForwardedOnce: by gossip itself, so the relay does not tell it as well.
func TestPeersTransactionIsTakenAndForwardedOnce(t *testing.T) {
	r := newRelaying(t)
	raw := r.transfer()
	if v := r.Take(t.Context(), "peer", [][]byte{raw}); v != network.Accept {
		t.Errorf("new: %s", v)
	}
	if v := r.Take(t.Context(), "peer", [][]byte{raw}); v != network.Ignore {
		t.Errorf("known: %s", v)
	}
	r.wantInPool(r.engine, 1)
	must(t, r.Collect(t.Context(), r.engine))
	r.wantKept(1)
	r.wantTold(t, 0)
}

// TestKeptTransactionIsToldAgain when nobody did for a while, until its block is safe.
func TestKeptTransactionIsToldAgain(t *testing.T) {
	r := newRelaying(t)
	raw := r.transfer()
	r.Keep(raw)
	r.wantTold(t, 1)
	again := func(want int) {
		t.Helper()
		txs, err := r.unheard()
		must(t, err)
		if len(txs) != want {
			t.Errorf("%d are told again, want %d", len(txs), want)
		}
	}
	again(0)
	r.at = r.at.Add(relayAgain)
	must(t, r.Offer(t.Context(), r.engine))
	r.Take(t.Context(), "peer", [][]byte{raw}) // who told it, so we need not
	again(0)
	r.at = r.at.Add(relayAgain)
	again(1)
	again(0)
	must(t, r.store.DropPending(pendingTx(raw).Hash))
	r.at = r.at.Add(relayAgain)
	again(0)
}

func TestTransactionsToldAgainFitInOneMessage(t *testing.T) {
	r := newRelaying(t)
	for i := range 5 {
		_, err := r.store.AddPending(store.PendingTx{Hash: chain.Hash{byte(i)}, Raw: make([]byte, 100<<10)})
		must(t, err)
	}
	for i := range 5 { // one after the other, oldest first
		if txs, err := r.unheard(); err != nil || len(txs) != 1 {
			t.Errorf("round %d: %d transactions, %v", i, len(txs), err)
		}
	}
	if txs, err := r.unheard(); err != nil || len(txs) != 0 {
		t.Errorf("all were told: %d transactions, %v", len(txs), err)
	}
}

func TestEngineThatIsAwayIsNobodysFault(t *testing.T) {
	r := newRelaying(t)
	r.away = errors.New("away")
	raw := r.transfer()
	if v := r.Take(t.Context(), "peer", [][]byte{raw}); v != network.Ignore {
		t.Errorf("verdict %s", v)
	}
	r.away = nil
	if v := r.Take(t.Context(), "peer", [][]byte{raw}); v != network.Accept { // told again
		t.Errorf("verdict %s", v)
	}
}

// TestWhatIsNoTransactionOfThisChainIsAFault: it can be seen without state, so no honest node forwards it.
func TestWhatIsNoTransactionOfThisChainIsAFault(t *testing.T) {
	r := newRelaying(t)
	key, err := crypto.ToECDSA(common.FromHex(spec.DevAccountKey))
	must(t, err)
	signed := func(id int64, data types.TxData) []byte {
		t.Helper()
		raw, err := types.MustSignNewTx(key, types.LatestSignerForChainID(big.NewInt(id)), data).MarshalBinary()
		must(t, err)
		return raw
	}
	good := r.transfer()
	unsigned, err := types.NewTx(&types.DynamicFeeTx{ChainID: big.NewInt(spec.DevChainID), Gas: 21000}).MarshalBinary()
	must(t, err)
	for name, raw := range map[string][]byte{
		"empty": {}, "garbage": {0xff, 1, 2}, "unsigned": unsigned,
		"another chain": signed(1, &types.DynamicFeeTx{ChainID: big.NewInt(1), Gas: 21000, GasFeeCap: big.NewInt(params.GWei)}),
		"blobs":         signed(spec.DevChainID, &types.BlobTx{ChainID: uint256.NewInt(spec.DevChainID), Gas: 21000, BlobHashes: []common.Hash{{1}}}),
		"too large":     signed(spec.DevChainID, &types.LegacyTx{Data: make([]byte, store.MaxTransactionBytes)}),
	} {
		if v := r.Take(t.Context(), "peer", [][]byte{good, raw}); v != network.Reject {
			t.Errorf("%s: verdict %s", name, v)
		}
	}
	r.wantInPool(r.engine, 0) // nothing of a message with a fault is taken
}

func TestRelayTellsWhatWaits(t *testing.T) {
	r := newRelaying(t)
	told := make(chan int, 10)
	r.publish = func(_ context.Context, txs [][]byte) error { told <- len(txs); return errors.New("nobody is there") }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.Keep(r.transfer())
	if n := <-told; n != 1 {
		t.Errorf("%d were told", n)
	}
	cancel()
	must(t, <-done)
}

func FuzzRelayedTransaction(f *testing.F) {
	r := &relay{chainID: big.NewInt(spec.DevChainID)}
	f.Add([]byte{})
	f.Add([]byte{2, 0xc0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		tx, err := r.check(raw)
		if err != nil {
			return
		}
		again, err := tx.MarshalBinary()
		if err != nil || string(again) != string(raw) {
			t.Errorf("%x decodes and encodes to %x, %v", raw, again, err)
		}
	})
}
