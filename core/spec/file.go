package spec

import (
	"encoding/json"

	"github.com/alys-node/alys/sdk/chain"
)

// file is the JSON shape of a spec. A field with omitempty may be left out; all others must be there.
type file struct {
	Name                string          `json:"name"`
	ChainID             uint64          `json:"chain_id"`
	AuxChainID          uint32          `json:"aux_chain_id"`
	Dev                 bool            `json:"dev,omitempty"`
	Turn                *uint64         `json:"turn,omitempty"` // default 2
	Slots               []fileSlots     `json:"slots"`
	Authorities         []fileSet       `json:"authorities"`
	GasLimit            uint64          `json:"gas_limit"`
	MaxBlocksWithoutPoW uint64          `json:"max_blocks_without_pow"`
	Margin              chain.Height    `json:"margin"`
	PoW                 filePoW         `json:"pow"`
	Peg                 *filePeg        `json:"peg,omitempty"`
	Governance          *fileGovernance `json:"governance,omitempty"`
	ExecutionGenesis    json.RawMessage `json:"execution_genesis"`
}

type fileSlots struct {
	FromSlot chain.Slot `json:"from_slot"`
	MS       uint64     `json:"ms"`
}

type fileSet struct {
	FromHeight chain.Height   `json:"from_height"`
	Members    []fileMember   `json:"members"`
	Federation fileFederation `json:"federation"`
}

type fileMember struct {
	Key        chain.BLSPublicKey `json:"key"`
	Possession chain.BLSSignature `json:"possession"`
}

type fileFederation struct {
	BitcoinKeys  []chain.BitcoinPublicKey `json:"bitcoin_keys"`
	Threshold    uint32                   `json:"threshold"`
	Script       string                   `json:"script"`
	FeeAddresses []chain.Address          `json:"fee_addresses"`
}

type filePoW struct {
	Bits        uint32 `json:"bits"`
	EasiestBits uint32 `json:"easiest_bits"`
	HardestBits uint32 `json:"hardest_bits"`
	IdealMS     uint64 `json:"ideal_ms"`
	HalfLifeMS  uint64 `json:"half_life_ms"`
	NoRetarget  bool   `json:"no_retarget,omitempty"`
}

type filePeg struct {
	Network         string        `json:"network"`
	Bridge          chain.Address `json:"bridge"`
	StartHeight     uint32        `json:"start_height"`
	Confirmations   uint32        `json:"confirmations"`
	SettlementDepth uint32        `json:"settlement_depth"`
	MinDeposit      chain.Sat     `json:"min_deposit"`
	MinPegOut       chain.Sat     `json:"min_peg_out"`
	RefundFee       chain.Sat     `json:"refund_fee"`
	PaymentInterval chain.Height  `json:"payment_interval"`
	RateMin         uint64        `json:"rate_min"`
	RateInitial     uint64        `json:"rate_initial"`
	RateMax         uint64        `json:"rate_max"`
}

type fileGovernance struct {
	Keys      []chain.BitcoinPublicKey `json:"keys"`
	Threshold uint32                   `json:"threshold"`
}
