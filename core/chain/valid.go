package chain

import (
	"fmt"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
)

// Parent is what validity reads of a block's parent. It is computed from ancestors only.
type Parent struct {
	Header   chain.Header
	GasLimit uint64 // of its payload
	State    State  // after it
}

// parentOf is a block as its children's validity reads it.
func parentOf(b *block.Block, s State) Parent {
	return Parent{Header: b.Header, GasLimit: b.Execution.Payload.GasLimit, State: s}
}

// genesis is the hash that every header above genesis carries.
func (p Parent) genesis() chain.Hash {
	if p.Header.Height == 0 {
		return p.Header.Hash()
	}
	return p.Header.Genesis
}

// Valid judges a block by the chain's rules, given its parent: nil or an *InvalidError. It is pure and needs no receipts.
// The parent must be the one that the block's header names.
func Valid(r Rules, p Parent, b *block.Block) error {
	_, err := validate(r, p, b)
	return err
}

// validate is Valid; it also returns the rebuilt execution block.
func validate(r Rules, p Parent, b *block.Block) (*types.Block, error) {
	v := verdict{b.Ref()}
	checks := []func(Rules, Parent, *block.Block, verdict) error{
		checkSize, checkHeader, checkCertificate, checkStall, checkUnsupported, checkFixed, checkGasLimit,
		checkForkFields, checkTransactionTypes, checkWithdrawals,
	}
	for _, check := range checks {
		if err := check(r, p, b, v); err != nil {
			return nil, err
		}
	}
	el, err := executionBlock(b.Execution)
	if err != nil {
		return nil, v.broken(RulePayloadHash, "%v", err)
	}
	return el, nil
}

// verdict makes the errors of one block.
type verdict struct{ block chain.Ref }

func (v verdict) broken(rule Rule, format string, args ...any) error {
	return &InvalidError{Block: v.block, Rule: rule, Reason: fmt.Sprintf(format, args...)}
}

func checkSize(_ Rules, _ Parent, b *block.Block, v verdict) error {
	if n := len(b.Encode()); n > block.MaxBlockBytes {
		return v.broken(RuleSize, "%d bytes encoded, limit %d", n, block.MaxBlockBytes)
	}
	return nil
}

func checkHeader(r Rules, p Parent, b *block.Block, v verdict) error {
	h := b.Header
	if err := b.CheckSeal(); err != nil {
		return v.broken(RuleSeal, "%v", err)
	}
	switch {
	case h.Version != chain.HeaderVersion:
		return v.broken(RuleSeal, "header version %d, want %d", h.Version, chain.HeaderVersion)
	case h.Parent != p.Header.Hash():
		return v.broken(RuleSeal, "judged on parent %s, names %s", p.Header.Hash(), h.Parent)
	case h.Genesis != p.genesis():
		return v.broken(RuleGenesis, "of the chain with genesis %s, this one has %s", h.Genesis, p.genesis())
	case h.Height != p.Header.Height+1 || h.Height == 0:
		return v.broken(RuleHeight, "height %d on a parent at %d", h.Height, p.Header.Height)
	case h.Slot <= p.Header.Slot:
		return v.broken(RuleSlot, "slot %d is not above the parent's %d", h.Slot, p.Header.Slot)
	case h.Height == 1 && h.Slot < r.FirstSlot():
		return v.broken(RuleSlot, "slot %d starts before the execution genesis and a second, first is %d", h.Slot, r.FirstSlot())
	}
	return nil
}

// checkCertificate checks the one certificate that needs no signature: genesis has exactly one spelling of it. All
// others are consensus's to verify.
func checkCertificate(_ Rules, p Parent, b *block.Block, v verdict) error {
	if p.Header.Height == 0 && (len(b.ParentQC.Signers) != 0 || !b.ParentQC.Signature.IsZero()) {
		return v.broken(RuleCertificate, "genesis has no signers")
	}
	return nil
}

func checkStall(r Rules, p Parent, b *block.Block, v verdict) error {
	covered := p.State.Covered.Height
	if since := uint64(b.Header.Height - covered); since > r.StallLimit() {
		return v.broken(RuleStall, "%d blocks since the last proven block %d, limit %d", since, covered, r.StallLimit())
	}
	return nil
}

