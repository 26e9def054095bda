package consensus

import (
	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
)

// Peer names where a message came from or goes to. The empty Peer means ourselves as a source and everybody as a target.
type Peer string

// Set is the authority set of a range of heights. Keys are in index order, each with a checked proof of possession.
type Set struct {
	From chain.Height // first height under the set; two sets of one chain never share it
	Keys []chain.BLSPublicKey
}

// Quorum is the number of approvals that notarizes a block: ceil(2n/3).
func (s Set) Quorum() int { return (2*len(s.Keys) + 2) / 3 }

// index is the place of a key in the set.
func (s Set) index(k chain.BLSPublicKey) (int, bool) {
	for i := range s.Keys {
		if s.Keys[i] == k {
			return i, true
		}
	}
	return 0, false
}

// Schedule is what the chain spec and the carried federation updates say about slots and authorities. Its answers for a
// slot or a height never change once given with true.
type Schedule interface {
	// SlotAt is the slot that a point in time belongs to.
	SlotAt(t chain.UnixMilli) chain.Slot
	// SlotStart is the first instant of a slot.
	SlotStart(s chain.Slot) chain.UnixMilli
	// Set is the authority set of a height, and false while it is not known yet: a change may be pending below it.
	Set(h chain.Height) (Set, bool)
	// Author is the index, in the set of height h, of the slot's author; false when the set is not known yet.
	Author(s chain.Slot, h chain.Height) (int, bool)
}

// Verifier is the signature scheme. A nil Config.Verifier means BLS12-381 as in sdk/bls.
type Verifier interface {
	// Verify checks one signature on a 32-byte root.
	Verify(k chain.BLSPublicKey, root chain.Hash, sig chain.BLSSignature) bool
	// VerifyAggregate checks an aggregate of all keys' signatures on one root.
	VerifyAggregate(keys []chain.BLSPublicKey, root chain.Hash, sig chain.BLSSignature) bool
	// Aggregate adds verified signatures.
	Aggregate(sigs []chain.BLSSignature) (chain.BLSSignature, error)
}

// Config is what a Machine needs for its whole life.
type Config struct {
	Genesis  chain.Header         // the genesis block's header
	Schedule Schedule             //
	Self     []chain.BLSPublicKey // authority keys that we may sign with; empty for a full node
	Verifier Verifier             // nil: BLS12-381
}

// Proposal is a block as consensus sees it: the header, the parent's certificate that the body carries, and the author's
// approval.
type Proposal struct {
	Header    chain.Header
	ParentQC  block.QC
	Signature chain.BLSSignature // the author's approval; zero when the sender does not have it
}

// Approval is one authority's signature on a block, with the header, so that it can be judged by itself and used as
// evidence.
type Approval struct {
	Header    chain.Header
	Authority int // index in the set of the header's height
	Signature chain.BLSSignature
}

// Certificate is a block's header with the certificate that notarizes it.
type Certificate struct {
	Header chain.Header
	QC     block.QC
}

// Restored is what the store knows at start. The zero value is a chain with nothing above genesis.
type Restored struct {
	Safe         Certificate     // the youngest safe block; the zero value means genesis
	Blocks       []RestoredBlock // every stored block above Safe, in any order
	Certificates []Certificate   // every stored certificate of a block above Safe
	Approvals    []OwnApproval   // the last approval of each own key, as the guard has it
}

// RestoredBlock is a stored block. Its ParentQC was checked before it was stored.
type RestoredBlock struct {
	Proposal Proposal
	Verdict  Verdict // VerdictUnknown makes the machine ask again
}

// OwnApproval is what the guard has reserved for an own key. A zero Signature means that the guard reserved and the
// signature is not known: the machine asks for it again.
type OwnApproval struct {
	Key       chain.BLSPublicKey
	Header    chain.Header
	Signature chain.BLSSignature
}

// Verdict is the driver's judgement of a whole block.
type Verdict uint8

// The verdicts.
const (
	// VerdictUnknown means that no judgement was possible: the engine is away or syncing. The machine asks again.
	VerdictUnknown Verdict = iota
	// VerdictInvalid means that the block breaks the chain's rules, for everybody and for ever.
	VerdictInvalid
	// VerdictValid means that the block is valid, but we do not approve it: our clock or our Bitcoin node says no.
	VerdictValid
	// VerdictApprovable means valid, and that we may approve it now.
	VerdictApprovable
)

