package block

import (
	"bytes"
	"fmt"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/alys-node/alys/sdk/chain"
)

// wireBlock is the RLP shape of a Block. Optional parts are lists of at most one item, so that "none" and "an empty one"
// differ.
type wireBlock struct {
	Header      []byte
	ParentQC    QC
	AuxPoW      maybe[AuxPoW]
	Deposits    []Deposit
	Settlements []Settlement
	Voids       []Void
	Payment     Payment
	Update      maybe[wireUpdate]
	Execution   wireExecution
}

type wireExecution struct {
	Payload          wirePayload
	ParentBeaconRoot maybe[chain.Hash]
	Requests         maybe[byteStrings]
}

type wirePayload struct {
	ParentHash    chain.Hash
	FeeRecipient  chain.Address
	StateRoot     chain.Hash
	ReceiptsRoot  chain.Hash
	LogsBloom     [256]byte
	PrevRandao    chain.Hash
	Number        uint64
	GasLimit      uint64
	GasUsed       uint64
	Timestamp     uint64
	ExtraData     []byte
	BaseFeePerGas chain.Wei
	BlockHash     chain.Hash
	Transactions  byteStrings
	Withdrawals   []chain.Withdrawal
	BlobGasUsed   maybe[uint64]
	ExcessBlobGas maybe[uint64]
}

// wireUpdate is the RLP shape of an Update.
type wireUpdate struct {
	Encoded    []byte
	Signers    Signers
	Signature  chain.BLSSignature
	Governance byteStrings
}

// Encode is the block's canonical encoding.
func (b *Block) Encode() []byte {
	return mustEncode(wireBlock{
		Header: b.Header.Encode(), ParentQC: b.ParentQC, AuxPoW: optional(b.AuxPoW), Deposits: b.Deposits,
		Settlements: b.Settlements, Voids: b.Voids, Payment: b.Payment, Update: updateToWire(b.Update),
		Execution: toWire(b.Execution),
	})
}

// Decode reads a canonical encoding of at most MaxBlockBytes. It checks shape and limits, not validity: call CheckSeal.
func Decode(raw []byte) (*Block, error) {
	if len(raw) > MaxBlockBytes {
		return nil, fmt.Errorf("block of %d bytes, limit %d: %w", len(raw), MaxBlockBytes, ErrTooLarge)
	}
	var w wireBlock
	if err := rlp.DecodeBytes(raw, &w); err != nil {
		return nil, fmt.Errorf("decode block: %w", err)
	}
	h, err := chain.DecodeHeader(w.Header)
	if err != nil {
		return nil, fmt.Errorf("decode block: %w", err)
	}
	b := &Block{
		Header: h, ParentQC: w.ParentQC, AuxPoW: w.AuxPoW.pointer(), Deposits: w.Deposits, Settlements: w.Settlements,
		Voids: w.Voids, Payment: w.Payment, Update: updateFromWire(w.Update), Execution: fromWire(w.Execution),
	}
	if err := b.checkLimits(); err != nil {
		return nil, fmt.Errorf("decode block: %w", err)
	}
	return b, nil
}

// EncodeQC is the canonical encoding of a certificate.
func EncodeQC(q QC) []byte { return mustEncode(q) }

// DecodeQC reads a canonical encoding of at most MaxQCBytes. Whether it certifies anything is consensus's question.
func DecodeQC(raw []byte) (QC, error) {
	var q QC
	if len(raw) > MaxQCBytes {
		return QC{}, fmt.Errorf("certificate of %d bytes, limit %d: %w", len(raw), MaxQCBytes, ErrTooLarge)
	}
	if err := rlp.DecodeBytes(raw, &q); err != nil {
		return QC{}, fmt.Errorf("decode certificate: %w", err)
	}
	if len(q.Signers) > (MaxAuthorities+7)/8 {
		return QC{}, fmt.Errorf("certificate's signer set: %w", ErrTooLarge)
	}
	return q, nil
}

// EncodeFederation is the canonical encoding of an update's content.
func EncodeFederation(f Federation) []byte { return mustEncode(f) }

