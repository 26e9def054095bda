package network

import (
	"strings"
	"testing"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
)

func approvalOf(b *block.Block) consensus.Approval {
	return consensus.Approval{Header: b.Header, Authority: 2, Signature: chain.BLSSignature{3}}
}

func proposalOf(b *block.Block) consensus.Proposal {
	return consensus.Proposal{Header: b.Header, ParentQC: b.ParentQC, Signature: chain.BLSSignature{4}}
}

func certificateOf(b *block.Block) consensus.Certificate {
	return consensus.Certificate{Header: b.Header, QC: certify(b)}
}

func answerTo(c chan bool) func(*block.Block, chain.BLSSignature, consensus.Peer) {
	return func(b *block.Block, _ chain.BLSSignature, _ consensus.Peer) { c <- b != nil }
}

// line starts a chain of networks, each connected with the one before only.
func line(t *testing.T, n int, setups ...setup) []*running {
	t.Helper()
	out := []*running{start(t, setups...)}
	for i := 1; i < n; i++ {
		next := start(t, append(setups, dialling(out[i-1]))...)
		next.meets(out[i-1])
		out = append(out, next)
	}
	return out
}

// resend sends until all have heard, in slot after slot, as consensus does.
func resend(t *testing.T, all []*running, send func(), heard func() bool) {
	t.Helper()
	tries := 0
	eventually(t, "the message arrives", func() bool {
		if tries%100 == 0 {
			if tries > 0 {
				for _, r := range all {
					r.slot.next()
				}
			}
			send()
		}
		tries++
		return heard()
	})
}

func (r *running) heard(k Kind, h chain.Hash) bool {
	for _, m := range r.in.messages() {
		if m.Kind() == k && m.Header().Hash() == h {
			return true
		}
	}
	return false
}

func TestMessagesAreForwardedOverPeers(t *testing.T) {
	all := line(t, 3)
	b := all[0].chain.at(5)
	h := b.Header.Hash()
	for _, test := range []struct {
		kind Kind
		send func()
	}{
		{KindProposal, func() { all[0].SendProposal(proposalOf(b), b, "") }},
		{KindApproval, func() { all[0].SendApproval(approvalOf(b), "") }},
		{KindCertificate, func() { all[0].SendCertificate(certificateOf(b), "") }},
	} {
		resend(t, all, test.send, func() bool { return all[2].heard(test.kind, h) })
	}
	for _, m := range all[2].in.messages() {
		if m.From != all[1].name() || m.Direct {
			t.Errorf("a message from %s, want from the one that handed it on", m.From)
		}
		e, body := m.Event()
		switch e := e.(type) {
		case consensus.ProposalReceived:
			if e.From != m.From || body == nil || body.Header.Hash() != h || e.Proposal.Signature != (chain.BLSSignature{4}) {
				t.Errorf("proposal %+v", e)
			}
		case consensus.ApprovalReceived:
			if e.Approval != approvalOf(b) {
				t.Errorf("approval %+v", e.Approval)
			}
		case consensus.CertificateReceived:
			if e.Certificate.Header != b.Header || e.Certificate.QC.Hash() != certify(b).Hash() {
				t.Errorf("certificate %+v", e.Certificate)
			}
		}
	}
}

// What the caller does not accept goes no further.
func TestMessagesAreJudgedBeforeTheyAreForwarded(t *testing.T) {
	for _, verdict := range []Verdict{Ignore, Reject} {
		t.Run(verdict.String(), func(t *testing.T) {
			all := line(t, 3)
			bad, good := all[0].chain.at(5), all[0].chain.at(6)
			all[1].in.verdict = func(m Message) Verdict {
				if m.Header() == bad.Header {
					return verdict
				}
				return Accept
			}
			resend(t, all, func() {
				all[0].SendApproval(approvalOf(bad), "")
				all[0].SendApproval(approvalOf(good), "")
			}, func() bool {
				return all[1].heard(KindApproval, bad.Header.Hash()) && all[2].heard(KindApproval, good.Header.Hash())
			})
			if all[2].heard(KindApproval, bad.Header.Hash()) {
				t.Error("it was forwarded")
			}
			faults := all[1].Peers()
			for _, p := range faults {
				if p.ID == all[0].name() && (p.Faults > 0) != (verdict == Reject) {
					t.Errorf("the sender has %v points of faults", p.Faults)
				}
			}
		})
	}
}

// D-31: v1 could not gossip a block above 64 KiB.
func TestD31_ABlockOfMegabytesIsGossiped(t *testing.T) {
	if testing.Short() {
		t.Skip("moves tens of megabytes")
	}
	all := line(t, 3)
	big := child(all[0].chain.tip(), 9<<20)
	h := big.Header.Hash()
	resend(t, all, func() { all[0].SendProposal(proposalOf(big), big, "") }, func() bool { return all[2].heard(KindProposal, h) })
	resend(t, all, func() { all[0].SendProposal(proposalOf(big), big, all[1].name()) }, func() bool {
		for _, m := range all[1].in.messages() {
			if m.Direct && m.Header().Hash() == h {
				return true
			}
		}
		return false
	})
}

