package block

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/alys-node/alys/sdk/chain"
)

// Limits of a block that came from elsewhere. They bound memory before anything is verified.
const (
	MaxBlockBytes  = 10 << 20 // an encoded block
	MaxAuthorities = 255      // of one set: an authority's index is one byte
	MaxDeposits    = 256
	MaxSettlements = 64
	MaxVoids       = 64
	MaxVouts       = 256
	MaxBranch      = 32 // levels of a merkle branch
	MaxAncestors   = 24 // of a void, as long as a chain of unconfirmed transactions may be
	MaxTxBytes     = 400_000

	MaxTransactions   = 1 << 16  // and items of any list of byte strings
	MaxQCBytes        = 256      // an encoded certificate
	MaxUpdateBytes    = 64 << 10 // the content of a federation update
	MaxSignatureBytes = 96       // a governance signature
)

// Errors of decoding and checking.
var (
	ErrTooLarge = errors.New("block part is too large")
	ErrMismatch = errors.New("header does not match the body")
)

// Signers is a set of authority indexes: bit i%8 (least significant first) of byte i/8 is authority i. The canonical
// length is ceil(n/8) for a set of n authorities; bits at n and above are zero.
type Signers []byte

// NewSigners is the empty set over n authorities.
func NewSigners(n int) Signers { return make(Signers, (n+7)/8) }

// Has reports whether authority i is in the set.
func (s Signers) Has(i int) bool { return i>>3 < len(s) && s[i>>3]&(1<<(i&7)) != 0 }

// Set adds authority i, which must be below n.
func (s Signers) Set(i int) { s[i>>3] |= 1 << (i & 7) }

// Count is the number of members.
func (s Signers) Count() int {
	n := 0
	for _, b := range s {
		n += bits.OnesCount8(b)
	}
	return n
}

// Indexes lists the members in ascending order.
func (s Signers) Indexes() []int {
	var out []int
	for i := range len(s) * 8 {
		if s.Has(i) {
			out = append(out, i)
		}
	}
	return out
}

// QC is a quorum certificate: the aggregate of the approvals of at least ceil(2n/3) authorities of the set at the
// approved block's height. Genesis needs none: its certificate has the block's hash, no signers and no signature.
type QC struct {
	Block     chain.Hash
	Signers   Signers
	Signature chain.BLSSignature
}

// Hash is what a child's header commits to.
func (q QC) Hash() chain.Hash { return chain.TaggedHash("alys/qc/1", mustEncode(q)) }

// AuxPoW finalizes a range of blocks by merged mining (v1 2.6 with design section 8).
type AuxPoW struct {
	RangeStart   chain.Hash // oldest block of the range
	RangeEnd     chain.Hash // youngest, included
	Bits         uint32     // compact target
	ChainID      uint32     // the chain's merged-mining id
	Index        uint64     // the previous proof's plus one
	FeeRecipient chain.Address
	Proof        []byte // Namecoin wire form (v1 11.3)
}

// Inclusion proves that a Bitcoin transaction is in a Bitcoin block.
type Inclusion struct {
	Tx     []byte       // Bitcoin consensus encoding without witness
	Branch []chain.Hash // merkle branch from the transaction up, raw byte order
	Index  uint32       // the transaction's position in its block
	Header [80]byte     // the Bitcoin block header
}

// Deposit is a peg-in observation.
type Deposit struct {
	Inclusion Inclusion
	Vouts     []uint32 // outputs that pay the federation's script, ascending
}

// Settlement says which version of a payment confirmed.
type Settlement struct {
	Payment   chain.Hash // TaggedHash of the payment's version 0
	Version   uint32
	Inclusion Inclusion
}

// Void removes an outpoint whose creating transaction was double-spent.
//
// The conflict may be further up: Ancestors are then the transactions (stripped) from the one that created the outpoint's
// input up to the one that shares an input with the conflicting transaction, none when they conflict directly.
type Void struct {
	Txid      chain.Hash // raw byte order
	Vout      uint32
	Ancestors [][]byte
	Inclusion Inclusion // of the conflicting transaction
}

// Payment is the block's peg-out payment: the unsigned transaction of version 0, empty when there is none, and the fee
// rate that the author reports.
type Payment struct {
	Tx   []byte // Bitcoin consensus encoding without witness
	Rate uint64 // sat per 1,000 vB; 0 only where the spec has no peg
}