// DecodeFederation reads an update's content of at most MaxUpdateBytes.
func DecodeFederation(raw []byte) (Federation, error) {
	var f Federation
	if len(raw) > MaxUpdateBytes {
		return Federation{}, fmt.Errorf("federation update of %d bytes, limit %d: %w", len(raw), MaxUpdateBytes, ErrTooLarge)
	}
	if err := rlp.DecodeBytes(raw, &f); err != nil {
		return Federation{}, fmt.Errorf("decode federation update: %w", err)
	}
	if len(f.Authorities) > MaxAuthorities || len(f.BitcoinKeys) > MaxAuthorities || len(f.FeeAddresses) > MaxAuthorities || len(f.GovernanceKeys) > MaxAuthorities {
		return Federation{}, fmt.Errorf("federation update: %w", ErrTooLarge)
	}
	return f, nil
}

func (b *Block) checkLimits() error {
	switch {
	case len(b.ParentQC.Signers) > (MaxAuthorities+7)/8:
		return fmt.Errorf("signer set of %d bytes: %w", len(b.ParentQC.Signers), ErrTooLarge)
	case len(b.Deposits) > MaxDeposits:
		return fmt.Errorf("%d deposits: %w", len(b.Deposits), ErrTooLarge)
	case len(b.Settlements) > MaxSettlements:
		return fmt.Errorf("%d settlements: %w", len(b.Settlements), ErrTooLarge)
	case len(b.Voids) > MaxVoids:
		return fmt.Errorf("%d voids: %w", len(b.Voids), ErrTooLarge)
	case len(b.Payment.Tx) > MaxTxBytes:
		return fmt.Errorf("payment of %d bytes: %w", len(b.Payment.Tx), ErrTooLarge)
	case len(b.Execution.Payload.ExtraData) > 32:
		return fmt.Errorf("extra data of %d bytes, limit 32: %w", len(b.Execution.Payload.ExtraData), ErrTooLarge)
	}
	if err := b.Update.checkLimits(); err != nil {
		return err
	}
	for _, d := range b.Deposits {
		if len(d.Vouts) > MaxVouts {
			return fmt.Errorf("deposit with %d outputs: %w", len(d.Vouts), ErrTooLarge)
		}
		if err := d.Inclusion.checkLimits(); err != nil {
			return err
		}
	}
	for _, s := range b.Settlements {
		if err := s.Inclusion.checkLimits(); err != nil {
			return err
		}
	}
	for _, v := range b.Voids {
		if len(v.Ancestors) > MaxAncestors {
			return fmt.Errorf("void with %d ancestors: %w", len(v.Ancestors), ErrTooLarge)
		}
		for _, tx := range v.Ancestors {
			if len(tx) > MaxTxBytes {
				return fmt.Errorf("void's ancestor of %d bytes: %w", len(tx), ErrTooLarge)
			}
		}
		if err := v.Inclusion.checkLimits(); err != nil {
			return err
		}
	}
	return nil
}

func (u *Update) checkLimits() error {
	if u == nil {
		return nil
	}
	if len(u.Encoded) > MaxUpdateBytes || len(u.Signers) > (MaxAuthorities+7)/8 || len(u.Governance) > MaxAuthorities {
		return fmt.Errorf("federation update: %w", ErrTooLarge)
	}
	for _, sig := range u.Governance {
		if len(sig) > MaxSignatureBytes {
			return fmt.Errorf("governance signature of %d bytes: %w", len(sig), ErrTooLarge)
		}
	}
	return nil
}

func (p Inclusion) checkLimits() error {
	if len(p.Branch) > MaxBranch || len(p.Tx) > MaxTxBytes {
		return fmt.Errorf("inclusion proof: %w", ErrTooLarge)
	}
	return nil
}

