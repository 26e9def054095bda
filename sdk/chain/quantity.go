package chain

import (
	"math/big"
	"strconv"
	"time"
)

// Height counts blocks from genesis, which has height 0. It equals the execution payload's block number.
type Height uint64

// String is the decimal form.
func (h Height) String() string { return strconv.FormatUint(uint64(h), 10) }

// Slot numbers the intervals in which at most one block may be authored. Genesis has slot 0.
type Slot uint64

// String is the decimal form.
func (s Slot) String() string { return strconv.FormatUint(uint64(s), 10) }

// Gwei is 10^9 wei, the unit of a withdrawal's amount (EIP-4895).
type Gwei uint64

// Sat is 10^-8 BTC. 1 sat is 10 gwei on the side chain.
type Sat int64

// GweiPerSat converts satoshi to gwei: 1 BTC = 10^8 sat = 10^9 gwei = 10^18 wei.
const GweiPerSat = 10

// Wei is an amount of the side chain's currency, as an unsigned 256-bit integer in big-endian bytes.
type Wei [32]byte

// WeiFromBig converts v; it reports false when v is negative or above 2^256-1.
func WeiFromBig(v *big.Int) (Wei, bool) {
	var w Wei
	if v.Sign() < 0 || v.BitLen() > 256 {
		return w, false
	}
	v.FillBytes(w[:])
	return w, true
}

// Big is the amount as a big integer that the caller owns.
func (w Wei) Big() *big.Int { return new(big.Int).SetBytes(w[:]) }

// String is the decimal form, in wei.
func (w Wei) String() string { return w.Big().String() }

// UnixMilli is a point in time, in milliseconds since 1970-01-01 UTC.
type UnixMilli int64

// Time converts to the standard library's type, in UTC.
func (t UnixMilli) Time() time.Time { return time.UnixMilli(int64(t)).UTC() }
