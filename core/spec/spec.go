package spec

import (
	"encoding/json"
	"time"

	"github.com/ethereum/go-ethereum/core"

	"github.com/alys-node/alys/sdk/chain"
)

// Spec is a checked chain spec. It is immutable: nobody writes to it or to what it points to. It is safe for
// concurrent use.
type Spec struct {
	Name       string
	ChainID    uint64 // of the EVM (EIP-155)
	AuxChainID uint32 // of merged mining; never the EVM's, never 0x2000 to 0x3fff (version rolling)
	Dev        bool   // a development chain: rules that protect money are relaxed
	// Turn is how many slots in a row an author has.
	Turn uint64
	// Slots is the schedule of slot lengths, the first from slot 0.
	Slots []SlotEntry
	// Authorities is the schedule of authority sets, the first from height 0.
	Authorities []*AuthoritySet
	// GasLimit is the block gas limit that authors steer to.
	GasLimit uint64
	// MaxBlocksWithoutPoW is how far a block without a proof may be above the last covered one.
	MaxBlocksWithoutPoW uint64
	// Margin is how far above its inclusion a federation update must take effect at the least, in blocks.
	Margin     chain.Height
	PoW        PoW
	Peg        *Peg // nil for a chain without a peg
	Governance Governance

	genesisJSON json.RawMessage
	execution   *core.Genesis
	starts      []chain.UnixMilli // start of each entry of Slots
}

// SlotEntry says how long slots are from one on.
type SlotEntry struct {
	From     chain.Slot
	Duration time.Duration // whole milliseconds, at least a second
}

// PoW is the schedule of merged mining's target (design section 8).
type PoW struct {
	Bits        uint32        // compact target of the first proof
	EasiestBits uint32        // compact target that is never exceeded
	HardestBits uint32        // compact target that is never gone below
	Ideal       time.Duration // aimed time between proofs
	HalfLife    time.Duration // of ASERT
	NoRetarget  bool          // Bits for ever
}

// Peg is the two-way peg's constants (design section 9).
type Peg struct {
	Network         string        // "mainnet", "testnet", "signet" or "regtest"
	Bridge          chain.Address // the bridge contract
	StartHeight     uint32        // first Bitcoin height with deposits
	Confirmations   uint32        // that a deposit needs
	SettlementDepth uint32        // confirmations that a settlement needs
	MinDeposit      chain.Sat     // credited at the least
	MinPegOut       chain.Sat     // paid at the least
	RefundFee       chain.Sat     // kept from a refund
	PaymentInterval chain.Height  // blocks between two payments at the least
	RateMin         uint64        // sat per 1,000 vB, as all rates
	RateInitial     uint64        // before any block carried a rate
	RateMax         uint64
}

// Governance is who may update the federation besides the authorities themselves.
type Governance struct {
	Keys      []chain.BitcoinPublicKey // BIP-340 signatures, in this order
	Threshold uint32                   // how many must sign
}

// GenesisJSON is the execution layer's genesis, as geth reads it.
func (s *Spec) GenesisJSON() []byte { return append([]byte(nil), s.genesisJSON...) }
