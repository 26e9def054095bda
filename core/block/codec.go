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
	AuxPoW      []AuxPoW
	Deposits    []Deposit
	Settlements []Settlement
	Voids       []Void
	Payment     Payment
	Update      []Update
	Execution   wireExecution
}

type wireExecution struct {
	Payload          wirePayload
	ParentBeaconRoot []chain.Hash
	Requests         [][][]byte // zero or one list of requests
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
	Transactions  [][]byte
	Withdrawals   []chain.Withdrawal
	BlobGasUsed   []uint64
	ExcessBlobGas []uint64
}

// Encode is the block's canonical encoding.
func (b *Block) Encode() []byte {
	return mustEncode(wireBlock{
		Header: b.Header.Encode(), ParentQC: b.ParentQC, AuxPoW: optional(b.AuxPoW), Deposits: b.Deposits,
		Settlements: b.Settlements, Voids: b.Voids, Payment: b.Payment, Update: optional(b.Update),
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
		Header: h, ParentQC: w.ParentQC, Deposits: w.Deposits, Settlements: w.Settlements, Voids: w.Voids, Payment: w.Payment,
	}
	if b.AuxPoW, err = single("aux pow", w.AuxPoW); err != nil {
		return nil, err
	}
	if b.Update, err = single("update", w.Update); err != nil {
		return nil, err
	}
	if b.Execution, err = fromWire(w.Execution); err != nil {
		return nil, err
	}
	return b, b.checkLimits()
}

// EncodeQC is the canonical encoding of a certificate.
func EncodeQC(q QC) []byte { return mustEncode(q) }

// DecodeQC reads a canonical encoding. Whether it certifies anything is consensus's question.
func DecodeQC(raw []byte) (QC, error) {
	var q QC
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

// DecodeFederation reads an update's content.
func DecodeFederation(raw []byte) (Federation, error) {
	var f Federation
	if err := rlp.DecodeBytes(raw, &f); err != nil {
		return Federation{}, fmt.Errorf("decode federation update: %w", err)
	}
	if len(f.Authorities) > MaxAuthorities || len(f.BitcoinKeys) > MaxAuthorities || len(f.FeeAddresses) > MaxAuthorities {
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
		if err := v.Inclusion.checkLimits(); err != nil {
			return err
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
		w.Requests = [][][]byte{d.Requests}
	}
	return w
}

func fromWire(w wireExecution) (chain.ExecutionData, error) {
	p := w.Payload
	d := chain.ExecutionData{Payload: chain.Payload{
		ParentHash: p.ParentHash, FeeRecipient: p.FeeRecipient, StateRoot: p.StateRoot, ReceiptsRoot: p.ReceiptsRoot,
		LogsBloom: p.LogsBloom, PrevRandao: p.PrevRandao, Number: chain.Height(p.Number), GasLimit: p.GasLimit, GasUsed: p.GasUsed,
		Timestamp: p.Timestamp, ExtraData: p.ExtraData, BaseFeePerGas: p.BaseFeePerGas, BlockHash: p.BlockHash,
		Transactions: p.Transactions, Withdrawals: p.Withdrawals,
	}}
	var err error
	if d.Payload.BlobGasUsed, err = single("blob gas used", p.BlobGasUsed); err != nil {
		return d, err
	}
	if d.Payload.ExcessBlobGas, err = single("excess blob gas", p.ExcessBlobGas); err != nil {
		return d, err
	}
	if d.ParentBeaconRoot, err = single("parent beacon root", w.ParentBeaconRoot); err != nil {
		return d, err
	}
	requests, err := single("requests", w.Requests)
	if err != nil {
		return d, err
	}
	if requests != nil {
		d.Requests = *requests
		if d.Requests == nil {
			d.Requests = [][]byte{}
		}
	}
	return d, nil
}

// optional is the wire form of a part that may be absent.
func optional[T any](p *T) []T {
	if p == nil {
		return nil
	}
	return []T{*p}
}

func single[T any](what string, list []T) (*T, error) {
	switch len(list) {
	case 0:
		return nil, nil
	case 1:
		return &list[0], nil
	}
	return nil, fmt.Errorf("decode block: %d %s items, want at most one", len(list), what)
}

// mustEncode encodes a value of this package's own types, for which RLP cannot fail: a failure is a broken invariant.
func mustEncode(v any) []byte {
	var buf bytes.Buffer
	if err := rlp.Encode(&buf, v); err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return buf.Bytes()
}