// checkUnsupported refuses parts whose rules this version does not have: what is not checked is not accepted.
func checkUnsupported(_ Rules, _ Parent, b *block.Block, v verdict) error {
	parts := []struct {
		name    string
		present bool
	}{
		{"a proof of work", b.AuxPoW != nil},
		{"deposits", len(b.Deposits) > 0},
		{"settlements", len(b.Settlements) > 0},
		{"voids", len(b.Voids) > 0},
		{"a payment", len(b.Payment.Tx) > 0},
		{"a fee rate", b.Payment.Rate != 0},
		{"a federation update", b.Update != nil},
	}
	for _, part := range parts {
		if part.present {
			return v.broken(RuleUnsupported, "carries %s, which this version of the rules does not know", part.name)
		}
	}
	return nil
}

// checkFixed compares the payload's fields that no proposer chooses.
func checkFixed(r Rules, p Parent, b *block.Block, v verdict) error {
	e := b.Execution.Payload
	switch {
	case e.Timestamp != r.PayloadTime(b.Header.Slot):
		return v.broken(RuleTimestamp, "timestamp %d, slot %d has %d", e.Timestamp, b.Header.Slot, r.PayloadTime(b.Header.Slot))
	case e.ParentHash != p.Header.PayloadHash:
		return v.broken(RuleParent, "payload on %s, the parent's payload is %s", e.ParentHash, p.Header.PayloadHash)
	case e.FeeRecipient != burnAddress():
		return v.broken(RuleFixed, "fee recipient %s, want %s", e.FeeRecipient, burnAddress())
	case !e.PrevRandao.IsZero():
		return v.broken(RuleFixed, "prev_randao %s, want zero", e.PrevRandao)
	case len(e.ExtraData) > maxExtraData:
		return v.broken(RuleFixed, "extra data of %d bytes, limit %d", len(e.ExtraData), maxExtraData)
	}
	return nil
}

// checkGasLimit lets the gas limit rest or move towards the spec's by the execution layer's step, never away or past.
func checkGasLimit(r Rules, p Parent, b *block.Block, v verdict) error {
	got := b.Execution.Payload.GasLimit
	step := gasLimitStep(p.GasLimit, r.GasLimitTarget())
	if low, high := min(p.GasLimit, step), max(p.GasLimit, step); got < low || got > high {
		return v.broken(RuleGasLimit, "gas limit %d, want %d to %d", got, low, high)
	}
	return nil
}

// checkForkFields checks that the payload has exactly the fields of its timestamp's fork, with the only values allowed.
func checkForkFields(r Rules, _ Parent, b *block.Block, v verdict) error {
	d := b.Execution
	cancun, prague := r.Cancun(d.Payload.Timestamp), r.Prague(d.Payload.Timestamp)
	if !cancun {
		if d.Payload.BlobGasUsed != nil || d.Payload.ExcessBlobGas != nil || d.ParentBeaconRoot != nil {
			return v.broken(RuleForkFields, "fields of Cancun before Cancun")
		}
	} else {
		switch {
		case d.Payload.BlobGasUsed == nil || d.Payload.ExcessBlobGas == nil || d.ParentBeaconRoot == nil:
			return v.broken(RuleForkFields, "fields of Cancun are missing")
		case *d.Payload.BlobGasUsed != 0 || *d.Payload.ExcessBlobGas != 0:
			return v.broken(RuleForkFields, "blob gas %d used, %d excess, want none", *d.Payload.BlobGasUsed, *d.Payload.ExcessBlobGas)
		case *d.ParentBeaconRoot != b.Header.Parent:
			return v.broken(RuleForkFields, "parent beacon root %s, want the parent's block hash %s", *d.ParentBeaconRoot, b.Header.Parent)
		}
	}
	if prague != (d.Requests != nil) {
		return v.broken(RuleForkFields, "execution requests are %s", map[bool]string{true: "missing", false: "not known before Prague"}[prague])
	}
	return nil
}

func checkTransactionTypes(_ Rules, _ Parent, b *block.Block, v verdict) error {
	for i, tx := range b.Execution.Payload.Transactions {
		if len(tx) == 0 {
			return v.broken(RuleTransaction, "transaction %d is empty", i)
		}
		if tx[0] == types.BlobTxType {
			return v.broken(RuleTransaction, "transaction %d carries blobs", i)
		}
	}
	return nil
}

// checkWithdrawals compares the payload's withdrawals with the rule's, entry for entry (D-20, D-21).
func checkWithdrawals(_ Rules, p Parent, b *block.Block, v verdict) error {
	got, want := b.Execution.Payload.Withdrawals, withdrawals(p.State)
	if len(got) != len(want) {
		return v.broken(RuleWithdrawals, "%d withdrawals, the rule gives %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			return v.broken(RuleWithdrawals, "withdrawal %d is %+v, the rule gives %+v", i, got[i], want[i])
		}
	}
	return nil
}
