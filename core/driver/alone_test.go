package driver_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

func TestOneAuthorityMakesABlockASlot(t *testing.T) {
	inBubble(t, 1, func(n *node) {
		n.start()
		wait(10*slotTime - time.Second)
		n.end()
		heads := n.observer.heads
		if len(heads) != 10 {
			t.Fatalf("%d heads in 10 slots", len(heads))
		}
		for i, a := range heads {
			if want := chain.Height(i + 1); a.Head.Height != want || !a.Own || a.Moved {
				t.Errorf("head %d is %+v, want our block at height %d", i, a, want)
			}
			if i > 0 && a.Slot != heads[i-1].Slot+1 {
				t.Errorf("block %d is of slot %d, the one before of %d", i+1, a.Slot, heads[i-1].Slot)
			}
			if a.Head.Height > 2 && a.Safe.Height != a.Head.Height-1 {
				t.Errorf("at head %d safe is %d, want one below", a.Head.Height, a.Safe.Height)
			}
			if a.SinceSlot < 0 || a.SinceSlot > slotTime {
				t.Errorf("block %d came %s after its slot's start", i+1, a.SinceSlot)
			}
		}
		for i, c := range n.observer.certs {
			if c.QC.Block != heads[i].Head.Hash || c.QC.Block != c.Header.Hash() || c.QC.Signers.Count() != 1 {
				t.Errorf("certificate %d is %+v, want the one of block %s", i, c, heads[i].Head.Hash)
			}
		}
		if len(n.observer.certs) != len(heads) {
			t.Errorf("%d certificates of %d blocks were told", len(n.observer.certs), len(heads))
		}
		if len(n.observer.missedSlots()) != 0 {
			t.Errorf("slots %v were missed", n.observer.missed)
		}
		if got, want := n.Heads().Head, heads[9].Head; got != want {
			t.Errorf("Heads says %v, want %v", got, want)
		}
		if got := last(n.engine.heads()); got != n.chain.blocks[heads[9].Head.Hash].Header.PayloadHash {
			t.Errorf("the engine was told %s last", got)
		}
		if n.bodies() > 3 {
			t.Errorf("%d bodies are kept, want those above safe", n.bodies())
		}
	})
}

// TestFailedBuildTellsTheHeadsAgain: an engine that came back without its last blocks is caught up by the fork choice, and
// builds nothing until then.
func TestFailedBuildTellsTheHeadsAgain(t *testing.T) {
	inBubble(t, 1, func(n *node) {
		n.start()
		wait(3*slotTime - time.Second)
		lost := true // from now on, until it is told the heads
		n.engine.mu.Lock()
		told := len(n.engine.told)
		n.engine.build = func(context.Context, chain.Slot) error {
			n.engine.mu.Lock()
			defer n.engine.mu.Unlock()
			if lost = lost && len(n.engine.told) == told; lost {
				return engine.ErrSyncing
			}
			return nil
		}
		n.engine.mu.Unlock()
		before := len(n.observer.blocks())
		wait(4 * slotTime)
		n.end()
		if after := len(n.observer.blocks()); lost || after < before+2 {
			t.Errorf("%d blocks before the loss, %d after; told again: %t", before, after, !lost)
		}
	})
}

func TestHeadsOfTheStartAreNotReportedAsBlocks(t *testing.T) {
	inBubble(t, 1, func(n *node) {
		n.start()
		wait(4*slotTime - time.Second)
		n.end()
		stored := n.chain.heads.Head

		again := &diary{calls: map[string]int{}}
		n.observer, n.Driver = again, nil
		n.restore()
		n.start()
		wait(100 * time.Millisecond)
		if len(again.blocks()) > 0 && again.blocks()[0].Head == stored {
			t.Errorf("head %d was reported again after a restart", stored.Height)
		}
		if len(n.engine.heads()) == 0 {
			t.Error("the engine was not told the stored heads")
		}
		wait(2 * slotTime)
		n.end()
		if len(again.heads) == 0 || again.heads[0].Head.Height != stored.Height+1 {
			t.Errorf("after a restart at %d the heads are %v", stored.Height, again.heads)
		}
	})
}

