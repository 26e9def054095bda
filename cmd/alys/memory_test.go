package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestTheLimitFollowsWhatIsAlive(t *testing.T) {
	const base = 200 << 20
	tests := []struct {
		name string
		use  use
		want int64
	}{
		{"little is alive", use{live: 50 << 20, other: 10 << 20}, base},
		{"just as much as fits", use{live: 120 << 20, other: 20 << 20}, base},
		{"more than fits", use{live: 200 << 20, other: 20 << 20}, 320 << 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := limitFor(base, tt.use); got != tt.want {
				t.Errorf("a limit of %d MiB, want %d", got>>20, tt.want>>20)
			}
		})
	}
}

var sink []byte // keeps garbage from being optimized away

// churn allocates so many bytes of garbage and gives the collections that it cost.
func churn(size int) uint32 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range size / (64 << 10) {
		sink = make([]byte, 64<<10)
	}
	runtime.ReadMemStats(&after)
	return after.NumGC - before.NumGC
}

// holding runs keepMemory while f runs, and wants the limit put back after it.
func holding(t *testing.T, base int64, f func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); keepMemory(ctx, base) }()
	until(t, "the limit is set", func() bool { return debug.SetMemoryLimit(-1) == base })
	f()
	cancel()
	<-done
	if got := debug.SetMemoryLimit(-1); got == base {
		t.Errorf("a limit of %d bytes is left behind", got)
	}
}

// until waits for a condition that a collection brings about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	waitFor(t, what, ok, runtime.GC)
}

// waitFor waits for a condition and does something before each look.
func waitFor(t *testing.T, what string, ok func() bool, do func()) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
			do()
		}
	}
}

// The heap stays below the limit, where it would otherwise grow to twice of what is alive; and with more alive than the
// limit allows the collector still rests: it runs as often as its headroom is used up, not at every allocation.
func TestMemoryIsKeptAndTheCollectorRests(t *testing.T) {
	live := make([]byte, 96<<20)
	runtime.GC()
	alive := readUse()
	base := alive.live + alive.live/4 + alive.other + 32<<20
	holding(t, base, func() {
		churn(256 << 20)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if got := int64(m.Sys - m.HeapReleased); got > limitFor(base, readUse())+16<<20 {
			t.Errorf("%d MiB in use, the limit is %d MiB", got>>20, base>>20)
		}
	})

	base = alive.live / 2
	holding(t, base, func() {
		until(t, "the limit is raised", func() bool { return debug.SetMemoryLimit(-1) >= alive.live })
		const garbage = 512 << 20
		if cycles := churn(garbage); cycles > 2*garbage/uint32(alive.live/2)+4 {
			t.Errorf("%d collections for %d MiB of garbage with %d MiB alive", cycles, garbage>>20, alive.live>>20)
		}
		runtime.KeepAlive(live)
		live = nil
		// Nobody allocates and nobody collects any more.
		waitFor(t, "the limit is lowered", func() bool { return debug.SetMemoryLimit(-1) < alive.live }, func() {})
	})
}

func TestAnOwnersLimitIsLeftAlone(t *testing.T) {
	for _, tt := range []struct {
		env  string
		kept bool
	}{{"1GiB", false}, {"", true}} {
		t.Run("GOMEMLIMIT="+tt.env, func(t *testing.T) {
			t.Setenv("GOMEMLIMIT", tt.env)
			before := debug.SetMemoryLimit(-1)
			ctx, cancel := context.WithCancel(t.Context())
			stop := startMemory(ctx, cancel)
			if tt.kept {
				until(t, "the limit is set", func() bool { return debug.SetMemoryLimit(-1) != before })
			}
			stop()
			if got := debug.SetMemoryLimit(-1); got != before {
				t.Errorf("a limit of %d bytes afterwards, %d before", got, before)
			}
		})
	}
}

// Holes between what is alive are not garbage that a collection could free: a limit that leaves them out would have the
// collector run without a pause.
func TestHolesInTheHeapAreCounted(t *testing.T) {
	const size, every = 1 << 10, 16
	kept := make([][]byte, 0, 4<<10)
	for i := range 4 << 10 * every {
		b := make([]byte, size)
		if i%every == 0 {
			kept = append(kept, b)
		}
	}
	runtime.GC()
	u := readUse()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if holes := int64(m.HeapInuse - m.HeapAlloc); holes < 4<<20 || u.other < holes {
		t.Errorf("%d MiB of holes, %d MiB counted beside what is alive", holes>>20, u.other>>20)
	}
	runtime.KeepAlive(kept)
}
