package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// memoryLimit is where the collector stops letting garbage grow. The promise for the node's process is 256 MB resident. What
// the limit does not count comes on top: 50 MB of the program, mapped from its file, and up to 45 MB that C code allocates.
const memoryLimit = 160 << 20

// calmAfter is how long a raised limit stays without a collection. After a flood nothing is allocated that would bring one
// about, and what is dead by then would stay for the two minutes after which the runtime collects by itself.
const calmAfter = 2 * time.Second

// limitStep is the least change of the limit that is worth stopping the world for.
const limitStep = 4 << 20

// keepMemory holds the process near base bytes until ctx ends. Under a flood most of a heap is garbage, which the collector
// otherwise lets grow to as much as is alive. A plain limit has a bad end: with more alive than it allows, the collector
// runs without a pause. So the limit follows what is alive: garbage may always be half of that.
func keepMemory(ctx context.Context, base int64) {
	before := debug.SetMemoryLimit(base)
	defer debug.SetMemoryLimit(before)
	limit := base
	calm := time.NewTimer(calmAfter)
	defer calm.Stop()
	idle := false // what the last collection of ours left is alive
	var automatic uint64
	for cycles := collections(ctx); ; {
		forced := false
		select {
		case <-cycles:
			calm.Reset(calmAfter)
		case <-calm.C:
			calm.Reset(calmAfter)
			if limit == base || idle && automatic == automaticCycles() {
				continue
			}
			runtime.GC()
			forced = true
		case <-ctx.Done():
			return
		}
		want := limitFor(base, readUse())
		if forced {
			idle, automatic = want > limit-limitStep, automaticCycles()
		}
		if diff := want - limit; diff >= limitStep || diff <= -limitStep || want == base && limit != base {
			limit = want
			debug.SetMemoryLimit(limit)
		}
	}
}

// startMemory keeps the memory of this process, unless its owner has set a limit in the environment. What it returns ends
// that with cancel and waits for it.
func startMemory(ctx context.Context, cancel func()) (stop func()) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return cancel
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		keepMemory(ctx, memoryLimit)
	}()
	return func() {
		cancel()
		<-done
	}
}

// use is what the runtime's memory is made of, in bytes.
type use struct {
	live  int64 // heap that the last collection found alive
	other int64 // stacks, the runtime's own and the holes between what is alive, which the limit counts too
}

// limitFor is the limit while so much is in use.
func limitFor(base int64, u use) int64 { return max(base, u.live+u.live/2+u.other) }

func readUse() use {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	value := func(i int) int64 { return int64(samples[i].Value.Uint64()) }
	return use{live: value(0), other: max(0, value(1)-value(2)-value(3)-value(4))}
}

// automaticCycles counts the collections that nobody asked for.
func automaticCycles() uint64 {
	sample := []metrics.Sample{{Name: "/gc/cycles/automatic:gc-cycles"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// collections tells when the collector has ended a cycle: it has found an object dead that was dead from the beginning.
func collections(ctx context.Context) <-chan struct{} {
	ended := make(chan struct{}, 1)
	var lay func()
	lay = func() {
		runtime.AddCleanup(&struct{ next *int }{}, func(struct{}) {
			if ctx.Err() != nil {
				return
			}
			select {
			case ended <- struct{}{}:
			default: // the one before has not been looked at
			}
			lay()
		}, struct{}{})
	}
	lay()
	return ended
}
