package geth

import (
	"bytes"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
)

func journalOf(t testing.TB, n uint64) []byte {
	t.Helper()
	var b bytes.Buffer
	for i := range n {
		if err := rlp.Encode(&b, types.NewTx(&types.DynamicFeeTx{Nonce: i, GasFeeCap: big.NewInt(1)})); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestReadJournal(t *testing.T) {
	whole := journalOf(t, 3)
	for _, tc := range []struct {
		name string
		data []byte
		want int
		torn bool
	}{
		{"an empty one", nil, 0, false},
		{"a whole one", whole, 3, false},
		{"one with a torn tail", whole[:len(whole)-1], 2, true},
		{"one with garbage at its end", append(bytes.Clone(whole), 0xf8), 3, true},
		{"one with a huge entry", append(bytes.Clone(whole), 0xbb, 0xff, 0xff, 0xff, 0xff), 3, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			txs, torn := readJournal(bytes.NewReader(tc.data))
			if len(txs) != tc.want || (torn != nil) != tc.torn {
				t.Fatalf("read %d (%v), want %d, torn %t", len(txs), torn, tc.want, tc.torn)
			}
		})
	}
}

func FuzzReadJournal(f *testing.F) {
	f.Add(journalOf(f, 2))
	f.Fuzz(func(t *testing.T, data []byte) {
		txs, _ := readJournal(bytes.NewReader(data))
		for _, tx := range txs {
			if tx == nil {
				t.Fatal("a nil transaction")
			}
		}
	})
}