func toWire(d chain.ExecutionData) wireExecution {
	p := d.Payload
	w := wireExecution{
		Payload: wirePayload{
			ParentHash: p.ParentHash, FeeRecipient: p.FeeRecipient, StateRoot: p.StateRoot, ReceiptsRoot: p.ReceiptsRoot,
			LogsBloom: p.LogsBloom, PrevRandao: p.PrevRandao, Number: uint64(p.Number), GasLimit: p.GasLimit, GasUsed: p.GasUsed,
			Timestamp: p.Timestamp, ExtraData: p.ExtraData, BaseFeePerGas: p.BaseFeePerGas, BlockHash: p.BlockHash,
			Transactions: p.Transactions, Withdrawals: p.Withdrawals, BlobGasUsed: optional(p.BlobGasUsed),
			ExcessBlobGas: optional(p.ExcessBlobGas),
		},
		ParentBeaconRoot: optional(d.ParentBeaconRoot),
	}
	if d.Requests != nil {
		w.Requests = maybe[byteStrings]{d.Requests}
	}
	return w
}

func fromWire(w wireExecution) chain.ExecutionData {
	p := w.Payload
	d := chain.ExecutionData{
		Payload: chain.Payload{
			ParentHash: p.ParentHash, FeeRecipient: p.FeeRecipient, StateRoot: p.StateRoot, ReceiptsRoot: p.ReceiptsRoot,
			LogsBloom: p.LogsBloom, PrevRandao: p.PrevRandao, Number: chain.Height(p.Number), GasLimit: p.GasLimit, GasUsed: p.GasUsed,
			Timestamp: p.Timestamp, ExtraData: p.ExtraData, BaseFeePerGas: p.BaseFeePerGas, BlockHash: p.BlockHash,
			Transactions: p.Transactions, Withdrawals: p.Withdrawals, BlobGasUsed: p.BlobGasUsed.pointer(),
			ExcessBlobGas: p.ExcessBlobGas.pointer(),
		},
		ParentBeaconRoot: w.ParentBeaconRoot.pointer(),
	}
	if r := w.Requests.pointer(); r != nil {
		d.Requests = *r
	}
	return d
}

func updateToWire(u *Update) maybe[wireUpdate] {
	if u == nil {
		return nil
	}
	return maybe[wireUpdate]{{u.Encoded, u.Signers, u.Signature, u.Governance}}
}

func updateFromWire(w maybe[wireUpdate]) *Update {
	u := w.pointer()
	if u == nil {
		return nil
	}
	return &Update{Encoded: u.Encoded, Signers: u.Signers, Signature: u.Signature, Governance: u.Governance}
}

// maybe is the wire form of a part that may be absent: a list of at most one item.
type maybe[T any] []T

// DecodeRLP reads the list, and stops at a second item.
func (m *maybe[T]) DecodeRLP(s *rlp.Stream) error {
	if _, err := s.List(); err != nil {
		return err
	}
	for s.MoreDataInList() {
		if len(*m) == 1 {
			return fmt.Errorf("two items of a part that is there once at most: %w", ErrTooLarge)
		}
		var v T
		if err := s.Decode(&v); err != nil {
			return err
		}
		*m = append(*m, v)
	}
	return s.ListEnd()
}

func (m maybe[T]) pointer() *T {
	if len(m) == 0 {
		return nil
	}
	return &m[0]
}

// optional makes the wire form.
func optional[T any](p *T) maybe[T] {
	if p == nil {
		return nil
	}
	return maybe[T]{*p}
}

// byteStrings is a list of byte strings. In memory an empty string is 24 times as large as on the wire, so the number is
// limited while reading.
type byteStrings [][]byte

// DecodeRLP reads the list, and stops above MaxTransactions items. It is never nil afterwards.
func (l *byteStrings) DecodeRLP(s *rlp.Stream) error {
	if _, err := s.List(); err != nil {
		return err
	}
	*l = byteStrings{}
	for s.MoreDataInList() {
		if len(*l) == MaxTransactions {
			return fmt.Errorf("more than %d byte strings: %w", MaxTransactions, ErrTooLarge)
		}
		b, err := s.Bytes()
		if err != nil {
			return err
		}
		*l = append(*l, b)
	}
	return s.ListEnd()
}

// mustEncode encodes a value of this package's own types, for which RLP cannot fail: a failure is a broken invariant.
func mustEncode(v any) []byte {
	var buf bytes.Buffer
	if err := rlp.Encode(&buf, v); err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return buf.Bytes()
}
