package guard

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// MemoryStore keeps records in memory: for tests and conformance, never for a key that matters. It encodes and decodes
// as a durable store does.
type MemoryStore struct {
	mu   sync.Mutex // guards logs
	logs map[Key]memoryLog
}

type memoryLog struct {
	entries [][]byte
	version Version
}

// NewMemoryStore is an empty store.
func NewMemoryStore() *MemoryStore { return &MemoryStore{logs: map[Key]memoryLog{}} }

// Load implements Store.
func (s *MemoryStore) Load(_ context.Context, key Key) ([]Record, Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.logs[key]
	records := make([]Record, len(log.entries))
	for i, e := range log.entries {
		r, err := DecodeRecord(e)
		if err != nil {
			return nil, Version{}, fmt.Errorf("record %d of %s: %w", i, key.ID, err)
		}
		records[i] = r
	}
	return records, log.version, nil
}

// CompareAndSwap implements Store.
func (s *MemoryStore) CompareAndSwap(_ context.Context, key Key, old Version, rec Record) (Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.logs[key]
	if log.version != old {
		return Version{}, ErrConflict
	}
	log.entries = append(log.entries, rec.Encode())
	if drop := len(log.entries) - int(rec.Seq-rec.Keep) - 1; rec.Keep > 0 && drop > 0 {
		log.entries = slices.Clone(log.entries[drop:])
	}
	log.version = rec.Hash(key)
	s.logs[key] = log
	return log.version, nil
}

// Keys implements Store.
func (s *MemoryStore) Keys(context.Context) ([]Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]Key, 0, len(s.logs))
	for k := range s.logs {
		keys = append(keys, k)
	}
	return keys, nil
}
