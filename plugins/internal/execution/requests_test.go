package execution_test

import (
	"errors"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethdb/memorydb"
	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/enginetest"
)

// pragueBlock is a payload with requests and the hash of both.
func pragueBlock(t *testing.T, requests ...[]byte) *chain.ExecutionData {
	t.Helper()
	zero := uint64(0)
	d := &chain.ExecutionData{
		Payload:          chain.Payload{Number: 1, BlobGasUsed: &zero, ExcessBlobGas: &zero, Withdrawals: []chain.Withdrawal{}},
		ParentBeaconRoot: &chain.Hash{1}, Requests: requests,
	}
	var err error
	if d.Payload.BlockHash, err = enginetest.BlockHash(*d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRequestsAreKeptByTheHashThatCommitsToThem(t *testing.T) {
	r := execution.Requests{DB: memorydb.New()}
	d := pragueBlock(t, []byte{0, 1}, []byte{1, 2, 3})
	forged := *d
	forged.Requests = [][]byte{{0, 9}}
	if err := r.Keep(&forged); err != nil {
		t.Fatal(err)
	}
	hash, want := common.Hash(d.Payload.BlockHash), types.CalcRequestsHash(d.Requests)
	if _, err := r.Read(hash, want); !errors.Is(err, execution.ErrNoRequests) {
		t.Errorf("before they were kept: %v", err)
	}
	if err := r.Keep(d); err != nil {
		t.Fatal(err)
	}
	got, err := r.Read(hash, want)
	if err != nil || !cmp.Equal(got, d.Requests) {
		t.Errorf("kept %x, %v", got, err)
	}
	if _, err := r.Read(hash, common.Hash{1}); err == nil {
		t.Error("requests of another header were given")
	}
	if got, err := r.Read(common.Hash{9}, types.EmptyRequestsHash); err != nil || got == nil || len(got) != 0 {
		t.Errorf("a block without requests: %v, %v", got, err)
	}
}

func TestBlobHashesAreThoseOfType3(t *testing.T) {
	if got := execution.BlobHashes(chain.Payload{Transactions: [][]byte{{}, {2}, {3, 0xff}}}); got == nil || len(got) != 0 {
		t.Errorf("what does not decode has hashes %v", got)
	}
	legacy, err := types.NewTx(&types.LegacyTx{GasPrice: big.NewInt(1)}).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if got := execution.BlobHashes(chain.Payload{Transactions: [][]byte{legacy}}); len(got) != 0 {
		t.Errorf("a plain transaction has hashes %v", got)
	}
}
