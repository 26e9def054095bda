package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/cockroachdb/pebble/v2"
)

// checksumSize is the length of what every value starts with: the CRC-32C of key and content.
const checksumSize = 4

func checksum(key, content []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli) // shared by the standard library, not built again
	return crc32.Update(crc32.Checksum(key, table), table, content)
}

// frame is a value as it is stored.
func frame(key, content []byte) []byte {
	out := make([]byte, checksumSize, checksumSize+len(content))
	binary.BigEndian.PutUint32(out, checksum(key, content))
	return append(out, content...)
}

// unframe checks a stored value and returns its content, which aliases value.
func unframe(key, value []byte) ([]byte, error) {
	if len(value) < checksumSize {
		return nil, corrupt(key, "%d bytes, want a checksum at least", len(value))
	}
	content := value[checksumSize:]
	if got, want := checksum(key, content), binary.BigEndian.Uint32(value); got != want {
		return nil, corrupt(key, "checksum is %08x, want %08x", got, want)
	}
	return content, nil
}

func corrupt(key []byte, format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", keyName(key), fmt.Sprintf(format, args...), ErrCorrupt)
}

// writes is one atomic set of changes.
type writes struct{ batch *pebble.Batch }

func (w writes) put(key, content []byte) error { return w.batch.Set(key, frame(key, content), nil) }

func (w writes) del(key []byte) error { return w.batch.Delete(key, nil) }

// update collects changes in fill and writes them as one synced batch: all or nothing, durable when it returns nil.
func (s *Store) update(fill func(w writes) error) (err error) {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	batch := s.db.NewBatch()
	if err := fill(writes{batch}); err != nil {
		closeQuietly(batch)
		return err
	}
	if batch.Empty() {
		closeQuietly(batch)
		return nil
	}
	if err := s.checkSpace(batch.Len()); err != nil {
		closeQuietly(batch)
		return err
	}
	defer s.recoverFatal(&err) // runs before leave; a batch that panicked is not touched again
	if err := batch.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("write store: %w", translate(err))
	}
	return batch.Close()
}

// read returns a copy of a key's content, or ErrNotFound.
func (s *Store) read(key []byte) ([]byte, error) {
	leave, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	value, closer, err := s.db.Get(key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyName(key), translate(err))
	}
	defer closeQuietly(closer)
	content, err := unframe(key, value)
	if err != nil {
		return nil, err
	}
	return append([]byte{}, content...), nil
}

// has reports whether a key is there, and whole.
func (s *Store) has(key []byte) (bool, error) {
	switch _, err := s.read(key); {
	case err == nil:
		return true, nil
	case isNotFound(err):
		return false, nil
	default:
		return false, err
	}
}

// each calls fn with every key that starts with prefix, in order, and its content. Both are valid during the call only.
func (s *Store) each(prefix []byte, fn func(key, content []byte) error) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return translate(err)
	}
	defer closeQuietly(it)
	for it.First(); it.Valid(); it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("%s: %w", keyName(it.Key()), translate(err))
		}
		content, err := unframe(it.Key(), value)
		if err != nil {
			return err
		}
		if err := fn(it.Key(), content); err != nil {
			return err
		}
	}
	return translate(it.Error())
}
