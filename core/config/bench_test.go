package config_test

import (
	"testing"

	"github.com/alys-node/alys/core/config"
)

func BenchmarkLoadFull(b *testing.B) {
	for b.Loop() {
		if c, ds := config.Load("../../examples/full.hcl", config.Options{}); c == nil {
			b.Fatal(ds.Err())
		}
	}
}