// restore makes the next start go on from what is stored.
func (n *node) restore() {
	n.restored, n.options.Bodies = consensus.Restored{}, nil
	for _, b := range n.chain.blocks {
		switch {
		case b.Header.Hash() == n.chain.heads.Safe.Hash && b.Header.Height > 0:
			n.restored.Safe = n.certificate(b.Header)
		case b.Header.Height > n.chain.heads.Safe.Height:
			n.restored.Blocks = append(n.restored.Blocks, consensus.RestoredBlock{
				Proposal: consensus.Proposal{Header: b.Header, ParentQC: b.ParentQC}, Verdict: consensus.VerdictApprovable,
			})
			n.restored.Certificates = append(n.restored.Certificates, n.certificate(b.Header))
			n.options.Bodies = append(n.options.Bodies, b)
		}
	}
}

func TestBuildThatHangsIsAskedAgainInTheSameSlot(t *testing.T) {
	inBubble(t, 1, func(n *node) {
		calls := 0
		n.engine.build = func(ctx context.Context, _ chain.Slot) error {
			if calls++; calls != 3 {
				return nil
			}
			<-ctx.Done() // its answer comes when the order's time is over
			return ctx.Err()
		}
		n.start()
		wait(5*slotTime - time.Second)
		n.end()
		if len(n.observer.blocks()) != 5 || n.engine.buildsOf(n.observer.blocks()[2].Slot) != 2 {
			t.Errorf("%d blocks in 5 slots, %d builds in the slot of the hanging one", len(n.observer.blocks()), n.engine.buildsOf(n.observer.blocks()[2].Slot))
		}
	})
}

func TestFailingEngineCostsSlotsAndNotTheNode(t *testing.T) {
	for name, hook := range map[string]func(*node, func() bool){
		"build fails": func(n *node, down func() bool) {
			n.engine.build = func(context.Context, chain.Slot) error { return whileDown(down) }
		},
		"build hangs": func(n *node, down func() bool) {
			n.engine.build = func(ctx context.Context, _ chain.Slot) error { return hangWhile(ctx, down) }
		},
		"execution fails": func(n *node, down func() bool) {
			n.engine.execute = func(context.Context, chain.Slot) error { return whileDown(down) }
		},
		"fork choice fails": func(n *node, down func() bool) {
			n.engine.forkchoice = func(context.Context) error { return whileDown(down) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, func(n *node) {
				begin := time.Now()
				down := func() bool {
					since := time.Since(begin)
					return since > 4*slotTime-time.Second && since < 7*slotTime-time.Second
				}
				hook(n, down)
				n.start()
				wait(20*slotTime - time.Second)
				n.end()
				got := len(n.observer.blocks())
				if got < 15 || got > 18 {
					t.Errorf("%d blocks in 20 slots with an engine that is away for 3", got)
				}
				if missed := len(n.observer.missedSlots()); missed < 2 || missed > 4 || missed+got < 19 {
					t.Errorf("%d slots counted as missed beside %d blocks", missed, got)
				}
				if head := n.observer.blocks()[got-1]; last(n.engine.heads()) != n.chain.blocks[head.Head.Hash].Header.PayloadHash {
					t.Error("the engine was not told the last head")
				}
			})
		})
	}
}

func last(hashes []chain.Hash) chain.Hash { return hashes[len(hashes)-1] }

func whileDown(down func() bool) error {
	if down() {
		return driver.ErrUnavailable
	}
	return nil
}

