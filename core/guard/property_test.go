package guard_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"pgregory.net/rapid"

	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// TestNeverTwoBlocksForASlot drives a guard with random requests, floors, clock jumps and power cuts at random writes,
// and checks the rule over everything that was ever allowed: whatever was allowed may have been signed.
func TestNeverTwoBlocksForASlot(t *testing.T) {
	keys := []secret{newSecret(t), newSecret(t)}
	rapid.Check(t, func(rt *rapid.T) {
		disk, c := guard.NewMemoryStore(), atSlot(50)
		store := &crashing{Store: disk, left: -1}
		g, err := guard.Open(t.Context(), options(store, c))
		if err != nil {
			rt.Fatal(err)
		}
		allowed := map[signer.KeyID][]chain.Header{}
		floors := map[signer.KeyID]guard.Mark{}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			key := rapid.SampledFrom(keys).Draw(rt, "key")
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0: // a power cut some writes from now
				store.left, store.after = rapid.IntRange(1, 3).Draw(rt, "left"), rapid.Bool().Draw(rt, "after")
			case 1: // a restart
				store = &crashing{Store: disk, left: -1}
				if g, err = guard.Open(t.Context(), options(store, c)); err != nil {
					rt.Fatal(err)
				}
			case 2:
				c.Add(time.Duration(rapid.IntRange(-100, 100).Draw(rt, "seconds")) * time.Second)
			case 3:
				f := signer.Floor{Key: key.id, Slot: drawSlot(rt), Height: chain.Height(rapid.IntRange(0, 9).Draw(rt, "floor"))}
				if err := g.RaiseFloor(t.Context(), f); err == nil { // may fail in a power cut
					m := floors[key.id]
					floors[key.id] = guard.Mark{Slot: max(m.Slot, f.Slot), Height: max(m.Height, f.Height)}
				}
			default:
				h := header(drawSlot(rt), chain.Height(rapid.IntRange(1, 9).Draw(rt, "height")), byte(rapid.IntRange(1, 3).Draw(rt, "rival")))
				if _, err := g.ReserveApproval(t.Context(), key.id, h); err == nil {
					allowed[key.id] = append(allowed[key.id], h)
					if m := floors[key.id]; h.Slot <= m.Slot || h.Height < m.Height {
						rt.Fatalf("slot %s height %s was allowed under a floor at slot %s height %s", h.Slot, h.Height, m.Slot, m.Height)
					}
				} else if !errors.Is(err, signer.ErrRefused) && !errors.Is(err, errPowerCut) {
					rt.Fatal(err)
				}
			}
		}
		for id, hs := range allowed {
			checkRule(rt, id, hs)
		}
	})
}

func drawSlot(rt *rapid.T) chain.Slot { return chain.Slot(rapid.IntRange(1, 60).Draw(rt, "slot")) }

// checkRule looks at the blocks that one key was allowed, in order: each first time must be above all slots and at or
// above all heights before, and no slot has two blocks.
func checkRule(rt *rapid.T, id signer.KeyID, hs []chain.Header) {
	bySlot := map[chain.Slot]chain.Hash{}
	var mark guard.Mark
	for _, h := range hs {
		if before, ok := bySlot[h.Slot]; ok {
			if before != h.Hash() {
				rt.Fatalf("%s: two blocks were allowed for slot %s", id, h.Slot)
			}
			continue
		}
		if h.Slot <= mark.Slot || h.Height < mark.Height {
			rt.Fatalf("%s: slot %s height %s was allowed after slot %s height %s", id, h.Slot, h.Height, mark.Slot, mark.Height)
		}
		bySlot[h.Slot], mark = h.Hash(), guard.Mark{Slot: h.Slot, Height: h.Height}
	}
}

