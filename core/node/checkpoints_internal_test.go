package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/block"
	ledger "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/signer"
)

// shelf is the data folder of a node that does not run: a development chain whose safe block is two below the head.
type shelf struct {
	t      *testing.T
	c      *config.Config
	blocks []*block.Block // from genesis on
}

// newShelf stores a chain of so many blocks.
func newShelf(t *testing.T, heights int) *shelf {
	t.Helper()
	s := spec.Dev()
	genesis, err := s.Genesis()
	must(t, err)
	sh := &shelf{t: t, c: &config.Config{}, blocks: []*block.Block{genesis}}
	sh.c.Node.DataDir, sh.c.Chain.Spec = t.TempDir(), "dev"
	key, err := bls.ParseSecretKey(spec.DevSecret(0))
	must(t, err)
	certify := func(b *block.Block) block.QC {
		if b.Header.Height == 0 {
			return consensus.GenesisQC(b.Header.Hash())
		}
		qc := block.QC{Block: b.Header.Hash(), Signers: block.NewSigners(1)}
		qc.Signers.Set(0)
		qc.Signature, err = bls.Aggregate([]chain.BLSSignature{key.Sign(consensus.ApprovalRoot(qc.Block))})
		must(t, err)
		return qc
	}
	db, err := store.Open(store.Options{Dir: sh.c.Node.DataDir, Genesis: genesis.Header.Hash()})
	must(t, err)
	c, err := ledger.Open(t.Context(), ledger.Options{Spec: s, Store: db})
	must(t, err)
	e := devEngine(t)
	for range heights {
		tip := sh.blocks[len(sh.blocks)-1]
		slot := max(tip.Header.Slot+1, s.FirstSlot())
		r, err := c.Attributes(tip.Header.Hash(), slot)
		must(t, err)
		data, err := e.Build(t.Context(), r)
		must(t, err)
		b, err := c.Assemble(tip.Header.Hash(), slot, certify(tip), data)
		must(t, err)
		_, err = e.Import(t.Context(), engine.ImportRequest{Payloads: []chain.ExecutionData{data}})
		must(t, err)
		must(t, c.Insert(t.Context(), b, nil))
		sh.blocks = append(sh.blocks, b)
	}
	head := sh.blocks[heights]
	must(t, c.PutQC(t.Context(), certify(head)))
	_, err = c.SetHeads(t.Context(), head.Ref(), sh.blocks[heights-2].Ref())
	must(t, err)
	must(t, db.Close())
	return sh
}

// copy is another folder with the same chain.
func (s *shelf) copy(t *testing.T) *shelf {
	t.Helper()
	out := &shelf{t: t, c: &config.Config{}, blocks: s.blocks}
	out.c.Node.DataDir, out.c.Chain.Spec = filepath.Join(t.TempDir(), "copy"), "dev"
	must(t, os.CopyFS(out.c.Node.DataDir, os.DirFS(s.c.Node.DataDir)))
	return out
}

// now is in the slot of the head.
func (s *shelf) now() time.Time {
	return spec.Dev().SlotStart(s.blocks[len(s.blocks)-1].Header.Slot).Time().Add(time.Millisecond)
}

// spoil overwrites one stored value of a block: 'b' its body, 's' its state, 'q' its certificate.
func (s *shelf) spoil(what byte, h chain.Height) {
	s.t.Helper()
	hash := s.blocks[h].Header.Hash()
	s.set(append([]byte{what}, hash[:]...), []byte("what a dying disk gives back"))
}

func (s *shelf) set(key, value []byte) {
	s.t.Helper()
	db, err := pebble.Open(filepath.Join(s.c.Node.DataDir, "store"), &pebble.Options{
		FormatMajorVersion: pebble.FormatColumnarBlocks, Logger: quietLogger{},
	})
	must(s.t, err)
	must(s.t, db.Set(key, value, pebble.Sync))
	must(s.t, db.Close())
}

type quietLogger struct{}

func (quietLogger) Infof(string, ...any)  {}
func (quietLogger) Errorf(string, ...any) {}
func (quietLogger) Fatalf(string, ...any) {}

func TestCheckpointsOfAWholeChain(t *testing.T) {
	s := newShelf(t, 1010)
	list, err := Checkpoints(s.c, 10)
	must(t, err)
	var heights []chain.Height
	for _, c := range list {
		heights = append(heights, c.Height)
		b := s.blocks[c.Height]
		if !c.Verified || c.Hash != b.Header.Hash() || c.Parent != b.Header.Parent || c.StateRoot != b.Execution.Payload.StateRoot {
			t.Errorf("checkpoint %+v", c)
		}
	}
	if len(heights) != 3 || heights[1] != 1000 || heights[2] != 1008 {
		t.Errorf("checkpoints at %v, want 0, 1000 and 1008", heights)
	}
	var told chain.Height
	r, err := CheckChain(t.Context(), s.c, func(done, _ chain.Height) { told = done })
	must(t, err)
	if r.Bad != 0 || r.Head.Height != 1010 || told != 1010 {
		t.Errorf("check: %+v, told %d", r, told)
	}
	done, err := Resume(t.Context(), s.c, nil)
	must(t, err)
	if done.Resumed || done.From.Height != 1010 {
		t.Errorf("resume of a whole chain: %+v", done)
	}
}

