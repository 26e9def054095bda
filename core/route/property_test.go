package route_test

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/sdk/chain"
)

func TestCanaryShareHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share := route.Share(rapid.IntRange(1, 9999).Draw(t, "share"))
		step := rapid.String().Draw(t, "step")
		first := chain.Slot(rapid.Uint64Range(0, 1<<40).Draw(t, "slot"))
		const n = 4000
		drawn := 0
		for s := range chain.Slot(n) {
			if route.Bucket(step, first+s) < share {
				drawn++
			}
		}
		p := float64(share) / 10_000
		if off := math.Abs(float64(drawn) - n*p); off > 6*math.Sqrt(n*p*(1-p))+1 {
			t.Fatalf("share %d: %d of %d", share, drawn, n)
		}
	})
}

func TestLargerShareContainsTheSmaller(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		small := rapid.IntRange(1, 9999).Draw(t, "small")
		large := rapid.IntRange(small, 9999).Draw(t, "large")
		b := route.BucketKey("step", rapid.SliceOf(rapid.Byte()).Draw(t, "key"))
		if b >= route.FullShare || (b < route.Share(small) && b >= route.Share(large)) {
			t.Fatalf("bucket %d", b)
		}
	})
}

func TestStepsDrawDifferentSlots(t *testing.T) {
	same := 0
	for s := range chain.Slot(10_000) {
		if (route.Bucket("a", s) < 1000) && (route.Bucket("b", s) < 1000) {
			same++
		}
	}
	if same > 200 { // 1 % expected
		t.Errorf("%d slots are drawn by both steps", same)
	}
}

// TestNoCallFailsBecauseOfAFlip flips a route through random positions under load. A plugin that left the route is
// drained and then gone: a call on it would fail.
func TestNoCallFailsBecauseOfAFlip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := route.New[*plugin](route.Options{Name: "signer"})
		generation := route.Generation(0)
		fresh := func() *plugin {
			generation++
			p := newPlugin("p")
			p.gen = generation
			return p
		}
		used := map[*plugin]bool{}
		flip := func() {
			p := positions{Primary: fresh(), Step: "s", Share: 2500}
			now := map[*plugin]bool{p.Primary.(*plugin): true}
			for i, at := range []*route.Target[*plugin]{&p.Fallback, &p.Shadow, &p.Canary, &p.Warm} {
				if rapid.Bool().Draw(rt, "has") {
					f := fresh()
					*at, now[f] = f, true
				}
				_ = i
			}
			p.Probation = p.Warm != nil
			hold := rapid.Bool().Draw(rt, "hold")
			if hold {
				r.Hold()
				if rapid.Bool().Draw(rt, "quiesce") {
					if err := r.Quiesce(t.Context()); err != nil {
						rt.Fatal(err)
					}
				}
			}
			if err := r.Set(p); err != nil {
				rt.Fatal(err)
			}
			if hold {
				r.Release()
			}
			for old := range used {
				if err := r.Drain(t.Context(), old.ID()); err != nil {
					rt.Fatal(err)
				}
				old.gone.Store(true)
			}
			used = now
		}
		flip()
		var failed, calls atomic.Int64
		var wg sync.WaitGroup
		quit := make(chan struct{})
		for n := range 3 {
			wg.Go(func() {
				for s := chain.Slot(n); ; s += 3 {
					select {
					case <-quit:
						return
					default:
					}
					q := route.Request{Slot: &s, Budget: 10 * time.Second}
					_, err := route.Call(t.Context(), r, q, func(ctx context.Context, p *plugin) (string, error) { return p.do(ctx, "") }, opts())
					if err != nil {
						failed.Add(1)
						t.Logf("call failed: %v", err)
					}
					calls.Add(1)
				}
			})
		}
		for range rapid.IntRange(1, 20).Draw(rt, "flips") {
			flip()
		}
		close(quit)
		wg.Wait()
		_ = r.Close()
		if failed.Load() > 0 {
			rt.Fatalf("%d of %d calls failed", failed.Load(), calls.Load())
		}
	})
}
