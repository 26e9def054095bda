package geth_test

import (
	"context"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/plugins/internal/geth"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

func TestBuildHoldsAllPendingTransactionsAtOnce(t *testing.T) {
	n := start(t, fork{})
	parent := n.status().Heads.Head
	var nonce uint64
	for _, count := range []int{1, 50, 300} {
		txs := make([][]byte, count)
		for i := range txs {
			txs[i] = transfer(nonce)
			nonce++
		}
		n.add(txs...)
		at := genesisTime + slot*(uint64(parent.Height)+1)
		d := n.build(n.request(parent.Hash, at))
		if got := len(d.Payload.Transactions); got != count {
			t.Fatalf("payload holds %d transactions, want %d", got, count)
		}
		parent = n.head(d).Heads.Head
	}
}

func TestBuildKeepsWhatTheProposerFixed(t *testing.T) {
	n := start(t, fork{cancun: 60})
	root := chain.Hash{5: 9}
	r := engine.BuildRequest{
		Parent: n.status().Heads.Head.Hash, Timestamp: genesisTime + 61, FeeRecipient: chain.Address{19: 1},
		PrevRandao: chain.Hash{1: 2}, ParentBeaconRoot: &root, GasLimit: 2 * gasLimit,
		Withdrawals: []chain.Withdrawal{{Index: 3, Address: chain.Address{2}, Amount: 10}, {Index: 4, Address: chain.Address{2}, Amount: 10}},
	}
	p := n.build(r).Payload
	n.head(chain.ExecutionData{Payload: p, ParentBeaconRoot: &root})
	zero := uint64(0)
	want := chain.Payload{
		ParentHash: r.Parent, FeeRecipient: r.FeeRecipient, PrevRandao: r.PrevRandao, Number: 1, Timestamp: r.Timestamp,
		GasLimit: gasLimit + gasLimit/1024 - 1, ExtraData: []byte("alys/engine-v5"), Withdrawals: r.Withdrawals,
		BlobGasUsed: &zero, ExcessBlobGas: &zero, Transactions: [][]byte{},
		// What the engine computes:
		StateRoot: p.StateRoot, ReceiptsRoot: p.ReceiptsRoot, BaseFeePerGas: p.BaseFeePerGas, BlockHash: p.BlockHash,
	}
	if d := cmp.Diff(want, p); d != "" {
		t.Error(d)
	}
}

func TestBuildRefuses(t *testing.T) {
	n := start(t, fork{cancun: 60, prague: 120, osaka: 180})
	head := n.status().Heads.Head.Hash
	root := &chain.Hash{1}
	for _, tc := range []struct {
		name string
		r    engine.BuildRequest
		want error // nil: any
	}{
		{"an unknown parent", engine.BuildRequest{Parent: chain.Hash{1}, Timestamp: genesisTime + 2}, engine.ErrSyncing},
		{"the parent's time", engine.BuildRequest{Parent: head, Timestamp: genesisTime}, execution.ErrTimestamp},
		{"a beacon root before Cancun", engine.BuildRequest{Parent: head, Timestamp: genesisTime + 2, ParentBeaconRoot: root}, nil},
		{"no beacon root in Cancun", engine.BuildRequest{Parent: head, Timestamp: genesisTime + 60}, nil},
		{"the horizon", engine.BuildRequest{Parent: head, Timestamp: genesisTime + 180, ParentBeaconRoot: root}, engine.ErrUnsupportedFork},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := n.Build(t.Context(), tc.r); err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// burner is init code that loops until its gas is gone: JUMPDEST PUSH1 0 JUMP.
var burner = []byte{0x5b, 0x60, 0x00, 0x56}

func TestBuildKeepsTheDeadline(t *testing.T) {
	const waiting = 60 // several seconds of execution
	g, err := execution.ParseGenesis(genesisJSON(fork{}, func(top, _ map[string]any) { top["gasLimit"] = "2000000000" }), execution.Prague)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Engine: open(t, geth.Config{Genesis: g}), t: t}
	for i := range uint64(waiting) {
		n.add(sign(&types.DynamicFeeTx{
			ChainID: big.NewInt(chainID), Nonce: i, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(2e9), Gas: gasLimit, Data: burner,
		}))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	d, err := n.Build(ctx, engine.BuildRequest{Parent: n.status().Heads.Head.Hash, Timestamp: genesisTime + 2})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(d.Payload.Transactions); got == waiting {
		t.Error("all transactions were executed: the deadline was not felt")
	}
	n.head(d)
}
