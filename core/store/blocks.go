package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
)

// InsertBlock stores a block with its derived-state record, the certificate of its parent that it carries, and its
// places in the indexes by height and by parent, all or nothing. A block that is there already is left as it is; so is
// a certificate (PutQC replaces one).
func (s *Store) InsertBlock(b *block.Block, state []byte) error {
	ref := b.Ref()
	raw := b.Encode()
	if len(raw) > block.MaxBlockBytes {
		return fmt.Errorf("block %s of %d bytes: %w", ref.Hash, len(raw), ErrTooLarge)
	}
	known, err := s.has(hashKey(prefixHeader, ref.Hash))
	if err != nil || known {
		return err
	}
	certified, err := s.has(hashKey(prefixQC, b.Header.Parent))
	if err != nil {
		return err
	}
	return s.update(func(w writes) error {
		errs := []error{
			w.put(hashKey(prefixBlock, ref.Hash), raw),
			w.put(hashKey(prefixHeader, ref.Hash), b.Header.Encode()),
			w.put(hashKey(prefixState, ref.Hash), state),
			w.put(heightKey(prefixHeight, ref.Height, ref.Hash), nil),
			w.put(childKey(b.Header.Parent, ref.Hash), nil),
		}
		if !certified {
			errs = append(errs, w.put(hashKey(prefixQC, b.Header.Parent), block.EncodeQC(b.ParentQC)))
		}
		return errors.Join(errs...)
	})
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

// State returns the derived-state record of a block as InsertBlock got it, or ErrNotFound.
func (s *Store) State(h chain.Hash) ([]byte, error) { return s.read(hashKey(prefixState, h)) }

// PutQC stores a certificate under the block that it certifies, which need not be here yet. It replaces an earlier one.
func (s *Store) PutQC(q block.QC) error {
	return s.update(func(w writes) error {
		return w.put(hashKey(prefixQC, q.Block), block.EncodeQC(q))
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
