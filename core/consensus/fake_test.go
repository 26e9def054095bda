package consensus_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
)

// fakeScheme stands in for BLS where thousands of schedules are run: a signature is a hash of key and root, an
// aggregate the sum of signatures. TestRealSignatures runs the machine on the real scheme.
type fakeScheme struct{}

func fakeKey(i int) chain.BLSPublicKey {
	var k chain.BLSPublicKey
	binary.BigEndian.PutUint32(k[:], uint32(i)+1)
	return k
}

func fakeSign(k chain.BLSPublicKey, hash chain.Hash) chain.BLSSignature {
	return fakeSignature(k, consensus.ApprovalRoot(hash))
}

func fakeSignature(k chain.BLSPublicKey, root chain.Hash) chain.BLSSignature {
	var s chain.BLSSignature
	h := sha256.Sum256(append(k[:4:4], root[:]...))
	copy(s[:], h[:])
	return s
}

func (fakeScheme) Verify(k chain.BLSPublicKey, root chain.Hash, sig chain.BLSSignature) bool {
	return sig == fakeSignature(k, root)
}

func (f fakeScheme) VerifyAggregate(keys []chain.BLSPublicKey, root chain.Hash, sig chain.BLSSignature) bool {
	sigs := make([]chain.BLSSignature, len(keys))
	for i, k := range keys {
		sigs[i] = fakeSignature(k, root)
	}
	want, err := f.Aggregate(sigs)
	return err == nil && sig == want
}

func (fakeScheme) Aggregate(sigs []chain.BLSSignature) (chain.BLSSignature, error) {
	var sum chain.BLSSignature
	if len(sigs) == 0 {
		return sum, errors.New("nothing to aggregate")
	}
	for _, s := range sigs {
		for i := range sum {
			sum[i] += s[i]
		}
	}
	return sum, nil
}

// toySchedule has slots of one length and the sets given, by ascending From.
type toySchedule struct {
	ms   chain.UnixMilli
	turn chain.Slot
	sets []consensus.Set
	// known is how far the sets are known; 0 means for ever.
	known chain.Height
}

func newSchedule(n int) *toySchedule {
	return &toySchedule{ms: 2000, turn: 2, sets: []consensus.Set{{Keys: fakeKeys(n)}}}
}

func fakeKeys(n int) []chain.BLSPublicKey {
	keys := make([]chain.BLSPublicKey, n)
	for i := range keys {
		keys[i] = fakeKey(i)
	}
	return keys
}

func (t *toySchedule) SlotAt(at chain.UnixMilli) chain.Slot { return chain.Slot(at / t.ms) }
func (t *toySchedule) SlotStart(s chain.Slot) chain.UnixMilli {
	if s > 1<<40 {
		return 1 << 62
	}
	return chain.UnixMilli(s) * t.ms
}

func (t *toySchedule) Set(h chain.Height) (consensus.Set, bool) {
	if t.known > 0 && h > t.known {
		return consensus.Set{}, false
	}
	set := t.sets[0]
	for _, s := range t.sets {
		if s.From <= h {
			set = s
		}
	}
	return set, true
}

func (t *toySchedule) Author(s chain.Slot, h chain.Height) (int, bool) {
	set, ok := t.Set(h)
	if !ok {
		return 0, false
	}
	return int(s / t.turn % chain.Slot(len(set.Keys))), true
}

var genesisHeader = chain.Header{Version: chain.HeaderVersion, PayloadHash: chain.Hash{7}}

// certificateBy makes a certificate signed by the given authorities.
func certificateBy(set consensus.Set, hash chain.Hash, signers ...int) block.QC {
	qc := block.QC{Block: hash, Signers: block.NewSigners(len(set.Keys))}
	sigs := make([]chain.BLSSignature, len(signers))
	for n, i := range signers {
		qc.Signers.Set(i)
		sigs[n] = fakeSign(set.Keys[i], hash)
	}
	sum, err := fakeScheme{}.Aggregate(sigs)
	if err != nil {
		panic(err)
	}
	qc.Signature = sum
	return qc
}
