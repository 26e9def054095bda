package signer_test

import (
	"testing"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

func TestBenchKeysAreKeysOfTheirOwnChain(t *testing.T) {
	a, b := chain.Hash{1}, chain.Hash{2}
	if g := signer.BenchGenesis(a); g == a || g == signer.BenchGenesis(b) || signer.BenchGenesis(g) == a {
		t.Error("a bench chain is not a chain of its own")
	}
	seen := map[chain.BLSPublicKey]bool{}
	for _, genesis := range []chain.Hash{a, b} {
		for i := range uint8(signer.BenchKeys) {
			key, err := bls.ParseSecretKey(signer.BenchSecret(genesis, i))
			if err != nil {
				t.Fatalf("bench key %d: %v", i, err)
			}
			seen[key.Public()] = true
		}
	}
	if len(seen) != 2*signer.BenchKeys {
		t.Errorf("%d different keys, want %d", len(seen), 2*signer.BenchKeys)
	}
}
