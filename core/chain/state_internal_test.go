package chain

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/alys-node/alys/sdk/chain"
)

var update = flag.Bool("update", false, "write golden files")

// golden compares bytes with a committed file of hex digits.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(hex.EncodeToString(got)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(got) != strings.TrimSpace(string(want)) {
		t.Errorf("%s: got %x, want %s", name, got, want)
	}
}

func fullState() State {
	return State{
		Covered: chain.Ref{Height: 300, Hash: chain.Hash{1, 2}}, NextWithdrawal: 258, Fees: chain.Wei{31: 7}, Minted: chain.Wei{30: 1},
		Burnt: chain.Wei{0: 1}, Federation: 2,
		Requests: Table{"b": {2}, "a": {1}}, Outputs: Table{"txid": {3}}, Deposits: Table{"d": {4}}, Payments: Table{"p": {5, 6}},
	}
}

func TestStateBytesAreGolden(t *testing.T) {
	golden(t, "state_genesis.golden", genesisState(chain.Ref{Hash: chain.Hash{9}}).Encode())
	golden(t, "state_full.golden", fullState().Encode())
	golden(t, "record_diff.golden", newRecord(chain.Header{Height: 1, Parent: chain.Hash{8}}, genesisState(chain.Ref{Hash: chain.Hash{9}}), fullState()).encode())
	golden(t, "record_whole.golden", newRecord(chain.Header{Height: checkpointInterval}, State{}, fullState()).encode())
}

func drawState(t *rapid.T, label string) State {
	table := rapid.MapOfN(rapid.StringN(0, 3, 3), rapid.SliceOfN(rapid.Byte(), 1, 3), 0, 4)
	wei := rapid.Custom(func(t *rapid.T) chain.Wei {
		var w chain.Wei
		copy(w[rapid.SampledFrom([]int{0, 16, 30, 32}).Draw(t, "at"):], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "wei"))
		return w
	})
	s := State{
		Covered:        chain.Ref{Height: chain.Height(rapid.Uint64().Draw(t, label+" covered"))},
		NextWithdrawal: rapid.Uint64().Draw(t, label+" withdrawal"),
		Fees:           wei.Draw(t, label+" fees"), Minted: wei.Draw(t, label+" minted"), Burnt: wei.Draw(t, label+" burnt"),
		Federation: rapid.Uint64Range(0, 3).Draw(t, label+" federation"),
	}
	for _, x := range s.tables() {
		if m := table.Draw(t, label+" table"); len(m) > 0 {
			*x.table = m
		}
	}
	return s
}

func TestAnyStateComesBackFromItsBytesAndFromADifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := drawState(t, "from"), drawState(t, "to")
		decoded, err := DecodeState(to.Encode())
		if err != nil || !bytes.Equal(decoded.Encode(), to.Encode()) {
			t.Fatalf("decoded %+v: %v", decoded, err)
		}
		before := from.Encode()
		for _, height := range []chain.Height{1, checkpointInterval} {
			raw := newRecord(chain.Header{Height: height, Parent: chain.Hash{1}}, from, to).encode()
			r, err := decodeRecord(raw)
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.resolve(from)
			if err != nil || !bytes.Equal(got.Encode(), to.Encode()) {
				t.Fatalf("resolved %+v: %v", got, err)
			}
		}
		if !bytes.Equal(from.Encode(), before) {
			t.Fatal("the parent's state was changed")
		}
	})
}

func TestRecordOnAnotherParentIsNoticed(t *testing.T) {
	r := newRecord(chain.Header{Height: 1, Parent: chain.Hash{8}}, State{}, State{Federation: 1})
	if _, err := r.resolve(State{NextWithdrawal: 1}); !errors.Is(err, ErrInconsistent) {
		t.Errorf("error is %v, want ErrInconsistent", err)
	}
}

func FuzzDecodeState(f *testing.F) {
	f.Add(fullState().Encode())
	f.Add([]byte{0xc0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if s, err := DecodeState(raw); err == nil && !bytes.Equal(s.Encode(), raw) {
			t.Errorf("two spellings of one state: %x and %x", raw, s.Encode())
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(newRecord(chain.Header{Height: 1, Parent: chain.Hash{8}}, State{}, fullState()).encode())
	f.Add(newRecord(chain.Header{}, State{}, fullState()).encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := decodeRecord(raw)
		if err != nil {
			return
		}
		if s, err := r.resolve(fullState()); err == nil && s.Digest() != r.Digest {
			t.Error("a state with another digest was given back")
		}
	})
}