// String names the verdict.
func (v Verdict) String() string {
	switch v {
	case VerdictInvalid:
		return "invalid"
	case VerdictValid:
		return "valid"
	case VerdictApprovable:
		return "approvable"
	case VerdictUnknown:
		return "unknown"
	}
	return "unknown"
}

// imported reports that the block is valid and durable.
func (v Verdict) imported() bool { return v == VerdictValid || v == VerdictApprovable }

// Input is one event at a point in time. Time may jump either way: the machine follows it.
type Input struct {
	Now   chain.UnixMilli
	Event Event
}

// Event is one of the types below.
type Event interface{ event() }

// Events.
type (
	// Tick says that time has passed. It is due at NextWake.
	Tick struct{}

	// ProposalReceived is a block from the network. The driver keeps its body until Drop names it.
	ProposalReceived struct {
		Proposal Proposal
		From     Peer
	}

	// ApprovalReceived is an approval from the network.
	ApprovalReceived struct {
		Approval Approval
		From     Peer
	}

	// CertificateReceived is a certificate from the network.
	CertificateReceived struct {
		Certificate Certificate
		From        Peer
	}

	// Fetched answers Fetch with a block, or with Found false.
	Fetched struct {
		Hash     chain.Hash
		Found    bool
		Proposal Proposal
		From     Peer
	}

	// Judged answers Judge. With VerdictValid and VerdictApprovable the block and its ParentQC are durable and the
	// engine has said VALID.
	Judged struct {
		Hash    chain.Hash
		Verdict Verdict
		Reason  string // why not approvable; for people
	}

	// Built answers Build. The driver keeps the body.
	Built struct {
		Header   chain.Header
		ParentQC block.QC
	}

	// BuildFailed answers Build.
	BuildFailed struct {
		Slot chain.Slot
	}

	// Signed answers Sign. The signature was verified by the host.
	Signed struct {
		Hash      chain.Hash
		Key       chain.BLSPublicKey
		Signature chain.BLSSignature
	}

	// NotSigned answers Sign. A refusal is final; after a failure the same block is asked again in the next slot.
	NotSigned struct {
		Hash    chain.Hash
		Key     chain.BLSPublicKey
		Refused bool
	}

	// Imported reports a run of blocks that came by sync, parents first: valid, durable, vouched for by the certificates
	// that the driver verified. QC is the last one's own certificate; nil where it is not known.
	Imported struct {
		Run []Proposal
		QC  *block.QC
	}
)

func (Tick) event()                {}
func (ProposalReceived) event()    {}
func (ApprovalReceived) event()    {}
func (CertificateReceived) event() {}
func (Fetched) event()             {}
func (Judged) event()              {}
func (Built) event()               {}
func (BuildFailed) event()         {}
func (Signed) event()              {}
func (NotSigned) event()           {}
func (Imported) event()            {}

// Effect is one of the types below. Effects are carried out in the order given; Persist is durable before the next one
// begins. Build, Judge, Sign and Fetch may run beside the machine; their answers are events.
type Effect interface{ effect() }

