package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

var _ guard.Store = (*Store)(nil)

// maxGuardID is the longest key id: "bls:0x" and 96 digits is 102 bytes.
const maxGuardID = 1024

// guardTail is what is remembered of a key beside its records: the last record's version and sequence, and the lowest
// sequence that is kept. A lost tail of the records shows against it.
type guardTail struct {
	version     guard.Version
	first, last uint64
}

const guardTailSize = 32 + 8 + 8

func (t guardTail) encode() []byte {
	b := binary.BigEndian.AppendUint64(append([]byte{}, t.version[:]...), t.first)
	return binary.BigEndian.AppendUint64(b, t.last)
}

func decodeGuardTail(raw []byte) (guardTail, error) {
	if len(raw) != guardTailSize {
		return guardTail{}, fmt.Errorf("%d bytes, want %d", len(raw), guardTailSize)
	}
	t := guardTail{
		version: guard.Version(raw[:32]),
		first:   binary.BigEndian.Uint64(raw[32:]),
		last:    binary.BigEndian.Uint64(raw[40:]),
	}
	return t, nil
}

func checkGuardKey(k guard.Key) error {
	if k.ID == "" || len(k.ID) > maxGuardID {
		return fmt.Errorf("guard key id of %d bytes, want 1 to %d", len(k.ID), maxGuardID)
	}
	return nil
}

// tail reads a key's tail; the zero tail means that the key has no records.
func (s *Store) tail(k guard.Key) (guardTail, error) {
	key := guardVersionKey(k)
	raw, err := s.read(key)
	if isNotFound(err) {
		return guardTail{}, nil
	}
	if err != nil {
		return guardTail{}, err
	}
	t, err := decodeGuardTail(raw)
	if err != nil {
		return guardTail{}, corrupt(key, "%v", err)
	}
	return t, nil
}

// Load implements guard.Store.
func (s *Store) Load(ctx context.Context, k guard.Key) ([]guard.Record, guard.Version, error) {
	if err := errors.Join(ctx.Err(), checkGuardKey(k)); err != nil {
		return nil, guard.Version{}, err
	}
	s.guardMu.Lock() // records and tail of the same moment
	defer s.guardMu.Unlock()
	t, err := s.tail(k)
	if err != nil {
		return nil, guard.Version{}, err
	}
	var records []guard.Record
	err = s.each(guardPrefix(k), func(key, content []byte) error {
		r, err := guard.DecodeRecord(content)
		if err != nil {
			return fmt.Errorf("%w: %w", corrupt(key, "not a record"), err)
		}
		if got := binary.BigEndian.Uint64(key[len(key)-8:]); got != r.Seq {
			return corrupt(key, "it holds record %d", r.Seq)
		}
		records = append(records, r)
		return nil
	})
	if err != nil {
		return nil, guard.Version{}, err
	}
	return records, t.version, nil
}

// CompareAndSwap implements guard.Store.
func (s *Store) CompareAndSwap(ctx context.Context, k guard.Key, old guard.Version, rec guard.Record) (guard.Version, error) {
	if err := errors.Join(ctx.Err(), checkGuardKey(k)); err != nil {
		return guard.Version{}, err
	}
	s.guardMu.Lock()
	defer s.guardMu.Unlock()
	t, err := s.tail(k)
	if err != nil {
		return guard.Version{}, err
	}
	if t.version != old {
		return guard.Version{}, guard.ErrConflict
	}
	if t.last >= rec.Seq {
		return guard.Version{}, fmt.Errorf("record %d after record %d: %w", rec.Seq, t.last, guard.ErrConflict)
	}
	next := guardTail{version: rec.Hash(k), first: max(t.first, min(rec.Keep, rec.Seq)), last: rec.Seq}
	if t.last == 0 {
		next.first = rec.Seq
	}
	err = s.update(func(w writes) error {
		errs := []error{
			w.put(guardRecordKey(k, rec.Seq), rec.Encode()),
			w.put(guardVersionKey(k), next.encode()),
		}
		for seq := t.first; t.last != 0 && seq < next.first && seq <= t.last; seq++ {
			errs = append(errs, w.del(guardRecordKey(k, seq)))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return guard.Version{}, err
	}
	return next.version, nil
}

// Keys implements guard.Store.
func (s *Store) Keys(ctx context.Context) ([]guard.Key, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var out []guard.Key
	err := s.each([]byte{prefixVersion}, func(key, _ []byte) error {
		if len(key) <= 33 {
			return corrupt(key, "key of %d bytes", len(key))
		}
		out = append(out, guard.Key{Genesis: chain.Hash(key[1:33]), ID: signer.KeyID(key[33:])})
		return nil
	})
	return out, err
}
