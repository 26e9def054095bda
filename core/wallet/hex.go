package wallet

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

var errNotHex = errors.New("not 0x-prefixed hex")

func decodeHex(s string) ([]byte, error) {
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok {
		return nil, errNotHex
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotHex, err)
	}
	return b, nil
}
