package store

import (
	"encoding/binary"
	"fmt"

	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/sdk/chain"
)

// The first byte of a key: what it holds.
const (
	prefixMeta      = 'm'
	prefixBlock     = 'b'
	prefixHeader    = 'i'
	prefixState     = 's'
	prefixQC        = 'q'
	prefixHeight    = 'h'
	prefixChild     = 'c'
	prefixCanonical = 'n'
	prefixHeads     = 'H'
	prefixEvidence  = 'e'
	prefixMessage   = 'a'
	prefixPending   = 't'
	prefixDocument  = 'd'
	prefixGuard     = 'g'
	prefixVersion   = 'G'
)

// kindName is a prefix for people.
func kindName(prefix byte) string {
	switch prefix {
	case prefixMeta:
		return "meta"
	case prefixBlock:
		return "block"
	case prefixHeader:
		return "header"
	case prefixState:
		return "state"
	case prefixQC:
		return "certificate"
	case prefixHeight:
		return "height"
	case prefixChild:
		return "child"
	case prefixCanonical:
		return "canonical"
	case prefixHeads:
		return "heads"
	case prefixEvidence:
		return "evidence"
	case prefixMessage:
		return "message"
	case prefixPending:
		return "pending transaction"
	case prefixDocument:
		return "document"
	case prefixGuard:
		return "guard record"
	case prefixVersion:
		return "guard version"
	}
	return fmt.Sprintf("kind %q", prefix)
}

// keyName is a key for people: "block 0x…".
func keyName(key []byte) string {
	if len(key) == 0 {
		return "empty key"
	}
	kind, rest := kindName(key[0]), key[1:]
	switch key[0] {
	case prefixMeta, prefixDocument:
		return fmt.Sprintf("%s %q", kind, rest)
	case prefixHeads:
		return kind
	}
	return fmt.Sprintf("%s 0x%x", kind, rest)
}

func hashKey(prefix byte, h chain.Hash) []byte { return append([]byte{prefix}, h[:]...) }

func uintKey(prefix byte, v uint64) []byte { return binary.BigEndian.AppendUint64([]byte{prefix}, v) }

func heightKey(prefix byte, height chain.Height, h chain.Hash) []byte {
	return append(uintKey(prefix, uint64(height)), h[:]...)
}

func childKey(parent, child chain.Hash) []byte {
	return append(hashKey(prefixChild, parent), child[:]...)
}

func nameKey(prefix byte, name string) []byte { return append([]byte{prefix}, name...) }

func headsKey() []byte { return []byte{prefixHeads} }

// guardPrefix starts every record of a guard key. The id's length comes first, so that no id is another's prefix.
func guardPrefix(k guard.Key) []byte {
	b := append([]byte{prefixGuard}, k.Genesis[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(k.ID)))
	return append(b, k.ID...)
}

func guardRecordKey(k guard.Key, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(guardPrefix(k), seq)
}

func guardVersionKey(k guard.Key) []byte {
	return append(append([]byte{prefixVersion}, k.Genesis[:]...), k.ID...)
}

// after is the first key that does not start with prefix: the end of an iteration over it.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		end[i]++
		if end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
