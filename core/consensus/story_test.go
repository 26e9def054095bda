package consensus_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
)

// TestStories runs the files under testdata/stories: what happens to one machine, and what it asks for. Slots have
// 2000 ms and turn 1 unless a story says otherwise, so the author of slot s is s mod n.
//
//	new n=4 self=(0,1) [turn=2] [known=H] [change=(H,N)] a machine; change is a second set of N authorities from height H
//	block NAME slot=S parent=NAME [by=(0,1,2)] [height=H] defines a block; by signs the certificate of its parent
//	slot S [+MS]                                       the clock reaches slot S, and a Tick
//	proposal NAME [from=P] [unsigned | signer=I]        fetched NAME [missing] [unsigned] [asked=NAME]
//	approval NAME by=I [forged]                         certificate NAME by=(0,1,2) [forged]
//	built NAME | build-failed SLOT | judged NAME VERDICT | signed NAME by=I | not-signed NAME by=I [refused]
//	imported NAME [qc=(0,1,2)]                           restart [safe=NAME] [blocks=(NAME:VERDICT,…)] [certs=(NAME,…)] [approved=(NAME:I[:lost],…)]
//	wake                                               when the machine wants its next Tick
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := &story{t: t, blocks: map[string]consensus.Proposal{}, names: map[chain.Hash]string{}}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			return s.run(t, d)
		})
	})
}

type story struct {
	t        *testing.T
	m        *consensus.Machine
	cfg      consensus.Config
	schedule *toySchedule
	now      chain.UnixMilli
	blocks   map[string]consensus.Proposal
	names    map[chain.Hash]string
	made     uint64
}

func (s *story) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	name := ""
	if len(d.CmdArgs) > 0 && len(d.CmdArgs[0].Vals) == 0 {
		name = d.CmdArgs[0].Key
	}
	from := consensus.Peer("p1")
	if d.HasArg("from") {
		d.ScanArgs(t, "from", (*string)(&from))
	}
	switch d.Cmd {
	case "new":
		return s.create(t, d)
	case "restart":
		return s.restart(t, d)
	case "block":
		return s.define(t, d, name)
	case "slot":
		return s.moveTo(name, d)
	case "wake":
		return fmt.Sprintf("slot %s\n", s.instant(s.m.NextWake()))
	case "proposal":
		return s.step(consensus.ProposalReceived{Proposal: s.proposal(t, d, name), From: from})
	case "fetched":
		return s.fetched(t, d, name, from)
	case "approval":
		return s.step(consensus.ApprovalReceived{Approval: s.approval(t, d, name), From: from})
	case "certificate":
		c := consensus.Certificate{Header: s.blocks[name].Header, QC: s.certificate(t, d, "by", name)}
		if d.HasArg("forged") {
			c.QC.Signature[0]++
		}
		return s.step(consensus.CertificateReceived{Certificate: c, From: from})
	case "built":
		return s.step(consensus.Built{Header: s.blocks[name].Header, ParentQC: s.blocks[name].ParentQC})
	case "build-failed":
		return s.step(consensus.BuildFailed{Slot: chain.Slot(atoi(t, name))})
	case "judged":
		return s.step(consensus.Judged{Hash: s.hash(name), Verdict: verdictOf(t, d.CmdArgs[1].Key)})
	case "signed":
		a := s.approval(t, d, name)
		return s.step(consensus.Signed{Hash: s.hash(name), Key: fakeKey(a.Authority), Signature: a.Signature})
	case "not-signed":
		a := s.approval(t, d, name)
		return s.step(consensus.NotSigned{Hash: s.hash(name), Key: fakeKey(a.Authority), Refused: d.HasArg("refused")})
	case "imported":
		var ev consensus.Imported
		for b := range strings.SplitSeq(name, "+") {
			ev.Run = append(ev.Run, s.blocks[b])
		}
		name = name[strings.LastIndex(name, "+")+1:]
		if d.HasArg("qc") {
			ev.QC = new(s.certificate(t, d, "qc", name))
		}
		return s.step(ev)
	}
	d.Fatalf(t, "unknown command %s", d.Cmd)
	return ""
}

func (s *story) create(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var n, turn, known, height, size int
	turn = 1
	d.ScanArgs(t, "n", &n)
	d.MaybeScanArgs(t, "turn", &turn)
	d.MaybeScanArgs(t, "known", &known)
	s.schedule = newSchedule(n)
	s.schedule.turn, s.schedule.known = chain.Slot(turn), chain.Height(known)
	if d.MaybeScanArgs(t, "change", &height, &size) {
		s.schedule.sets = append(s.schedule.sets, consensus.Set{From: chain.Height(height), Keys: fakeKeys(size)})
	}
	s.cfg = consensus.Config{Genesis: genesisHeader, Schedule: s.schedule, Verifier: fakeScheme{}}
	for _, i := range list(t, d, "self") {
		s.cfg.Self = append(s.cfg.Self, fakeKey(i))
	}
	s.blocks["genesis"] = consensus.Proposal{Header: genesisHeader}
	s.names[genesisHeader.Hash()] = "genesis"
	return s.start(consensus.Restored{})
}

