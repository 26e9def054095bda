package spec

import (
	"fmt"
	"math/big"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
)

// maxFederation is how many members a deposit script holds: what OP_CHECKMULTISIG and small-number opcodes allow.
const maxFederation = 15

// checker looks for everything that a well-formed file can still have wrong.
type checker struct {
	spec     *Spec
	lines    map[string]int
	problems problems
}

// at adds a problem with the line of its path, or of the nearest part above it.
func (c *checker) at(path, format string, args ...any) {
	line, ok := c.lines[path]
	for above := path; !ok && above != ""; {
		above = parent(above)
		line, ok = c.lines[above]
	}
	c.problems.add(line, path, format, args...)
}

// require adds a problem unless ok.
func (c *checker) require(ok bool, path, format string, args ...any) {
	if !ok {
		c.at(path, format, args...)
	}
}

func (c *checker) check() {
	s := c.spec
	c.require(s.Name != "" && len(s.Name) <= 64, "name", "must have 1 to 64 bytes")
	c.require(s.ChainID > 0 && s.ChainID < 1<<53, "chain_id", "must be from 1 to 2^53-1")
	switch {
	case s.AuxChainID == 0:
		c.at("aux_chain_id", "must not be 0")
	case s.AuxChainID >= 0x2000 && s.AuxChainID <= 0x3fff:
		c.at("aux_chain_id", "must be outside of 0x2000 to 0x3fff (8192 to 16383): miners that roll the block version use these")
	case uint64(s.AuxChainID) == s.ChainID:
		c.at("aux_chain_id", "must differ from chain_id")
	}
	c.require(s.Turn >= 1 && s.Turn <= 1000, "turn", "must be from 1 to 1000 slots")
	c.require(s.GasLimit >= 1_000_000, "gas_limit", "must be at least 1000000")
	c.require(s.MaxBlocksWithoutPoW >= 1, "max_blocks_without_pow", "must be at least 1")
	c.require(s.Margin >= 1, "margin", "must be at least 1 block")
	c.slots()
	c.sets()
	c.pow()
	c.peg()
	c.governance()
	c.executionGenesis()
}

func (c *checker) slots() {
	s := c.spec
	if len(s.Slots) == 0 || s.Slots[0].From != 0 {
		c.at("slots", "must begin with an entry from slot 0")
		return
	}
	good := true
	for i, e := range s.Slots {
		path := fmt.Sprintf("slots[%d]", i)
		if e.Duration < time.Second || e.Duration > time.Hour {
			c.at(path+".ms", "must be from 1000 to 3600000 milliseconds")
			good = false
		}
		if i > 0 && e.From <= s.Slots[i-1].From {
			c.at(path+".from_slot", "must be above slot %s of the entry before it", s.Slots[i-1].From)
			good = false
		}
	}
	if !good {
		return
	}
	starts, ok := slotStarts(s.Slots)
	c.require(ok, "slots", "reach too far into the future")
	s.starts = starts
}

func (c *checker) sets() {
	sets := c.spec.Authorities
	if len(sets) == 0 || sets[0].From != 0 {
		c.at("authorities", "must begin with a set from height 0")
		return
	}
	for i, a := range sets {
		path := fmt.Sprintf("authorities[%d]", i)
		if i > 0 {
			c.require(a.From > sets[i-1].From, path+".from_height", "must be above height %s of the set before it",
				sets[i-1].From)
		}
		c.members(path, a)
		c.federation(path+".federation", a)
	}
}

func (c *checker) members(path string, a *AuthoritySet) {
	n := len(a.Keys)
	c.require(n >= 1 && n <= block.MaxAuthorities, path+".members", "must be 1 to %d", block.MaxAuthorities)
	seen := map[chain.BLSPublicKey]int{}
	for i, k := range a.Keys {
		member := fmt.Sprintf("%s.members[%d]", path, i)
		if first, twice := seen[k]; twice {
			c.at(member+".key", "is also member %d's", first)
			continue
		}
		seen[k] = i
		c.require(bls.VerifyPossession(k, a.Possessions[i]), member+".possession",
			"is no proof of possession of the key %s (make one with `alys keys new`)", k)
	}
}

func (c *checker) federation(path string, a *AuthoritySet) {
	n := len(a.BitcoinKeys)
	c.require(n >= 1 && n <= maxFederation, path+".bitcoin_keys", "must be 1 to %d", maxFederation)
	c.bitcoinKeys(path+".bitcoin_keys", a.BitcoinKeys)
	c.require(a.Threshold >= 1 && int(a.Threshold) <= n, path+".threshold", "must be from 1 to the number of keys, %d", n)
	c.require(a.ScriptKind == ScriptTaproot || a.ScriptKind == ScriptP2WSH, path+".script", "must be %q or %q",
		ScriptTaproot, ScriptP2WSH)
	c.require(len(a.Fees) >= 1 && len(a.Fees) <= maxFederation, path+".fee_addresses", "must be 1 to %d", maxFederation)
	seen := map[chain.Address]bool{}
	for i, addr := range a.Fees {
		c.require(!seen[addr], fmt.Sprintf("%s.fee_addresses[%d]", path, i), "is given twice")
		c.require(addr != chain.Address{}, fmt.Sprintf("%s.fee_addresses[%d]", path, i), "must not be the zero address")
		seen[addr] = true
	}
}

