package network

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
)

// ProtocolVersion is the version of everything that peers say to each other.
const ProtocolVersion = 1

// Limits of a Status.
const (
	maxStatusBytes = 8 << 10
	maxClientBytes = 128
	maxEngineBytes = 1 << 10
	maxComing      = 16
)

// ErrMalformed means that bytes of a peer do not decode, or exceed a limit.
var ErrMalformed = errors.New("malformed")

// Status is what a node says about itself: in the handshake, and whenever it is asked.
type Status struct {
	Genesis chain.Hash // of the genesis block; it covers the spec's genesis part
	ChainID uint64     // of the EVM
	Heights ForkID     // the schedule by height
	Slots   ForkID     // the schedule by slot
	// Head is the tip of the longest notarized and imported chain with its certificate, so that the claim can be proven
	// (D-37). At genesis the certificate has no signers.
	Head      consensus.Certificate
	Low       chain.Height // the lowest height that it serves
	Safe      chain.Ref
	Finalized chain.Ref
	Coming    []SetChange // announced changes of the authority set that blocks carry, ascending
	Clock     chain.UnixMilli
	Client    string // program and version
	Engine    string // where the engine's own peer-to-peer port is reached; empty: not told
}

// SetChange announces a change of the authority set.
type SetChange struct {
	Effective chain.Height // first height under the new set
	Digest    chain.Hash   // hash of the update's content
}

// Clone is a copy that shares nothing.
func (s Status) Clone() Status {
	s.Coming = append([]SetChange(nil), s.Coming...)
	s.Head.QC.Signers = append(block.Signers(nil), s.Head.QC.Signers...)
	return s
}

// wireStatus is the RLP shape of a Status. A later version of the protocol appends fields, which an earlier one keeps in
// Rest unread.
type wireStatus struct {
	Version   uint64
	Genesis   chain.Hash
	ChainID   uint64
	Heights   ForkID
	Slots     ForkID
	Head      []byte
	HeadQC    []byte
	Low       chain.Height
	Safe      chain.Ref
	Finalized chain.Ref
	Coming    []SetChange
	Clock     uint64
	Client    string
	Engine    string
	Rest      []rlp.RawValue `rlp:"tail"`
}

// encodeStatus is the canonical encoding.
func encodeStatus(s Status) ([]byte, error) {
	b, err := rlp.EncodeToBytes(wireStatus{
		Version: ProtocolVersion, Genesis: s.Genesis, ChainID: s.ChainID, Heights: s.Heights, Slots: s.Slots,
		Head: s.Head.Header.Encode(), HeadQC: block.EncodeQC(s.Head.QC), Low: s.Low, Safe: s.Safe, Finalized: s.Finalized,
		Coming: s.Coming, Clock: uint64(max(0, s.Clock)), Client: truncate(s.Client, maxClientBytes), Engine: truncate(s.Engine, maxEngineBytes),
	})
	if err != nil {
		return nil, fmt.Errorf("encode status: %w", err)
	}
	if len(b) > maxStatusBytes {
		return nil, fmt.Errorf("encode status: %d bytes, limit %d: %w", len(b), maxStatusBytes, ErrTooLarge)
	}
	return b, nil
}

// decodeStatus reads an encoding of at most maxStatusBytes, of this version of the protocol or a later one.
func decodeStatus(raw []byte) (Status, error) {
	if len(raw) > maxStatusBytes {
		return Status{}, fmt.Errorf("status of %d bytes, limit %d: %w", len(raw), maxStatusBytes, ErrMalformed)
	}
	var w wireStatus
	if err := rlp.DecodeBytes(raw, &w); err != nil {
		return Status{}, fmt.Errorf("decode status: %w: %w", ErrMalformed, err)
	}
	if w.Version < ProtocolVersion {
		return Status{}, fmt.Errorf("%w: it speaks version %d, we speak %d", ErrOtherVersion, w.Version, ProtocolVersion)
	}
	head, err := chain.DecodeHeader(w.Head)
	if err != nil {
		return Status{}, fmt.Errorf("decode status: head: %w: %w", ErrMalformed, err)
	}
	qc, err := block.DecodeQC(w.HeadQC)
	if err != nil {
		return Status{}, fmt.Errorf("decode status: head: %w: %w", ErrMalformed, err)
	}
	switch {
	case qc.Block != head.Hash():
		return Status{}, fmt.Errorf("decode status: the head's certificate is another block's: %w", ErrMalformed)
	case len(w.Client) > maxClientBytes || len(w.Engine) > maxEngineBytes || len(w.Coming) > maxComing:
		return Status{}, fmt.Errorf("decode status: a field is too long: %w", ErrMalformed)
	case w.Clock > 1<<53:
		return Status{}, fmt.Errorf("decode status: clock %d: %w", w.Clock, ErrMalformed)
	}
	return Status{
		Genesis: w.Genesis, ChainID: w.ChainID, Heights: w.Heights, Slots: w.Slots,
		Head: consensus.Certificate{Header: head, QC: qc}, Low: w.Low, Safe: w.Safe, Finalized: w.Finalized,
		Coming: w.Coming, Clock: chain.UnixMilli(w.Clock), Client: printable(w.Client), Engine: printable(w.Engine),
	}, nil
}

func truncate(s string, n int) string { return s[:min(len(s), n)] }

// printable keeps what a peer says about itself out of the way of terminals and logs.
func printable(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

// check compares a peer's status with ours. The result names the mismatch, and is what the peer is told.
func (n *Network) check(ours, theirs Status) error {
	genesis := n.opt.Genesis
	switch {
	case theirs.Genesis != genesis:
		return fmt.Errorf("%w: genesis %s, ours is %s", ErrOtherChain, theirs.Genesis, genesis)
	case theirs.ChainID != ours.ChainID:
		return fmt.Errorf("%w: chain id %d, ours is %d", ErrOtherChain, theirs.ChainID, ours.ChainID)
	}
	if err := n.opt.Heights.Check(genesis, uint64(ours.Head.Header.Height), theirs.Heights); err != nil {
		return err
	}
	return n.opt.Slots.Check(genesis, uint64(ours.Head.Header.Slot), theirs.Slots)
}

// status is our own one, complete.
func (n *Network) status() Status {
	s := n.opt.Source.Status()
	s.Genesis = n.opt.Genesis
	s.Heights = n.opt.Heights.ID(n.opt.Genesis, uint64(s.Head.Header.Height))
	s.Slots = n.opt.Slots.ID(n.opt.Genesis, uint64(s.Head.Header.Slot))
	s.Clock = chain.UnixMilli(n.opt.Now().UnixMilli())
	s.Client = n.opt.Client
	return s
}