func (s *story) start(r consensus.Restored) string {
	m, err := consensus.New(s.cfg, r)
	if err != nil {
		return fmt.Sprintf("error: %v\n", err)
	}
	s.m = m
	return ""
}

func (s *story) restart(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var r consensus.Restored
	for _, arg := range d.CmdArgs {
		for _, v := range arg.Vals {
			part := strings.Split(v, ":")
			p := s.blocks[part[0]]
			c := consensus.Certificate{Header: p.Header, QC: s.quorum(p.Header)}
			switch arg.Key {
			case "safe":
				r.Safe = c
			case "blocks":
				r.Blocks = append(r.Blocks, consensus.RestoredBlock{Proposal: s.sign(p), Verdict: verdictOf(t, part[1])})
			case "certs":
				r.Certificates = append(r.Certificates, c)
			case "approved":
				a := consensus.OwnApproval{Key: fakeKey(atoi(t, part[1])), Header: p.Header}
				if len(part) == 2 {
					a.Signature = fakeSign(a.Key, p.Header.Hash())
				}
				r.Approvals = append(r.Approvals, a)
			}
		}
	}
	return s.start(r)
}

func (s *story) define(t *testing.T, d *datadriven.TestData, name string) string {
	t.Helper()
	var slot int
	var parentName string
	d.ScanArgs(t, "slot", &slot)
	d.ScanArgs(t, "parent", &parentName)
	parent := s.blocks[parentName].Header
	height := int(parent.Height) + 1
	d.MaybeScanArgs(t, "height", &height)
	qc := s.quorum(parent)
	if d.HasArg("by") {
		qc = s.certificate(t, d, "by", parentName)
	}
	s.made++
	h := chain.Header{
		Version: chain.HeaderVersion, Genesis: genesisHeader.Hash(), Slot: chain.Slot(slot), Height: chain.Height(height),
		Parent: parent.Hash(), ParentQC: qc.Hash(),
	}
	if d.HasArg("alien") {
		h.Genesis = chain.Hash{1}
	}
	binary.BigEndian.PutUint64(h.PayloadHash[:], s.made)
	s.blocks[name] = consensus.Proposal{Header: h, ParentQC: qc}
	s.names[h.Hash()] = name
	author, _ := s.schedule.Author(h.Slot, h.Height)
	return fmt.Sprintf("height %d, author %d\n", h.Height, author)
}

// set is the authority set of a height, whether the machine knows it yet or not.
func (s *story) set(h chain.Height) consensus.Set {
	all := *s.schedule
	all.known = 0
	set, _ := all.Set(h)
	return set
}

// quorum is the certificate of a block by the first authorities that suffice.
func (s *story) quorum(h chain.Header) block.QC {
	if h.Height == 0 {
		return consensus.GenesisQC(h.Hash())
	}
	set := s.set(h.Height)
	signers := make([]int, set.Quorum())
	for i := range signers {
		signers[i] = i
	}
	return certificateBy(set, h.Hash(), signers...)
}

func (s *story) certificate(t *testing.T, d *datadriven.TestData, arg, name string) block.QC {
	t.Helper()
	h := s.blocks[name].Header
	set := s.set(h.Height)
	return certificateBy(set, h.Hash(), list(t, d, arg)...)
}

func (s *story) sign(p consensus.Proposal) consensus.Proposal {
	set := s.set(p.Header.Height)
	author := int(p.Header.Slot / s.schedule.turn % chain.Slot(len(set.Keys)))
	p.Signature = fakeSign(set.Keys[author], p.Header.Hash())
	return p
}

func (s *story) proposal(t *testing.T, d *datadriven.TestData, name string) consensus.Proposal {
	t.Helper()
	p := s.sign(s.blocks[name])
	if d.HasArg("unsigned") {
		p.Signature = chain.BLSSignature{}
	}
	var signer int
	if d.MaybeScanArgs(t, "signer", &signer) {
		p.Signature = fakeSign(fakeKey(signer), p.Header.Hash())
	}
	if d.HasArg("swapped") { // a certificate that the header does not name
		p.ParentQC.Signature[5]++
	}
	return p
}

func (s *story) fetched(t *testing.T, d *datadriven.TestData, name string, from consensus.Peer) string {
	t.Helper()
	ev := consensus.Fetched{Hash: s.hash(name), From: from}
	if !d.HasArg("missing") {
		ev.Found, ev.Proposal = true, s.proposal(t, d, name)
	}
	var asked string
	if d.MaybeScanArgs(t, "asked", &asked) {
		ev.Hash = s.hash(asked)
	}
	return s.step(ev)
}

