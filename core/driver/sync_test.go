package driver_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/sdk/chain"
)

// line is a run of notarized blocks in consecutive slots on a parent, as peers would serve it.
func (n *node) line(parent chain.Header, first chain.Slot, count int) []*block.Block {
	var out []*block.Block
	for i := range count {
		_, b := n.proposal(parent, first+chain.Slot(i), payload(parent.PayloadHash, parent.Height+1, first+chain.Slot(i)))
		out = append(out, b)
		parent = b.Header
	}
	return out
}

// sync imports a run and waits for the outcome.
func (n *node) sync(blocks []*block.Block, qc block.QC) error {
	return <-n.Import(blocks, qc)
}

func TestImportedBlocksBecomeHeadAndSafe(t *testing.T) {
	inBubble(t, 4, func(n *node) {
		n.start()
		blocks := n.line(n.genesis.Header, n.slot()-200, 150)
		half := len(blocks) / 2
		if err := n.sync(blocks[:half], n.certificate(blocks[half-1].Header).QC); err != nil {
			t.Fatal(err)
		}
		wait(slotTime)
		if h := n.Heads(); h.Head.Height != chain.Height(half) || h.Safe.Height != chain.Height(half-1) {
			t.Errorf("after the first half the heads are %+v", h)
		}
		if err := n.sync(blocks[half:], n.certificate(blocks[149].Header).QC); err != nil {
			t.Fatal(err)
		}
		wait(slotTime)
		n.end()
		if h := n.Heads(); h.Head.Hash != blocks[149].Header.Hash() || h.Safe.Height != 149 {
			t.Errorf("the heads are %+v", h)
		}
		if told := n.engine.heads(); told[len(told)-1] != blocks[149].Header.PayloadHash {
			t.Error("the engine was not told the last head")
		}
		if len(n.network.faults()) > 0 || n.bodies() > 1 {
			t.Errorf("faults %v, %d bodies are kept", n.network.faults(), n.bodies())
		}
	})
}

func TestImportTellsWhyItCannot(t *testing.T) {
	inBubble(t, 4, func(n *node) {
		away := true
		n.engine.execute = func(_ context.Context, slot chain.Slot) error {
			switch {
			case away:
				return driver.ErrUnavailable
			case slot%100 == 99:
				return driver.ErrInvalid
			}
			return nil
		}
		n.start()
		first := n.slot() - 200
		for first%100 != 90 {
			first--
		}
		blocks := n.line(n.genesis.Header, first, 20)
		qc := n.certificate(blocks[19].Header).QC
		if err := n.sync(blocks, qc); !errors.Is(err, driver.ErrUnavailable) {
			t.Errorf("without an engine: %v", err)
		}
		away = false
		if err := n.sync(blocks[3:], qc); !errors.Is(err, driver.ErrInvalid) {
			t.Errorf("without the parent: %v", err)
		}
		err := n.sync(blocks, qc)
		wantError(t, err, "block 10")
		if !errors.Is(err, driver.ErrInvalid) {
			t.Errorf("an invalid block: %v", err)
		}
		wait(slotTime)
		if h := n.Heads().Head.Height; h != 8 {
			t.Errorf("head is %d, want 8: the ninth is certified by a block that is not stored", h)
		}
		n.end()
	})
}

// While one run is stored the engine executes the next; heads and certificates are written once for a run.
func TestRunsAreExecutedAndStoredSideBySide(t *testing.T) {
	inBubble(t, 4, func(n *node) {
		storing := make(chan struct{})
		n.chain.insert = func() error {
			<-storing
			return nil
		}
		executed := 0
		n.engine.execute = func(context.Context, chain.Slot) error {
			executed++
			return nil
		}
		n.start()
		blocks := n.line(n.genesis.Header, n.slot()-200, 120)
		first := n.Import(blocks[:60], blocks[60].ParentQC)
		second := n.Import(blocks[60:], n.certificate(blocks[119].Header).QC)
		synctest.Wait()
		if executed != 120 {
			t.Errorf("%d payloads were executed while the first run was stored, want all 120", executed)
		}
		close(storing)
		if err := errors.Join(<-first, <-second); err != nil {
			t.Fatal(err)
		}
		wait(slotTime)
		n.end()
		if h := n.Heads(); h.Head.Height != 120 || h.Safe.Height != 119 {
			t.Errorf("the heads are %+v", h)
		}
		if told := len(n.engine.heads()); told > 3 {
			t.Errorf("the engine was told heads %d times for two runs", told)
		}
		if len(n.chain.writes) != 2 || n.chain.writes[0] < 60 {
			t.Errorf("certificates were written %v at a time, want once a run", n.chain.writes)
		}
	})
}

// A run whose parent was not stored is asked for again; so is one of which the store took a part.
func TestRunAfterOneThatFailedIsNotStored(t *testing.T) {
	inBubble(t, 4, func(n *node) {
		stored := 0
		n.chain.insert = func() error {
			if stored++; stored == 5 {
				return driver.ErrInvalid
			}
			return nil
		}
		n.start()
		blocks := n.line(n.genesis.Header, n.slot()-200, 20)
		first := n.Import(blocks[:10], blocks[10].ParentQC)
		second := n.Import(blocks[10:], n.certificate(blocks[19].Header).QC)
		if err := <-first; !errors.Is(err, driver.ErrInvalid) {
			t.Errorf("a run with a bad block: %v", err)
		}
		if err := <-second; !errors.Is(err, driver.ErrUnavailable) {
			t.Errorf("the run after it: %v", err)
		}
		wait(slotTime)
		if h := n.Heads().Head.Height; h != 3 {
			t.Errorf("head is %d, want 3: the fourth is certified by a block that is not stored", h)
		}
		if err := n.sync(blocks, n.certificate(blocks[19].Header).QC); err != nil {
			t.Errorf("again: %v", err)
		}
		wait(slotTime)
		n.end()
		if h := n.Heads().Head.Height; h != 20 {
			t.Errorf("head is %d, want 20", h)
		}
	})
}

func TestStoreThatFailsInARunEndsTheDriver(t *testing.T) {
	inBubble(t, 4, func(n *node) {
		n.chain.insert = func() error { return errors.New("disk on fire") }
		n.start()
		blocks := n.line(n.genesis.Header, n.slot()-200, 2)
		n.Import(blocks, n.certificate(blocks[1].Header).QC)
		wantError(t, n.failure(), "disk on fire")
	})
}
