package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/alys-node/alys/sdk/chain"
)

// Limits of small values.
const (
	MaxMessageBytes  = 64 << 10
	MaxEvidenceBytes = 64 << 10
	MaxDocumentBytes = 1 << 20
)

// Message is something of ours that is sent again until it no longer matters: a proposal's or an approval's bytes.
type Message struct {
	Height chain.Height // of the block that it is about
	Raw    []byte
}

// PutMessage keeps a message of at most MaxMessageBytes. The same message again changes nothing.
func (s *Store) PutMessage(m Message) error {
	if len(m.Raw) > MaxMessageBytes {
		return fmt.Errorf("message of %d bytes: %w", len(m.Raw), ErrTooLarge)
	}
	id := chain.TaggedHash("alys/store/message/1", m.Raw)
	return s.update(func(w writes) error { return w.put(heightKey(prefixMessage, m.Height, id), m.Raw) })
}

// Messages lists the kept messages, lowest height first.
func (s *Store) Messages() ([]Message, error) {
	var out []Message
	err := s.each([]byte{prefixMessage}, func(key, content []byte) error {
		if len(key) != 1+8+32 {
			return corrupt(key, "key of %d bytes", len(key))
		}
		height := chain.Height(binary.BigEndian.Uint64(key[1:]))
		out = append(out, Message{Height: height, Raw: append([]byte{}, content...)})
		return nil
	})
	return out, err
}

// DropMessages forgets the messages about blocks at or below a height: they are safe, nobody needs them again.
func (s *Store) DropMessages(upTo chain.Height) error {
	var old [][]byte
	err := s.each([]byte{prefixMessage}, func(key, _ []byte) error {
		if len(key) == 1+8+32 && binary.BigEndian.Uint64(key[1:]) <= uint64(upTo) {
			old = append(old, append([]byte{}, key...))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.update(func(w writes) error {
		var errs []error
		for _, key := range old {
			errs = append(errs, w.del(key))
		}
		return errors.Join(errs...)
	})
}

// PutEvidence keeps proof of a misdeed for ever, at most MaxEvidenceBytes. It reports whether it is new.
func (s *Store) PutEvidence(raw []byte) (bool, error) {
	if len(raw) > MaxEvidenceBytes {
		return false, fmt.Errorf("evidence of %d bytes: %w", len(raw), ErrTooLarge)
	}
	key := hashKey(prefixEvidence, chain.TaggedHash("alys/store/evidence/1", raw))
	known, err := s.has(key)
	if err != nil || known {
		return false, err
	}
	return true, s.update(func(w writes) error { return w.put(key, raw) })
}

// Evidence lists what PutEvidence kept.
func (s *Store) Evidence() ([][]byte, error) {
	var out [][]byte
	err := s.each([]byte{prefixEvidence}, func(_, content []byte) error {
		out = append(out, append([]byte{}, content...))
		return nil
	})
	return out, err
}

// PutDocument stores a small document under a name, at most MaxDocumentBytes, in place of an earlier one.
func (s *Store) PutDocument(name string, raw []byte) error {
	if name == "" || len(name) > 255 {
		return errors.New("document name must have 1 to 255 bytes")
	}
	if len(raw) > MaxDocumentBytes {
		return fmt.Errorf("document %q of %d bytes: %w", name, len(raw), ErrTooLarge)
	}
	return s.update(func(w writes) error { return w.put(nameKey(prefixDocument, name), raw) })
}

// Document returns a document by name, or ErrNotFound.
func (s *Store) Document(name string) ([]byte, error) { return s.read(nameKey(prefixDocument, name)) }

// DropDocument forgets a document; one that is not there is no error.
func (s *Store) DropDocument(name string) error {
	return s.update(func(w writes) error { return w.del(nameKey(prefixDocument, name)) })
}
