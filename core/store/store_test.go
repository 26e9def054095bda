package store_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
)

var genesis = chain.Hash{0x9e}

func open(t *testing.T, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func options(t *testing.T) store.Options {
	t.Helper()
	return store.Options{Dir: t.TempDir(), Genesis: genesis}
}

// reopen closes a store and opens the folder again.
func reopen(t *testing.T, s *store.Store, o store.Options) *store.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, o)
}

// testBlock is a sealed block; which makes blocks of one height differ.
func testBlock(height chain.Height, parent chain.Hash, which byte) *block.Block {
	b := &block.Block{Header: chain.Header{
		Version: chain.HeaderVersion, Genesis: genesis, Slot: chain.Slot(height), Height: height, Parent: parent,
	}}
	b.ParentQC = block.QC{Block: parent, Signers: block.Signers{1}, Signature: chain.BLSSignature{which}}
	b.Execution.Payload.Number = height
	b.Execution.Payload.BlockHash = chain.Hash{which, byte(height)}
	b.Execution.Payload.Transactions = [][]byte{bytes.Repeat([]byte{which}, 300)}
	b.Seal()
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsWrittenIsReadAfterReopening(t *testing.T) {
	o := options(t)
	s := open(t, o)
	a := testBlock(1, chain.Hash{7}, 1)
	b, c := testBlock(2, a.Header.Hash(), 2), testBlock(2, a.Header.Hash(), 3)
	for i, x := range []*block.Block{a, b, c} {
		must(t, s.InsertBlocks(block.Derived{Block: x, State: []byte{byte(i)}}))
	}
	qc := block.QC{Block: c.Header.Hash(), Signers: block.Signers{3}}
	must(t, s.PutQC(qc))
	heads := block.Heads{Head: b.Ref(), Safe: a.Ref(), Finalized: a.Ref()}
	must(t, s.SetHeads(heads, []chain.Ref{a.Ref(), b.Ref()}))
	must(t, s.PutDocument("note", []byte("text")))

	s = reopen(t, s, o)
	for i, want := range []*block.Block{a, b, c} {
		got, err := s.Block(want.Header.Hash())
		must(t, err)
		if !bytes.Equal(got.Encode(), want.Encode()) {
			t.Errorf("block %d came back changed", i)
		}
		header, err := s.Header(want.Header.Hash())
		must(t, err)
		if header != want.Header {
			t.Errorf("header %d came back changed", i)
		}
		state, err := s.State(want.Header.Hash())
		must(t, err)
		if !bytes.Equal(state, []byte{byte(i)}) {
			t.Errorf("state %d is %x", i, state)
		}
	}
	gotQC, err := s.QC(c.Header.Hash())
	must(t, err)
	parentQC, err := s.QC(a.Header.Hash())
	must(t, err)
	if diff := cmp.Diff([]block.QC{qc, b.ParentQC}, []block.QC{gotQC, parentQC}); diff != "" {
		t.Errorf("certificates (-want +got):\n%s", diff)
	}
	gotHeads, err := s.Heads()
	must(t, err)
	if gotHeads != heads {
		t.Errorf("heads are %+v, want %+v", gotHeads, heads)
	}
	at2, err := s.AtHeight(2)
	must(t, err)
	children, err := s.Children(a.Header.Hash())
	must(t, err)
	if len(at2) != 2 || !cmp.Equal(at2, children) {
		t.Errorf("two blocks at height 2: %v, children of the first: %v", at2, children)
	}
	doc, err := s.Document("note")
	must(t, err)
	if string(doc) != "text" {
		t.Errorf("document is %q", doc)
	}
}

func TestAbsentIsNotFound(t *testing.T) {
	s := open(t, options(t))
	_, blockErr := s.Block(chain.Hash{1})
	_, headerErr := s.Header(chain.Hash{1})
	_, stateErr := s.State(chain.Hash{1})
	_, qcErr := s.QC(chain.Hash{1})
	_, canonicalErr := s.Canonical(1)
	_, headsErr := s.Heads()
	_, docErr := s.Document("x")
	for i, err := range []error{blockErr, headerErr, stateErr, qcErr, canonicalErr, headsErr, docErr} {
		if !errors.Is(err, store.ErrNotFound) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("read %d: %v, want ErrNotFound", i, err)
		}
	}
}

