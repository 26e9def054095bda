package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/alys-node/alys/sdk/chain"
)

// schemaVersion is the layout that this version of alys reads and writes.
const schemaVersion = 1

func schemaKey() []byte  { return nameKey(prefixMeta, "schema") }
func genesisKey() []byte { return nameKey(prefixMeta, "genesis") }

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

// checkMeta reads what the folder is, and makes a new one ours.
func (s *Store) checkMeta() error {
	raw, err := s.read(schemaKey())
	if isNotFound(err) {
		return s.initMeta()
	}
	if err != nil {
		return err
	}
	if len(raw) != 4 {
		return corrupt(schemaKey(), "%d bytes, want 4", len(raw))
	}
	if v := binary.BigEndian.Uint32(raw); v > schemaVersion {
		return fmt.Errorf("%s has schema %d, this alys knows %d: %w; use that version again", s.opts.Dir, v, schemaVersion, ErrNewerSchema)
	}
	raw, err = s.read(genesisKey())
	if err != nil {
		return err
	}
	if len(raw) != len(chain.Hash{}) {
		return corrupt(genesisKey(), "%d bytes, want %d", len(raw), len(chain.Hash{}))
	}
	s.genesis = chain.Hash(raw)
	if !s.opts.Genesis.IsZero() && s.genesis != s.opts.Genesis {
		return fmt.Errorf("%s is of the chain with genesis %s, the chain spec gives %s: %w; choose another node.data_dir, or the spec that this folder was made with",
			s.opts.Dir, s.genesis, s.opts.Genesis, ErrOtherChain)
	}
	return nil
}

// initMeta writes schema and genesis in one batch, so that a folder is ours whole or new.
func (s *Store) initMeta() error {
	if s.opts.Genesis.IsZero() {
		return fmt.Errorf("%s holds no chain yet: %w", s.opts.Dir, ErrNotFound)
	}
	s.genesis = s.opts.Genesis
	return s.update(func(w writes) error {
		return errors.Join(
			w.put(schemaKey(), binary.BigEndian.AppendUint32(nil, schemaVersion)),
			w.put(genesisKey(), s.genesis[:]),
		)
	})
}
