package recovery

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/alys-node/alys/sdk/signer"
)

// ErrPath means that a text is not a path of the keys that are asked for.
var ErrPath = errors.New("not a usable derivation path")

// Limits of a path.
const (
	maxPath   = 256 // bytes
	maxLevels = 16
	hardened  = 1 << 31
)

// The fixed parts of EIP-2334.
const (
	blsPurpose  = 12381
	minBLSLevel = 4 // purpose, coin type, account, use
)

// Path is where in a seed a key is.
type Path struct {
	purpose signer.Purpose
	index   []uint32
}

// DefaultPath is the path of key number index of a purpose: m/12381/3600/INDEX/0/0 (EIP-2334) of an approval key,
// m/87'/0'/INDEX'/0/0 (BIP-87) of a Bitcoin key.
func DefaultPath(purpose signer.Purpose, index uint32) (Path, error) {
	if index >= hardened {
		return Path{}, fmt.Errorf("%w: index %d, at most %d", ErrPath, index, hardened-1)
	}
	switch purpose {
	case signer.PurposeApproval:
		return Path{purpose, []uint32{blsPurpose, 3600, index, 0, 0}}, nil
	case signer.PurposeBitcoin:
		return Path{purpose, []uint32{hardened + 87, hardened, hardened + index, 0, 0}}, nil
	}
	return Path{}, fmt.Errorf("%w: no keys have the purpose %q", ErrPath, purpose)
}

// ParsePath reads a path such as m/12381/3600/0/0/0 of an approval key, or m/87'/0'/0'/0/0 of a Bitcoin key, where ', h
// and H mark a hardened level.
func ParsePath(purpose signer.Purpose, text string) (Path, error) {
	p := Path{purpose: purpose}
	if purpose != signer.PurposeApproval && purpose != signer.PurposeBitcoin {
		return p, fmt.Errorf("%w: no keys have the purpose %q", ErrPath, purpose)
	}
	if len(text) > maxPath {
		return p, fmt.Errorf("%w: a text of %d bytes", ErrPath, len(text))
	}
	rest, ok := strings.CutPrefix(text, "m/")
	if !ok {
		return p, fmt.Errorf("%w: %q does not begin with m/", ErrPath, text)
	}
	for level := range strings.SplitSeq(rest, "/") {
		i, err := parseLevel(purpose, level)
		if err != nil {
			return p, fmt.Errorf("%w: %q: %w", ErrPath, text, err)
		}
		p.index = append(p.index, i)
	}
	switch {
	case len(p.index) > maxLevels:
		return p, fmt.Errorf("%w: %q has %d levels, at most %d", ErrPath, text, len(p.index), maxLevels)
	case purpose == signer.PurposeApproval && (p.index[0] != blsPurpose || len(p.index) < minBLSLevel):
		return p, fmt.Errorf("%w: %q: an approval key's path is m/%d/… with %d levels or more (EIP-2334)", ErrPath, text, blsPurpose, minBLSLevel)
	}
	return p, nil
}

func parseLevel(purpose signer.Purpose, level string) (uint32, error) {
	digits, bits, mark := level, 32, uint32(0)
	if purpose == signer.PurposeBitcoin {
		bits = 31
		if n := len(level); n > 0 && strings.ContainsRune("'hH", rune(level[n-1])) {
			digits, mark = level[:n-1], hardened
		}
	}
	n, err := strconv.ParseUint(digits, 10, bits)
	if err != nil || digits[0] == '+' {
		return 0, fmt.Errorf("level %q is not a number below 2^%d", level, bits)
	}
	return uint32(n) | mark, nil
}

// Purpose is the purpose of the key at the path.
func (p Path) Purpose() signer.Purpose { return p.purpose }

// String is the path's usual form: ' marks a hardened level.
func (p Path) String() string {
	var b strings.Builder
	b.WriteString("m")
	for _, i := range p.index {
		if p.purpose == signer.PurposeBitcoin && i >= hardened {
			_, _ = fmt.Fprintf(&b, "/%d'", i-hardened)
		} else {
			_, _ = fmt.Fprintf(&b, "/%d", i)
		}
	}
	return b.String()
}
