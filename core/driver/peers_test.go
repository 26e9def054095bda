package driver_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/sdk/chain"
)

func TestFourAuthoritiesOfWhichWeAreOne(t *testing.T) {
	inBubble(t, 4, func(n *node) {
		n.start()
		parent := n.genesis.Header
		ours := 0
		for range 8 {
			slot := n.slot() + 1
			wait(n.spec.SlotStart(slot).Time().Sub(n.now()) + 50*time.Millisecond)
			if author, _ := n.spec.Agreement().Author(slot, parent.Height+1); author != 0 {
				p, b := n.proposal(parent, slot, payload(parent.PayloadHash, parent.Height+1, slot))
				n.Receive(consensus.ProposalReceived{Proposal: p, From: "peer"}, b)
				wait(10 * time.Millisecond)
				n.approveAll(b.Header)
				parent = b.Header
			} else {
				wait(600 * time.Millisecond) // it may wait a quarter slot for the certificate of the slot before
				own := n.network.latest()
				if own.Slot != slot {
					t.Fatalf("in our slot %d the last proposal of ours is of %d", slot, own.Slot)
				}
				n.approveAll(own)
				parent = own
				ours++
			}
		}
		n.end()
		if ours != 2 || n.Heads().Head.Height != 8 || n.Heads().Safe.Height != 7 {
			t.Errorf("after 8 slots, %d of them ours, the heads are %+v", ours, n.Heads())
		}
		if len(n.network.approvals) < 6 {
			t.Errorf("%d approvals of ours for 6 blocks of others", len(n.network.approvals))
		}
		if len(n.network.misbehaved) > 0 {
			t.Errorf("honest peers were reported: %v", n.network.misbehaved)
		}
		if n.bodies() > 2 {
			t.Errorf("%d bodies are kept", n.bodies())
		}
	})
}

// approveAll gives the other authorities' approvals.
func (n *node) approveAll(h chain.Header) {
	for i := 1; i < 4; i++ {
		n.Receive(consensus.ApprovalReceived{Approval: n.approval(h, i), From: "peer"}, nil)
	}
	wait(10 * time.Millisecond)
}

func TestSignatureThatCameToNothingIsAskedForAgain(t *testing.T) {
	inBubble(t, 4, func(n *node) {
		n.signer.approve = func(ctx context.Context, _ chain.Header) error { <-ctx.Done(); return ctx.Err() }
		n.start()
		slot := n.untilTurnOf(1)
		p, b := n.proposal(n.genesis.Header, slot, payload(n.genesis.Header.PayloadHash, 1, slot))
		n.Receive(consensus.ProposalReceived{Proposal: p, From: "peer"}, b)
		wait(5 * slotTime)
		n.end()
		if got := n.signer.times(b.Header.Hash()); got != 2 {
			t.Errorf("the block was put to the signer %d times in five slots, want again after its time was over", got)
		}
	})
}

func TestWrongBodyIsTheSendersFaultAndNotTheBlocks(t *testing.T) {
	inBubble(t, 4, func(n *node) {
		n.start()
		slot := n.untilTurnOf(1)
		p, b := n.proposal(n.genesis.Header, slot, payload(n.genesis.Header.PayloadHash, 1, slot, 100))
		own := n.bodies()
		altered, foreign, unsealed := *b, *b, *b
		altered.Execution.Payload.Transactions = [][]byte{{1}}
		foreign.Header.Slot++
		unsealed.Deposits = []block.Deposit{{}}
		for _, body := range []*block.Block{&altered, &foreign, &unsealed, nil} {
			if !n.Receive(consensus.ProposalReceived{Proposal: p, From: "liar"}, body) {
				t.Error("the queue is full")
			}
		}
		wait(10 * time.Millisecond)
		if len(n.network.faults()) != 4 || n.bodies() != own {
			t.Errorf("misbehaved: %v, %d bodies are kept", n.network.misbehaved, n.bodies())
		}
		n.Receive(consensus.ProposalReceived{Proposal: p, From: "honest"}, b)
		wait(10 * time.Millisecond)
		n.end()
		if len(n.network.approvals) != 1 || n.network.approvals[0].Header != b.Header {
			t.Errorf("approvals %v, want one of the block itself", n.network.approvals)
		}
	})
}

