package store

import "github.com/cockroachdb/pebble/v2/vfs"

// WithFS opens the database on another file system; the lock stays on the real one.
func (o Options) WithFS(fs vfs.FS) Options {
	o.fs = fs
	return o
}

// Damage overwrites the stored bytes of a block with what change makes of them.
func (s *Store) Damage(key []byte, change func([]byte) []byte) error {
	value, closer, err := s.db.Get(key)
	if err != nil {
		return err
	}
	defer closeQuietly(closer)
	return s.db.Set(key, change(append([]byte{}, value...)), nil)
}

// Keys of one value of each kind, for Damage.
var (
	BlockKey     = func(h [32]byte) []byte { return hashKey(prefixBlock, h) }
	HeaderKey    = func(h [32]byte) []byte { return hashKey(prefixHeader, h) }
	StateKey     = func(h [32]byte) []byte { return hashKey(prefixState, h) }
	QCKey        = func(h [32]byte) []byte { return hashKey(prefixQC, h) }
	CanonicalKey = func(n uint64) []byte { return uintKey(prefixCanonical, n) }
	HeadsKey     = headsKey
	SchemaKey    = schemaKey
	Frame        = frame
)
