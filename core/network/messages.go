package network

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
)

// Kind is what a message is about.
type Kind uint8

// The kinds.
const (
	KindProposal Kind = iota + 1
	KindApproval
	KindCertificate
)

// String names the kind, as metrics do.
func (k Kind) String() string {
	switch k {
	case KindProposal:
		return "proposal"
	case KindApproval:
		return "approval"
	case KindCertificate:
		return "certificate"
	}
	return "unknown"
}

// Message is something of consensus that came from a peer. Exactly one of the pointers is set.
type Message struct {
	From        consensus.Peer // who handed it to us; its maker may be somebody else
	Slot        chain.Slot     // in which it was sent: what consensus sends again has another one
	Direct      bool           // for us alone: it is not forwarded, whatever the verdict
	Proposal    *consensus.Proposal
	Block       *block.Block // the proposal's, whole
	Approval    *consensus.Approval
	Certificate *consensus.Certificate
}

// Kind is what the message is about.
func (m Message) Kind() Kind {
	switch {
	case m.Proposal != nil:
		return KindProposal
	case m.Approval != nil:
		return KindApproval
	case m.Certificate != nil:
		return KindCertificate
	}
	return 0
}

// Header is the header that the message is about.
func (m Message) Header() chain.Header {
	switch {
	case m.Proposal != nil:
		return m.Proposal.Header
	case m.Approval != nil:
		return m.Approval.Header
	case m.Certificate != nil:
		return m.Certificate.Header
	}
	return chain.Header{}
}

// Event is the message as consensus takes it, with the block's body for a proposal.
func (m Message) Event() (consensus.Event, *block.Block) {
	switch {
	case m.Proposal != nil:
		return consensus.ProposalReceived{Proposal: *m.Proposal, From: m.From}, m.Block
	case m.Approval != nil:
		return consensus.ApprovalReceived{Approval: *m.Approval, From: m.From}, nil
	case m.Certificate != nil:
		return consensus.CertificateReceived{Certificate: *m.Certificate, From: m.From}, nil
	}
	return nil, nil
}

// Verdict is what the caller thinks of a message, before it is forwarded.
type Verdict uint8

// The verdicts.
const (
	// Ignore means that the message is not forwarded, and nobody is to blame: it is early, late, or cannot be judged.
	Ignore Verdict = iota
	// Accept means that the message may be forwarded: an honest node would have sent it.
	Accept
	// Reject means that the sender broke the protocol by forwarding it.
	Reject
)

// The encoding of a message: its kind, the slot in which it was sent (8 bytes big-endian), and its content in RLP. The
// slot makes what is sent again in a later slot another message: gossip drops what it has seen.
const messageHead = 1 + 8

// Sizes of encoded messages. A vote is anything but a proposal.
const (
	maxVoteBytes     = 1 << 10
	proposalOverhead = 256 // around an encoded block
)

type wireProposal struct {
	Block     []byte
	Signature chain.BLSSignature
}

type wireApproval struct {
	Header    []byte
	Authority uint64
	Signature chain.BLSSignature
}

type wireCertificate struct {
	Header []byte
	QC     []byte
}

func encodeProposal(slot chain.Slot, b *block.Block, sig chain.BLSSignature) ([]byte, error) {
	return encodeMessage(KindProposal, slot, wireProposal{b.Encode(), sig})
}

func encodeApproval(slot chain.Slot, a consensus.Approval) ([]byte, error) {
	if a.Authority < 0 || a.Authority >= block.MaxAuthorities {
		return nil, fmt.Errorf("encode approval: authority %d: %w", a.Authority, ErrMalformed)
	}
	return encodeMessage(KindApproval, slot, wireApproval{a.Header.Encode(), uint64(a.Authority), a.Signature})
}

func encodeCertificate(slot chain.Slot, c consensus.Certificate) ([]byte, error) {
	return encodeMessage(KindCertificate, slot, wireCertificate{c.Header.Encode(), block.EncodeQC(c.QC)})
}

func encodeMessage(k Kind, slot chain.Slot, content any) ([]byte, error) {
	raw, err := rlp.EncodeToBytes(content)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", k, err)
	}
	b := make([]byte, 0, messageHead+len(raw))
	b = append(b, byte(k))
	b = binary.BigEndian.AppendUint64(b, uint64(slot))
	return append(b, raw...), nil
}

// peekMessage reads a message's kind and slot, and checks its size.
func peekMessage(raw []byte) (Kind, chain.Slot, error) {
	if len(raw) < messageHead {
		return 0, 0, fmt.Errorf("message of %d bytes: %w", len(raw), ErrMalformed)
	}
	k, slot := Kind(raw[0]), chain.Slot(binary.BigEndian.Uint64(raw[1:]))
	limit := maxVoteBytes
	switch k {
	case KindProposal:
		limit = block.MaxBlockBytes + proposalOverhead
	case KindApproval, KindCertificate:
	default:
		return 0, 0, fmt.Errorf("message of kind %d: %w", k, ErrMalformed)
	}
	if len(raw) > limit {
		return 0, 0, fmt.Errorf("%s of %d bytes, limit %d: %w", k, len(raw), limit, ErrMalformed)
	}
	return k, slot, nil
}

// decodeMessage reads a message. Its From and Direct are the receiver's to fill.
func decodeMessage(raw []byte) (Message, error) {
	k, slot, err := peekMessage(raw)
	if err != nil {
		return Message{}, err
	}
	m := Message{Slot: slot}
	content := raw[messageHead:]
	switch k {
	case KindProposal:
		err = m.decodeProposal(content)
	case KindApproval:
		err = m.decodeApproval(content)
	case KindCertificate:
		err = m.decodeCertificate(content)
	}
	if err != nil {
		return Message{}, fmt.Errorf("decode %s: %w", k, errors.Join(ErrMalformed, err))
	}
	return m, nil
}

func (m *Message) decodeProposal(raw []byte) error {
	var w wireProposal
	if err := rlp.DecodeBytes(raw, &w); err != nil {
		return err
	}
	b, err := block.Decode(w.Block)
	if err != nil {
		return err
	}
	m.Block = b
	m.Proposal = &consensus.Proposal{Header: b.Header, ParentQC: b.ParentQC, Signature: w.Signature}
	return nil
}

func (m *Message) decodeApproval(raw []byte) error {
	var w wireApproval
	if err := rlp.DecodeBytes(raw, &w); err != nil {
		return err
	}
	h, err := chain.DecodeHeader(w.Header)
	if err != nil {
		return err
	}
	if w.Authority >= block.MaxAuthorities {
		return fmt.Errorf("authority %d", w.Authority)
	}
	m.Approval = &consensus.Approval{Header: h, Authority: int(w.Authority), Signature: w.Signature}
	return nil
}

func (m *Message) decodeCertificate(raw []byte) error {
	var w wireCertificate
	if err := rlp.DecodeBytes(raw, &w); err != nil {
		return err
	}
	h, err := chain.DecodeHeader(w.Header)
	if err != nil {
		return err
	}
	qc, err := block.DecodeQC(w.QC)
	if err != nil {
		return err
	}
	if qc.Block != h.Hash() {
		return errors.New("it is another block's")
	}
	m.Certificate = &consensus.Certificate{Header: h, QC: qc}
	return nil
}
