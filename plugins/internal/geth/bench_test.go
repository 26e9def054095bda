package geth_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/internal/geth"
	"github.com/alys-node/alys/sdk/chain"
)

// BenchmarkImport reports blocks per second of near-empty and of fuller payloads.
func BenchmarkImport(b *testing.B) {
	for _, txs := range []int{0, 50} {
		src := start(b, fork{})
		blocks := make([]chain.ExecutionData, 0, 512)
		var nonce uint64
		for len(blocks) < cap(blocks) {
			for range txs {
				src.add(transfer(nonce))
				nonce++
			}
			blocks = append(blocks, src.extend(1)...)
		}
		for _, every := range []int{1, 32} {
			b.Run(fmt.Sprintf("transfers=%d/forkchoice_every=%d", txs, every), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					e, err := geth.Open(geth.Config{DataDir: filepath.Join(b.TempDir(), "data"), Genesis: genesis(b, fork{})}, hclog.NewNullLogger())
					if err != nil {
						b.Fatal(err)
					}
					n := &node{Engine: e, t: b}
					b.StartTimer()
					for i := 0; i < len(blocks); i += every {
						n.head(blocks[i:min(len(blocks), i+every)]...)
					}
					b.StopTimer()
					if err := e.Close(); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
				b.ReportMetric(float64(len(blocks)*b.N)/b.Elapsed().Seconds(), "blocks/s")
			})
		}
	}
}

// BenchmarkBuild is the latency of one Build with a number of waiting transfers.
func BenchmarkBuild(b *testing.B) {
	for _, txs := range []int{0, 50, 500, 1400} {
		b.Run(fmt.Sprintf("transfers=%d", txs), func(b *testing.B) {
			n := start(b, fork{})
			for i := range txs {
				n.add(transfer(uint64(i)))
			}
			r := n.request(n.status().Heads.Head.Hash, genesisTime+2)
			for b.Loop() {
				if d := n.build(r); len(d.Payload.Transactions) != txs {
					b.Fatalf("%d transactions", len(d.Payload.Transactions))
				}
			}
		})
	}
}
