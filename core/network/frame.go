package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// code says what a frame is.
type code uint8

// The codes of frames.
const (
	codeStatus  code = iota + 1 // a Status
	codeVerdict                 // the end of a handshake: empty for yes, or the reason
	codeRequest                 // a request
	codeBlock                   // a Stored
	codeMissing                 // a block that was asked for by hash and is not here; empty
	codeEnd                     // the end of an answer; of a range: the certificate of its last block
	codePeers                   // signed peer records
	codeMessage                 // a Message
	codeError                   // the end of an answer that is none: a byte of kind and a text
)

// frameHead is the length of what precedes a frame's content: its code and its length, 4 bytes big-endian.
const frameHead = 1 + 4

// limit is the longest content of a frame.
func (c code) limit() int {
	switch c {
	case codeStatus:
		return maxStatusBytes
	case codeVerdict, codeError:
		return maxErrorBytes
	case codeRequest, codeEnd:
		return maxRequestBytes
	case codeBlock, codeMessage:
		return maxStoredBytes
	case codePeers:
		return maxPeersAnswer
	case codeMissing:
	}
	return 0
}

// readFrame reads one frame whose code must be one of want. Nothing is allocated before the length is known to be within
// the code's limit, and then only as the bytes arrive.
func readFrame(r io.Reader, want ...code) (code, []byte, error) {
	c, n, err := readHead(r, want...)
	if err != nil {
		return 0, nil, err
	}
	b, err := readGrowing(r, n)
	if err != nil {
		return 0, nil, fmt.Errorf("read frame: code %d: %w", c, err)
	}
	return c, b, nil
}

// readHead reads a frame's code, one of want, and the length of its content, which is within the code's limit.
func readHead(r io.Reader, want ...code) (code, int, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, fmt.Errorf("read frame: %w", err)
	}
	c, n := code(head[0]), int(binary.BigEndian.Uint32(head[1:]))
	if !slices.Contains(want, c) {
		return 0, 0, fmt.Errorf("read frame: code %d is not one of %d: %w", c, want, ErrMalformed)
	}
	if n > c.limit() {
		return 0, 0, fmt.Errorf("read frame: code %d with %d bytes, limit %d: %w", c, n, c.limit(), ErrMalformed)
	}
	return c, n, nil
}

// firstChunk is what is allocated on a peer's word alone.
const firstChunk = 64 << 10

// readGrowing reads n bytes. Its buffer is never more than twice as large as what has arrived, a first chunk apart: a
// peer that announces ten megabytes and sends none costs nothing.
func readGrowing(r io.Reader, n int) ([]byte, error) {
	b := make([]byte, min(n, firstChunk))
	read := 0
	for {
		m, err := io.ReadFull(r, b[read:])
		read += m
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if read == n {
			return b, nil
		}
		grown := make([]byte, min(n, 2*len(b)))
		copy(grown, b)
		b = grown
	}
}

// writeFrame writes one frame with two writes: the content is not copied.
func writeFrame(w io.Writer, c code, content []byte) error {
	if len(content) > c.limit() {
		return fmt.Errorf("write frame: code %d with %d bytes, limit %d: %w", c, len(content), c.limit(), ErrTooLarge)
	}
	head := [frameHead]byte{byte(c)}
	binary.BigEndian.PutUint32(head[1:], uint32(len(content)))
	if _, err := w.Write(head[:]); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	if len(content) == 0 {
		return nil
	}
	if _, err := w.Write(content); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	return nil
}
