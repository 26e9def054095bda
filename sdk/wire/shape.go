package wire

import (
	"fmt"

	"github.com/alys-node/alys/sdk/chain"
)

// Limits of replies, in elements or bytes. They are far above what a sound plugin sends; the size of a whole message is
// bounded by MaxMessageBytes.
const (
	maxKeys         = 4096
	maxName         = 256
	maxText         = 64 << 10
	maxCapabilities = 64
	maxReasons      = 64
	maxDiagnostics  = 1024
	maxResources    = 256
	maxPath         = 64
	maxSchemaDepth  = 16
	maxSchemaItems  = 1024
	maxEventBytes   = 1 << 20
	maxKeystore     = 1 << 20
	maxForks        = 64
	maxExtraData    = 32
	maxTopics       = 4
	maxPeers        = 4096
	maxBatches      = 65536
	maxRange        = 1024
	maxPending      = 1 << 20
)

// fixed is an array of bytes that a contract names.
type fixed interface {
	~[20]byte | ~[32]byte | ~[33]byte | ~[48]byte | ~[96]byte | ~[256]byte
}

// fixedBytes copies b into an array and refuses another length. (Go has no generic conversion from a slice to an array
// type parameter, so the copy is through a pointer to bytes.)
func fixedBytes[T fixed](what string, b []byte) (T, error) {
	var v T
	if len(b) != len(v) {
		return v, fmt.Errorf("%s has %d bytes, want %d", what, len(b), len(v))
	}
	for i := range b {
		v[i] = b[i]
	}
	return v, nil
}

// optionalHash is nil for an absent field.
func optionalHash(what string, b []byte) (*chain.Hash, error) {
	if b == nil {
		return nil, nil
	}
	h, err := fixedBytes[chain.Hash](what, b)
	if err != nil {
		return nil, err
	}
	return &h, nil
}

func optionalHashBytes(h *chain.Hash) []byte {
	if h == nil {
		return nil
	}
	return h[:]
}

// atMost refuses more than limit of something.
func atMost(what string, n, limit int) error {
	if n > limit {
		return fmt.Errorf("%s: %d, at most %d", what, n, limit)
	}
	return nil
}

// text refuses an over-long text.
func text(what, s string, limit int) error { return atMost(what+" length in bytes", len(s), limit) }

// convert maps a list, stopping at the first error, which gets the element's index.
func convert[From, To any](what string, in []From, f func(From) (To, error)) ([]To, error) {
	if in == nil {
		return nil, nil
	}
	out := make([]To, len(in))
	for i, v := range in {
		to, err := f(v)
		if err != nil {
			return nil, fmt.Errorf("%s %d: %w", what, i, err)
		}
		out[i] = to
	}
	return out, nil
}

// each maps a list where nothing can be wrong.
func each[From, To any](in []From, f func(From) To) []To {
	if in == nil {
		return nil
	}
	out := make([]To, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}
