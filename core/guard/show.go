package guard

import (
	"context"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// KeyState is what the guard holds for one key, for people.
type KeyState struct {
	Key       signer.KeyID    `json:"key"`
	Slot      chain.Slot      `json:"slot"`
	Height    chain.Height    `json:"height"`
	Block     chain.Hash      `json:"block"`  // of the last approval; zero when only a floor is known, or was raised over it
	Signed    bool            `json:"signed"` // the last approval's signature is kept
	Records   uint64          `json:"records"`
	UpdatedAt chain.UnixMilli `json:"updated_at"`
	Payments  int             `json:"payments"`  // versions of payments, for BitcoinID
	Outpoints int             `json:"outpoints"` // for BitcoinID
	Released  int             `json:"released"`  // payments that were voided, for BitcoinID
	Version   chain.Hash      `json:"version"`   // hash of the last record
}

// Show lists every key of the chain that has records, in the order of their ids.
func (g *Guard) Show(ctx context.Context) ([]KeyState, error) {
	var states []KeyState
	err := g.each(ctx, func(id signer.KeyID, s *state) {
		last := s.top()
		states = append(states, KeyState{
			Key: id, Slot: s.mark.Slot, Height: s.mark.Height, Block: last.block, Signed: !last.signature.IsZero(),
			Records: s.seq, UpdatedAt: s.last, Payments: s.versions(), Outpoints: len(s.outpoints),
			Released: len(s.released), Version: chain.Hash(s.version),
		})
	})
	return states, err
}

// versions counts the recorded versions of all payments.
func (s *state) versions() (n int) {
	for _, p := range s.payments {
		n += len(p.versions)
	}
	return n
}

// Floors gives, for each approval key, the point at or below which it signs nothing more: what a signer's own guard is
// raised to before it takes over.
func (g *Guard) Floors(ctx context.Context) ([]signer.Floor, error) {
	var floors []signer.Floor
	err := g.each(ctx, func(id signer.KeyID, s *state) {
		if id != BitcoinID {
			floors = append(floors, s.floor(id))
		}
	})
	return floors, err
}

// RaiseFloor makes a key sign nothing at or below the floor's slot and nothing below its height, also of what was reserved
// before; answers that are kept are given again. A floor that is not higher and covers no reservation changes nothing; each
// part counts by itself.
func (g *Guard) RaiseFloor(ctx context.Context, f signer.Floor) error {
	_, err := g.raise(ctx, exportedKey{Key: f.Key, Slot: f.Slot, Height: f.Height})
	return err
}

// each visits the keys that have records, in the order of their ids, as the store has them now: another guard on the
// same store may have written since we read.
func (g *Guard) each(ctx context.Context, fn func(signer.KeyID, *state)) error {
	ids, err := g.recorded(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := g.withFresh(ctx, id, func(s *state) error { fn(id, s); return nil }); err != nil {
			return err
		}
	}
	return nil
}
