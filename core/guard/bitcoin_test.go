package guard_test

import (
	"context"
	"errors"
	"testing"

	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

func outpoints(ns ...byte) []guard.Outpoint {
	out := make([]guard.Outpoint, len(ns))
	for i, n := range ns {
		out[i] = guard.Outpoint{TxID: chain.Hash{n}, Vout: uint32(n)}
	}
	return out
}

func payment(id byte, version uint32, inputs ...byte) guard.Payment {
	return guard.Payment{
		ID: chain.Hash{id}, Version: version, TxID: chain.Hash{id, byte(version), 1}, Block: chain.Ref{Height: 5, Hash: chain.Hash{9}},
		Outpoints: outpoints(inputs...),
	}
}

func finalized(context.Context, chain.Ref) (bool, error) { return true, nil }

func TestBitcoinRule(t *testing.T) {
	otherTx := payment(1, 0, 1, 2)
	otherTx.TxID = chain.Hash{77}
	tests := []struct {
		name string
		next guard.Payment
		want guard.Reason
	}{
		{"the same version again is allowed", payment(1, 0, 1, 2), ""},
		{"a fee bump with the same inputs is allowed", payment(1, 1, 2, 1), ""},
		{"another payment of other outpoints is allowed", payment(2, 0, 3), ""},
		{"another payment of the same outpoint is refused", payment(2, 0, 3, 2), guard.ReasonOutpointTaken},
		{"a fee bump of other inputs could be paid twice and is refused", payment(1, 1, 3, 4), guard.ReasonInputsDiffer},
		{"a fee bump with one input less is refused", payment(1, 1, 1), guard.ReasonInputsDiffer},
		{"a fee bump with one input more is refused", payment(1, 1, 1, 2, 3), guard.ReasonInputsDiffer},
		{"another transaction of the same version is refused", otherTx, guard.ReasonVersionTaken},
		{"an outpoint named twice is refused", payment(3, 0, 5, 5), guard.ReasonMalformed},
		{"no outpoint is refused", payment(3, 0), guard.ReasonMalformed},
		{"no payment id is refused", payment(0, 0, 5), guard.ReasonMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := guard.NewMemoryStore()
			o := options(store, atSlot(20))
			o.Finalized = finalized
			if err := open(t, o).ReserveBitcoin(t.Context(), payment(1, 0, 1, 2)); err != nil {
				t.Fatal(err)
			}
			err := open(t, o).ReserveBitcoin(t.Context(), tt.next) // after a restart
			if tt.want != "" {
				wantRefused(t, err, tt.want)
			} else if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestBitcoinOnlyInAFinalizedBlock(t *testing.T) {
	away := errors.New("store is away")
	tests := []struct {
		name      string
		finalized func(context.Context, chain.Ref) (bool, error)
		refused   bool
	}{
		{"not finalized", func(context.Context, chain.Ref) (bool, error) { return false, nil }, true},
		{"nothing tells", nil, true},
		{"telling fails", func(context.Context, chain.Ref) (bool, error) { return true, away }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := guard.NewMemoryStore()
			o := options(store, atSlot(20))
			o.Finalized = tt.finalized
			err := open(t, o).ReserveBitcoin(t.Context(), payment(1, 0, 1))
			if tt.refused {
				wantRefused(t, err, guard.ReasonNotFinalized)
			} else if !errors.Is(err, away) || errors.Is(err, signer.ErrRefused) {
				t.Fatalf("got %v, want a failure", err)
			}
			if keys, _ := store.Keys(t.Context()); len(keys) != 0 {
				t.Fatalf("something was recorded: %v", keys)
			}
		})
	}
}