func hangWhile(ctx context.Context, down func() bool) error {
	if !down() {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func TestInvalidBlockIsNotSignedAndLetGo(t *testing.T) {
	inBubble(t, 1, func(n *node) {
		var bad chain.Slot
		n.engine.execute = func(_ context.Context, slot chain.Slot) error {
			if len(n.observer.blocks()) == 3 && bad == 0 {
				bad = slot
			}
			if slot == bad {
				return driver.ErrInvalid
			}
			return nil
		}
		n.start()
		wait(8*slotTime - time.Second)
		n.end()
		if len(n.observer.blocks()) != 7 {
			t.Errorf("%d blocks in 8 slots of which one was invalid", len(n.observer.blocks()))
		}
		for _, a := range n.observer.blocks() {
			if a.Slot == bad {
				t.Errorf("the invalid block of slot %d became head", bad)
			}
		}
		if n.bodies() > 3 {
			t.Errorf("%d bodies are kept", n.bodies())
		}
	})
}

func TestReceiptsThatDoNotFitAreAskedForAgain(t *testing.T) {
	inBubble(t, 1, func(n *node) {
		inserts := 0
		n.chain.insert = func() error {
			if inserts++; inserts == 2 {
				return driver.ErrUnavailable
			}
			return nil
		}
		n.start()
		wait(4*slotTime - time.Second)
		n.end()
		if len(n.observer.blocks()) != 4 || inserts != 5 {
			t.Errorf("%d blocks in 4 slots with %d inserts, want 4 with 5", len(n.observer.blocks()), inserts)
		}
	})
}

func TestBlockThatInsertFindsInvalidIsInvalid(t *testing.T) {
	inBubble(t, 1, func(n *node) {
		inserts := 0
		n.chain.insert = func() error {
			if inserts++; inserts == 2 {
				return driver.ErrInvalid
			}
			return nil
		}
		n.start()
		wait(4*slotTime - time.Second)
		n.end()
		if len(n.observer.blocks()) != 3 {
			t.Errorf("%d blocks in 4 slots of which one was invalid", len(n.observer.blocks()))
		}
	})
}

func TestRefusedSignatureIsFinalAndAFailedOneIsAskedForAgain(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault func(context.Context) error
		again bool
	}{
		{"a refusal is final", func(context.Context) error { return driver.ErrRefused }, false},
		{"a failure is asked again", func(context.Context) error { return driver.ErrUnavailable }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, 1, func(n *node) {
				var first chain.Header
				n.signer.approve = func(ctx context.Context, h chain.Header) error {
					if first.Height == 0 {
						first = h
					}
					if h == first {
						return test.fault(ctx)
					}
					return errors.New("down")
				}
				n.start()
				wait(8 * slotTime)
				n.end()
				if got := n.signer.times(first.Hash()); got > 1 != test.again {
					t.Errorf("the block was put to the signer %d times", got)
				}
				if len(n.observer.blocks()) != 0 {
					t.Errorf("heads %v without a signature", n.observer.heads)
				}
			})
		})
	}
}

func TestSignerThatComesBackCostsTheSlotsItWasAway(t *testing.T) {
	inBubble(t, 1, func(n *node) {
		begin := time.Now()
		n.signer.approve = func(context.Context, chain.Header) error {
			return whileDown(func() bool { since := time.Since(begin); return since > 3*slotTime && since < 6*slotTime })
		}
		n.start()
		wait(12*slotTime - time.Second)
		n.end()
		if got := len(n.observer.blocks()); got < 8 {
			t.Errorf("%d blocks in 12 slots with a signer that is away for 3", got)
		}
	})
}

func TestFailingStoreStopsTheNodeWithTheStage(t *testing.T) {
	broken := errors.New("disk on fire")
	for _, test := range []struct {
		stage string
		hook  func(*library)
	}{
		{"store block 1", func(l *library) { l.insert = func() error { return broken } }},
		{"store certificate", func(l *library) { l.putQC = func() error { return broken } }},
		{"store heads", func(l *library) { l.setHeads = func() error { return broken } }},
	} {
		t.Run(test.stage, func(t *testing.T) {
			inBubble(t, 1, func(n *node) {
				test.hook(n.chain)
				n.start()
				err := n.failure()
				wantError(t, err, test.stage)
				if !errors.Is(err, broken) {
					t.Errorf("got %v, want the store's error", err)
				}
			})
		})
	}
}

func TestPanicStopsTheNodeWithTheStage(t *testing.T) {
	explode := func() error { panic("boom") }
	for _, test := range []struct {
		stage string
		hook  func(*node)
	}{
		{"engine orders panicked: boom", func(n *node) { n.engine.build = func(context.Context, chain.Slot) error { return explode() } }},
		{"signing panicked: boom", func(n *node) { n.signer.approve = func(context.Context, chain.Header) error { return explode() } }},
		{"consensus panicked: boom", func(n *node) { n.chain.putQC = explode }},
	} {
		t.Run(test.stage, func(t *testing.T) {
			inBubble(t, 1, func(n *node) {
				test.hook(n)
				n.start()
				wantError(t, n.failure(), test.stage, "goroutine")
			})
		})
	}
}

func TestNotarizedBlockThatWeFoundInvalidHalts(t *testing.T) {
	inBubble(t, 1, func(n *node) {
		n.engine.execute = func(context.Context, chain.Slot) error { return driver.ErrInvalid }
		var built *block.Block
		n.engine.build = func(_ context.Context, slot chain.Slot) error {
			if built == nil {
				data := payload(n.genesis.Header.PayloadHash, 1, slot)
				built = assemble(n.genesis.Header.Hash(), n.genesis.Header, slot, consensus.GenesisQC(n.genesis.Header.Hash()), data)
			}
			return nil
		}
		n.start()
		wait(time.Second)
		if !n.Receive(consensus.CertificateReceived{Certificate: n.certificate(built.Header), From: "a"}, nil) {
			t.Fatal("the certificate was not taken")
		}
		if err := n.failure(); !errors.Is(err, driver.ErrHalted) {
			t.Errorf("got %v, want ErrHalted", err)
		}
		if n.observer.halted == "" {
			t.Error("nobody was told")
		}
	})
}

