// Package signer is the contract of a signer plugin: it holds keys and answers typed requests.
//
// No signer ever sees a bare digest. An approval comes with the canonical header, a peg-out with the whole transaction,
// and the signer computes what it signs by itself, so that it can refuse. To refuse is an answer (ErrRefused): the host
// never asks another signer after it. To fail is no answer, and the route's fallback may be asked.
//
// A signer keeps a guard of its own for approval keys: at most one block a slot, in increasing slots, never at a lower
// height; the same request again gets the same answer.
package signer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/alys-node/alys/sdk/chain"
)

// Errors that a signer promises. They keep their identity across the wire.
var (
	// ErrRefused means that the signer understood and will not sign: its guard or its policy forbids it.
	ErrRefused = errors.New("signer refused")
	// ErrUnknownKey means that the signer does not hold the key.
	ErrUnknownKey = errors.New("signer does not hold the key")
	// ErrLocked means that the keys are sealed until an operator unlocks them.
	ErrLocked = errors.New("signer is locked")
	// ErrUnavailable means that the signer cannot answer now: its HSM, service or disk is away.
	ErrUnavailable = errors.New("signer is unavailable")
	// ErrWrongPassword means that a keystore did not open.
	ErrWrongPassword = errors.New("wrong keystore password")
)

// Purpose is what a key may be used for. One key has one purpose.
type Purpose string

// The purposes.
const (
	PurposeApproval Purpose = "approval" // BLS12-381: approves blocks, signs updates
	PurposeBitcoin  Purpose = "bitcoin"  // secp256k1: signs peg-outs
)

// KeyID names a key by scheme and public key: "bls:0x…" or "secp256k1:02…". It is comparable and readable.
type KeyID string

// BLSKey is the id of a BLS key.
func BLSKey(k chain.BLSPublicKey) KeyID { return KeyID("bls:" + k.String()) }

// BitcoinKey is the id of a secp256k1 key.
func BitcoinKey(k chain.BitcoinPublicKey) KeyID { return KeyID("secp256k1:" + k.String()) }

// BLS is the public key of a BLS key id.
func (id KeyID) BLS() (chain.BLSPublicKey, error) {
	var k chain.BLSPublicKey
	hex, ok := strings.CutPrefix(string(id), "bls:")
	if !ok {
		return k, fmt.Errorf("key id %q is not a BLS key", id)
	}
	return k, k.UnmarshalText([]byte(hex))
}

// Bitcoin is the public key of a secp256k1 key id.
func (id KeyID) Bitcoin() (chain.BitcoinPublicKey, error) {
	var k chain.BitcoinPublicKey
	hex, ok := strings.CutPrefix(string(id), "secp256k1:")
	if !ok {
		return k, fmt.Errorf("key id %q is not a Bitcoin key", id)
	}
	return k, k.UnmarshalText([]byte(hex))
}

// Key is one key that a signer holds.
type Key struct {
	ID      KeyID
	Purpose Purpose
	Label   string // for people; may be empty
	// Possession is, for a BLS key, the proof of possession of the IETF BLS draft (PopProve, 96 bytes): what a chain
	// spec carries to rule out rogue keys. Empty while the key is locked, and for other schemes.
	Possession []byte
}

// Approval asks for a signature on a block. The message is ApprovalRoot(Header).
type Approval struct {
	Key    KeyID
	Header chain.Header
}

// ApprovalRoot is the 32-byte message of an approval: TaggedHash("alys/approval/1", block hash). The header holds the
// genesis hash, so an approval means nothing on another chain.
func ApprovalRoot(h chain.Header) chain.Hash { return BlockApprovalRoot(h.Hash()) }

// BlockApprovalRoot is ApprovalRoot for who knows only the block's hash: to verify, never to sign.
func BlockApprovalRoot(block chain.Hash) chain.Hash {
	return chain.TaggedHash("alys/approval/1", block[:])
}

// ScriptKind is how a Bitcoin input is spent.
type ScriptKind string

// The script kinds.
const (
	P2WSH         ScriptKind = "p2wsh"          // ECDSA over the BIP-143 digest, SIGHASH_ALL, DER, low S, sighash byte last
	TaprootScript ScriptKind = "taproot_script" // BIP-340 over the BIP-342 digest, SIGHASH_DEFAULT, 64 bytes
)

// Prevout is the output that an input of the transaction spends.
type Prevout struct {
	Value  chain.Sat
	Script []byte // scriptPubKey
}

