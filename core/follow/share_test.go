package follow_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/follow"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
)

// certified is a tip that authorities have certified, of a chain that nobody has made.
func certified(t *testing.T, h chain.Height) consensus.Certificate {
	t.Helper()
	genesis, err := spec.Dev().Genesis()
	if err != nil {
		t.Fatal(err)
	}
	tip := *genesis
	tip.Header.Genesis, tip.Header.Height, tip.Header.Slot = genesis.Header.Hash(), h, chain.Slot(h)
	return consensus.Certificate{Header: tip.Header, QC: certificate(t, &tip)}
}

// hanging is a world whose peers have a chain of so many heights, and never answer.
func hanging(t *testing.T, heights chain.Height, groups ...string) *world {
	t.Helper()
	w := newWorld(t, 0)
	tip := certified(t, heights)
	for i, g := range groups {
		id := syncer.PeerID(fmt.Sprintf("%s%d", g, i))
		w.slow[id] = make(chan struct{})
		w.PeerChanged(follow.Peer{ID: id, Group: g, Head: tip})
	}
	return w
}

// order asks a peer for heights, and gives the reason for which that was refused.
func (w *world) order(id int, peer string, from, count int) string {
	if err := w.Handle(w.t.Context(), syncer.Order{Assign: &syncer.Assign{
		Batch: syncer.BatchID(id), Peer: syncer.PeerID(peer),
		Range: syncer.Range{From: chain.Height(from), To: chain.Height(from + count - 1)},
	}}); err != nil {
		w.t.Fatal(err)
	}
	reason := ""
	for {
		select {
		case e := <-w.events:
			if e.Refused != nil {
				reason = e.Refused.Reason
			}
		default:
			return reason
		}
	}
}

func TestShareOfAPeerAndOfANetwork(t *testing.T) {
	type order struct {
		peer  string
		count int
		want  string // a part of the reason; empty for one that is carried out
	}
	for _, test := range []struct {
		name   string
		height chain.Height
		groups []string
		orders []order
	}{
		{"half of the span is a peer's", 100_000, []string{"a", "b"}, []order{
			{"a0", 1024, ""}, {"a0", 1024, ""}, {"a0", 1, "more than half of 4096 heights, and b1 can"}, {"b1", 1, ""},
		}},
		{"what lies far back does not count", 100_000, []string{"a", "b"}, []order{
			{"a0", 1024, ""}, {"a0", 1024, ""}, {"b1", 1024, ""}, {"b1", 1024, ""}, {"a0", 1024, ""}, {"a0", 1024, ""}, {"a0", 1024, "more than half"},
		}},
		{"nobody else", 100_000, []string{"a"}, []order{{"a0", 1024, ""}, {"a0", 1024, ""}, {"a0", 1024, ""}}},
		{"peers of one network share", 100_000, []string{"a", "a", "b"}, []order{
			{"a0", 1024, ""}, {"a1", 1024, ""}, {"a0", 10, "the peer's network a would"}, {"a1", 10, "and b2 can"}, {"b2", 10, ""},
		}},
		{"one network alone is shared by its peers", 100_000, []string{"a", "a"}, []order{
			{"a0", 1024, ""}, {"a0", 1024, ""}, {"a0", 10, "the peer would"}, {"a1", 10, ""},
		}},
		{"what is wanted is the span of a short sync", 100, []string{"a", "b"}, []order{
			{"a0", 50, ""}, {"a0", 10, "more than half of 100"}, {"b1", 50, ""},
		}},
		{"a range that nobody could be given within a half", 100, []string{"a", "b"}, []order{{"a0", 100, ""}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := hanging(t, test.height, test.groups...)
			next := 1
			for i, o := range test.orders {
				got := w.order(i+1, o.peer, next, o.count)
				if o.want == "" && got != "" || o.want != "" && !strings.Contains(got, o.want) {
					t.Errorf("order %d, %d heights of %s: %q, want %q", i, o.count, o.peer, got, o.want)
				}
				if got == "" {
					next += o.count
				}
			}
		})
	}
}

// Whoever cannot serve is no reason to leave a range to.
func TestShareIsLeftOnlyToPeersThatCan(t *testing.T) {
	w := hanging(t, 100_000, "a", "b")
	for i := range 2 {
		if got := w.order(i+1, "a0", 1+1024*i, 1024); got != "" {
			t.Fatal(got)
		}
	}
	if got := w.order(3, "a0", 2049, 10); got == "" {
		t.Fatal("the peer has its half, and another one can")
	}
	if got := w.order(4, "b1", 2049, 10); got != "" {
		t.Fatal(got)
	}
	close(w.slow["b1"]) // it answers that it has nothing
	for failed := false; !failed; {
		e := <-w.events
		failed = e.Batch != nil && e.Batch.ID == 4 && e.Batch.State == syncer.BatchFailed
	}
	if got := w.order(5, "a0", 2049, 10); got != "" {
		t.Errorf("left to a peer that has just failed: %s", got)
	}
}

// Of any heights ordered in a row, as many as the span, no peer and no network has more than half, but for half a range; and
// somebody can always be asked.
func TestShareOfAnyStrategy(t *testing.T) {
	const most = syncer.ShareSpan/2 + 512
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		groups := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 2, 6).Filter(func(g []string) bool {
			return strings.Count(strings.Join(g, ""), g[0]) < len(g)
		}).Draw(t, "groups")
		w := hanging(outer, 1_000_000, groups...)
		var byHeight []int // the peer of each height
		batch, next := 0, 1
		for range rapid.IntRange(1, 40).Draw(t, "orders") {
			count := rapid.IntRange(1, 1024).Draw(t, "heights")
			peer := rapid.IntRange(0, len(groups)-1).Draw(t, "peer")
			taken := false
			for try := range groups {
				p := (peer + try) % len(groups)
				batch++
				if w.order(batch, fmt.Sprintf("%s%d", groups[p], p), next, count) == "" {
					taken, next = true, next+count
					for range count {
						byHeight = append(byHeight, p)
					}
					break
				}
			}
			if !taken {
				t.Fatalf("nobody can be asked for %d heights", count)
			}
			last := byHeight[max(0, len(byHeight)-syncer.ShareSpan):]
			peers, networks := map[int]int{}, map[string]int{}
			for _, p := range last {
				peers[p]++
				networks[groups[p]]++
			}
			for _, n := range peers {
				if n > most {
					t.Fatalf("%d of the last %d heights are one peer's", n, len(last))
				}
			}
			for g, n := range networks {
				if n > most {
					t.Fatalf("%d of the last %d heights are of network %s", n, len(last), g)
				}
			}
		}
	})
}
