package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
)

// InsertBlocks stores a run of blocks, each with its derived-state record, the certificate of its parent that it carries,
// and its places in the indexes by height and by parent, all or nothing and in one write. A block that is there already is
// left as it is; so is a certificate (PutQC replaces one).
func (s *Store) InsertBlocks(run ...block.Derived) error {
	rows := make([]row, 0, len(run))
	for _, d := range run {
		r, err := s.rowOf(d)
		if err != nil {
			return err
		}
		if !r.known {
			rows = append(rows, r)
		}
	}
	return s.update(func(w writes) error {
		var errs []error
		for _, r := range rows {
			errs = append(errs, r.put(w))
		}
		return errors.Join(errs...)
	})
}

// row is a block that is about to be stored, and what of it is there already.
type row struct {
	block.Derived
	hash             chain.Hash
	raw              []byte
	known, certified bool // the block itself, and its parent's certificate
}

func (s *Store) rowOf(d block.Derived) (row, error) {
	r := row{Derived: d, hash: d.Block.Header.Hash(), raw: d.Block.Encode()}
	if len(r.raw) > block.MaxBlockBytes {
		return r, fmt.Errorf("block %s of %d bytes: %w", r.hash, len(r.raw), ErrTooLarge)
	}
	var err error
	if r.known, err = s.has(hashKey(prefixHeader, r.hash)); err != nil || r.known {
		return r, err
	}
	r.certified, err = s.has(hashKey(prefixQC, d.Block.Header.Parent))
	return r, err
}

func (r row) put(w writes) error {
	h := r.Block.Header
	errs := []error{
		w.put(hashKey(prefixBlock, r.hash), r.raw),
		w.put(hashKey(prefixHeader, r.hash), h.Encode()),
		w.put(hashKey(prefixState, r.hash), r.State),
		w.put(heightKey(prefixHeight, h.Height, r.hash), nil),
		w.put(childKey(h.Parent, r.hash), nil),
	}
	if !r.certified {
		errs = append(errs, w.put(hashKey(prefixQC, h.Parent), block.EncodeQC(r.Block.ParentQC)))
	}
	return errors.Join(errs...)
}

// Block returns a block by hash, or ErrNotFound.
func (s *Store) Block(h chain.Hash) (*block.Block, error) {
	key := hashKey(prefixBlock, h)
	raw, err := s.read(key)
	if err != nil {
		return nil, err
	}
	b, err := block.Decode(raw)
	if err != nil {
		return nil, corrupt(key, "%v", err)
	}
	if got := b.Header.Hash(); got != h {
		return nil, corrupt(key, "it holds block %s", got)
	}
	return b, nil
}

// Encoded returns a block's canonical encoding by block hash as it is stored, undecoded, or ErrNotFound.
func (s *Store) Encoded(h chain.Hash) ([]byte, error) { return s.read(hashKey(prefixBlock, h)) }

// Header returns a block's header by block hash, or ErrNotFound.
func (s *Store) Header(h chain.Hash) (chain.Header, error) {
	key := hashKey(prefixHeader, h)
	raw, err := s.read(key)
	if err != nil {
		return chain.Header{}, err
	}
	header, err := chain.DecodeHeader(raw)
	if err != nil {
		return chain.Header{}, corrupt(key, "%v", err)
	}
	if got := header.Hash(); got != h {
		return chain.Header{}, corrupt(key, "it holds the header of %s", got)
	}
	return header, nil
}

// State returns the derived-state record of a block as InsertBlocks got it, or ErrNotFound.
func (s *Store) State(h chain.Hash) ([]byte, error) { return s.read(hashKey(prefixState, h)) }

// PutQC stores certificates, each under the block that it certifies, which need not be here yet: one write to the disk. Each
// replaces an earlier one of its block.
func (s *Store) PutQC(certificates ...block.QC) error {
	return s.update(func(w writes) error {
		for _, q := range certificates {
			if err := w.put(hashKey(prefixQC, q.Block), block.EncodeQC(q)); err != nil {
				return err
			}
		}
		return nil
	})
}

