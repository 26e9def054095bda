package watermark

import (
	"fmt"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// window is how many approved blocks are remembered, so that they may be signed again.
const window = 256

// CompactAt is how many records a key's file may have before it is written anew with only what counts.
const CompactAt = 8192

// approvals is the file of one approval key.
type approvals struct {
	book
	slot   chain.Slot
	height chain.Height
	blocks map[chain.Slot]approved
	order  []chain.Slot
	lines  int
}

type approved struct {
	height chain.Height
	block  chain.Hash
}

func newApprovals(path string, head line) *approvals {
	return &approvals{book: book{path: path, first: head}, blocks: map[chain.Slot]approved{}}
}

func (a *approvals) open() (cut int, err error) { return a.book.open(a.apply) }

func (a *approvals) apply(l line) error {
	switch l.Kind {
	case kindApproval:
		if l.Block == nil || l.Slot <= a.slot || l.Height < a.height {
			return fmt.Errorf("an approval goes back: %w", ErrCorrupt)
		}
		a.remember(l)
	case kindFloor:
	default:
		return fmt.Errorf("a record of kind %q: %w", l.Kind, ErrCorrupt)
	}
	a.slot, a.height = max(a.slot, l.Slot), max(a.height, l.Height)
	a.lines++
	return nil
}

func (a *approvals) remember(l line) {
	a.blocks[l.Slot] = approved{l.Height, *l.Block}
	a.order = append(a.order, l.Slot)
	if len(a.order) > window {
		delete(a.blocks, a.order[0])
		a.order = a.order[1:]
	}
}

func (a *approvals) approve(h chain.Header) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	block := h.Hash()
	known, ok := a.blocks[h.Slot]
	switch {
	case ok && known.block == block:
		return nil
	case ok:
		return refuse("slot %s was signed for block %s, not for %s", h.Slot, known.block.Short(), block.Short())
	case h.Slot <= a.slot:
		return refuse("slot %s is not above slot %s", h.Slot, a.slot)
	case h.Height < a.height:
		return refuse("height %s is below height %s", h.Height, a.height)
	}
	return a.record(line{Kind: kindApproval, Slot: h.Slot, Height: h.Height, Block: &block})
}

func (a *approvals) raise(f signer.Floor) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f.Slot <= a.slot && f.Height <= a.height {
		return nil
	}
	return a.record(line{Kind: kindFloor, Slot: f.Slot, Height: f.Height})
}

func (a *approvals) record(l line) error {
	if a.lines >= CompactAt {
		if err := a.compact(); err != nil {
			return err
		}
	}
	if err := a.write(l); err != nil {
		return err
	}
	return a.apply(l)
}

// compact writes the file anew: the remembered blocks, then the mark. The old file stays until the new one is whole.
func (a *approvals) compact() error {
	lines := []line{a.first}
	for _, slot := range a.order {
		b := a.blocks[slot]
		lines = append(lines, line{Kind: kindApproval, Slot: slot, Height: b.height, Block: &b.block})
	}
	lines = append(lines, line{Kind: kindFloor, Slot: a.slot, Height: a.height})
	log, err := createJournal(a.path, lines)
	if err != nil {
		a.log.checkPlace()
		return fmt.Errorf("compact guard: %w: %w", signer.ErrUnavailable, err)
	}
	old := a.log
	a.log, a.lines = log, len(lines)-1
	return old.close()
}
