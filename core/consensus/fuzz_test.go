package consensus_test

import (
	"encoding/binary"
	"testing"

	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
)

// FuzzStep feeds a machine with messages made from junk: real blocks, altered blocks, true and false signatures, wild
// clocks. It never panics, never gives unbounded work for one input, and its next wake lies ahead.
func FuzzStep(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12"))
	f.Add([]byte{1, 0, 0, 5, 0, 0, 1, 1, 0, 2, 0, 1, 2, 0, 2, 3, 0, 0, 8, 0, 0, 9, 0, 3, 4, 1, 7, 7, 3, 2})
	f.Fuzz(func(t *testing.T, data []byte) {
		z := newFuzzer(t)
		for len(data) >= 3 {
			z.step(data[0], data[1], data[2])
			data = data[3:]
		}
	})
}

type fuzzer struct {
	t      *testing.T
	m      *consensus.Machine
	set    consensus.Set
	now    chain.UnixMilli
	blocks []consensus.Proposal
	asked  []consensus.Effect
}

func newFuzzer(t *testing.T) *fuzzer {
	t.Helper()
	s := newSchedule(4)
	s.turn = 1
	m, err := consensus.New(consensus.Config{
		Genesis: genesisHeader, Schedule: s, Self: fakeKeys(4)[3:], Verifier: fakeScheme{},
	}, consensus.Restored{})
	if err != nil {
		t.Fatal(err)
	}
	z := &fuzzer{t: t, m: m, set: s.sets[0], now: 200_000}
	parent := consensus.Proposal{Header: genesisHeader}
	for i := range 12 {
		z.blocks = append(z.blocks, z.child(parent, chain.Slot(100+i)))
		if i%4 != 3 {
			parent = z.blocks[i]
		}
	}
	return z
}

func (z *fuzzer) child(parent consensus.Proposal, slot chain.Slot) consensus.Proposal {
	qc := consensus.GenesisQC(genesisHeader.Hash())
	if parent.Header.Height > 0 {
		qc = certificateBy(z.set, parent.Header.Hash(), 0, 1, 2)
	}
	h := chain.Header{
		Version: chain.HeaderVersion, Genesis: genesisHeader.Hash(), Slot: slot, Height: parent.Header.Height + 1,
		Parent: parent.Header.Hash(), ParentQC: qc.Hash(),
	}
	return consensus.Proposal{Header: h, ParentQC: qc, Signature: fakeSign(z.set.Keys[slot%4], h.Hash())}
}

func (z *fuzzer) step(op, which, how byte) {
	p := z.blocks[int(which)%len(z.blocks)]
	signer := int(how % 4)
	switch how >> 4 { // altered
	case 1:
		p.Header.Slot += chain.Slot(how) << 30
	case 2:
		p.Header.Height += chain.Height(how)
	case 3:
		p.Header.Parent[3] ^= how
	case 4:
		p.ParentQC.Signers = append(p.ParentQC.Signers, how)
	case 5:
		p.Signature[0] ^= how
	case 6: // another block of the same slot
		p.Header.PayloadHash[0] = how
		p.Signature = fakeSign(z.set.Keys[p.Header.Slot%4], p.Header.Hash())
	}
	hash := p.Header.Hash()
	cert := consensus.Certificate{Header: p.Header, QC: certificateBy(z.set, hash, 0, 1, 2)}
	approval := consensus.Approval{Header: p.Header, Authority: signer, Signature: fakeSign(z.set.Keys[signer], hash)}
	from := consensus.Peer([]byte{'p', which % 8})
	var ev consensus.Event = consensus.Tick{}
	switch op % 12 {
	case 0:
		z.now += chain.UnixMilli(which)*50 - chain.UnixMilli(how)*40
	case 1:
		z.now = chain.UnixMilli(binary.BigEndian.Uint64([]byte{which, how, 0, 0, 0, which, how, 0}))
	case 2, 3:
		ev = consensus.ProposalReceived{Proposal: p, From: from}
	case 4, 5:
		if how == 255 {
			approval.Authority = -1
		}
		ev = consensus.ApprovalReceived{Approval: approval, From: from}
	case 6:
		if how&8 != 0 {
			cert.QC.Signature[1]++
		}
		ev = consensus.CertificateReceived{Certificate: cert, From: from}
	case 7:
		ev = consensus.Fetched{Hash: hash, Found: how&1 == 0, Proposal: p, From: from}
	case 8:
		ev = consensus.Judged{Hash: hash, Verdict: consensus.Verdict(how % 5)}
	case 9:
		ev = z.answer(how, p)
	case 10:
		ev = consensus.Imported{Run: []consensus.Proposal{p}, QC: &cert.QC}
	case 11:
		ev = consensus.NotSigned{Hash: hash, Key: z.set.Keys[3], Refused: how&1 == 0}
	}
	z.asked = z.m.Step(consensus.Input{Now: z.now, Event: ev})
	if len(z.asked) > 1000 {
		z.t.Fatalf("%d effects of one input", len(z.asked))
	}
	if wake := z.m.NextWake(); wake <= min(max(z.now, 0), 1<<60) {
		z.t.Fatalf("next wake %d at %d", wake, z.now)
	}
}

// answer carries out one of the effects of the last step.
func (z *fuzzer) answer(how byte, p consensus.Proposal) consensus.Event {
	if len(z.asked) == 0 {
		return consensus.Signed{Hash: p.Header.Hash(), Key: z.set.Keys[3], Signature: p.Signature}
	}
	switch e := z.asked[int(how)%len(z.asked)].(type) {
	case consensus.Build:
		b := z.child(consensus.Proposal{Header: e.Parent}, e.Slot)
		b.ParentQC = e.ParentQC
		b.Header.ParentQC = e.ParentQC.Hash()
		z.blocks = append(z.blocks, b)
		return consensus.Built{Header: b.Header, ParentQC: b.ParentQC}
	case consensus.Judge:
		return consensus.Judged{Hash: e.Header.Hash(), Verdict: consensus.VerdictApprovable}
	case consensus.Sign:
		return consensus.Signed{Hash: e.Header.Hash(), Key: e.Key, Signature: fakeSign(e.Key, e.Header.Hash())}
	default:
		return consensus.BuildFailed{Slot: p.Header.Slot}
	}
}