// BitcoinInput is one input to be signed.
type BitcoinInput struct {
	Index  uint32
	Kind   ScriptKind // a signer refuses one that it does not know
	Script []byte     // the witness script, or the taproot leaf script (leaf version 0xc0)
}

// PaymentKind is what a transaction is for.
type PaymentKind string

// The payment kinds. A signer refuses one that it does not know.
const (
	Payout PaymentKind = "payout" // pays requests of the peg-out queue, and the change to the federation
	Sweep  PaymentKind = "sweep"  // moves the reserve to the next federation's script, without recipients
)

// BitcoinRequest asks for signatures on inputs of one transaction, for one payment.
//
// A payment is a family of transactions: the base, which is version 0, and its fee bumps. CheckPayment is the rule that
// a signer holds every request to, beside its guard: an outpoint is signed for one payment only.
type BitcoinRequest struct {
	Key     KeyID       // the key to sign with; empty lets a collecting signer (governance) use every member's
	Kind    PaymentKind // what the payment is for
	Payment chain.Hash  // PaymentID of the chain's genesis and BaseTx
	Version uint32      // 0: Tx is BaseTx; j: the j-th fee bump
	BaseTx  []byte      // version 0 of the payment, encoded as Tx is
	// FederationSerial names the federation record whose script the spent outputs pay: its members sign.
	FederationSerial uint64
	Block            chain.Ref      // the finalized block that the payment is in
	Tx               []byte         // unsigned transaction, Bitcoin consensus encoding without witness
	Prevouts         []Prevout      // one for each input of Tx, in order
	Inputs           []BitcoinInput // which to sign, ascending
}

// BitcoinSignature is one member's signature on one input.
type BitcoinSignature struct {
	Input     uint32
	PublicKey chain.BitcoinPublicKey
	Signature []byte // as the input's ScriptKind says
}

// BitcoinState says whether more signatures will come for a request.
type BitcoinState string

// The states of an answer. A state that the host does not know is read as BitcoinPending.
const (
	BitcoinComplete     BitcoinState = "complete"      // enough to spend every input that was asked for
	BitcoinPending      BitcoinState = "pending"       // more may come: ask again after RetryAfterMillis
	BitcoinFinalPartial BitcoinState = "final_partial" // all that this signer will ever give: the rest is for others
)

// BitcoinAnswer is what a signer has for a request now. The same request asked again gives at least as much.
type BitcoinAnswer struct {
	// Signatures may be fewer than were asked for, or several for one input from a collecting signer.
	Signatures       []BitcoinSignature
	State            BitcoinState
	RetryAfterMillis uint32 // with BitcoinPending; 0 leaves it to the host
}

// Challenge asks for a proof that the signer can use a key now. The message is ChallengeRoot.
type Challenge struct {
	Key     KeyID
	Genesis chain.Hash
	Nonce   chain.Hash // fresh random bytes
}

// ChallengeRoot is the 32-byte message of a challenge: TaggedHash("alys/challenge/1", genesis, nonce, key id). The
// signature is over these 32 bytes as they are, without another hash.
func ChallengeRoot(c Challenge) chain.Hash {
	return chain.TaggedHash("alys/challenge/1", c.Genesis[:], c.Nonce[:], []byte(c.Key))
}

// ProofScheme is how a challenge was signed.
type ProofScheme string

// The proof schemes.
const (
	ProofBLS    ProofScheme = "bls"    // a BLS key, as it signs an approval: 96 bytes
	ProofBIP340 ProofScheme = "bip340" // a secp256k1 key, by its x-only public key: 64 bytes
	ProofECDSA  ProofScheme = "ecdsa"  // a secp256k1 key: strict DER with low S, at most 72 bytes, no sighash byte
)

// Proof answers a challenge.
type Proof struct {
	Scheme    ProofScheme
	Signature []byte
}

// Signer is the contract. Methods may be called concurrently; each ends with its context.
type Signer interface {
	// Keys lists every key that the signer holds, locked ones too.
	Keys(ctx context.Context) ([]Key, error)
	// Approve signs a block: ErrRefused, ErrUnknownKey, ErrLocked or ErrUnavailable when it does not.
	Approve(ctx context.Context, a Approval) (chain.BLSSignature, error)
	// SignBitcoin signs inputs of a transaction. It refuses what CheckPayment refuses.
	SignBitcoin(ctx context.Context, r BitcoinRequest) (BitcoinAnswer, error)
	// Prove answers a challenge. lifecycle.ErrUnsupported says that the key cannot sign a challenge: such a signer is
	// rehearsed as a shadow first and is not admitted as a primary by its word.
	Prove(ctx context.Context, c Challenge) (Proof, error)
}
