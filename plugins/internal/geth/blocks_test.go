package geth_test

import (
	"errors"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

func TestPayloadsAreWhatWasImported(t *testing.T) {
	f := fork{cancun: 4, prague: 8}
	n := start(t, f)
	n.add(transfer(0))
	blocks := n.extend(3)
	// A call of EIP-7002's contract makes an execution request, of which geth itself stores only the hash.
	n.add(sign(&types.DynamicFeeTx{
		ChainID: big.NewInt(chainID), Nonce: 1, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(2e9), Gas: 300_000,
		To: &params.WithdrawalQueueAddress, Value: big.NewInt(1), Data: make([]byte, 56),
	}))
	blocks = append(blocks, n.extend(3)...)
	if got := blocks[3].Requests; len(got) != 1 || got[0][0] != 1 {
		t.Fatalf("requests of the Prague payload: %x", got)
	}
	hashes := []chain.Hash{{1}, n.status().Genesis}
	want := []*chain.ExecutionData{nil, nil}
	for i := range blocks {
		hashes, want = append(hashes, blocks[i].Payload.BlockHash), append(want, &blocks[i])
	}
	got, err := n.Payloads(t.Context(), hashes)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
	// And they can be imported again.
	other := start(t, f)
	for _, d := range got[2:] {
		other.head(*d)
	}
}

func TestReceipts(t *testing.T) {
	n := start(t, fork{})
	bridge := common.HexToAddress("0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB")
	arg := common.FromHex("0x9911dc74" + // requestPegOut(bytes) with "bc1"
		"0000000000000000000000000000000000000000000000000000000000000020" +
		"0000000000000000000000000000000000000000000000000000000000000003" +
		"6263310000000000000000000000000000000000000000000000000000000000")
	n.add(
		transfer(0),
		sign(&types.LegacyTx{Nonce: 1, GasPrice: big.NewInt(2e9), Gas: 200_000, To: &bridge, Value: big.NewInt(1e10), Data: arg}),
		sign(&types.LegacyTx{Nonce: 2, GasPrice: big.NewInt(2e9), Gas: 50_000, To: &bridge}), // a plain call reverts
	)
	d := n.extend(1)[0]
	got, err := n.Receipts(t.Context(), d.Payload.BlockHash)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 {
		t.Fatalf("%d receipts, want 3", len(got))
	}
	data := common.FromHex("0x" +
		"0000000000000000000000000000000000000000000000000000000000000040" +
		"00000000000000000000000000000000000000000000000000000002540be400" +
		"0000000000000000000000000000000000000000000000000000000000000003" +
		"6263310000000000000000000000000000000000000000000000000000000000")
	event := chain.Log{
		Address: chain.Address(bridge),
		Topics: []chain.Hash{
			chain.Hash(common.HexToHash("0xaa1c6070bc915de33c0fbc36ecf77b1e4fc1ebce832b2da62b6fe25f5a7dd5b0")),
			chain.Hash(common.BytesToHash(account().Bytes())),
		},
		Data: data,
	}
	want := []chain.Receipt{
		{Type: 2, Success: true, CumulativeGasUsed: 21_000, Logs: []chain.Log{}},
		{Success: true, CumulativeGasUsed: got[1].CumulativeGasUsed, LogsBloom: d.Payload.LogsBloom, Logs: []chain.Log{event}},
		{CumulativeGasUsed: d.Payload.GasUsed, Logs: []chain.Log{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := n.Receipts(t.Context(), chain.Hash{1}); !errors.Is(err, engine.ErrUnknownBlock) {
		t.Errorf("an unknown block: got %v", err)
	}
}
