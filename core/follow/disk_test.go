package follow_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/follow"
	"github.com/alys-node/alys/sdk/syncer"
)

// memoryDisk is a disk that outlives the process of a test.
type memoryDisk struct {
	mu   sync.Mutex // guards the rest
	runs map[syncer.Range][]byte
}

func (d *memoryDisk) List() []follow.Kept {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []follow.Kept
	for r, raw := range d.runs {
		out = append(out, follow.Kept{Range: r, Bytes: uint64(len(raw))})
	}
	return out
}

func (d *memoryDisk) Keep(r syncer.Range, content []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.runs[r] = content
	return nil
}

func (d *memoryDisk) Read(r syncer.Range) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	raw, ok := d.runs[r]
	if !ok {
		return nil, errors.New("not on disk")
	}
	return raw, nil
}

func (d *memoryDisk) Drop(r syncer.Range) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.runs, r)
	return nil
}

func (d *memoryDisk) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.runs)
}

// downloadedAndKilled is the disk of a node that had downloaded a whole chain and imported nothing when it died.
func downloadedAndKilled(t *testing.T, line []*block.Block) *memoryDisk {
	t.Helper()
	d := &memoryDisk{runs: map[syncer.Range][]byte{}}
	t.Run("the node before", func(t *testing.T) {
		w := worldOn(t, line, d)
		w.mu.Lock()
		w.away = 1 << 30
		w.mu.Unlock()
		w.strategy(t.Context())
		w.PeerChanged(w.peer("a"))
		w.until("all to be on disk", func() bool {
			kept := 0
			for _, k := range d.List() {
				kept += int(k.Range.Len())
			}
			return kept == len(line)-1
		})
	})
	return d
}

func TestKilledNodeImportsWhatItHadDownloaded(t *testing.T) {
	line := history(t, 200)
	d := downloadedAndKilled(t, line)
	w := worldOn(t, line, d)
	w.strategy(t.Context())
	// No peer is needed for what is here.
	w.until("the import of all", func() bool { return w.head.Height == 200 })
	w.PeerChanged(w.peer("a"))
	w.synced()
	w.until("an empty disk", func() bool { return d.len() == 0 })
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.served["a"] > 0 {
		t.Errorf("%d blocks were fetched again", w.served["a"])
	}
}

func TestImportedBatchesOnDiskAreForgotten(t *testing.T) {
	line := history(t, 200)
	d := downloadedAndKilled(t, line)
	w := worldOn(t, line, nil)
	w.strategy(t.Context())
	w.PeerChanged(w.peer("a"))
	w.synced()
	f := follow.New(follow.Options{Disk: d, Heads: w.heads})
	if s := f.Snapshot().Snapshot; len(s.Batches) > 0 || d.len() > 0 {
		t.Errorf("%d batches are taken over and %d are on disk, though all is imported", len(s.Batches), d.len())
	}
}

// What is on disk is believed as little as a peer is, and nobody is blamed for it.
func TestSpoiltDiskIsFetchedAgain(t *testing.T) {
	type shape struct {
		QC     []byte
		Blocks [][]byte
	}
	for _, tt := range []struct {
		name  string
		spoil func(s *shape) // nil: the bytes are no batch at all
	}{
		{"garbage", nil},
		{"a certificate that does not verify", func(s *shape) { s.QC[len(s.QC)-3] ^= 1 }},
		{"a block that is missing", func(s *shape) { s.Blocks = slices.Delete(s.Blocks, 1, 2) }},
		{"a block in another's place", func(s *shape) { s.Blocks[1] = s.Blocks[2] }},
		{"a body that is not its header's", func(s *shape) {
			b, err := block.Decode(s.Blocks[1])
			if err != nil {
				panic(err)
			}
			b.Execution.Payload.ExtraData = []byte("forged")
			s.Blocks[1] = b.Encode()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			line := history(t, 120)
			d := downloadedAndKilled(t, line)
			for r, raw := range d.runs {
				var s shape
				if err := rlp.DecodeBytes(raw, &s); err != nil {
					t.Fatal(err)
				}
				if tt.spoil == nil {
					d.runs[r] = raw[:len(raw)/2]
					continue
				}
				tt.spoil(&s)
				spoilt, err := rlp.EncodeToBytes(s)
				if err != nil {
					t.Fatal(err)
				}
				d.runs[r] = spoilt
			}
			w := worldOn(t, line, d)
			w.strategy(t.Context())
			w.PeerChanged(w.peer("a"))
			w.synced()
			w.until("an empty disk", func() bool { return d.len() == 0 })
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.served["a"] < 100 || len(w.misbehave) > 0 {
				t.Errorf("%d blocks were fetched again and %v blamed", w.served["a"], w.misbehave)
			}
		})
	}
}