// What consensus sends again in a later slot travels again, though gossip drops what it has seen.
func TestAMessageOfALaterSlotTravelsAgain(t *testing.T) {
	all := line(t, 3)
	b := all[0].chain.at(5)
	count := func() (n int) {
		for _, m := range all[2].in.messages() {
			if m.Kind() == KindApproval {
				n++
			}
		}
		return n
	}
	for want := 1; want <= 3; want++ {
		resend(t, all, func() { all[0].SendApproval(approvalOf(b), "") }, func() bool { return count() >= want })
		for _, r := range all {
			r.slot.next()
		}
	}
}

func TestDirectMessagesReachOnePeer(t *testing.T) {
	a := start(t)
	b := start(t, dialling(a))
	b.meets(a)
	x := a.chain.at(4)
	a.SendApproval(approvalOf(x), b.name())
	a.SendCertificate(certificateOf(x), b.name())
	a.SendProposal(proposalOf(x), x, b.name())
	eventually(t, "all three arrive", func() bool { return len(b.in.messages()) == 3 })
	for i, k := range []Kind{KindApproval, KindCertificate, KindProposal} {
		if m := b.in.messages()[i]; m.Kind() != k || !m.Direct || m.From != a.name() || m.Slot != 1000 {
			t.Errorf("message %d: %s direct %v from %s in slot %d", i, m.Kind(), m.Direct, m.From, m.Slot)
		}
	}
	a.SendApproval(approvalOf(x), "no such peer")
	if got := testutil.ToFloat64(a.metrics.MessagesSent.WithLabelValues("approval", "dropped")); got != 1 {
		t.Errorf("%v dropped", got)
	}
}

// The message is of another chain: nobody asks the caller.
func TestAMessageOfAnotherChainIsAFault(t *testing.T) {
	a := start(t)
	b := start(t, dialling(a))
	b.meets(a)
	x := approvalOf(a.chain.at(4))
	x.Header.Genesis = chain.Hash{9}
	a.SendApproval(x, b.name())
	eventually(t, "the fault is counted", func() bool { return testutil.ToFloat64(b.metrics.PeerFaults) == 1 })
	if len(b.in.messages()) != 0 {
		t.Error("it was handed on")
	}
}

// Faults in number ban a peer for a time, and both the ban and its end hold.
func TestABanNeedsProofInNumberAndEnds(t *testing.T) {
	a := start(t)
	b := start(t, dialling(a))
	b.meets(a)
	for range int(banPoints/faultPoints) - 1 {
		b.Misbehaved(a.name(), "test")
	}
	if len(b.Barred()) != 0 || b.member(a.peerID()) == nil {
		t.Fatal("banned too early")
	}
	b.Misbehaved(a.name(), "the last straw")
	eventually(t, "the connection ends", func() bool { return b.member(a.peerID()) == nil && a.member(b.peerID()) == nil })
	barred := b.Barred()
	if len(barred) != 1 || !barred[0].Banned || !strings.Contains(barred[0].Reason, "last straw") {
		t.Fatalf("barred %+v", barred)
	}
	if b.book.barred(a.peerID(), barred[0].Until) {
		t.Error("the ban does not end")
	}
	if err := b.Pardon(a.name()); err != nil {
		t.Fatal(err)
	}
	b.meets(a) // it is static: it comes back by itself
	b.Misbehaved("nobody", "no such peer is no trouble")
}

func TestScoresReachThePeersList(t *testing.T) {
	a := start(t)
	b := start(t, dialling(a))
	b.meets(a)
	b.seeScores(map[peer.ID]float64{a.peerID(): 12})
	if got := b.Peers()[0].Score; got != 12 {
		t.Errorf("score %v", got)
	}
	b.seeScores(map[peer.ID]float64{a.peerID(): dismissThreshold - 1})
	eventually(t, "the peer is dismissed", func() bool { return b.member(a.peerID()) == nil })
	if b.Barred()[0].Banned {
		t.Error("a bad score is no ban")
	}
}

// Between connection and admission a peer is not listened to, but its membership of topics counts.
func TestGossipOfStrangersIsNotLookedAt(t *testing.T) {
	b := start(t)
	id, _ := somePeer(t, 1)
	topic := b.proto.votes
	rpc := &pubsub.RPC{}
	rpc.Publish = []*pb.Message{{Data: []byte{1}, Topic: &topic}, {Data: []byte{2}, Topic: &topic}}
	rpc.Subscriptions = []*pb.RPC_SubOpts{{Topicid: &topic}}
	if err := b.gossip.Load().inspect(id, rpc); err != nil || len(rpc.Publish) != 0 || len(rpc.Subscriptions) != 1 {
		t.Errorf("%d messages and %d subscriptions go through, %v", len(rpc.Publish), len(rpc.Subscriptions), err)
	}
	if got := testutil.ToFloat64(b.metrics.MessagesDropped.WithLabelValues("not_admitted")); got != 2 {
		t.Errorf("%v counted", got)
	}
}
