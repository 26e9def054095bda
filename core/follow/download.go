package follow

import (
	"context"
	"errors"
	"time"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
)

// answer is a whole range, with the certificate of its last block.
type answer struct {
	blocks []*block.Block
	qc     block.QC
	bytes  uint64
	took   time.Duration
}

// download asks a batch's peer for its range.
func (f *Follower) download(ctx context.Context, b *batch, a syncer.Assign) {
	got, err := f.ask(ctx, a)
	if err != nil {
		f.failed(b, err)
		return
	}
	if f.loaded(b, got) {
		f.keep(b, got)
	}
}

// ask asks a peer until a range is whole: an answer may end early.
func (f *Follower) ask(ctx context.Context, a syncer.Assign) (answer, error) {
	var out answer
	start := f.opt.Now()
	for from := a.Range.From; from <= a.Range.To; {
		got, err := f.opt.Network.Blocks(ctx, a.Peer, from, min(uint64(a.Range.To-from)+1, MaxRange))
		if err == nil && len(out.blocks) > 0 && got.Blocks[0].Header.Parent != out.blocks[len(out.blocks)-1].Header.Hash() {
			err = errMoved
		}
		if err != nil {
			return answer{}, err
		}
		out.blocks = append(out.blocks, got.Blocks...)
		out.bytes, out.qc = out.bytes+got.Bytes, got.QC
		from += chain.Height(len(got.Blocks))
	}
	out.took = f.opt.Now().Sub(start)
	return out, nil
}

// errMoved means that the peer's chain changed between two answers: nobody's fault.
var errMoved = errors.New("the peer's chain changed between two answers")

// failed ends a download that gave nothing.
func (f *Follower) failed(b *batch, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b.State != syncer.BatchAssigned || f.batches[b.ID] != b {
		return // cancelled meanwhile
	}
	if s := f.peers[b.Peer]; s != nil {
		s.failed++
		s.failing = true
	}
	b.Blame = errors.Is(err, ErrMisbehaved)
	f.opt.Log.Debug("blocks not downloaded", "from", b.Range.From, "to", b.Range.To, "peer", b.Peer, "error", err)
	f.end(b, syncer.BatchFailed, err.Error())
}

// loaded takes a whole range. The first good answer of a hedge and its batch is the one; false for the other.
func (f *Follower) loaded(b *batch, got answer) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b.State != syncer.BatchAssigned || f.batches[b.ID] != b {
		return false
	}
	for _, other := range f.batches {
		twin := other != b && other.State == syncer.BatchAssigned && other.Range == b.Range
		if twin && (other.HedgeOf == b.ID || b.HedgeOf == other.ID) {
			f.end(other, syncer.BatchCancelled, "the other one was first")
		}
	}
	if b.HedgeOf != 0 {
		f.ordered(b)
	}
	if s := f.peers[b.Peer]; s != nil {
		s.ok++
		s.failing = false
		rate := uint64(float64(got.bytes) / max(got.took.Seconds(), 1e-3))
		if s.bytesPerSecond == 0 {
			s.bytesPerSecond = rate
		}
		s.bytesPerSecond = (3*s.bytesPerSecond + rate) / 4
		described := s.describe()
		f.opt.Publish(syncer.Event{Peer: &described})
	}
	b.blocks, b.qc, b.Bytes, b.Millis = got.blocks, got.qc, got.bytes, uint32(got.took.Milliseconds())
	b.State = syncer.BatchDownloaded
	f.buffered += got.bytes
	f.tell(b, 0)
	look(f.fresh)
	return true
}

// look tells the importer or the verifier that there may be work.
func look(at chan<- struct{}) {
	select {
	case at <- struct{}{}:
	default:
	}
}
