package geth_test

import (
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/sdk/engine"
)

func TestAddTransactions(t *testing.T) {
	n := start(t, fork{cancun: 2})
	mined, waiting := transfer(0), transfer(1)
	n.add(mined)
	n.extend(1)
	n.add(waiting)
	foreign, err := types.SignNewTx(key(), types.LatestSignerForChainID(big.NewInt(1)), &types.DynamicFeeTx{ChainID: big.NewInt(1), Gas: 21_000})
	if err != nil {
		t.Fatal(err)
	}
	otherChain, err := foreign.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		tx   []byte
		code engine.AddCode
		want string
	}{
		{"one that waits already", waiting, engine.AddKnown, ""},
		{"one that is in a block", mined, engine.AddKnown, ""},
		{"a new one", transfer(2), engine.AddAdded, ""},
		{"one with the nonce of a mined one", sign(&types.LegacyTx{GasPrice: big.NewInt(2e9), Gas: 21_000, To: &common.Address{7}}), engine.AddStale, "nonce too low"},
		{"a cheap one in the place of another", sign(&types.LegacyTx{Nonce: 1, GasPrice: big.NewInt(2e9), Gas: 21_000, To: &common.Address{7}}), engine.AddUnderpriced, "underpriced"},
		{"one of another chain", otherChain, engine.AddInvalid, "chain id"},
		{"garbage", []byte{1, 2, 3}, engine.AddInvalid, "decode transaction"},
		{"nothing", nil, engine.AddInvalid, "decode transaction"},
		{"a blob transaction", []byte{3, 0xc0}, engine.AddInvalid, "blob transactions (type 3) are not part of this chain"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := n.AddTransactions(t.Context(), [][]byte{tc.tx})
			if err != nil {
				t.Fatal(err)
			}
			if got[0].Code != tc.code || got[0].Text == "" != (tc.want == "") || !strings.Contains(got[0].Text, tc.want) {
				t.Fatalf("got %+v, want %s %q", got[0], tc.code, tc.want)
			}
		})
	}
}

func TestPendingTransactionsCanBeCarried(t *testing.T) {
	a, b := start(t, fork{}), start(t, fork{})
	a.add(transfer(1), transfer(0), transfer(2), transfer(9))
	got, err := a.PendingTransactions(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]byte{transfer(0), transfer(1), transfer(2), transfer(9)}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
	b.add(got...)
	if d := b.extend(1)[0]; len(d.Payload.Transactions) != 3 {
		t.Errorf("the other engine built %d of them into a block, want 3", len(d.Payload.Transactions))
	}
	if left, err := b.PendingTransactions(t.Context(), 100); err != nil || !cmp.Equal(left, [][]byte{transfer(9)}) {
		t.Errorf("right after the block %d wait, %v", len(left), err)
	}
	if got, err := a.PendingTransactions(t.Context(), 2); err != nil || len(got) != 2 {
		t.Errorf("with a limit of 2: %d, %v", len(got), err)
	}
}
