package network

import (
	"context"
	"errors"
	"fmt"
	"os"

	corenet "github.com/libp2p/go-libp2p/core/network"
)

// Errors of the handshake. Each is also told to the peer in words.
var (
	// ErrOtherChain means that the peer follows another chain.
	ErrOtherChain = errors.New("the peer follows another chain")
	// ErrOtherVersion means that the peer speaks an older version of the protocol.
	ErrOtherVersion = errors.New("the peer speaks another version of the protocol")
	// ErrFull means that the node has as many peers as it takes.
	ErrFull = errors.New("no room for another peer")
	// ErrNotAllowed means that the peer is banned, or not among those that are allowed.
	ErrNotAllowed = errors.New("the peer is not allowed")
)

// Errors of requests. An error of a request is one of them by errors.Is, or the context's.
var (
	// ErrTooLarge means that an answer or a message is larger than its limit.
	ErrTooLarge = errors.New("too large")
	// ErrTimeout means that the peer did not answer, or not fast enough. It proves nothing against it.
	ErrTimeout = errors.New("no answer in time")
	// ErrMisbehaved means that the peer's answer is provably wrong: an honest node would not have given it. It has been
	// counted against the peer.
	ErrMisbehaved = errors.New("the peer gave a wrong answer")
	// ErrDisconnected means that the connection was lost, or that the peer ended the stream in the middle.
	ErrDisconnected = errors.New("the connection was lost")
	// ErrUnknownPeer means that there is no such peer, or that it has not been admitted.
	ErrUnknownPeer = errors.New("no such peer")
	// ErrBusy means that the peer serves as much as it can, or that we ask too often.
	ErrBusy = errors.New("the peer is busy")
	// ErrNotFound means that the peer does not have what was asked for.
	ErrNotFound = errors.New("the peer does not have it")
	// ErrPeerFailed means that the peer could not read its own store, or says that our request is malformed.
	ErrPeerFailed = errors.New("the peer could not answer")
	// ErrClosed means that the network is not running.
	ErrClosed = errors.New("the network is not running")
)

// refusal is the kind of an answer that is none.
type refusal uint8

// The refusals.
const (
	refusalBusy refusal = iota + 1
	refusalNotFound
	refusalFailed
)

// encode is the content of a codeError frame.
func (r refusal) encode(text string) []byte {
	return append([]byte{byte(r)}, truncate(text, maxErrorBytes-1)...)
}

// decodeRefusal reads the content of a codeError frame.
func decodeRefusal(raw []byte) error {
	if len(raw) == 0 || len(raw) > maxErrorBytes {
		return fmt.Errorf("refusal of %d bytes: %w", len(raw), ErrMalformed)
	}
	text := printable(string(raw[1:]))
	switch refusal(raw[0]) {
	case refusalBusy:
		return fmt.Errorf("%w: %s", ErrBusy, text)
	case refusalNotFound:
		return fmt.Errorf("%w: %s", ErrNotFound, text)
	case refusalFailed:
		return fmt.Errorf("%w: %s", ErrPeerFailed, text)
	}
	return fmt.Errorf("refusal of kind %d: %w", raw[0], ErrMalformed)
}

// classify gives a failure of a stream one of the errors of requests. What is classified already stays.
func classify(ctx context.Context, err error) error {
	known := []error{
		ErrTooLarge, ErrTimeout, ErrMisbehaved, ErrDisconnected, ErrUnknownPeer, ErrBusy, ErrNotFound, ErrPeerFailed, ErrClosed,
		context.Canceled,
	}
	for _, k := range known {
		if errors.Is(err, k) {
			return err
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrMalformed):
		return fmt.Errorf("%w: %w", ErrMisbehaved, err)
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	case isTimeout(err):
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	case errors.Is(err, corenet.ErrResourceLimitExceeded):
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return fmt.Errorf("%w: %w", ErrDisconnected, err)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}
