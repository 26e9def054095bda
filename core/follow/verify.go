package follow

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/syncer"
)

// verifyAll verifies batches as they are downloaded, the lowest first, so that the importer finds them verified and a liar
// is known before its blocks are waited for.
func (f *Follower) verifyAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.fresh:
		}
		for b := f.unverified(); b != nil && ctx.Err() == nil; b = f.unverified() {
			if f.verify(b) {
				look(f.wake)
			}
		}
	}
}

// unverified is the lowest batch that is downloaded and not verified.
func (f *Follower) unverified() *batch {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lowest *batch
	for _, b := range f.batches {
		if b.State == syncer.BatchDownloaded && !b.sound && (lowest == nil || b.Range.From < lowest.Range.From) {
			lowest = b
		}
	}
	return lowest
}

// verify judges a batch by itself: the certificate of its last block, which the hash links carry to the first, and that each
// body is its header's. What is wrong is proof against the sender, and ends the batch.
func (f *Follower) verify(b *batch) bool {
	if b.blocks == nil {
		if err := f.load(b); err != nil {
			f.refuse(b, fmt.Sprintf("from disk: %v", err), false)
			return false
		}
	}
	last := b.blocks[len(b.blocks)-1].Header
	var fault string
	if !f.certifies(consensus.Certificate{Header: last, QC: b.qc}) {
		fault = "the certificate of the last block does not verify"
	} else if err := f.bodies(b.blocks); err != nil {
		fault = err.Error()
	}
	if fault != "" {
		sent := b.Peer != "" // and not the disk's
		if sent {
			f.opt.Network.Misbehaved(b.Peer, fmt.Sprintf("blocks %d to %d: %s", b.Range.From, b.Range.To, fault))
		}
		f.refuse(b, fault, sent)
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	b.sound = true
	if last.Height > f.best { // from disk: no peer has told yet
		f.best = last.Height
		f.tip()
	}
	return true
}

// bodies checks that every body is its header's.
func (f *Follower) bodies(blocks []*block.Block) error {
	var wg sync.WaitGroup
	wrong := make(chan error, f.opt.Workers)
	for part := range slices.Chunk(blocks, (len(blocks)+f.opt.Workers-1)/f.opt.Workers) {
		wg.Go(func() {
			for _, b := range part {
				if err := f.opt.Check(b); err != nil {
					wrong <- fmt.Errorf("block %d: %w", b.Header.Height, err)
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-wrong:
		return err
	default:
		return nil
	}
}

// certifies reports whether a certificate certifies its block under the authorities of the block's height.
func (f *Follower) certifies(c consensus.Certificate) bool {
	if c.Header.Height == 0 || c.QC.Block != c.Header.Hash() {
		return false
	}
	set, known := f.opt.Schedule.Set(c.Header.Height)
	return known && consensus.VerifyQC(f.opt.Verifier, set, c.QC)
}
