package signer

import "github.com/alys-node/alys/sdk/chain"

// BenchKeys is how many bench keys a chain has. Approvals of one key come one after the other, as its slots do; several
// keys are what lets a measurement have several in flight.
const BenchKeys = 4

// BenchGenesis is the genesis hash of the chain that does not exist: TaggedHash("alys/bench/1", genesis). Measurements
// are signed under it, so that nothing that they sign means anything on a chain of anybody.
//
// A signer that lets itself be measured answers Approve for the bench keys, under the bench genesis and no other, with a
// guard apart from that of its real keys. Its real keys never sign under the bench genesis. It does not list the bench
// keys: they are nobody's.
func BenchGenesis(genesis chain.Hash) chain.Hash {
	return chain.TaggedHash("alys/bench/1", genesis[:])
}

// BenchSecret is the secret of bench key i, from 0 to BenchKeys-1, of the chain with that genesis: 32 big-endian bytes,
// TaggedHash("alys/bench/key/1", genesis, i as one byte) with the two highest bits cleared, which is below the order of
// BLS12-381. Everybody can compute it: it must never become an authority's.
func BenchSecret(genesis chain.Hash, i uint8) []byte {
	h := chain.TaggedHash("alys/bench/key/1", genesis[:], []byte{i})
	h[0] &= 0x3f
	return h[:]
}