func TestLoweredHeadLeavesNoCanonicalBlockAbove(t *testing.T) {
	s := open(t, options(t))
	refs := []chain.Ref{{Height: 1, Hash: chain.Hash{1}}, {Height: 2, Hash: chain.Hash{2}}, {Height: 3, Hash: chain.Hash{3}}}
	must(t, s.SetHeads(block.Heads{Head: refs[2]}, refs))
	must(t, s.SetHeads(block.Heads{Head: refs[0]}, nil))
	if h, err := s.Canonical(1); err != nil || h != refs[0].Hash {
		t.Errorf("height 1: %v, %v", h, err)
	}
	for _, height := range []chain.Height{2, 3} {
		if _, err := s.Canonical(height); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("height %d is still there: %v", height, err)
		}
	}
}

func TestFolderOfAnotherChainIsRefusedByName(t *testing.T) {
	o := options(t)
	must(t, open(t, o).Close())
	other := o
	other.Genesis = chain.Hash{0x07}
	_, err := store.Open(other)
	if !errors.Is(err, store.ErrOtherChain) {
		t.Fatalf("error is %v, want ErrOtherChain", err)
	}
	for _, want := range []string{genesis.String(), other.Genesis.String(), o.Dir, "data_dir"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("message %q does not name %s", err, want)
		}
	}
	if s := open(t, o); s.Genesis() != genesis { // the refusal left the folder free and unchanged
		t.Errorf("genesis is %s", s.Genesis())
	}
}

func TestExistingFolderOpensWithoutAGenesis(t *testing.T) {
	o := options(t)
	must(t, open(t, o).Close())
	o.Genesis = chain.Hash{}
	if s := open(t, o); s.Genesis() != genesis {
		t.Errorf("genesis is %s", s.Genesis())
	}
	o.Dir = t.TempDir()
	if _, err := store.Open(o); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a new folder without a genesis: %v, want ErrNotFound", err)
	}
}

func TestSecondOpenNamesTheHolder(t *testing.T) {
	o := options(t)
	s := open(t, o)
	_, err := store.Open(o)
	if !errors.Is(err, store.ErrLocked) {
		t.Fatalf("error is %v, want ErrLocked", err)
	}
	for _, want := range []string{"another node runs on this folder", strconv.Itoa(os.Getpid()), o.Dir} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("message %q does not say %q", err, want)
		}
	}
	reopen(t, s, o)
}

func TestFolderOfANewerSchemaIsRefused(t *testing.T) {
	o := options(t)
	s := open(t, o)
	must(t, s.Damage(store.SchemaKey(), func([]byte) []byte {
		return store.Frame(store.SchemaKey(), binary.BigEndian.AppendUint32(nil, 99))
	}))
	must(t, s.Close())
	if _, err := store.Open(o); !errors.Is(err, store.ErrNewerSchema) {
		t.Errorf("error is %v, want ErrNewerSchema", err)
	}
}