// bitcoinKeys checks points and duplicates, which are those of the same x: the deposit script drops the parity.
func (c *checker) bitcoinKeys(path string, keys []chain.BitcoinPublicKey) {
	seen := map[[32]byte]bool{}
	for i, k := range keys {
		at := fmt.Sprintf("%s[%d]", path, i)
		_, err := btcec.ParsePubKey(k[:])
		c.require(err == nil, at, "is not a public key: %v", err)
		c.require(!seen[[32]byte(k[1:])], at, "is given twice")
		seen[[32]byte(k[1:])] = true
	}
}

func (c *checker) pow() {
	p := c.spec.PoW
	bits, easiest, hardest := compactTarget(p.Bits), compactTarget(p.EasiestBits), compactTarget(p.HardestBits)
	const noTarget = "is no compact target of 1 to 2^256-1 in its shortest form"
	c.require(bits != nil, "pow.bits", noTarget)
	c.require(easiest != nil, "pow.easiest_bits", noTarget)
	c.require(hardest != nil, "pow.hardest_bits", noTarget)
	if bits != nil && easiest != nil && hardest != nil {
		c.require(hardest.Cmp(bits) <= 0 && bits.Cmp(easiest) <= 0, "pow.bits", "must lie between hardest_bits and easiest_bits")
	}
	good := p.Ideal >= time.Second && p.Ideal <= 24*time.Hour
	c.require(good, "pow.ideal_ms", "must be from 1000 to 86400000")
	c.require(p.HalfLife >= p.Ideal && p.HalfLife <= maxMilliseconds*time.Millisecond, "pow.half_life_ms",
		"must be from ideal_ms to %d", maxMilliseconds)
	if c.spec.Dev || !good || c.spec.starts == nil {
		return
	}
	shortest := c.spec.Slots[0].Duration
	for _, e := range c.spec.Slots {
		shortest = min(shortest, e.Duration)
	}
	least := (20*p.Ideal + shortest - 1) / shortest
	c.require(c.spec.MaxBlocksWithoutPoW >= uint64(least), "max_blocks_without_pow",
		"must be at least %d: twenty times ideal_ms in slots of %d ms, or the chain stalls on ordinary bad luck", least,
		shortest.Milliseconds())
}

// compactTarget expands a compact target, or gives nil for a negative, zero, overflowing or not canonical one.
func compactTarget(bits uint32) *big.Int {
	mantissa, exponent := int64(bits&0x007fffff), uint(bits>>24)
	if bits&0x00800000 != 0 || mantissa < 0x8000 || exponent < 3 || exponent > 34 {
		return nil
	}
	target := new(big.Int).Lsh(big.NewInt(mantissa), 8*(exponent-3))
	if target.BitLen() > 256 {
		return nil
	}
	return target
}

func (c *checker) peg() {
	p := c.spec.Peg
	if p == nil {
		return
	}
	switch p.Network {
	case "mainnet", "testnet", "signet", "regtest":
	default:
		c.at("peg.network", "must be mainnet, testnet, signet or regtest")
	}
	c.require(p.Bridge != chain.Address{}, "peg.bridge", "must not be the zero address")
	c.require(p.Confirmations >= 1, "peg.confirmations", "must be at least 1")
	c.require(p.SettlementDepth >= 1, "peg.settlement_depth", "must be at least 1")
	c.require(p.MinDeposit >= 1, "peg.min_deposit", "must be at least 1 sat")
	c.require(p.MinPegOut > p.RefundFee, "peg.min_peg_out", "must be above refund_fee")
	c.require(p.PaymentInterval >= 1, "peg.payment_interval", "must be at least 1 block")
	c.require(p.RateMin >= 1000, "peg.rate_min", "must be at least 1000 sat per 1,000 vB: nodes do not relay less")
	c.require(p.RateMin <= p.RateInitial && p.RateInitial <= p.RateMax, "peg.rate_initial",
		"must lie between rate_min and rate_max")
	c.require(p.RateMax <= 10_000_000, "peg.rate_max", "must be at most 10000000 sat per 1,000 vB")
	const supply, tooMuch = chain.Sat(21e14), "is more than all bitcoins"
	c.require(p.MinDeposit <= supply, "peg.min_deposit", tooMuch)
	c.require(p.MinPegOut <= supply, "peg.min_peg_out", tooMuch)
}

func (c *checker) governance() {
	g := c.spec.Governance
	if len(g.Keys) == 0 {
		c.require(g.Threshold == 0, "governance.threshold", "must be 0 without keys")
		return
	}
	c.require(len(g.Keys) <= maxFederation, "governance.keys", "must be at most %d", maxFederation)
	c.bitcoinKeys("governance.keys", g.Keys)
	c.require(g.Threshold >= 1 && int(g.Threshold) <= len(g.Keys), "governance.threshold",
		"must be from 1 to the number of keys, %d", len(g.Keys))
}

// parent is the path one step up.
func parent(path string) string {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '.' || path[i] == '[' {
			return path[:i]
		}
	}
	return ""
}
