package consensus

import (
	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
)

// blsVerifier is the real signature scheme.
type blsVerifier struct{}

func (blsVerifier) Verify(k chain.BLSPublicKey, root chain.Hash, sig chain.BLSSignature) bool {
	return bls.Verify(k, root, sig)
}

func (blsVerifier) VerifyAggregate(keys []chain.BLSPublicKey, root chain.Hash, sig chain.BLSSignature) bool {
	return bls.VerifyAggregate(keys, root, sig)
}

func (blsVerifier) Aggregate(sigs []chain.BLSSignature) (chain.BLSSignature, error) {
	return bls.Aggregate(sigs)
}

// ApprovalRoot is the 32-byte message of an approval. It is sdk/signer's, computed from the hash that the machine has at
// hand.
func ApprovalRoot(hash chain.Hash) chain.Hash { return chain.TaggedHash("alys/approval/1", hash[:]) }

// GenesisQC stands for the certificate of the genesis block, which needs none.
func GenesisQC(genesis chain.Hash) block.QC { return block.QC{Block: genesis} }

// VerifyQC reports whether qc certifies a block of a height under set: a canonical signer set of at least a quorum, and
// their aggregate. A nil v means BLS12-381. The genesis block's certificate is not for this function.
func VerifyQC(v Verifier, set Set, qc block.QC) bool {
	n := len(set.Keys)
	if len(qc.Signers) != (n+7)/8 || qc.Signers.Count() < set.Quorum() {
		return false
	}
	indexes := qc.Signers.Indexes()
	if indexes[len(indexes)-1] >= n {
		return false
	}
	keys := make([]chain.BLSPublicKey, len(indexes))
	for i, x := range indexes {
		keys[i] = set.Keys[x]
	}
	if v == nil {
		v = blsVerifier{}
	}
	return v.VerifyAggregate(keys, ApprovalRoot(qc.Block), qc.Signature)
}