// Authority is one member of an authority set.
type Authority struct {
	Key        chain.BLSPublicKey
	Possession chain.BLSSignature
}

// Update changes the federation at a height: authorities, deposit script keys and fee addresses. Encoded is its
// canonical form; the signatures are over signer.UpdateRoot.
type Update struct {
	Encoded    []byte // RLP of Federation
	Signers    Signers
	Signature  chain.BLSSignature // aggregate of current authorities; zero when signed by governance keys
	Governance [][]byte           // signatures of the spec's governance keys, in key order, empty where absent
}

// Federation is the content of an update.
type Federation struct {
	Serial       uint64       // the current one's plus one
	Effective    chain.Height // first height under the new set
	Authorities  []Authority
	BitcoinKeys  []chain.BitcoinPublicKey // in script order
	Threshold    uint32
	ScriptKind   string // "taproot" or "p2wsh"
	FeeAddresses []chain.Address
	// GovernanceKeys replace the spec's from Effective on; empty keeps them.
	GovernanceKeys      []chain.BitcoinPublicKey
	GovernanceThreshold uint32
	// SignedAt is a height at or below the inclusion: Update.Signers are indexes into the authority set of that height.
	SignedAt chain.Height
}

// Block is a whole block.
type Block struct {
	Header      chain.Header
	ParentQC    QC
	AuxPoW      *AuxPoW // nil when the block carries no proof
	Deposits    []Deposit
	Settlements []Settlement
	Voids       []Void
	Payment     Payment
	Update      *Update // nil when the block carries none
	Execution   chain.ExecutionData
}

// Ref is the block's height and hash.
func (b *Block) Ref() chain.Ref { return chain.Ref{Height: b.Header.Height, Hash: b.Header.Hash()} }

// BodyRoot computes what the header must carry as BodyRoot.
func (b *Block) BodyRoot() chain.Hash {
	parts := []any{optional(b.AuxPoW), b.Deposits, b.Settlements, b.Voids, b.Payment, optional(b.Update)}
	roots := make([][]byte, len(parts))
	for i, p := range parts {
		root := chain.TaggedHash("alys/part/1", mustEncode(p))
		roots[i] = root[:]
	}
	return chain.TaggedHash("alys/body/1", roots...)
}

// Seal fills the header's commitments from the body. The author calls it last.
func (b *Block) Seal() {
	b.Header.ParentQC = b.ParentQC.Hash()
	b.Header.PayloadHash = b.Execution.Payload.BlockHash
	b.Header.BodyRoot = b.BodyRoot()
}

// CheckSeal reports whether the header's commitments are those of the body, and whether the parts agree with each
// other: the certificate is the parent's, the payload number is the height. It proves nothing about the payload's own
// hash, which the engine side recomputes.
func (b *Block) CheckSeal() error {
	h := b.Header
	switch {
	case h.ParentQC != b.ParentQC.Hash():
		return fmt.Errorf("parent certificate: %w", ErrMismatch)
	case b.ParentQC.Block != h.Parent:
		return fmt.Errorf("certificate is for %s, parent is %s: %w", b.ParentQC.Block, h.Parent, ErrMismatch)
	case h.PayloadHash != b.Execution.Payload.BlockHash:
		return fmt.Errorf("payload hash: %w", ErrMismatch)
	case h.Height != b.Execution.Payload.Number:
		return fmt.Errorf("payload number %d at height %d: %w", b.Execution.Payload.Number, h.Height, ErrMismatch)
	case h.BodyRoot != b.BodyRoot():
		return fmt.Errorf("body root: %w", ErrMismatch)
	}
	return nil
}

// Genesis is the block at height 0: it has no parent, and its payload is the execution genesis. identity is the hash of
// the genesis part of the chain spec; the header carries it as Parent, so two specs that differ in it have different
// genesis hashes. Its Genesis field is zero, as the hash is only known afterwards.
func Genesis(identity chain.Hash, payload chain.Payload) *Block {
	b := &Block{Execution: chain.ExecutionData{Payload: payload}}
	b.Header = chain.Header{Version: chain.HeaderVersion, Parent: identity}
	b.ParentQC.Block = identity
	b.Seal()
	return b
}
