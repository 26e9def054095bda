package guard

import (
	"encoding/binary"
	"fmt"

	"github.com/alys-node/alys/sdk/chain"
)

// Kind says what a record holds.
type Kind uint8

// The kinds of records. The numbers are on disk.
const (
	KindApproval  Kind = 1 // a block was chosen for a slot: Slot, Height, Block
	KindSignature Kind = 2 // the signature of an approval: Slot, Height, Block, Signature
	KindFloor     Kind = 3 // the mark was raised, by a floor or an import: Slot, Height and, if known, the Block and Signature there
	KindBitcoin   Kind = 4 // outpoints were given to a version of a payment: Payment, PaymentVersion, TxID, Outpoints
	KindRelease   Kind = 5 // a payment was voided and its outpoints are free again: Payment, and the void's block as Height, Block
)

// bitcoin reports whether records of the kind are in the chain of BitcoinID: they have no mark and are kept for ever.
func (k Kind) bitcoin() bool { return k == KindBitcoin || k == KindRelease }

// String is the kind's name.
func (k Kind) String() string {
	switch k {
	case KindApproval:
		return "approval"
	case KindSignature:
		return "signature"
	case KindFloor:
		return "floor"
	case KindBitcoin:
		return "bitcoin"
	case KindRelease:
		return "release"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// MaxOutpoints is the most outpoints in one record: a transaction of 100,000 vbytes holds fewer inputs.
const MaxOutpoints = 4096

// Outpoint is an output of a Bitcoin transaction. TxID is in natural byte order (as hashed), the reverse of what Bitcoin
// tools show.
type Outpoint struct {
	TxID chain.Hash
	Vout uint32
}

// String is "txid:vout" with the transaction id in natural byte order.
func (o Outpoint) String() string { return fmt.Sprintf("%s:%d", o.TxID, o.Vout) }

// Mark is the watermark of an approval key: the highest slot and the highest height that were reserved.
type Mark struct {
	Slot   chain.Slot
	Height chain.Height
}

// Record is one entry of a key's chain. Fields that its Kind does not name are zero.
type Record struct {
	Seq  uint64          // 1, 2, 3 …
	Keep uint64          // the store may drop records with a lower Seq
	Time chain.UnixMilli // the wall clock at writing; for people, never for a decision
	Prev Version         // hash of the record before; zero for the first
	Kind Kind

	Mark      Mark // the watermark once this record is written, for the kinds of an approval key
	Slot      chain.Slot
	Height    chain.Height
	Block     chain.Hash
	Signature chain.BLSSignature

	Payment        chain.Hash
	PaymentVersion uint32
	TxID           chain.Hash // natural byte order
	Outpoints      []Outpoint
}

const (
	recordVersion = 1
	recordHeader  = 1 + 1 + 8 + 8 + 8 + 32
	outpointSize  = 32 + 4
	releaseSize   = 32 + 8 + 32
	// MaxRecordSize is the longest encoding of a record, in bytes.
	MaxRecordSize = recordHeader + 32 + 4 + 32 + 2 + MaxOutpoints*outpointSize
)

// Hash is the record's version in the chain of key: it covers the key, so that a record of one key is none of another.
func (r Record) Hash(key Key) Version {
	return Version(chain.TaggedHash("alys/guard/1", key.Genesis[:], []byte(key.ID), []byte{0}, r.Encode()))
}

// Encode is the canonical encoding: integers big-endian, at most MaxRecordSize bytes.
func (r Record) Encode() []byte {
	b := make([]byte, 0, recordHeader+256)
	b = append(b, recordVersion, byte(r.Kind))
	b = binary.BigEndian.AppendUint64(b, r.Seq)
	b = binary.BigEndian.AppendUint64(b, r.Keep)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Time))
	b = append(b, r.Prev[:]...)
	switch r.Kind {
	case KindBitcoin:
		return r.appendBitcoin(b)
	case KindRelease:
		b = append(b, r.Payment[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(r.Height))
		return append(b, r.Block[:]...)
	case KindApproval, KindSignature, KindFloor:
	}
	for _, v := range []uint64{uint64(r.Mark.Slot), uint64(r.Mark.Height), uint64(r.Slot), uint64(r.Height)} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	b = append(b, r.Block[:]...)
	if r.Kind != KindApproval {
		b = append(b, r.Signature[:]...)
	}
	return b
}

func (r Record) appendBitcoin(b []byte) []byte {
	b = append(b, r.Payment[:]...)
	b = binary.BigEndian.AppendUint32(b, r.PaymentVersion)
	b = append(b, r.TxID[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Outpoints))) // at most MaxOutpoints, checked by ReserveBitcoin
	for _, o := range r.Outpoints {
		b = append(b, o.TxID[:]...)
		b = binary.BigEndian.AppendUint32(b, o.Vout)
	}
	return b
}