func TestCorruptionIsReportedWithItsKey(t *testing.T) {
	b := testBlock(1, chain.Hash{7}, 1)
	h := b.Header.Hash()
	flip := func(v []byte) []byte { v[len(v)-1] ^= 1; return v }
	other := testBlock(1, chain.Hash{8}, 2)
	tests := []struct {
		name   string
		key    []byte
		change func([]byte) []byte
		read   func(*store.Store) error
	}{
		{"a flipped bit in a block", store.BlockKey(h), flip, func(s *store.Store) error { _, err := s.Block(h); return err }},
		{"a flipped bit in a header", store.HeaderKey(h), flip, func(s *store.Store) error { _, err := s.Header(h); return err }},
		{"a flipped bit in a state", store.StateKey(h), flip, func(s *store.Store) error { _, err := s.State(h); return err }},
		{"a flipped bit in the heads", store.HeadsKey(), flip, func(s *store.Store) error { _, err := s.Heads(); return err }},
		{"a flipped bit in the index", store.CanonicalKey(1), flip, func(s *store.Store) error { _, err := s.Canonical(1); return err }},
		{"a value that is cut off", store.QCKey(b.Header.Parent), func([]byte) []byte { return nil }, func(s *store.Store) error { _, err := s.QC(b.Header.Parent); return err }},
		{"another block under this hash", store.BlockKey(h), func([]byte) []byte {
			return store.Frame(store.BlockKey(h), other.Encode())
		}, func(s *store.Store) error { _, err := s.Block(h); return err }},
		{"another header under this hash", store.HeaderKey(h), func([]byte) []byte {
			return store.Frame(store.HeaderKey(h), other.Header.Encode())
		}, func(s *store.Store) error { _, err := s.Header(h); return err }},
		{"another block's certificate", store.QCKey(b.Header.Parent), func([]byte) []byte {
			return store.Frame(store.QCKey(b.Header.Parent), block.EncodeQC(other.ParentQC))
		}, func(s *store.Store) error { _, err := s.QC(b.Header.Parent); return err }},
		{"a value of another key", store.StateKey(h), func(v []byte) []byte {
			return store.Frame(store.BlockKey(h), v[4:])
		}, func(s *store.Store) error { _, err := s.State(h); return err }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, options(t))
			must(t, s.InsertBlocks(block.Derived{Block: b, State: []byte("state")}))
			must(t, s.SetHeads(block.Heads{Head: b.Ref()}, []chain.Ref{b.Ref()}))
			must(t, tt.read(s))
			must(t, s.Damage(tt.key, tt.change))
			err := tt.read(s)
			if !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("error is %v, want ErrCorrupt", err)
			}
			kinds := []string{"block", "header", "state", "heads", "canonical", "certificate"}
			if name, _, _ := strings.Cut(err.Error(), ":"); !slices.Contains(kinds, strings.Fields(name)[0]) {
				t.Errorf("message %q does not begin with the key", err)
			}
		})
	}
}

func TestDamagedTableFileIsCorruptNotEmpty(t *testing.T) {
	o := options(t)
	s := open(t, o)
	for i := range 200 {
		must(t, s.InsertBlocks(block.Derived{Block: testBlock(chain.Height(i+1), chain.Hash{byte(i), 9}, byte(i)), State: []byte("s")}))
	}
	must(t, s.Close())
	s = open(t, o) // replays the log into a table
	must(t, s.Close())
	tables, err := filepath.Glob(filepath.Join(o.Dir, "store", "*.sst"))
	must(t, err)
	if len(tables) == 0 {
		t.Fatal("no table file to damage")
	}
	for _, path := range tables {
		raw, err := os.ReadFile(path)
		must(t, err)
		for i := range raw[:len(raw)/2] {
			raw[i] ^= 0xff
		}
		must(t, os.WriteFile(path, raw, 0o600))
	}
	s, err = store.Open(o)
	if err == nil {
		defer func() { _ = s.Close() }()
		_, err = s.Block(testBlock(1, chain.Hash{0, 9}, 0).Header.Hash())
	}
	if !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("error is %v, want ErrCorrupt", err)
	}
}

func TestReserveOfTheDiskIsKept(t *testing.T) {
	o := options(t)
	o.MinFree = 1 << 62
	_, err := store.Open(o)
	if !errors.Is(err, store.ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("error is %v, want ErrNoSpace", err)
	}
}

