package spec

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/alys-node/alys/sdk/chain"
)

// Change is one entry of a schedule above its first: what takes effect at a height or a slot. The digest covers its
// content, so that peers whose specs change at one place into different things see it (design section 11).
type Change struct {
	At     uint64 // height or slot; above 0
	Digest chain.Hash
}

// HeightChanges are the scheduled authority sets after the first, ascending.
func (s *Spec) HeightChanges() []Change {
	var out []Change
	for _, set := range s.Authorities[1:] {
		var b bytes.Buffer
		if err := rlp.Encode(&b, setPart{set.Keys, set.Fees, set.BitcoinKeys, set.Threshold, set.ScriptKind}); err != nil {
			panic(fmt.Sprintf("encode an authority set: %v", err)) // all fields are of kinds that RLP has
		}
		out = append(out, Change{uint64(set.From), chain.TaggedHash("alys/spec/set/1", b.Bytes())})
	}
	return out
}

// setPart is what of an authority set makes it another one.
type setPart struct {
	Keys        []chain.BLSPublicKey
	Fees        []chain.Address
	BitcoinKeys []chain.BitcoinPublicKey
	Threshold   uint32
	Script      string
}

// SlotChanges are the slot lengths after the first and the forks of the execution layer above its genesis, each at the
// first slot whose payload has it, ascending. Those of one slot are one change.
func (s *Spec) SlotChanges() []Change {
	var all []Change
	for _, e := range s.Slots[1:] {
		all = append(all, Change{uint64(e.From), chain.TaggedHash("alys/spec/slots/1", uint64Bytes(inMilliseconds(e.Duration)))})
	}
	c := s.execution.Config
	for _, fork := range []struct {
		name string
		at   *uint64
	}{{"shanghai", c.ShanghaiTime}, {"cancun", c.CancunTime}, {"prague", c.PragueTime}} {
		if fork.at == nil || *fork.at <= s.execution.Timestamp {
			continue
		}
		digest := chain.TaggedHash("alys/spec/fork/1", []byte(fork.name), uint64Bytes(*fork.at))
		all = append(all, Change{uint64(s.firstPayloadAt(*fork.at)), digest})
	}
	slices.SortStableFunc(all, func(a, b Change) int { return cmp.Compare(a.At, b.At) })
	var out []Change
	for _, c := range all {
		if n := len(out); n > 0 && out[n-1].At == c.At {
			out[n-1].Digest = chain.TaggedHash("alys/spec/changes/1", out[n-1].Digest[:], c.Digest[:])
			continue
		}
		out = append(out, c)
	}
	return out
}

// firstPayloadAt is the lowest slot whose payload has a timestamp of at least t unix seconds.
func (s *Spec) firstPayloadAt(t uint64) chain.Slot {
	slot := s.SlotAt(chain.UnixMilli(t) * 1000)
	if s.PayloadTime(slot) < t {
		slot++
	}
	return max(slot, 1)
}

func uint64Bytes(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