func TestRefusedProposalsAreLetGo(t *testing.T) {
	inBubble(t, 4, func(n *node) {
		n.start()
		slot := n.untilTurnOf(1)
		own := n.bodies()
		for i := range 3000 {
			data := payload(n.genesis.Header.PayloadHash, 1, slot, i+1)
			parent := n.genesis.Header
			b := assemble(n.genesis.Header.Hash(), parent, slot, consensus.GenesisQC(n.genesis.Header.Hash()), data)
			switch i % 5 {
			case 0: // of another chain
				b.Header.Genesis = chain.Hash{9}
			case 1: // a day early
				b.Header.Slot += 43_200
			case 2: // not signed
			case 3: // far ahead, on an unknown parent
				b = assemble(n.genesis.Header.Hash(), chain.Header{Height: 1 << 40, Slot: 1}, slot, block.QC{}, payload(chain.Hash{}, 1<<40+1, slot))
			case 4: // a certificate that certifies nothing
				b = assemble(n.genesis.Header.Hash(), chain.Header{Height: 3, Slot: chain.Slot(i)}, slot, block.QC{}, payload(chain.Hash{}, 4, slot))
				b.ParentQC.Block = b.Header.Parent
				b.Seal()
			}
			for !n.Receive(consensus.ProposalReceived{Proposal: consensus.Proposal{Header: b.Header, ParentQC: b.ParentQC}, From: consensus.Peer(rune('a' + i%20))}, b) {
				wait(time.Millisecond)
			}
		}
		wait(10 * time.Millisecond)
		if got := n.bodies() - own; got != 0 {
			t.Errorf("%d bodies of refused proposals are kept", got)
		}
		wait(8 * slotTime)
		n.end()
		if len(n.network.proposals) == 0 {
			t.Error("no block of ours after the flood")
		}
	})
}

func TestProposalsOfAnAuthorityThatFloodsAreBounded(t *testing.T) {
	inBubble(t, 4, func(n *node) {
		n.engine.execute = func(context.Context, chain.Slot) error { return driver.ErrUnavailable }
		n.start()
		slot := n.untilTurnOf(1)
		own := n.bodies()
		for i := range 200 {
			p, b := n.proposal(n.genesis.Header, slot, payload(n.genesis.Header.PayloadHash, 1, slot, i+1))
			n.Receive(consensus.ProposalReceived{Proposal: p, From: consensus.Peer(rune('a' + i%20))}, b)
		}
		wait(time.Second)
		if got := n.bodies() - own; got > consensus.MaxPending {
			t.Errorf("%d bodies of one author's slot are kept, want at most %d", got, consensus.MaxPending)
		}
		n.end()
		if len(n.observer.evidence) != 1 || len(n.network.approvals) < 2 {
			t.Errorf("%d pieces of evidence, %d approvals gossiped", len(n.observer.evidence), len(n.network.approvals))
		}
	})
}

func TestMessagesThatWaitAreBounded(t *testing.T) {
	inBubble(t, 4, func(n *node) {
		n.open() // and does not run
		slot := n.slot() + 1
		taken := 0
		for i := range 100 {
			p, b := n.proposal(n.genesis.Header, slot, payload(n.genesis.Header.PayloadHash, 1, slot, 1<<20, i))
			if n.Receive(consensus.ProposalReceived{Proposal: p}, b) {
				taken++
			}
		}
		if want := driver.MaxBodyBytes >> 20; taken > want || taken < want-2 {
			t.Errorf("%d blocks of a MiB wait, want about %d", taken, want)
		}
		for range 2 * driver.Queue {
			n.Receive(consensus.ApprovalReceived{}, nil)
		}
		if n.Receive(consensus.ApprovalReceived{}, nil) {
			t.Error("a message was taken by a full queue")
		}
		n.start()
		wait(time.Second)
		p, b := n.proposal(n.genesis.Header, slot, payload(n.genesis.Header.PayloadHash, 1, slot, 1<<20))
		if !n.Receive(consensus.ProposalReceived{Proposal: p}, b) {
			t.Error("a proposal is refused by an empty queue")
		}
		n.end()
	})
}

func TestFloodDoesNotDelayOurOwnAnswers(t *testing.T) {
	inBubble(t, 1, func(n *node) {
		n.open()
		for n.Receive(consensus.ApprovalReceived{}, nil) {
		}
		n.engine.build = func(context.Context, chain.Slot) error {
			for n.Receive(consensus.ApprovalReceived{}, nil) {
			}
			return nil
		}
		n.start()
		wait(5*slotTime - time.Second)
		n.end()
		if len(n.observer.blocks()) != 5 {
			t.Errorf("%d blocks in 5 slots of a flood", len(n.observer.blocks()))
		}
	})
}

