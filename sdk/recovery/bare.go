package recovery

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/address/v2/base58"

	"github.com/alys-node/alys/sdk/keystore"
)

// ErrBare means that a text is not a bare secret key. Its errors never show the text.
var ErrBare = errors.New("not a secret key in WIF or hexadecimal")

// secretSize is the length of a secret key of either scheme, in bytes.
const secretSize = 32

// The network byte of a WIF and the byte after the key of one with a compressed public key.
const (
	wifMain       = 0x80
	wifTest       = 0xef // testnet, signet and regtest
	wifCompressed = 0x01
)

// Bare is a secret key without protection, as it was kept.
type Bare struct {
	Scheme keystore.Scheme // empty for hexadecimal, which does not say
	Secret *keystore.Locked
}

// ParseBare reads a secret key: Bitcoin's wallet import format (of any network, with a compressed public key), or 32
// bytes in hexadecimal, with or without 0x. That the secret is one of its scheme is checked where it is sealed.
func ParseBare(text []byte) (Bare, error) {
	text = bytes.TrimSpace(text)
	digits := bytes.TrimPrefix(text, []byte("0x"))
	if len(digits) == hex.EncodedLen(secretSize) {
		secret := make([]byte, secretSize)
		if _, err := hex.Decode(secret, digits); err != nil {
			return Bare{}, fmt.Errorf("%w: a character is no hexadecimal digit", ErrBare)
		}
		l, err := keystore.NewLocked(secret)
		return Bare{Secret: l}, err
	}
	if len(text) != 51 && len(text) != 52 { // of 33 and 34 bytes with their checksum
		return Bare{}, fmt.Errorf("%w: a text of %d characters", ErrBare, len(text))
	}
	payload, network, err := base58.CheckDecode(string(text))
	defer clear(payload)
	switch {
	case err != nil:
		return Bare{}, fmt.Errorf("%w: its checksum is wrong: a character is another one", ErrBare)
	case network != wifMain && network != wifTest:
		return Bare{}, fmt.Errorf("%w: base58 of another kind", ErrBare)
	case len(payload) == secretSize:
		return Bare{}, fmt.Errorf("%w: a WIF of an uncompressed public key, which no segwit script takes", ErrBare)
	case len(payload) != secretSize+1 || payload[secretSize] != wifCompressed:
		return Bare{}, fmt.Errorf("%w: base58 of another kind", ErrBare)
	}
	l, err := keystore.NewLocked(payload[:secretSize])
	return Bare{keystore.Secp256k1, l}, err
}
