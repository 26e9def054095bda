package chain

import (
	"errors"
	"fmt"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
)

// Rules is what validity reads of the chain spec (RulesOf). Its answers never change.
type Rules interface {
	// PayloadTime is the timestamp of the payload of a slot's block, in unix seconds.
	PayloadTime(s chain.Slot) uint64
	// FirstSlot is the lowest slot of a block at height 1: it starts at least a second after the execution genesis.
	FirstSlot() chain.Slot
	// GasLimitTarget is the gas limit that blocks move towards.
	GasLimitTarget() uint64
	// StallLimit is how far above the last proven block one without a proof may be.
	StallLimit() uint64
	// Cancun and Prague report whether the fork is active at a payload timestamp, in unix seconds.
	Cancun(timestamp uint64) bool
	Prague(timestamp uint64) bool
}

// Blocks is where blocks and what belongs to each are kept. Whatever is not there is an error that wraps
// fs.ErrNotExist.
type Blocks interface {
	// InsertBlocks stores a run of blocks, each with its derived-state record and its parent's certificate, atomically and
	// durably.
	InsertBlocks(run ...block.Derived) error
	Block(h chain.Hash) (*block.Block, error)
	Header(h chain.Hash) (chain.Header, error)
	State(h chain.Hash) ([]byte, error)
	// PutQC stores certificates durably, each under the block that it certifies.
	PutQC(certificates ...block.QC) error
	QC(h chain.Hash) (block.QC, error)
}

// Index says which blocks there are and which are ours.
type Index interface {
	// AtHeight lists every stored block at a height.
	AtHeight(h chain.Height) ([]chain.Hash, error)
	// Canonical is the block at a height of the chain that ends in the head.
	Canonical(h chain.Height) (chain.Hash, error)
	Heads() (block.Heads, error)
	// SetHeads stores the heads, puts canonical into the index by height and takes the heights above the head out of
	// it, atomically and durably.
	SetHeads(h block.Heads, canonical []chain.Ref) error
}

// Store is everything that a Chain keeps. Its methods may be called concurrently.
type Store interface {
	Blocks
	Index
}

// Errors of the chain.
var (
	// ErrInvalid is what every InvalidError is.
	ErrInvalid = errors.New("invalid block")
	// ErrMissingParent means that a block cannot be judged yet.
	ErrMissingParent = errors.New("parent block is not known")
	// ErrUnknownBlock means that the chain does not have the block.
	ErrUnknownBlock = errors.New("block is not known")
	// ErrEngineFault is what every EngineFaultError is.
	ErrEngineFault = errors.New("engine fault")
	// ErrBelowSafe means that a head would leave the safe chain, or that safe would go back.
	ErrBelowSafe = errors.New("heads would leave the safe chain")
	// ErrInconsistent means that what the store gives back contradicts itself.
	ErrInconsistent = errors.New("stored chain contradicts itself")
)

// Rule names the rule that a block breaks.
type Rule string

// The rules.
const (
	RuleSeal        Rule = "seal"
	RuleGenesis     Rule = "genesis"
	RuleHeight      Rule = "height"
	RuleSlot        Rule = "slot"
	RuleCertificate Rule = "certificate"
	RuleStall       Rule = "stall"
	RuleTimestamp   Rule = "payload_timestamp"
	RuleParent      Rule = "payload_parent"
	RuleFixed       Rule = "payload_fixed_fields"
	RuleGasLimit    Rule = "payload_gas_limit"
	RuleForkFields  Rule = "payload_fork_fields"
	RuleTransaction Rule = "payload_transactions"
	RulePayloadHash Rule = "payload_hash"
	RuleWithdrawals Rule = "withdrawals"
	RuleUnsupported Rule = "unsupported_part"
	RuleSize        Rule = "size"
)

// InvalidError says that a block breaks a rule, for everybody and for ever. errors.Is(err, ErrInvalid).
type InvalidError struct {
	Block  chain.Ref
	Rule   Rule
	Reason string
}

// Error names the block, the rule and the reason.
func (e *InvalidError) Error() string {
	return fmt.Sprintf("invalid block %d %s: %s: %s", e.Block.Height, e.Block.Hash.Short(), e.Rule, e.Reason)
}

// Unwrap makes errors.Is(err, ErrInvalid) hold.
func (e *InvalidError) Unwrap() error { return ErrInvalid }

// EngineFaultError says that an engine's answer cannot be true. It says nothing about the block: another engine may be
// asked. errors.Is(err, ErrEngineFault).
type EngineFaultError struct {
	Block  chain.Ref
	Reason string
}

// Error names the block and the reason.
func (e *EngineFaultError) Error() string {
	return fmt.Sprintf("engine fault at block %d %s: %s", e.Block.Height, e.Block.Hash.Short(), e.Reason)
}

// Unwrap makes errors.Is(err, ErrEngineFault) hold.
func (e *EngineFaultError) Unwrap() error { return ErrEngineFault }