func TestMissingParentIsFetched(t *testing.T) {
	inBubble(t, 4, func(n *node) {
		slot := n.untilTurnOf(1)
		p1, b1 := n.proposal(n.genesis.Header, slot, payload(n.genesis.Header.PayloadHash, 1, slot, 7))
		p2, b2 := n.proposal(b1.Header, slot+1, payload(b1.Header.PayloadHash, 2, slot+1))
		answers := 0
		n.network.fetch = func(_ chain.Hash, answer func(*block.Block, chain.BLSSignature, consensus.Peer)) {
			switch answers++; answers {
			case 1: // the right header on a wrong body
				altered := *b1
				altered.Execution.Payload.Transactions = nil
				answer(&altered, p1.Signature, "liar")
			case 2: // another block
				answer(b2, p2.Signature, "wrong")
			case 3: // nobody has it
				answer(nil, chain.BLSSignature{}, "")
			default:
				answer(b1, p1.Signature, "honest")
			}
		}
		wait(slotTime)
		n.start()
		n.Receive(consensus.ProposalReceived{Proposal: p2, From: "peer"}, b2)
		wait(4 * slotTime)
		n.end()
		if got := n.Heads().Head; got.Height != 1 {
			t.Errorf("head %v, want the fetched parent, which its child notarizes", got)
		}
		if !slices.Contains(n.network.fetched, b1.Header.Hash()) || answers != 4 {
			t.Errorf("fetched %d times: %v", answers, n.network.fetched)
		}
		if !slices.ContainsFunc(n.network.approvals, func(a consensus.Approval) bool { return a.Header == b2.Header }) {
			t.Error("the child was not approved")
		}
		if len(n.network.misbehaved) != 2 {
			t.Errorf("misbehaved: %v, want the liar and the wrong one", n.network.misbehaved)
		}
	})
}

func TestAnswerAfterTheEndIsForgotten(t *testing.T) {
	inBubble(t, 4, func(n *node) {
		var late func(*block.Block, chain.BLSSignature, consensus.Peer)
		n.network.fetch = func(_ chain.Hash, answer func(*block.Block, chain.BLSSignature, consensus.Peer)) { late = answer }
		slot := n.untilTurnOf(1)
		_, b1 := n.proposal(n.genesis.Header, slot, payload(n.genesis.Header.PayloadHash, 1, slot))
		p2, b2 := n.proposal(b1.Header, slot+1, payload(b1.Header.PayloadHash, 2, slot+1))
		wait(slotTime)
		n.start()
		n.Receive(consensus.ProposalReceived{Proposal: p2, From: "peer"}, b2)
		wait(time.Second)
		n.end()
		late(nil, chain.BLSSignature{}, "")
	})
}

func TestSenderOfATooShortBlockIsToldTheHigherCertificate(t *testing.T) {
	inBubble(t, 4, func(n *node) {
		n.start()
		slot := n.untilTurnOf(1)
		p, b := n.proposal(n.genesis.Header, slot, payload(n.genesis.Header.PayloadHash, 1, slot))
		n.Receive(consensus.ProposalReceived{Proposal: p, From: "peer"}, b)
		wait(10 * time.Millisecond)
		n.approveAll(b.Header)
		wait(slotTime)
		low, lowBody := n.proposal(n.genesis.Header, slot+1, payload(n.genesis.Header.PayloadHash, 1, slot+1))
		n.Receive(consensus.ProposalReceived{Proposal: low, From: "behind"}, lowBody)
		wait(10 * time.Millisecond)
		n.end()
		if got := n.network.certificates["behind"]; len(got) != 1 || got[0].Header != b.Header {
			t.Errorf("the sender was told %v", got)
		}
	})
}

func TestReorganizationIsTold(t *testing.T) {
	inBubble(t, 4, func(n *node) {
		n.start()
		slot := n.untilTurnOf(1)
		p1, b1 := n.proposal(n.genesis.Header, slot, payload(n.genesis.Header.PayloadHash, 1, slot))
		n.Receive(consensus.ProposalReceived{Proposal: p1, From: "peer"}, b1)
		wait(slotTime)
		p2, b2 := n.proposal(n.genesis.Header, slot+1, payload(n.genesis.Header.PayloadHash, 1, slot+1))
		n.Receive(consensus.ProposalReceived{Proposal: p2, From: "peer"}, b2)
		wait(10 * time.Millisecond)
		n.Receive(consensus.CertificateReceived{Certificate: n.certificate(b1.Header), From: "peer"}, nil)
		wait(10 * time.Millisecond)
		n.Receive(consensus.CertificateReceived{Certificate: n.certificate(b2.Header), From: "peer"}, nil)
		wait(3 * slotTime)
		n.end()
		heads := n.observer.heads
		if len(heads) != 2 || heads[0].Moved || !heads[1].Moved || heads[1].Head.Hash != b2.Header.Hash() || heads[1].Own {
			t.Errorf("heads %+v, want the block of the later slot in place of the first", heads)
		}
	})
}

func TestChainThatIsFarAheadIsNotFetchedBlockByBlock(t *testing.T) {
	inBubble(t, 4, func(n *node) {
		n.start()
		slot := n.untilTurnOf(1)
		far := assemble(n.genesis.Header.Hash(), chain.Header{Height: 9999}, slot, block.QC{}, payload(chain.Hash{}, 10_000, slot))
		n.Receive(consensus.CertificateReceived{Certificate: n.certificate(far.Header), From: "peer"}, nil)
		wait(2 * slotTime)
		n.end()
		if len(n.network.fetched) != 0 {
			t.Errorf("fetched %v", n.network.fetched)
		}
	})
}
