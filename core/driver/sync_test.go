package driver_test

import (
	"context"
	"errors"
	"testing"

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

func TestImportedBlocksBecomeHeadAndSafe(t *testing.T) {
	inBubble(t, 4, func(n *node) {
		n.start()
		blocks := n.line(n.genesis.Header, n.slot()-200, 150)
		half := len(blocks) / 2
		if err := n.Import(n.t.Context(), blocks[:half], n.certificate(blocks[half-1].Header).QC); err != nil {
			t.Fatal(err)
		}
		wait(slotTime)
		if h := n.Heads(); h.Head.Height != chain.Height(half) || h.Safe.Height != chain.Height(half-1) {
			t.Errorf("after the first half the heads are %+v", h)
		}
		if err := n.Import(n.t.Context(), blocks[half:], n.certificate(blocks[149].Header).QC); err != nil {
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
		if err := n.Import(n.t.Context(), blocks, qc); !errors.Is(err, driver.ErrUnavailable) {
			t.Errorf("without an engine: %v", err)
		}
		away = false
		if err := n.Import(n.t.Context(), blocks[3:], qc); !errors.Is(err, driver.ErrInvalid) {
			t.Errorf("without the parent: %v", err)
		}
		err := n.Import(n.t.Context(), blocks, qc)
		wantError(t, err, "block 10")
		if !errors.Is(err, driver.ErrInvalid) {
			t.Errorf("an invalid block: %v", err)
		}
		damaged := *blocks[9]
		damaged.Execution.Payload.Timestamp++
		if err := n.Import(n.t.Context(), []*block.Block{&damaged}, qc); !errors.Is(err, driver.ErrInvalid) {
			t.Errorf("a body that is not the header's: %v", err)
		}
		wait(slotTime)
		if h := n.Heads().Head.Height; h != 8 {
			t.Errorf("head is %d, want 8: the ninth is certified by a block that is not stored", h)
		}
		n.end()
	})
}

func TestImportEndsWithItsContextAndWithTheDriver(t *testing.T) {
	inBubble(t, 4, func(n *node) {
		n.engine.execute = func(ctx context.Context, _ chain.Slot) error {
			<-ctx.Done()
			return ctx.Err()
		}
		n.start()
		blocks := n.line(n.genesis.Header, n.slot()-200, 2)
		ctx, cancel := context.WithCancel(n.t.Context())
		done := make(chan error, 1)
		go func() { done <- n.Import(ctx, blocks, n.certificate(blocks[1].Header).QC) }()
		wait(slotTime / 4)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled import: %v", err)
		}
		n.end()
	})
}
