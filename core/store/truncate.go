package store

import (
	"errors"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
)

// Truncate forgets every block above h.Head, on whatever branch, with all that belongs to it, and makes h the heads, in one
// write. It is for the folder of a stopped node whose blocks are damaged: a damaged block is never replaced by itself. What
// was signed stays.
func (s *Store) Truncate(h block.Heads) error {
	old, err := s.Heads()
	if err != nil {
		return err
	}
	gone := map[chain.Hash]bool{}
	var keys [][]byte
	forget := func(key []byte) { keys = append(keys, append([]byte(nil), key...)) }
	err = s.each([]byte{prefixHeight}, func(key, _ []byte) error {
		if len(key) != 1+8+len(chain.Hash{}) {
			return corrupt(key, "key of %d bytes", len(key))
		}
		if string(key[:9]) <= string(uintKey(prefixHeight, uint64(h.Head.Height))) {
			return nil
		}
		hash := chain.Hash(key[9:])
		gone[hash] = true
		forget(key)
		for _, prefix := range []byte{prefixBlock, prefixHeader, prefixState, prefixQC} {
			forget(hashKey(prefix, hash))
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = s.each([]byte{prefixChild}, func(key, _ []byte) error {
		if child := key[len(key)-len(chain.Hash{}):]; gone[chain.Hash(child)] {
			forget(key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for above := old.Head.Height; above > h.Head.Height; above-- {
		forget(uintKey(prefixCanonical, uint64(above)))
	}
	return s.update(func(w writes) error {
		errs := []error{w.put(headsKey(), encodeHeads(h))}
		for _, key := range keys {
			errs = append(errs, w.del(key))
		}
		return errors.Join(errs...)
	})
}
