package follow

import (
	"fmt"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
)

// DiskLimit is how many bytes of batches a Disk needs room for: a window that is full, and what was under way when it was.
const DiskLimit = 2 * DefaultWindow

// Disk keeps batches that are downloaded and not imported, so that a killed node does not fetch them again. What it gives
// back is judged as if a stranger had sent it; what it loses is fetched again.
type Disk interface {
	List() []Kept
	Keep(r syncer.Range, content []byte) error
	Read(r syncer.Range) ([]byte, error)
	Drop(r syncer.Range) error
}

// Kept is a batch on disk.
type Kept struct {
	Range syncer.Range
	Bytes uint64
}

// keptBatch is the RLP shape of a batch on disk: canonical encodings.
type keptBatch struct {
	QC     []byte // of the last block
	Blocks [][]byte
}

// recall takes over what an earlier process downloaded. It is read when it is verified.
func (f *Follower) recall() {
	if f.opt.Disk == nil {
		return
	}
	cursor, _ := f.place()
	for i, k := range f.opt.Disk.List() {
		if k.Range.To <= cursor {
			f.forget(k.Range)
			continue
		}
		id := syncer.BatchID(i + 1)
		f.batches[id] = &batch{
			Batch:  syncer.Batch{ID: id, Range: k.Range, State: syncer.BatchDownloaded, Bytes: k.Bytes},
			cancel: func() {},
		}
		f.buffered += k.Bytes
	}
	look(f.fresh)
}

// keep writes a downloaded batch to disk, beside its verification and import: one at a time, because what waits for a slow
// disk is in no window. What was imported meanwhile is not written any more.
func (f *Follower) keep(b *batch, got answer) {
	if f.opt.Disk == nil {
		return
	}
	f.keeping.Lock()
	defer f.keeping.Unlock()
	if !f.waits(b) {
		return
	}
	k := keptBatch{QC: block.EncodeQC(got.qc)}
	for _, b := range got.blocks {
		k.Blocks = append(k.Blocks, b.Encode())
	}
	raw, err := rlp.EncodeToBytes(k)
	if err == nil {
		err = f.opt.Disk.Keep(b.Range, raw)
	}
	if err != nil {
		f.opt.Log.Debug("a batch is not kept on disk: were the node killed now, it would be fetched again", "from", b.Range.From, "to", b.Range.To, "error", err)
		return
	}
	if !f.waits(b) { // it ended while it was written
		f.forget(b.Range)
	}
}

// waits reports that a downloaded batch has not been imported or given up.
func (f *Follower) waits(b *batch) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return b.State == syncer.BatchDownloaded
}

func (f *Follower) forget(r syncer.Range) {
	if err := f.opt.Disk.Drop(r); err != nil {
		f.opt.Log.Warn("a batch stays on disk: the next start looks at it again", "from", r.From, "to", r.To, "error", err)
	}
}

// load reads a batch from disk and checks what the network checks of an answer: heights and links.
func (f *Follower) load(b *batch) error {
	raw, err := f.opt.Disk.Read(b.Range)
	if err != nil {
		return err
	}
	var k keptBatch
	if err := rlp.DecodeBytes(raw, &k); err != nil {
		return fmt.Errorf("decode batch: %w", err)
	}
	if uint64(len(k.Blocks)) != b.Range.Len() {
		return fmt.Errorf("%d blocks, want %d", len(k.Blocks), b.Range.Len())
	}
	qc, err := block.DecodeQC(k.QC)
	if err != nil {
		return err
	}
	blocks := make([]*block.Block, len(k.Blocks))
	for i, raw := range k.Blocks {
		if blocks[i], err = block.Decode(raw); err != nil {
			return err
		}
		h := blocks[i].Header
		if h.Height != b.Range.From+chain.Height(i) || i > 0 && h.Parent != blocks[i-1].Header.Hash() {
			return fmt.Errorf("block %d does not follow the one before", h.Height)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	b.blocks, b.qc = blocks, qc
	return nil
}