// Effects.
type (
	// Build asks for a block of ours on Parent, sealed and with a body, answered by Built or BuildFailed.
	Build struct {
		Slot     chain.Slot
		Parent   chain.Header
		ParentQC block.QC
		Key      chain.BLSPublicKey // the author's
		Deadline chain.UnixMilli    // after it the block is of little use
	}

	// Judge asks whether the block is valid and approvable, and for it to be durable; answered by Judged. The parent has
	// been judged valid.
	Judge struct {
		Header chain.Header
	}

	// Persist asks for a certificate to be made durable.
	Persist struct {
		Certificate Certificate
	}

	// Sign asks guard and signer for an approval, answered by Signed or NotSigned.
	Sign struct {
		Header chain.Header
		Key    chain.BLSPublicKey
	}

	// SendProposal sends a whole block with its author's approval.
	SendProposal struct {
		Proposal Proposal
		To       Peer
	}

	// SendApproval sends an approval.
	SendApproval struct {
		Approval Approval
		To       Peer
	}

	// SendCertificate sends a certificate.
	SendCertificate struct {
		Certificate Certificate
		To          Peer
	}

	// Fetch asks peers for a block by hash, answered by Fetched. From is who is known to have it, if anybody.
	Fetch struct {
		Hash chain.Hash
		From Peer
	}

	// Behind says that a chain is too far above our head to be fetched block by block: sync is due. The height is what
	// the sender's block claims; it is proven only where a certificate of that height came.
	Behind struct {
		Height chain.Height
		From   Peer
	}

	// Advance gives the execution layer's fork choice: Head is the longest notarized and imported tip, Safe the youngest
	// safe block. Head may be on another branch than the last one, never below Safe.
	Advance struct {
		Head chain.Ref
		Safe chain.Ref
	}

	// Evidence is two approvals of one key in one slot, both verified: to be kept, gossiped (as the two approvals) and
	// alarmed.
	Evidence struct {
		Key           chain.BLSPublicKey
		First, Second Approval
	}

	// Refuse says that a message was not taken. When Fault is true the sender broke the protocol by itself: an honest node
	// would not have sent or forwarded it. Higher, if not nil, is the certificate that the sender should know.
	Refuse struct {
		From   Peer
		Hash   chain.Hash
		Reason Reason
		Fault  bool
		Higher *Certificate
	}

	// Drop says that the machine has let go of a block: a copy in memory may go. With Delete the block is not part of the
	// chain, and may be deleted from the store as well; without it a stored block stays, for it may be safe.
	Drop struct {
		Hash   chain.Hash
		Delete bool
	}

	// Halt says that the machine has stopped for good, because what it holds contradicts itself. A human must look.
	Halt struct {
		Reason string
	}
)

func (Build) effect()           {}
func (Judge) effect()           {}
func (Persist) effect()         {}
func (Sign) effect()            {}
func (SendProposal) effect()    {}
func (SendApproval) effect()    {}
func (SendCertificate) effect() {}
func (Fetch) effect()           {}
func (Behind) effect()          {}
func (Advance) effect()         {}
func (Evidence) effect()        {}
func (Refuse) effect()          {}
func (Drop) effect()            {}
func (Halt) effect()            {}

// Reason says why a message was refused.
type Reason string

// The reasons.
const (
	ReasonOtherChain   Reason = "other_chain"   // wrong version or genesis hash
	ReasonMalformed    Reason = "malformed"     // parts contradict each other
	ReasonTooEarly     Reason = "too_early"     // its slot begins more than the drift from now
	ReasonStale        Reason = "stale"         // at or below the safe block
	ReasonTooShort     Reason = "too_short"     // its parent is lower than the highest notarized block
	ReasonNotAuthor    Reason = "not_author"    // not signed by the slot's author
	ReasonUnsigned     Reason = "unsigned"      // fetched without the author's approval, and not notarized
	ReasonTooFar       Reason = "too_far"       // too far above our head; Behind was given
	ReasonBadSignature Reason = "bad_signature" // an approval that does not verify
	ReasonBadQC        Reason = "bad_qc"        // a certificate that does not certify
	ReasonUnknownSet   Reason = "unknown_set"   // the authority set of its height is not known yet
	ReasonInvalid      Reason = "invalid"       // judged invalid, or built on such a block
	ReasonFlood        Reason = "flood"         // over the limits of the sender or the author
	ReasonNotAsked     Reason = "not_asked_for" // a fetched block that is another one than was asked for
)

// Limits of the machine. They bound memory and work against floods; no honest node reaches them.
const (
	// Drift is how far ahead of its slot a proposal may come, and is then held, in milliseconds.
	Drift = 500
	// MaxFetchDepth is how far above our head a block may be for its chain to be fetched block by block.
	MaxFetchDepth = 64
	// MaxPending is how many blocks of one author wait for their quorum at the most, those that we approved apart.
	MaxPending = 16
	// MaxVotes is for how many slots the approvals of one key are kept above the safe block.
	MaxVotes = 64
	// MaxResend is how many certificates below the head are sent again in each slot.
	MaxResend = 8
	// maxPeers is how many peers have a budget of signature checks in one slot.
	maxPeers = 4096
)