// TestAnOutpointIsSignedForOneLivingPayment drives the Bitcoin rule with random payments, releases, restarts and power
// cuts, and checks it over everything that was ever allowed.
func TestAnOutpointIsSignedForOneLivingPayment(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		disk := guard.NewMemoryStore()
		store := &crashing{Store: disk, left: -1}
		o := options(store, atSlot(50))
		o.Finalized = finalized
		g, err := guard.Open(t.Context(), o)
		if err != nil {
			rt.Fatal(err)
		}
		owner := map[guard.Outpoint]chain.Hash{}
		dead := map[chain.Hash]bool{}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			id := rapid.Byte().Filter(func(b byte) bool { return b > 0 && b < 7 }).Draw(rt, "payment")
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0:
				store.left, store.after = rapid.IntRange(1, 3).Draw(rt, "left"), rapid.Bool().Draw(rt, "after")
			case 1:
				store = &crashing{Store: disk, left: -1}
				o.Store = store
				if g, err = guard.Open(t.Context(), o); err != nil {
					rt.Fatal(err)
				}
			case 2:
				// Tried counts as released only when it was told so; a release that was cut may have happened, and then
				// its outpoints may be given away, which is right, because the void is final.
				if err := g.ReleaseBitcoin(t.Context(), release(id, 5)); err == nil || errors.Is(err, errPowerCut) {
					free(owner, chain.Hash{id})
					dead[chain.Hash{id}] = dead[chain.Hash{id}] || err == nil
				}
			default:
				inputs := rapid.SliceOfNDistinct(rapid.ByteRange(1, 8), 1, 3, rapid.ID[byte]).Draw(rt, "inputs")
				p := payment(id, uint32(rapid.IntRange(0, 2).Draw(rt, "version")), inputs...)
				err := g.ReserveBitcoin(t.Context(), p)
				if err == nil {
					take(rt, owner, dead, p)
				} else if !errors.Is(err, signer.ErrRefused) && !errors.Is(err, errPowerCut) {
					rt.Fatal(err)
				}
			}
		}
	})
}

func free(owner map[guard.Outpoint]chain.Hash, payment chain.Hash) {
	for o, p := range owner {
		if p == payment {
			delete(owner, o)
		}
	}
}

func take(rt *rapid.T, owner map[guard.Outpoint]chain.Hash, dead map[chain.Hash]bool, p guard.Payment) {
	if dead[p.ID] {
		rt.Fatalf("released payment %s was allowed", p.ID)
	}
	for _, o := range p.Outpoints {
		if before, ok := owner[o]; ok && before != p.ID {
			rt.Fatalf("outpoint %s was allowed for payments %s and %s", o, before, p.ID)
		}
		owner[o] = p.ID
	}
}

// TestHistoriesAreLinearizable checks concurrent histories of two guards on one store against the rule as a sequential
// machine.
func TestHistoriesAreLinearizable(t *testing.T) {
	key := newSecret(t)
	for range 20 {
		store, c := guard.NewMemoryStore(), atSlot(1000)
		guards := []*guard.Guard{open(t, options(store, c)), open(t, options(store, c))}
		var mu sync.Mutex
		var history []porcupine.Operation
		var wg sync.WaitGroup
		begin := time.Now()
		for client := range 6 {
			wg.Go(func() {
				for i := range 8 {
					h := header(chain.Slot(1+i+client%3), chain.Height(1+(i+client)%4), byte(client%2))
					call := time.Since(begin).Nanoseconds()
					_, err := guards[client%2].ReserveApproval(t.Context(), key.id, h)
					op := porcupine.Operation{
						ClientId: client, Input: h, Output: err == nil, Call: call, Return: time.Since(begin).Nanoseconds(),
					}
					mu.Lock()
					history = append(history, op)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if got := porcupine.CheckOperationsTimeout(ruleModel(), history, 20*time.Second); got != porcupine.Ok {
			t.Fatalf("the history is %s", got)
		}
	}
}

// ruleModel is the rule as porcupine's sequential machine: the state is the list of allowed blocks.
func ruleModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return []chain.Header(nil) },
		Step: func(state, input, output any) (bool, any) {
			allowed, h := state.([]chain.Header), input.(chain.Header)
			same := slices.Contains(allowed, h)
			free := true
			for _, a := range allowed {
				free = free && h.Slot > a.Slot && h.Height >= a.Height
			}
			if output.(bool) != (same || free) {
				return false, state
			}
			if same || !free {
				return true, state
			}
			return true, append(slices.Clip(slices.Clone(allowed)), h)
		},
		Equal: func(a, b any) bool { return slices.Equal(a.([]chain.Header), b.([]chain.Header)) },
	}
}

func BenchmarkReserveApproval(b *testing.B) {
	key := newSecret(b)
	g := open(b, options(guard.NewMemoryStore(), atSlot(1<<40)))
	slot := chain.Slot(0)
	for b.Loop() {
		slot++
		if _, err := g.ReserveApproval(b.Context(), key.id, header(slot, 1, 1)); err != nil {
			b.Fatal(err)
		}
	}
}
