package spec_test

import (
	"testing"

	"github.com/alys-node/alys/core/spec"
)

func TestBuiltInChains(t *testing.T) {
	for name, members := range map[string]int{"dev": 1, "dev-2": 2, "dev-15": 15} {
		s, ok := spec.BuiltIn(name)
		if !ok || len(s.Authorities[0].Keys) != members || s.Name != name {
			t.Errorf("%s: %v, %+v", name, ok, s)
		}
	}
	for _, name := range []string{"", "dev-1", "dev-0", "dev-16", "dev-02", "main"} {
		if _, ok := spec.BuiltIn(name); ok {
			t.Errorf("there is a chain %q", name)
		}
	}
}

func TestChainWithoutScheduledChangesHasNone(t *testing.T) {
	for _, s := range []*spec.Spec{spec.Dev(), spec.DevPrague(3)} {
		if h, sl := s.HeightChanges(), s.SlotChanges(); len(h) > 0 || len(sl) > 0 {
			t.Errorf("%s: %v %v", s.Name, h, sl)
		}
	}
}

// Peers compare these: each change is at its place, and another content is another digest (O-4).
func TestO04_ScheduledChangesAreToldApart(t *testing.T) {
	base := scheduled(t)
	changes := base.SlotChanges()
	if len(changes) != len(base.Slots)-1 {
		t.Fatalf("%d changes of %d slot entries", len(changes), len(base.Slots))
	}
	for i, c := range changes {
		if c.At != uint64(base.Slots[i+1].From) {
			t.Errorf("change %d is at slot %d, want %d", i, c.At, base.Slots[i+1].From)
		}
	}
	genesis := uint64(0x63a1e047)
	fork := func(name string, seconds uint64) *spec.Spec {
		return parse(t, changed(t, spec.Dev(), set(genesis+seconds, "execution_genesis", "config", name)))
	}
	a, b := fork("cancunTime", 1001).SlotChanges(), fork("cancunTime", 1002).SlotChanges()
	if len(a) != 1 || len(b) != 1 || a[0].Digest == b[0].Digest {
		t.Fatalf("forks one second apart: %v %v", a, b)
	}
	dev := spec.Dev()
	for _, c := range []struct {
		at  spec.Change
		sec uint64
	}{{a[0], 1001}, {b[0], 1002}} {
		first := dev.FirstSlot()
		for dev.PayloadTime(first) < genesis+c.sec {
			first++
		}
		if c.at.At != uint64(first) {
			t.Errorf("the fork at %d s is at slot %d, want %d: the first whose payload has it", c.sec, c.at.At, first)
		}
	}
	both := parse(t, changed(t, spec.Dev(), set(genesis+1001, "execution_genesis", "config", "cancunTime"), set(genesis+1001, "execution_genesis", "config", "pragueTime")))
	if got := both.SlotChanges(); len(got) != 1 || got[0].At != a[0].At || got[0].Digest == a[0].Digest {
		t.Errorf("two forks in one slot: %v", got)
	}
}
