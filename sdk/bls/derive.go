package bls

import (
	"fmt"

	blst "github.com/supranational/blst/bindings/go"
)

// MinSeedSize is the shortest seed that keys are derived from, in bytes.
const MinSeedSize = 32

// DeriveSecretKey is the key at a path below a seed's master key (EIP-2333): one index a level, none for the master key
// itself. ErrBadSecret for a seed of less than MinSeedSize bytes.
func DeriveSecretKey(seed []byte, path []uint32) (*SecretKey, error) {
	master := blst.DeriveMasterEip2333(seed)
	if master == nil {
		return nil, fmt.Errorf("a seed of %d bytes, at least %d are needed: %w", len(seed), MinSeedSize, ErrBadSecret)
	}
	for _, index := range path {
		child := master.DeriveChildEip2333(index)
		master.Zeroize()
		master = child
	}
	return &SecretKey{*master}, nil
}
