package devnet_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/internal/devnet"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/chain"
)

// slotEntry is an entry of a spec's slot schedule.
type slotEntry struct {
	From chain.Slot `json:"from_slot"`
	MS   uint64     `json:"ms"`
}

// scheduled gives a development federation another slot schedule: a chain of its own, read from a file.
func scheduled(t *testing.T, nodes []*devnet.Node, slots ...slotEntry) *spec.Spec {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(spec.DevNodes(len(nodes)).Encode(), &fields); err != nil {
		t.Fatal(err)
	}
	fields["slots"] = slots
	raw, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	s, err := spec.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if err := os.WriteFile(filepath.Join(n.Dir, "chain.json"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		n.Edit(fmt.Sprintf(`spec = "dev-%d"`, len(nodes)), `spec = "./chain.json"`)
		if out, ok := n.Alys("plugin", "pin"); !ok { // a chain from a file is no development chain to the configuration
			t.Fatal(out)
		}
	}
	return s
}

// TestEndToEndSlots measures, in federations of three and four, how long after a slot's start its block is notarized,
// imported and the head of every node, with slots of 2,000 ms and, after a change that the running chain makes at the slot
// that its spec names, of 1,500 ms. The figures are told; that the change loses no slot's place and everybody has one chain
// is what must hold.
func TestEndToEndSlots(t *testing.T) {
	if *slots < 100 { // too few for figures, which need the machine for themselves
		t.Parallel()
	}
	for _, count := range []int{3, 4} {
		t.Run(fmt.Sprintf("%d nodes", count), func(t *testing.T) {
			nodes := devnet.NewFederation(t, binaries, count)
			const long, short = 2000, 1500
			now := chain.UnixMilli(time.Now().UnixMilli())
			warmUp := chain.Slot(15) // until all are up and listened
			from := chain.Slot(uint64(now)/long) + warmUp
			change := from + chain.Slot(*slots)
			s := scheduled(t, nodes, slotEntry{0, long}, slotEntry{change, short})
			for _, n := range nodes {
				n.Launch()
			}
			height(t, time.Minute, 2, 1, nodes...)
			seen := make([]map[chain.Slot]admin.SlotStatus, count)
			for i := range seen {
				seen[i] = map[chain.Slot]admin.SlotStatus{}
			}
			for end := change + chain.Slot(*slots) + 2; s.SlotAt(chain.UnixMilli(time.Now().UnixMilli())) < end; {
				for i, n := range nodes {
					for _, x := range n.Slots().Slots {
						seen[i][x.Slot] = x
					}
				}
				rest(t, 10*time.Second)
			}
			told(t, fmt.Sprintf("%d nodes, slots of %d ms", count, long), seen, from, change)
			told(t, fmt.Sprintf("%d nodes, slots of %d ms", count, short), seen, change, change+chain.Slot(*slots))
			oneChain(t, nodes)
		})
	}
}

// told tells what was seen of the slots from one up to another.
func told(t *testing.T, what string, seen []map[chain.Slot]admin.SlotStatus, from, to chain.Slot) {
	t.Helper()
	var took []int64
	missed := 0
	for slot := from; slot < to; slot++ {
		if seen[0][slot].State != admin.SlotNotarized {
			missed++
			continue
		}
		for _, node := range seen {
			if x := node[slot]; x.TookMillis > 0 {
				took = append(took, x.TookMillis)
			}
		}
	}
	if len(took) == 0 {
		t.Errorf("%s: no block in slots %d to %d", what, from, to)
		return
	}
	slices.Sort(took)
	at := func(share float64) int64 { return took[min(len(took)-1, int(share*float64(len(took))))] }
	t.Logf("%s: %d slots, %d without a block; from a slot's start to notarized and head, at each node: p50 %d ms, p99 %d ms, worst %d ms (%d samples)",
		what, to-from, missed, at(0.5), at(0.99), took[len(took)-1], len(took))
}
