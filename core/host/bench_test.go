package host_test

import (
	"syscall"
	"testing"

	"github.com/alys-node/alys/core/host"
)

// BenchmarkLaunch measures exec to ready, with AutoMTLS, Describe, Configure and Health, and the polite end.
func BenchmarkLaunch(b *testing.B) {
	h := open(b, func(c *host.Config) { c.Observer = nil })
	block := tester("")
	digest := h.stage(block)
	for b.Loop() {
		g, err := h.Launch(b.Context(), block, digest)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		g.Stop(b.Context())
		b.StartTimer()
	}
}

// BenchmarkRecovery measures from SIGKILL to the next answered call; RestartMin is 100 ms, as documented.
func BenchmarkRecovery(b *testing.B) {
	h := open(b, func(c *host.Config) {
		c.Observer, c.Timings.RestartMin, c.Timings.RestartReset, c.Timings.BreakerDeaths = nil, 0, 1, 1<<30
	})
	i := h.supervise(tester(""), host.Hooks{})
	g, err := i.Current()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := syscall.Kill(g.PID, syscall.SIGKILL); err != nil {
			b.Fatal(err)
		}
		g = current(b, i, g)
		if err := call(b.Context(), g); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStop measures drain and polite end.
func BenchmarkStop(b *testing.B) {
	h := open(b, func(c *host.Config) { c.Observer = nil })
	block := tester("")
	digest := h.stage(block)
	for b.Loop() {
		b.StopTimer()
		g, err := h.Launch(b.Context(), block, digest)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		g.Stop(b.Context())
	}
}

// BenchmarkCall measures a call through all that the host puts in front of it.
func BenchmarkCall(b *testing.B) {
	h := open(b, func(c *host.Config) { c.Observer = nil })
	g := h.mustLaunch(tester(""))
	for b.Loop() {
		if err := call(b.Context(), g); err != nil {
			b.Fatal(err)
		}
	}
}
