package chainfile

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds one record in bytes, maxFile the whole file.
const (
	maxLine = 16 << 20
	maxFile = 4 << 30
)

// Format is what the caller's file is called, and which errors it promises.
type Format struct {
	Name    string // for errors: "swap journal"
	Version int    // that this version writes and reads
	Broken  error  // damage before the last record
	Newer   error  // written by a newer version
	Refuses error  // a failed write could not be undone
}

// Entry is one whole record with a good sum.
type Entry struct {
	Line   int // from 1
	Record []byte
	// Continued is set on a first line that goes on from a chain which is not in the file.
	Continued bool
}

// Chain is what Decode read.
type Chain struct {
	Good int64  // length of what is whole, in bytes
	Sum  string // of the last record
}

// LineError says which line is broken. It wraps the format's error and the cause.
type LineError struct {
	Line int // from 1
	Err  error
}

// Error is one line.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap gives the cause.
func (e *LineError) Unwrap() error { return e.Err }

// line is one record on disk. Sum is SHA-256 over Prev and the record's bytes, so that records form a chain.
type line struct {
	V      int             `json:"v"`
	Prev   string          `json:"prev"`
	Sum    string          `json:"sum"`
	Record json.RawMessage `json:"record"`
}

func sumOf(prev string, record []byte) string {
	h := sha256.New()
	h.Write([]byte(prev))
	h.Write([]byte{'\n'})
	h.Write(record)
	return hex.EncodeToString(h.Sum(nil))
}

// Encode makes the line of a record that follows the sum prev.
func (f Format) Encode(record []byte, prev string) (text []byte, sum string, err error) {
	sum = sumOf(prev, record)
	text, err = json.Marshal(line{V: f.Version, Prev: prev, Sum: sum, Record: record})
	if err != nil {
		return nil, "", fmt.Errorf("encode record of %s: %w", f.Name, err)
	}
	if len(text) >= maxLine {
		return nil, "", fmt.Errorf("record of %d bytes is too long for %s", len(text), f.Name)
	}
	return append(text, '\n'), sum, nil
}

// Decode reads lines until the end and hands each to the caller, whose error breaks the line as a wrong sum does.
func (f Format) Decode(r io.Reader, each func(Entry) error) (Chain, error) {
	in := bufio.NewReaderSize(io.LimitReader(r, maxFile), 64<<10)
	var c Chain
	for n := 1; ; n++ {
		text, err := in.ReadBytes('\n')
		if len(text) > maxLine {
			return Chain{}, f.broken(n, fmt.Errorf("it is longer than %d bytes", maxLine))
		}
		if errors.Is(err, io.EOF) {
			return c, nil // what is in text has no end: torn
		}
		if err != nil {
			return Chain{}, err
		}
		sum, problem := f.decodeLine(text, n, c.Sum, each)
		if problem == nil {
			c.Good, c.Sum = c.Good+int64(len(text)), sum
			continue
		}
		if _, err := in.Peek(1); errors.Is(err, io.EOF) && !json.Valid(text) {
			return c, nil // the last line, written in part
		}
		if errors.Is(problem, f.Newer) {
			return Chain{}, &LineError{Line: n, Err: problem}
		}
		return Chain{}, f.broken(n, problem)
	}
}

func (f Format) broken(n int, err error) error {
	return fmt.Errorf("%w: %w", f.Broken, &LineError{Line: n, Err: err})
}

func (f Format) decodeLine(text []byte, n int, prev string, each func(Entry) error) (string, error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return "", err
	}
	if l.V != f.Version {
		return "", fmt.Errorf("%w: format %d, this one reads %d", f.Newer, l.V, f.Version)
	}
	if l.Sum != sumOf(l.Prev, l.Record) {
		return "", errors.New("sum does not match")
	}
	// An empty prev is the start of a chain: behind the first line it is a chain that was put there.
	if l.Prev != prev && n > 1 {
		return "", errors.New("does not follow the line before it")
	}
	return l.Sum, each(Entry{Line: n, Record: l.Record, Continued: l.Prev != prev})
}