func (s *story) approval(t *testing.T, d *datadriven.TestData, name string) consensus.Approval {
	t.Helper()
	var by int
	d.ScanArgs(t, "by", &by)
	h := s.blocks[name].Header
	a := consensus.Approval{Header: h, Authority: by, Signature: fakeSign(fakeKey(by), h.Hash())}
	if d.HasArg("forged") {
		a.Signature[0]++
	}
	return a
}

func (s *story) moveTo(name string, d *datadriven.TestData) string {
	slot, err := strconv.Atoi(name)
	if err != nil {
		d.Fatalf(s.t, "slot %q: %v", name, err)
	}
	s.now = s.schedule.SlotStart(chain.Slot(slot))
	if len(d.CmdArgs) > 1 {
		s.now += chain.UnixMilli(atoi(s.t, d.CmdArgs[1].Key))
	}
	return s.step(consensus.Tick{})
}

func (s *story) step(ev consensus.Event) string {
	var b strings.Builder
	for _, e := range s.m.Step(consensus.Input{Now: s.now, Event: ev}) {
		fmt.Fprintln(&b, s.tell(e))
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

// tell is an effect in words.
func (s *story) tell(e consensus.Effect) string {
	switch e := e.(type) {
	case consensus.Build:
		return fmt.Sprintf("build slot %d on %s, until slot %s", e.Slot, s.name(e.Parent.Hash()), s.instant(e.Deadline))
	case consensus.Judge:
		return "judge " + s.name(e.Header.Hash())
	case consensus.Persist:
		return fmt.Sprintf("persist certificate of %s by %v", s.name(e.Certificate.QC.Block), e.Certificate.QC.Signers.Indexes())
	case consensus.Sign:
		return fmt.Sprintf("sign %s with key %d", s.name(e.Header.Hash()), s.key(e.Key))
	case consensus.SendProposal:
		return fmt.Sprintf("send proposal %s%s", s.name(e.Proposal.Header.Hash()), to(e.To))
	case consensus.SendApproval:
		return fmt.Sprintf("send approval of %s by %d%s", s.name(e.Approval.Header.Hash()), e.Approval.Authority, to(e.To))
	case consensus.SendCertificate:
		return fmt.Sprintf("send certificate of %s%s", s.name(e.Certificate.QC.Block), to(e.To))
	case consensus.Fetch:
		return fmt.Sprintf("fetch %s from %q", s.name(e.Hash), e.From)
	case consensus.Behind:
		return fmt.Sprintf("behind height %d, says %s", e.Height, e.From)
	case consensus.Advance:
		return fmt.Sprintf("advance head %s, safe %s", s.name(e.Head.Hash), s.name(e.Safe.Hash))
	case consensus.Evidence:
		return fmt.Sprintf("evidence against key %d: %s and %s", s.key(e.Key), s.name(e.First.Header.Hash()),
			s.name(e.Second.Header.Hash()))
	case consensus.Refuse:
		text := fmt.Sprintf("refuse %s from %s: %s", s.name(e.Hash), e.From, e.Reason)
		if e.Fault {
			text += ", its fault"
		}
		if e.Higher != nil {
			text += ", tell it of " + s.name(e.Higher.QC.Block)
		}
		return text
	case consensus.Drop:
		if e.Delete {
			return "delete " + s.name(e.Hash)
		}
		return "drop " + s.name(e.Hash)
	case consensus.Halt:
		reason := e.Reason
		for hash, name := range s.names {
			reason = strings.ReplaceAll(reason, hash.String(), name)
		}
		return "halt: " + reason
	}
	return fmt.Sprintf("%T", e)
}

func (s *story) instant(t chain.UnixMilli) string {
	slot := s.schedule.SlotAt(t)
	return fmt.Sprintf("%d+%d", slot, t-s.schedule.SlotStart(slot))
}

func (s *story) hash(name string) chain.Hash {
	p, ok := s.blocks[name]
	if !ok {
		s.t.Fatalf("story names no block %q", name)
	}
	return p.Header.Hash()
}

func (s *story) name(h chain.Hash) string {
	if n, ok := s.names[h]; ok {
		return n
	}
	return h.Short()
}

func (s *story) key(k chain.BLSPublicKey) int {
	return slices.Index(fakeKeys(16), k)
}

func to(p consensus.Peer) string {
	if p == "" {
		return ""
	}
	return " to " + string(p)
}

func verdictOf(t *testing.T, text string) consensus.Verdict {
	t.Helper()
	for v := consensus.VerdictUnknown; v <= consensus.VerdictApprovable; v++ {
		if v.String() == text {
			return v
		}
	}
	t.Fatalf("no verdict %q", text)
	return 0
}

func list(t *testing.T, d *datadriven.TestData, arg string) []int {
	t.Helper()
	var out []int
	for _, a := range d.CmdArgs {
		if a.Key != arg {
			continue
		}
		for _, v := range a.Vals {
			if v != "" {
				out = append(out, atoi(t, v))
			}
		}
	}
	return out
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%q is no number", s)
	}
	return n
}
