package migrate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/alys-node/alys/core/internal/chainfile"
)

// Errors of a log.
var (
	// ErrLogBroken means that the log is damaged before its last record, or that its records cannot have happened.
	ErrLogBroken = errors.New("migration log is broken")
	// ErrLogNewer means that a newer alys wrote the log: this one would misread it.
	ErrLogNewer = errors.New("migration log was written by a newer alys")
	// ErrLogRefuses means that a write failed in a way that could not be undone; the file has to be opened again.
	ErrLogRefuses = errors.New("migration log refuses writes after a failed one")
)

// logVersion is the format that this version writes and reads.
const logVersion = 1

func logFormat() chainfile.Format {
	return chainfile.Format{
		Name: "migration log", Version: logVersion, Broken: ErrLogBroken, Newer: ErrLogNewer, Refuses: ErrLogRefuses,
	}
}

// FileLog keeps the log in one file of JSON lines, each fsynced before Append returns, chained by hash.
type FileLog struct {
	file    *chainfile.File
	records []Record
}

// OpenFileLog opens the log at a path, and makes it (0600) when there is none. A torn last line, left by a crash, is cut
// off; damage anywhere else is a *BrokenError that wraps ErrLogBroken.
func OpenFileLog(path string) (*FileLog, error) {
	l := &FileLog{}
	file, err := chainfile.Open(path, logFormat(), l.keep)
	if err != nil {
		return nil, brokenAt(path, err)
	}
	l.file = file
	return l, nil
}

func (l *FileLog) keep(e chainfile.Entry) error {
	r, err := decodeRecord(e)
	if err == nil {
		l.remember(r)
	}
	return err
}

// remember keeps a record in memory. Of the progress of a step, which is told whole each time, only the newest one.
func (l *FileLog) remember(r Record) {
	if r.Kind == RecordProgress {
		for i, old := range slices.Backward(l.records) {
			if old.Run == r.Run && old.Kind == RecordProgress && old.Step == r.Step {
				l.records = slices.Delete(l.records, i, i+1)
				break
			}
			if old.Run == r.Run && old.Kind != RecordProgress && old.Kind != RecordNoticed {
				break // what came between may have begun another count
			}
		}
	}
	l.records = append(l.records, r)
}

func decodeRecord(e chainfile.Entry) (Record, error) {
	var r Record
	if e.Continued {
		return r, errors.New("the beginning of the log is missing")
	}
	dec := json.NewDecoder(bytes.NewReader(e.Record))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return r, err
	}
	if !slices.Contains(recordKinds(), r.Kind) {
		return r, fmt.Errorf("kind %q is not known", r.Kind)
	}
	return r, nil
}

// Cut is how many bytes of a torn record were cut off when the log was opened.
func (l *FileLog) Cut() int64 { return l.file.Cut() }

// Append implements Log.
func (l *FileLog) Append(r Record) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode migration record: %w", err)
	}
	if err := l.file.Append(raw); err != nil {
		return err
	}
	l.remember(r)
	return nil
}

// Records implements Log.
func (l *FileLog) Records() []Record { return slices.Clone(l.records) }

// Close closes the file. It is idempotent.
func (l *FileLog) Close() error { return l.file.Close() }

// Verified is what Verify found.
type Verified struct {
	Records int       `json:"records"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Sum     string    `json:"sum"`  // of the last record: who keeps it elsewhere can tell a log that was cut
	Torn    int64     `json:"torn"` // bytes of a record at the end that was not written whole
}

// Verify checks the chain of a log without a node, and that its records can have happened in their order: a *BrokenError
// names the line. It changes nothing.
func Verify(path string) (Verified, error) {
	file, err := os.Open(path)
	if err != nil {
		return Verified{}, fmt.Errorf("open migration log: %w", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return Verified{}, fmt.Errorf("open migration log: %w", err)
	}
	var v Verified
	f := newFold()
	chain, err := logFormat().Decode(file, func(e chainfile.Entry) error {
		r, err := decodeRecord(e)
		if err != nil {
			return err
		}
		if v.Records++; v.Records == 1 {
			v.First = r.At
		}
		v.Last = r.At
		return f.add(r)
	})
	if err != nil {
		return Verified{}, brokenAt(path, err)
	}
	v.Sum, v.Torn = chain.Sum, info.Size()-chain.Good
	return v, nil
}

// BrokenError says at which line a log is broken, and how.
type BrokenError struct {
	Path string
	Line int // from 1
	Err  error
}

// brokenAt gives a broken line its file; other errors stay as they are.
func brokenAt(path string, err error) error {
	if e, ok := errors.AsType[*chainfile.LineError](err); ok {
		return &BrokenError{Path: path, Line: e.Line, Err: err}
	}
	return err
}

// Error is one line.
func (e *BrokenError) Error() string {
	return fmt.Sprintf("%s: %v; keep the file, and move it away to start a new log", e.Path, e.Err)
}

// Unwrap gives the cause.
func (e *BrokenError) Unwrap() error { return e.Err }
