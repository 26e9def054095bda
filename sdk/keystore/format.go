package keystore

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// MaxSize is the longest keystore that is read, in bytes.
const MaxSize = 64 << 10

// ErrFormat means that bytes are not a keystore, or one outside the limits.
var ErrFormat = errors.New("not a usable keystore")

// The names of functions in a keystore.
const (
	kdfPBKDF2     = "pbkdf2"
	kdfScrypt     = "scrypt"
	prfHMACSHA256 = "hmac-sha256"
	sumSHA256     = "sha256"
	cipherAESCTR  = "aes-128-ctr"
)

// Limits of what is read from a file that may come from anywhere.
const (
	maxRounds       = 10_000_000
	maxScryptMemory = 512 << 20
	maxScryptWork   = 1 << 27 // N × r × p; the EIP's parameters are 2^21
	maxSalt         = 256
	keySize         = 32
	ivSize          = 16
	maxText         = 1024
)

// hexBytes are bytes that a keystore writes as hex digits without 0x.
type hexBytes []byte

// MarshalText writes lower-case digits.
func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// UnmarshalText reads digits, with or without 0x.
func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(strings.TrimPrefix(string(b), "0x"))
	return err
}

type document struct {
	Crypto      crypto   `json:"crypto"`
	Description string   `json:"description"`
	Scheme      Scheme   `json:"scheme,omitempty"`
	Pubkey      hexBytes `json:"pubkey"`
	Path        string   `json:"path"`
	UUID        string   `json:"uuid"`
	Version     int      `json:"version"`
}

type crypto struct {
	KDF struct {
		Function string    `json:"function"`
		Params   kdfParams `json:"params"`
		Message  string    `json:"message"`
	} `json:"kdf"`
	Checksum struct {
		Function string   `json:"function"`
		Params   struct{} `json:"params"`
		Message  hexBytes `json:"message"`
	} `json:"checksum"`
	Cipher struct {
		Function string `json:"function"`
		Params   struct {
			IV hexBytes `json:"iv"`
		} `json:"params"`
		Message hexBytes `json:"message"`
	} `json:"cipher"`
}

type kdfParams struct {
	DKLen int      `json:"dklen"`
	C     int      `json:"c,omitempty"`
	PRF   string   `json:"prf,omitempty"`
	N     int      `json:"n,omitempty"`
	R     int      `json:"r,omitempty"`
	P     int      `json:"p,omitempty"`
	Salt  hexBytes `json:"salt"`
}

// Parse reads a keystore and checks everything that can be checked without the password.
func Parse(b []byte) (*Keystore, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%d bytes, at most %d are read: %w", len(b), MaxSize, ErrFormat)
	}
	var d document
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(&d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if dec.More() {
		return nil, fmt.Errorf("something follows the keystore: %w", ErrFormat)
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if d.Scheme == "" {
		d.Scheme = BLS12381
	}
	id, err := d.Scheme.id(d.Pubkey)
	if err != nil {
		return nil, fmt.Errorf("%w: pubkey: %w", ErrFormat, err)
	}
	return &Keystore{doc: d, id: id}, nil
}

func (d *document) check() error {
	c := &d.Crypto
	switch {
	case d.Version != 4:
		return fmt.Errorf("version %d, want 4", d.Version)
	case c.Checksum.Function != sumSHA256 || len(c.Checksum.Message) != 32:
		return fmt.Errorf("checksum %q of %d bytes, want %s of 32", c.Checksum.Function, len(c.Checksum.Message), sumSHA256)
	case c.Cipher.Function != cipherAESCTR || len(c.Cipher.Params.IV) != ivSize:
		return fmt.Errorf("cipher %q with an IV of %d bytes, want %s with %d", c.Cipher.Function, len(c.Cipher.Params.IV), cipherAESCTR, ivSize)
	case len(c.Cipher.Message) != keySize:
		return fmt.Errorf("a secret of %d bytes, want %d", len(c.Cipher.Message), keySize)
	case len(d.Description) > maxText || len(d.Path) > maxText || len(d.UUID) > maxText:
		return fmt.Errorf("a text of more than %d bytes", maxText)
	}
	return c.KDF.Params.check(c.KDF.Function)
}

func (p kdfParams) check(function string) error {
	if p.DKLen != keySize {
		return fmt.Errorf("derived key of %d bytes, want %d", p.DKLen, keySize)
	}
	if len(p.Salt) == 0 || len(p.Salt) > maxSalt {
		return fmt.Errorf("salt of %d bytes, want 1 to %d", len(p.Salt), maxSalt)
	}
	switch function {
	case kdfPBKDF2:
		if p.PRF != prfHMACSHA256 {
			return fmt.Errorf("prf %q, want %s", p.PRF, prfHMACSHA256)
		}
		if p.C < 1 || p.C > maxRounds {
			return fmt.Errorf("%d rounds, want 1 to %d", p.C, maxRounds)
		}
		return nil
	case kdfScrypt:
		return p.checkScrypt()
	}
	return fmt.Errorf("key derivation %q, want %s or %s", function, kdfPBKDF2, kdfScrypt)
}

func (p kdfParams) checkScrypt() error {
	n, r, q := int64(p.N), int64(p.R), int64(p.P)
	if n < 2 || n > 1<<30 || n&(n-1) != 0 || r < 1 || r > 1<<10 || q < 1 || q > 1<<10 {
		return fmt.Errorf("scrypt parameters n %d, r %d, p %d", n, r, q)
	}
	if 128*n*r > maxScryptMemory || 128*r*q > maxScryptMemory || n*r*q > maxScryptWork {
		return fmt.Errorf("scrypt with n %d, r %d, p %d asks for too much memory or work", n, r, q)
	}
	return nil
}
