package guard

import (
	"context"
	"slices"
	"strings"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// KeyState is what the guard holds for one key, for people.
type KeyState struct {
	Key       signer.KeyID    `json:"key"`
	Slot      chain.Slot      `json:"slot"`
	Height    chain.Height    `json:"height"`
	Block     chain.Hash      `json:"block"`  // of the last approval; zero when only a floor is known
	Signed    bool            `json:"signed"` // the last approval's signature is kept
	Records   uint64          `json:"records"`
	UpdatedAt chain.UnixMilli `json:"updated_at"`
	Payments  int             `json:"payments"`  // versions of payments, for BitcoinID
	Outpoints int             `json:"outpoints"` // for BitcoinID
	Version   chain.Hash      `json:"version"`   // hash of the last record
}

// Show lists every key of the chain that has records, in the order of their ids.
func (g *Guard) Show(ctx context.Context) ([]KeyState, error) {
	var states []KeyState
	err := g.each(ctx, func(id signer.KeyID, s *state) {
		last := s.approvals[s.mark.Slot]
		states = append(states, KeyState{
			Key: id, Slot: s.mark.Slot, Height: s.mark.Height, Block: last.block, Signed: !last.signature.IsZero(),
			Records: s.seq, UpdatedAt: s.last, Payments: len(s.versions), Outpoints: len(s.outpoints),
			Version: chain.Hash(s.version),
		})
	})
	return states, err
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

// RaiseFloor makes a key sign nothing at or below the floor's slot and nothing below its height. A floor that is not
// higher changes nothing; each part counts by itself.
func (g *Guard) RaiseFloor(ctx context.Context, f signer.Floor) error {
	_, err := g.raise(ctx, exportedKey{Key: f.Key, Slot: f.Slot, Height: f.Height})
	return err
}

// each visits the keys that have records, in the order of their ids.
func (g *Guard) each(ctx context.Context, fn func(signer.KeyID, *state)) error {
	g.mu.Lock()
	ids := make([]signer.KeyID, 0, len(g.keys))
	for id := range g.keys {
		ids = append(ids, id)
	}
	g.mu.Unlock()
	slices.SortFunc(ids, func(a, b signer.KeyID) int { return strings.Compare(string(a), string(b)) })
	for _, id := range ids {
		err := g.with(ctx, id, func(s *state) error {
			if s.seq > 0 {
				fn(id, s)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
