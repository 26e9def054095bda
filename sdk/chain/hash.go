package chain

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Hash is a 32-byte digest in natural byte order.
type Hash [32]byte

// IsZero reports whether all bytes are zero; the zero hash stands for "none".
func (h Hash) IsZero() bool { return h == Hash{} }

// String is 0x and 64 lower-case hex digits.
func (h Hash) String() string { return "0x" + hex.EncodeToString(h[:]) }

// Short is the first four bytes in hex, for people.
func (h Hash) Short() string { return hex.EncodeToString(h[:4]) }

// MarshalText is String's form.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads 64 hex digits, with or without 0x.
func (h *Hash) UnmarshalText(b []byte) error { return decodeHex("hash", h[:], b) }

// ParseHash reads 64 hex digits, with or without 0x.
func ParseHash(s string) (Hash, error) {
	var h Hash
	return h, h.UnmarshalText([]byte(s))
}

// Address is a 20-byte account of the execution layer.
type Address [20]byte

// String is 0x and 40 lower-case hex digits, without an EIP-55 checksum.
func (a Address) String() string { return "0x" + hex.EncodeToString(a[:]) }

// MarshalText is String's form.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads 40 hex digits, with or without 0x.
func (a *Address) UnmarshalText(b []byte) error { return decodeHex("address", a[:], b) }

// ParseAddress reads 40 hex digits, with or without 0x.
func ParseAddress(s string) (Address, error) {
	var a Address
	return a, a.UnmarshalText([]byte(s))
}

// BLSPublicKey is a compressed BLS12-381 G1 point (48 bytes, the minimal-public-key-size variant).
type BLSPublicKey [48]byte

// String is 0x and 96 lower-case hex digits.
func (k BLSPublicKey) String() string { return "0x" + hex.EncodeToString(k[:]) }

// MarshalText is String's form.
func (k BLSPublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads 96 hex digits, with or without 0x. It does not check that the bytes are a point of the subgroup.
func (k *BLSPublicKey) UnmarshalText(b []byte) error { return decodeHex("BLS public key", k[:], b) }

// BLSSignature is a compressed BLS12-381 G2 point (96 bytes).
type BLSSignature [96]byte

// IsZero reports whether all bytes are zero, which stands for "no signature".
func (s BLSSignature) IsZero() bool { return s == BLSSignature{} }

// String is 0x and 192 lower-case hex digits.
func (s BLSSignature) String() string { return "0x" + hex.EncodeToString(s[:]) }

// MarshalText is String's form.
func (s BLSSignature) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads 192 hex digits, with or without 0x.
func (s *BLSSignature) UnmarshalText(b []byte) error { return decodeHex("BLS signature", s[:], b) }

// BitcoinPublicKey is a compressed secp256k1 point (33 bytes, SEC 1).
type BitcoinPublicKey [33]byte

// String is 66 lower-case hex digits without 0x, as Bitcoin tools write it.
func (k BitcoinPublicKey) String() string { return hex.EncodeToString(k[:]) }

// MarshalText is String's form.
func (k BitcoinPublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads 66 hex digits, with or without 0x.
func (k *BitcoinPublicKey) UnmarshalText(b []byte) error {
	return decodeHex("Bitcoin public key", k[:], b)
}

func decodeHex(what string, dst, src []byte) error {
	s := strings.TrimPrefix(string(src), "0x")
	if len(s) != 2*len(dst) {
		return fmt.Errorf("%s has %d hex digits, want %d", what, len(s), 2*len(dst))
	}
	if _, err := hex.Decode(dst, []byte(s)); err != nil {
		return fmt.Errorf("decode %s: %w", what, err)
	}
	return nil
}
