package network

import (
	"testing"

	"github.com/alys-node/alys/sdk/chain"
)

// Near-empty blocks in batches of 128 from one peer: what one peer can deliver, decoded and linked, certificates not
// verified. Both ends share the machine.
func BenchmarkRange(b *testing.B) {
	for _, size := range []struct {
		name  string
		extra int
	}{{"near-empty", 0}, {"7 kB", 7000}} {
		b.Run(size.name, func(b *testing.B) {
			l := newLedger(128, size.extra)
			server := startOn(b, l)
			client := start(b, dialling(server))
			client.meets(server)
			m := server.member(client.peerID())
			m.quota.ranges.SetLimit(1e9)
			bytes := 0
			for h := 1; h <= 128; h++ {
				bytes += len(l.at(h).Encode())
			}
			b.SetBytes(int64(bytes))
			for b.Loop() {
				a, err := client.Range(b.Context(), RangeRequest{Peer: server.name(), From: 1, Count: 128})
				if err != nil || len(a.Blocks) != 128 || a.QC.Block == (chain.Hash{}) {
					b.Fatal(len(a.Blocks), err)
				}
			}
			b.ReportMetric(float64(b.N)*128/b.Elapsed().Seconds(), "blocks/s")
		})
	}
}