func TestDamageIsFoundAndResumedFromBelow(t *testing.T) {
	whole := newShelf(t, 1010)
	for _, test := range []struct {
		name   string
		what   byte
		height chain.Height
		from   chain.Height
	}{
		{"a body above the safe block", 'b', 1009, 1008},
		{"a certificate between checkpoints", 'q', 1003, 1000},
		{"a state at a checkpoint", 's', 1000, 0},
		{"a body at the head", 'b', 1010, 1008},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := whole.copy(t)
			s.spoil(test.what, test.height)
			r, err := CheckChain(t.Context(), s.c, nil)
			must(t, err)
			if r.Bad != test.height {
				t.Fatalf("the first bad block is %d (%s), want %d", r.Bad, r.Reason, test.height)
			}
			done, err := Resume(t.Context(), s.c, nil)
			must(t, err)
			if !done.Resumed || done.From.Height != test.from {
				t.Errorf("resumed: %+v, want from %d", done, test.from)
			}
			again, err := CheckChain(t.Context(), s.c, nil)
			must(t, err)
			if again.Bad != 0 || again.Head.Height != test.from || again.Safe.Height != test.from {
				t.Errorf("afterwards: %+v", again)
			}
			s.goesOn(test.from)
		})
	}
}

// goesOn opens the chain as a start does, and stores above it what was forgotten.
func (s *shelf) goesOn(from chain.Height) {
	s.t.Helper()
	db, err := store.Open(store.Options{Dir: s.c.Node.DataDir})
	must(s.t, err)
	defer func() { must(s.t, db.Close()) }()
	c, err := ledger.Open(s.t.Context(), ledger.Options{Spec: spec.Dev(), Store: db})
	must(s.t, err)
	var run []ledger.Executed
	for _, b := range s.blocks[from+1:] {
		run = append(run, ledger.Executed{Block: b})
	}
	must(s.t, c.InsertRun(s.t.Context(), run))
	_, err = c.SetHeads(s.t.Context(), s.blocks[len(s.blocks)-1].Ref(), s.blocks[len(s.blocks)-3].Ref())
	must(s.t, err)
}

// A certificate that decodes and is nobody's is found too.
func TestForgedCertificateIsFound(t *testing.T) {
	s := newShelf(t, 20)
	hash := s.blocks[7].Header.Hash()
	qc := s.blocks[8].ParentQC
	qc.Signature[9] ^= 1
	db, err := store.Open(store.Options{Dir: s.c.Node.DataDir})
	must(t, err)
	must(t, errors.Join(db.PutQC(qc), db.Close()))
	r, err := CheckChain(t.Context(), s.c, nil)
	must(t, err)
	if r.Bad != 7 || !strings.Contains(r.Reason, "not a quorum's") || qc.Block != hash {
		t.Errorf("found %+v", r)
	}
}

// A node that has approved blocks does not forget what it saw notarized.
func TestAuthorityIsNotResumed(t *testing.T) {
	s := newShelf(t, 20)
	db, err := store.Open(store.Options{Dir: s.c.Node.DataDir})
	must(t, err)
	g, err := guard.Open(t.Context(), guard.Options{
		Store: db, Genesis: db.Genesis(), Now: s.now,
		SlotAt: func(t time.Time) chain.Slot { return spec.Dev().SlotAt(chain.UnixMilli(t.UnixMilli())) },
	})
	must(t, err)
	_, err = g.ReserveApproval(t.Context(), signer.BLSKey(spec.Dev().Set(1).Keys[0]), s.blocks[20].Header)
	must(t, errors.Join(err, db.Close()))
	s.spoil('b', 20)
	_, err = Resume(t.Context(), s.c, nil)
	if !errors.Is(err, ErrCannotResume) || !strings.Contains(err.Error(), "alys guard export") {
		t.Errorf("got %v", err)
	}
	if r, err := CheckChain(t.Context(), s.c, nil); err != nil || r.Head.Height != 20 || r.Bad != 20 {
		t.Errorf("the folder was changed: %+v, %v", r, err)
	}
}

func TestCheckpointsNeedAFolderOfTheirOwn(t *testing.T) {
	s := newShelf(t, 3)
	held, err := store.Lock(s.c.Node.DataDir)
	must(t, err)
	_, err = Checkpoints(s.c, 3)
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("beside a node: %v", err)
	}
	if _, err = Resume(t.Context(), s.c, nil); !errors.Is(err, ErrCannotResume) || !errors.Is(err, store.ErrLocked) {
		t.Errorf("resume beside a node: %v", err)
	}
	must(t, held.Close())
	s.c.Node.DataDir = filepath.Join(t.TempDir(), "nowhere")
	if _, err = Checkpoints(s.c, 3); err == nil || store.Exists(s.c.Node.DataDir) {
		t.Errorf("a folder was made: %v", err)
	}
}

// A node that runs reads its own chain, up to the safe block, for one who asks at a time; a check ends with its caller.
func TestCheckpointsBesideARunningNode(t *testing.T) {
	s := newShelf(t, 40)
	must(t, withArchive(s.c, func(a *archive) error {
		n := &Node{store: a.Store, spec: a.spec}
		list, err := n.Checkpoints(t.Context(), 10)
		if err != nil || len(list) != 2 || !list[1].Verified || list[1].Height != a.heads.Safe.Height {
			t.Errorf("%+v, %v", list, err)
		}
		if _, err := n.Checkpoints(t.Context(), maxCheckpoints+1); err == nil {
			t.Error("any number is listed")
		}
		var told chain.Height
		r, err := n.CheckChain(t.Context(), func(p admin.CheckProgress) {
			told = p.Height
			if _, err := n.CheckChain(t.Context(), nil); err == nil {
				t.Error("two checks at once")
			}
		})
		if err != nil || r.Bad != 0 || r.Checked != a.heads.Safe.Height || r.Head != a.heads.Head || told != r.Checked {
			t.Errorf("%+v, told %d, %v", r, told, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err = n.CheckChain(ctx, func(admin.CheckProgress) { cancel() })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a check whose caller went: %v", err)
		}
		return nil
	}))
}
