package chain

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// HeaderVersion is the only version of the canonical header today. A later version is a new fork entry in the chain spec.
const HeaderVersion = 1

// HeaderSize is the length of a header's canonical encoding, in bytes.
const HeaderSize = 1 + 32 + 8 + 8 + 32 + 32 + 32 + 32

// Header is the canonical block header: what an authority approves. Its hash is the block's hash.
//
// It is small on purpose: a signer, which trusts nobody, gets the whole header, computes the hash itself and keeps a
// guard of its own on Slot and Height.
type Header struct {
	Version     uint8  // HeaderVersion
	Genesis     Hash   // hash of the chain's genesis block; the zero hash in the genesis block itself
	Slot        Slot   // strictly greater than the parent's
	Height      Height // the parent's plus one
	Parent      Hash   // block hash of the parent
	ParentQC    Hash   // hash of the parent's quorum certificate as carried in the body
	PayloadHash Hash   // execution block hash
	BodyRoot    Hash   // root of everything else that the block carries
}

// Encode is the canonical encoding: the fields in order, integers big-endian, HeaderSize bytes.
func (h Header) Encode() []byte {
	b := make([]byte, 0, HeaderSize)
	b = append(b, h.Version)
	b = append(b, h.Genesis[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Slot))
	b = binary.BigEndian.AppendUint64(b, uint64(h.Height))
	b = append(b, h.Parent[:]...)
	b = append(b, h.ParentQC[:]...)
	b = append(b, h.PayloadHash[:]...)
	return append(b, h.BodyRoot[:]...)
}

// DecodeHeader reads a canonical encoding. It refuses another length or another version, so an encoding has one meaning.
func DecodeHeader(b []byte) (Header, error) {
	var h Header
	if len(b) != HeaderSize {
		return h, fmt.Errorf("header has %d bytes, want %d", len(b), HeaderSize)
	}
	if b[0] != HeaderVersion {
		return h, fmt.Errorf("header version %d is not supported, want %d", b[0], HeaderVersion)
	}
	h.Version = b[0]
	h.Genesis = Hash(b[1:33])
	h.Slot = Slot(binary.BigEndian.Uint64(b[33:41]))
	h.Height = Height(binary.BigEndian.Uint64(b[41:49]))
	h.Parent = Hash(b[49:81])
	h.ParentQC = Hash(b[81:113])
	h.PayloadHash = Hash(b[113:145])
	h.BodyRoot = Hash(b[145:177])
	return h, nil
}

// Hash is the block hash: SHA-256 of "alys/block/1", a zero byte and the canonical encoding.
func (h Header) Hash() Hash { return TaggedHash("alys/block/1", h.Encode()) }

// TaggedHash is SHA-256(tag ‖ 0x00 ‖ parts…). Tags hold no zero byte, so no message of one domain is one of another.
func TaggedHash(tag string, parts ...[]byte) Hash {
	d := sha256.New()
	d.Write([]byte(tag))
	d.Write([]byte{0})
	for _, p := range parts {
		d.Write(p)
	}
	return Hash(d.Sum(nil))
}

// Ref names a block.
type Ref struct {
	Height Height `json:"height"`
	Hash   Hash   `json:"hash"`
}
