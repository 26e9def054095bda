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
	Kind   ScriptKind
	Script []byte // the witness script, or the taproot leaf script (leaf version 0xc0)
}

// BitcoinRequest asks for signatures on inputs of one transaction, for one payment.
type BitcoinRequest struct {
	Key      KeyID          // the key to sign with; empty lets a collecting signer (governance) use every member's
	Payment  chain.Hash     // names the payment; versions (fee bumps) of one payment share it
	Block    chain.Ref      // the finalized block that the payment is in
	Tx       []byte         // unsigned transaction, Bitcoin consensus encoding without witness
	Prevouts []Prevout      // one for each input of Tx, in order
	Inputs   []BitcoinInput // which to sign, ascending
}

// BitcoinSignature is one member's signature on one input.
type BitcoinSignature struct {
	Input     uint32
	PublicKey chain.BitcoinPublicKey
	Signature []byte // as the input's ScriptKind says
}

// Challenge asks for a proof that the signer can use a key now. The message is ChallengeRoot.
type Challenge struct {
	Key     KeyID
	Genesis chain.Hash
	Nonce   chain.Hash // fresh random bytes
}

// ChallengeRoot is the 32-byte message of a challenge: TaggedHash("alys/challenge/1", genesis, nonce, key id). A BLS
// key signs it as it signs an approval; a secp256k1 key by BIP-340.
func ChallengeRoot(c Challenge) chain.Hash {
	return chain.TaggedHash("alys/challenge/1", c.Genesis[:], c.Nonce[:], []byte(c.Key))
}

// Signer is the contract. Methods may be called concurrently; each ends with its context.
type Signer interface {
	// Keys lists every key that the signer holds, locked ones too.
	Keys(ctx context.Context) ([]Key, error)
	// Approve signs a block: ErrRefused, ErrUnknownKey, ErrLocked or ErrUnavailable when it does not.
	Approve(ctx context.Context, a Approval) (chain.BLSSignature, error)
	// SignBitcoin signs inputs of a transaction. The answer is a set: it may hold fewer than were asked (the rest come
	// later, or from others), or several for one input from a collecting signer.
	SignBitcoin(ctx context.Context, r BitcoinRequest) ([]BitcoinSignature, error)
	// Prove answers a challenge with a signature (96 bytes BLS, 64 bytes BIP-340).
	Prove(ctx context.Context, c Challenge) ([]byte, error)
}