// fullDisk refuses to write to the log while it is on.
type fullDisk struct{ on atomic.Bool }

func (f *fullDisk) String() string { return "full disk" }

func (f *fullDisk) MaybeError(op errorfs.Op) error {
	if f.on.Load() && (op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
		return syscall.ENOSPC
	}
	return nil
}

func TestDiskThatFillsUpUnderAWriteStopsTheStoreAndLosesNothing(t *testing.T) {
	disk := &fullDisk{}
	mem := vfs.NewCrashableMem()
	o := options(t).WithFS(errorfs.Wrap(mem, disk))
	s := open(t, o)
	a := testBlock(1, chain.Hash{7}, 1)
	must(t, s.InsertBlocks(block.Derived{Block: a, State: nil}))
	disk.on.Store(true)
	b := testBlock(2, a.Header.Hash(), 2)
	for range 2 {
		err := s.InsertBlocks(block.Derived{Block: b, State: nil})
		if !errors.Is(err, store.ErrFailed) || !errors.Is(err, store.ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("error is %v, want ErrFailed and ErrNoSpace", err)
		}
	}
	// A read could see a write that never reached the disk.
	if _, err := s.Block(b.Header.Hash()); !errors.Is(err, store.ErrFailed) {
		t.Errorf("reading: %v, want ErrFailed", err)
	}
	disk.on.Store(false)
	must(t, s.Close())
	s = open(t, o.WithFS(mem.CrashClone(vfs.CrashCloneCfg{})))
	if _, err := s.Block(a.Header.Hash()); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	must(t, s.InsertBlocks(block.Derived{Block: b, State: nil}))
}

func TestClosedStoreRefuses(t *testing.T) {
	s := open(t, options(t))
	must(t, s.Close())
	must(t, s.Close())
	if err := s.PutDocument("x", nil); !errors.Is(err, store.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	if _, err := s.Heads(); !errors.Is(err, store.ErrClosed) {
		t.Errorf("read: %v", err)
	}
}

// What is above the new head is gone on every branch, and can be stored again; what is below stays.
func TestTruncateForgetsEveryBranchAbove(t *testing.T) {
	o := options(t)
	s := open(t, o)
	line := []*block.Block{testBlock(1, genesis, 1)}
	for h := chain.Height(2); h <= 5; h++ {
		line = append(line, testBlock(h, line[len(line)-1].Header.Hash(), 1))
	}
	branch := testBlock(4, line[2].Header.Hash(), 2)
	var refs []chain.Ref
	for _, b := range append(slices.Clone(line), branch) {
		must(t, s.InsertBlocks(block.Derived{Block: b, State: []byte("state")}))
	}
	for _, b := range line {
		refs = append(refs, b.Ref())
	}
	must(t, s.SetHeads(block.Heads{Head: refs[4], Safe: refs[2], Finalized: refs[0]}, refs))
	must(t, s.Truncate(block.Heads{Head: refs[2], Safe: refs[2], Finalized: refs[0]}))
	s = reopen(t, s, o)
	heads, err := s.Heads()
	must(t, err)
	if heads.Head != refs[2] || heads.Safe != refs[2] {
		t.Errorf("heads are %+v", heads)
	}
	for _, b := range []*block.Block{line[3], line[4], branch} {
		hash := b.Header.Hash()
		_, body := s.Block(hash)
		_, state := s.State(hash)
		_, index := s.Canonical(b.Header.Height)
		for _, err := range []error{body, state, index} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("block %d: %v", b.Header.Height, err)
			}
		}
	}
	children, err := s.Children(refs[2].Hash)
	must(t, err)
	if len(children) != 0 {
		t.Errorf("children of the new head: %v", children)
	}
	if _, err := s.Block(refs[2].Hash); err != nil {
		t.Error(err)
	}
	must(t, s.InsertBlocks(block.Derived{Block: line[3], State: []byte("state")}))
}