// QC returns the certificate of a block, or ErrNotFound.
func (s *Store) QC(h chain.Hash) (block.QC, error) {
	key := hashKey(prefixQC, h)
	raw, err := s.read(key)
	if err != nil {
		return block.QC{}, err
	}
	q, err := block.DecodeQC(raw)
	if err != nil {
		return block.QC{}, corrupt(key, "%v", err)
	}
	if q.Block != h {
		return block.QC{}, corrupt(key, "it certifies %s", q.Block)
	}
	return q, nil
}

// AtHeight lists every known block at a height, on whatever branch, by hash.
func (s *Store) AtHeight(height chain.Height) ([]chain.Hash, error) {
	return s.suffixes(uintKey(prefixHeight, uint64(height)))
}

// Children lists every known block with this parent, by hash.
func (s *Store) Children(parent chain.Hash) ([]chain.Hash, error) {
	return s.suffixes(hashKey(prefixChild, parent))
}

func (s *Store) suffixes(prefix []byte) ([]chain.Hash, error) {
	var out []chain.Hash
	err := s.each(prefix, func(key, _ []byte) error {
		if len(key) != len(prefix)+len(chain.Hash{}) {
			return corrupt(key, "key of %d bytes", len(key))
		}
		out = append(out, chain.Hash(key[len(prefix):]))
		return nil
	})
	return out, err
}

// Canonical returns the hash of the block at a height on the chain that Heads().Head ends, or ErrNotFound.
func (s *Store) Canonical(height chain.Height) (chain.Hash, error) {
	key := uintKey(prefixCanonical, uint64(height))
	raw, err := s.read(key)
	if err != nil {
		return chain.Hash{}, err
	}
	if len(raw) != len(chain.Hash{}) {
		return chain.Hash{}, corrupt(key, "%d bytes, want %d", len(raw), len(chain.Hash{}))
	}
	return chain.Hash(raw), nil
}

const headsSize = 3 * (8 + 32)

// Heads returns the three heads, or ErrNotFound before the first SetHeads.
func (s *Store) Heads() (block.Heads, error) {
	raw, err := s.read(headsKey())
	if err != nil {
		return block.Heads{}, err
	}
	h, err := decodeHeads(raw)
	if err != nil {
		return block.Heads{}, corrupt(headsKey(), "%v", err)
	}
	return h, nil
}

// SetHeads stores the heads and re-points the index by height in one batch: the refs in canonical join it, heights above
// the new head leave it. Whether this is a chain is the caller's business; so is that there is one caller at a time.
func (s *Store) SetHeads(h block.Heads, canonical []chain.Ref) error {
	old, err := s.Heads()
	if err != nil && !isNotFound(err) {
		return err
	}
	return s.update(func(w writes) error {
		errs := []error{w.put(headsKey(), encodeHeads(h))}
		for _, r := range canonical {
			errs = append(errs, w.put(uintKey(prefixCanonical, uint64(r.Height)), r.Hash[:]))
		}
		for above := old.Head.Height; above > h.Head.Height; above-- {
			errs = append(errs, w.del(uintKey(prefixCanonical, uint64(above))))
		}
		return errors.Join(errs...)
	})
}

func encodeHeads(h block.Heads) []byte {
	out := make([]byte, 0, headsSize)
	for _, r := range []chain.Ref{h.Head, h.Safe, h.Finalized} {
		out = binary.BigEndian.AppendUint64(out, uint64(r.Height))
		out = append(out, r.Hash[:]...)
	}
	return out
}

func decodeHeads(raw []byte) (block.Heads, error) {
	if len(raw) != headsSize {
		return block.Heads{}, fmt.Errorf("%d bytes, want %d", len(raw), headsSize)
	}
	var refs [3]chain.Ref
	for i := range refs {
		part := raw[i*40:]
		refs[i] = chain.Ref{Height: chain.Height(binary.BigEndian.Uint64(part)), Hash: chain.Hash(part[8:40])}
	}
	return block.Heads{Head: refs[0], Safe: refs[1], Finalized: refs[2]}, nil
}
