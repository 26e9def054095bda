package spec_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/chain"
)

// v1's published vector (testdata/aura.json): slot and author from a timestamp, with slots of one length and turn 1.
func TestAuraVector(t *testing.T) {
	raw, err := os.ReadFile("testdata/aura.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Timestamp   chain.UnixMilli `json:"timestamp_ms"`
			Duration    int             `json:"slot_duration_ms"`
			Slot        chain.Slot      `json:"slot"`
			Authorities int             `json:"authorities"`
			Index       int             `json:"expect_index"`
		} `json:"vectors"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range file.Vectors {
		s := parse(t, changed(t, spec.DevNodes(v.Authorities), set(1, "turn"), set(v.Duration, "slots", 0, "ms")))
		if got := s.SlotAt(v.Timestamp); got != v.Slot {
			t.Errorf("slot at %d = %d, want %d", v.Timestamp, got, v.Slot)
		}
		if got := s.Set(1).Author(v.Slot); got != v.Index {
			t.Errorf("author of slot %d = %d, want %d", v.Slot, got, v.Index)
		}
	}
}

func TestAuthorsTakeTurnsOfTwoSlotsByDefault(t *testing.T) {
	a := spec.DevNodes(3).Set(1)
	want := []int{0, 0, 1, 1, 2, 2, 0, 0}
	for slot, index := range want {
		if got := a.Author(chain.Slot(slot)); got != index {
			t.Errorf("author of slot %d = %d, want %d", slot, got, index)
		}
	}
}

// scheduled has slots of 3 s up to slot 1000, then of 5 s, then of 1.5 s.
func scheduled(t *testing.T) *spec.Spec {
	t.Helper()
	return parse(t, changed(t, spec.Dev(), set([]any{
		map[string]any{"from_slot": 0, "ms": 3000},
		map[string]any{"from_slot": 1000, "ms": 5000},
		map[string]any{"from_slot": 1_000_000_000, "ms": 1500},
	}, "slots")))
}

// O-12: a block of the time before a change of the slot length has the same slot for ever.
func TestO12SlotLengthsAreAScheduleBySlot(t *testing.T) {
	s := scheduled(t)
	for _, c := range []struct {
		at    chain.UnixMilli
		slot  chain.Slot
		start chain.UnixMilli
		long  time.Duration
	}{
		{0, 0, 0, 3 * time.Second},
		{2999, 0, 0, 3 * time.Second},
		{3000, 1, 3000, 3 * time.Second},
		{2_999_999, 999, 2_997_000, 3 * time.Second},
		{3_000_000, 1000, 3_000_000, 5 * time.Second},
		{3_004_999, 1000, 3_000_000, 5 * time.Second},
		{3_005_000, 1001, 3_005_000, 5 * time.Second},
		{4_999_998_000_000, 1_000_000_000, 4_999_998_000_000, 1500 * time.Millisecond},
		{4_999_998_001_500, 1_000_000_001, 4_999_998_001_500, 1500 * time.Millisecond},
	} {
		if got := s.SlotAt(c.at); got != c.slot {
			t.Errorf("slot at %d = %d, want %d", c.at, got, c.slot)
		}
		if got := s.SlotStart(c.slot); got != c.start {
			t.Errorf("start of slot %d = %d, want %d", c.slot, got, c.start)
		}
		if got := s.SlotDuration(c.slot); got != c.long {
			t.Errorf("length of slot %d = %s, want %s", c.slot, got, c.long)
		}
	}
	if got := s.PayloadTime(1_000_000_001); got != 4_999_998_001 {
		t.Errorf("payload time = %d, want the floor of the start in seconds", got)
	}
}

func TestSlotsNeverGoBackAndContainTheirTime(t *testing.T) {
	s := scheduled(t)
	rapid.Check(t, func(r *rapid.T) {
		at := chain.UnixMilli(rapid.Int64Range(0, 1<<50).Draw(r, "time"))
		slot := s.SlotAt(at)
		if start, next := s.SlotStart(slot), s.SlotStart(slot+1); at < start || at >= next {
			r.Fatalf("time %d is not in slot %d, from %d to %d", at, slot, start, next)
		}
		if s.SlotAt(at+1) < slot {
			r.Fatalf("slot goes back after %d", at)
		}
	})
}

func TestExtremesOfTime(t *testing.T) {
	s := scheduled(t)
	if got := s.SlotAt(-5); got != 0 {
		t.Errorf("slot before 1970 = %d", got)
	}
	if got := s.SlotStart(math.MaxUint64); got != math.MaxInt64 {
		t.Errorf("start of the last slot = %d", got)
	}
	if got := s.SlotStart(s.SlotAt(math.MaxInt64)); got < 0 {
		t.Errorf("start of the slot at the end of time = %d", got)
	}
}

// The first block's payload is younger than the execution genesis, which has 0x63a1e047 = 1671553095 s.
func TestFirstSlotIsAfterTheExecutionGenesis(t *testing.T) {
	s := spec.Dev()
	first := s.FirstSlot()
	if got := s.PayloadTime(first); got < 1_671_553_096 || got > 1_671_553_097 {
		t.Errorf("first payload time = %d", got)
	}
	if got := s.PayloadTime(first - 1); got > 1_671_553_095 {
		t.Errorf("the slot before would do: %d", got)
	}
}
