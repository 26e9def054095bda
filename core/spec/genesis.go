package spec

import (
	"bytes"
	"fmt"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
)

// Genesis is the block at height 0: the execution layer's genesis as its payload, and the hash of the spec's genesis
// part in its header. Each call makes a new one.
func (s *Spec) Genesis() (*block.Block, error) {
	p, err := payload(s.execution.ToBlock())
	if err != nil {
		return nil, fmt.Errorf("execution genesis: %w", err)
	}
	return block.Genesis(s.Identity(), p), nil
}

// Identity is the hash of the spec's genesis part: TaggedHash("alys/spec/1", rlp of genesisPart).
func (s *Spec) Identity() chain.Hash {
	slots, set := s.Slots[0], s.Authorities[0]
	part := genesisPart{
		ChainID: s.ChainID, AuxChainID: s.AuxChainID, Dev: s.Dev, Turn: s.Turn,
		SlotMS: inMilliseconds(slots.Duration), Keys: set.Keys, Fees: set.Fees, BitcoinKeys: set.BitcoinKeys,
		Threshold: set.Threshold, Script: set.ScriptKind,
		GasLimit: s.GasLimit, MaxBlocksWithoutPoW: s.MaxBlocksWithoutPoW, Margin: s.Margin,
		Bits: s.PoW.Bits, EasiestBits: s.PoW.EasiestBits, HardestBits: s.PoW.HardestBits,
		IdealMS: inMilliseconds(s.PoW.Ideal), HalfLifeMS: inMilliseconds(s.PoW.HalfLife), NoRetarget: s.PoW.NoRetarget,
		GovernanceKeys: s.Governance.Keys, GovernanceThreshold: s.Governance.Threshold,
	}
	if p := s.Peg; p != nil {
		part.Peg = []pegPart{{
			Network: p.Network, Bridge: p.Bridge, StartHeight: p.StartHeight, Confirmations: p.Confirmations,
			SettlementDepth: p.SettlementDepth, MinDeposit: uint64(p.MinDeposit), MinPegOut: uint64(p.MinPegOut),
			RefundFee: uint64(p.RefundFee), PaymentInterval: p.PaymentInterval, RateMin: p.RateMin,
			RateInitial: p.RateInitial, RateMax: p.RateMax,
		}}
	}
	var b bytes.Buffer
	if err := rlp.Encode(&b, part); err != nil {
		panic(fmt.Sprintf("encode the genesis part: %v", err)) // all fields are of kinds that RLP has
	}
	return chain.TaggedHash("alys/spec/1", b.Bytes())
}

// genesisPart is what of a spec is fixed for ever, besides the execution genesis. Its field order is the encoding:
// never change it, or every chain changes its name.
type genesisPart struct {
	ChainID             uint64
	AuxChainID          uint32
	Dev                 bool
	Turn                uint64
	SlotMS              uint64
	Keys                []chain.BLSPublicKey
	Fees                []chain.Address
	BitcoinKeys         []chain.BitcoinPublicKey
	Threshold           uint32
	Script              string
	GasLimit            uint64
	MaxBlocksWithoutPoW uint64
	Margin              chain.Height
	Bits                uint32
	EasiestBits         uint32
	HardestBits         uint32
	IdealMS             uint64
	HalfLifeMS          uint64
	NoRetarget          bool
	Peg                 []pegPart // none or one
	GovernanceKeys      []chain.BitcoinPublicKey
	GovernanceThreshold uint32
}

type pegPart struct {
	Network         string
	Bridge          chain.Address
	StartHeight     uint32
	Confirmations   uint32
	SettlementDepth uint32
	MinDeposit      uint64
	MinPegOut       uint64
	RefundFee       uint64
	PaymentInterval chain.Height
	RateMin         uint64
	RateInitial     uint64
	RateMax         uint64
}