// DecodeRecord reads a canonical encoding; anything else is ErrCorrupt.
func DecodeRecord(b []byte) (Record, error) {
	if len(b) < recordHeader || len(b) > MaxRecordSize {
		return Record{}, fmt.Errorf("record of %d bytes: %w", len(b), ErrCorrupt)
	}
	if b[0] != recordVersion {
		return Record{}, fmt.Errorf("record version %d, want %d: %w", b[0], recordVersion, ErrCorrupt)
	}
	r := Record{
		Kind: Kind(b[1]),
		Seq:  binary.BigEndian.Uint64(b[2:]),
		Keep: binary.BigEndian.Uint64(b[10:]),
		Time: chain.UnixMilli(binary.BigEndian.Uint64(b[18:])), // the sign bit is kept as written
		Prev: Version(b[26:58]),
	}
	body := b[recordHeader:]
	switch r.Kind {
	case KindApproval, KindSignature, KindFloor:
		return r.decodeApproval(body)
	case KindBitcoin:
		return r.decodeBitcoin(body)
	case KindRelease:
		return r.decodeRelease(body)
	}
	return Record{}, fmt.Errorf("record of %s: %w", r.Kind, ErrCorrupt)
}

func (r Record) decodeApproval(b []byte) (Record, error) {
	want := 4*8 + 32
	if r.Kind != KindApproval {
		want += len(r.Signature)
	}
	if len(b) != want {
		return Record{}, fmt.Errorf("%s record has a body of %d bytes, want %d: %w", r.Kind, len(b), want, ErrCorrupt)
	}
	r.Mark.Slot = chain.Slot(binary.BigEndian.Uint64(b))
	r.Mark.Height = chain.Height(binary.BigEndian.Uint64(b[8:]))
	r.Slot = chain.Slot(binary.BigEndian.Uint64(b[16:]))
	r.Height = chain.Height(binary.BigEndian.Uint64(b[24:]))
	r.Block = chain.Hash(b[32:64])
	if r.Kind != KindApproval {
		r.Signature = chain.BLSSignature(b[64:])
	}
	return r, nil
}

func (r Record) decodeBitcoin(b []byte) (Record, error) {
	const fixed = 32 + 4 + 32 + 2
	if len(b) < fixed {
		return Record{}, fmt.Errorf("bitcoin record has a body of %d bytes: %w", len(b), ErrCorrupt)
	}
	r.Payment = chain.Hash(b[:32])
	r.PaymentVersion = binary.BigEndian.Uint32(b[32:])
	r.TxID = chain.Hash(b[36:68])
	n := int(binary.BigEndian.Uint16(b[68:]))
	if n == 0 || n > MaxOutpoints || len(b) != fixed+n*outpointSize {
		return Record{}, fmt.Errorf("bitcoin record names %d outpoints in %d bytes: %w", n, len(b), ErrCorrupt)
	}
	r.Outpoints = make([]Outpoint, n)
	for i := range r.Outpoints {
		o := b[fixed+i*outpointSize:]
		r.Outpoints[i] = Outpoint{TxID: chain.Hash(o[:32]), Vout: binary.BigEndian.Uint32(o[32:])}
	}
	return r, nil
}

func (r Record) decodeRelease(b []byte) (Record, error) {
	if len(b) != releaseSize {
		return Record{}, fmt.Errorf("release record has a body of %d bytes, want %d: %w", len(b), releaseSize, ErrCorrupt)
	}
	r.Payment = chain.Hash(b[:32])
	r.Height = chain.Height(binary.BigEndian.Uint64(b[32:]))
	r.Block = chain.Hash(b[40:])
	return r, nil
}