func TestBodyThatNeverCameCostsNothingElse(t *testing.T) {
	inBubble(t, 1, func(n *node) {
		wait(3 * slotTime) // the block is of a slot that began
		p, _ := n.proposal(n.genesis.Header, n.slot()-1, payload(n.genesis.Header.PayloadHash, 1, 1))
		p.Signature = chain.BLSSignature{} // with it, an only authority's block would be notarized
		n.restored.Blocks = []consensus.RestoredBlock{{Proposal: p, Verdict: consensus.VerdictUnknown}}
		n.start()
		wait(5 * slotTime)
		n.end()
		if len(n.observer.blocks()) < 4 {
			t.Errorf("%d blocks in 5 slots beside a block without a body", len(n.observer.blocks()))
		}
	})
}

func TestClockOneHourForward(t *testing.T) {
	inBubble(t, 1, func(n *node) {
		n.start()
		wait(5 * slotTime)
		before := len(n.observer.blocks())
		n.jump(time.Hour)
		wait(20 * slotTime)
		n.end()
		if got := len(n.observer.blocks()) - before; got < 19 {
			t.Errorf("%d blocks in the 20 slots after the jump", got)
		}
		if got := len(n.observer.missedSlots()); got < 900 || got > 1000 {
			t.Errorf("%d slots counted as missed, want the bound of the hour's 1,800", got)
		}
	})
}

func TestClockOneHourBack(t *testing.T) {
	inBubble(t, 1, func(n *node) {
		n.start()
		wait(5 * slotTime)
		before, head := len(n.observer.blocks()), n.slot()
		n.jump(-time.Hour)
		wait(time.Hour - 5*slotTime)
		if got := len(n.observer.blocks()); got != before {
			t.Errorf("%d blocks of slots that were over already", got-before)
		}
		wait(15 * slotTime)
		n.end()
		if got := len(n.observer.blocks()) - before; got < 8 {
			t.Errorf("%d blocks in the slots after the hour", got)
		}
		for _, a := range n.observer.blocks()[before:] {
			if a.Slot < head {
				t.Errorf("a block of slot %d after one of slot %d", a.Slot, head)
			}
		}
		if len(n.observer.missedSlots()) > 2 {
			t.Errorf("slots %v counted as missed: they have blocks", n.observer.missed)
		}
	})
}

func TestMissedSlotsAreCountedAgainAfterAClockThatRanAhead(t *testing.T) {
	inBubble(t, 1, func(n *node) {
		down := false
		n.engine.build = func(context.Context, chain.Slot) error { return whileDown(func() bool { return down }) }
		n.start()
		wait(3 * slotTime)
		down = true
		n.jump(time.Hour)
		wait(3 * slotTime)
		n.jump(-time.Hour)
		wait(slotTime)
		before := len(n.observer.missedSlots())
		wait(10 * slotTime)
		n.end()
		if got := len(n.observer.missedSlots()) - before; got < 7 {
			t.Errorf("%d of 10 slots without a block were counted, once the clock was right again", got)
		}
	})
}

func TestStopInTheMiddleIsClean(t *testing.T) {
	for name, hook := range map[string]func(*node, chan struct{}){
		"of a build": func(n *node, reached chan struct{}) {
			n.engine.build = func(ctx context.Context, _ chain.Slot) error { close(reached); <-ctx.Done(); return ctx.Err() }
		},
		"of a signature": func(n *node, reached chan struct{}) {
			n.signer.approve = func(ctx context.Context, _ chain.Header) error { close(reached); <-ctx.Done(); return ctx.Err() }
		},
		"of a write": func(n *node, reached chan struct{}) {
			n.chain.insert = func() error { close(reached); n.stop(); return context.Canceled }
		},
		"of a certificate": func(n *node, reached chan struct{}) {
			n.chain.putQC = func() error { close(reached); n.stop(); return context.Canceled }
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, func(n *node) {
				reached := make(chan struct{})
				hook(n, reached)
				n.start()
				<-reached
				n.end()
			})
		})
	}
}
