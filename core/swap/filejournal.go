package swap

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Errors of a FileJournal.
var (
	// ErrJournalBroken means that the journal is damaged before its last record: nothing of it can be trusted.
	ErrJournalBroken = errors.New("swap journal is broken")
	// ErrJournalNewer means that a newer alys wrote the journal: this one would misread it.
	ErrJournalNewer = errors.New("swap journal was written by a newer alys")
	// ErrJournalRefuses means that a write failed in a way that could not be undone; the file has to be opened again.
	ErrJournalRefuses = errors.New("swap journal refuses writes after a failed one")
)

// journalVersion is the format that this version writes and reads.
const journalVersion = 1

// maxLine bounds one record in bytes.
const maxLine = 16 << 20

// line is one record on disk. Sum is SHA-256 over Prev and the record's bytes, so that records form a chain.
type line struct {
	V      int             `json:"v"` // journalVersion
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

// FileJournal keeps the journal in one file of JSON lines, each fsynced before Append returns, chained by hash.
type FileJournal struct {
	path    string
	file    *os.File
	size    int64 // of what is durable
	last    string
	records []Record
	cut     int64
	broken  error
	syncDir func(dir string) error // makes a rename in a folder durable; tests let it fail
}

// OpenFileJournal opens the journal at a path, and makes it (0600) when there is none. A torn last line, left by a crash,
// is cut off; damage anywhere else is ErrJournalBroken.
func OpenFileJournal(path string) (*FileJournal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open swap journal: %w", err)
	}
	j := &FileJournal{path: path, file: f, syncDir: syncDir}
	if err := j.read(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, nil
}

func (j *FileJournal) read() error {
	records, good, last, err := decodeJournal(j.file)
	if err != nil {
		return fmt.Errorf("read %s: %w", j.path, err)
	}
	info, err := j.file.Stat()
	if err != nil {
		return fmt.Errorf("read %s: %w", j.path, err)
	}
	j.records, j.size, j.last, j.cut = records, good, last, info.Size()-good
	if j.cut > 0 {
		if err := j.file.Truncate(good); err != nil {
			return fmt.Errorf("cut torn record of %s: %w", j.path, err)
		}
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", j.path, err)
	}
	return j.syncDir(filepath.Dir(j.path))
}

// decodeJournal reads lines until the end. good is the length of what is whole, last the sum of the last record.
func decodeJournal(r io.Reader) (records []Record, good int64, last string, err error) {
	in := bufio.NewReaderSize(io.LimitReader(r, 1<<30), 64<<10)
	for n := 1; ; n++ {
		text, err := in.ReadBytes('\n')
		if len(text) > maxLine {
			return nil, 0, "", fmt.Errorf("%w: line %d is longer than %d bytes", ErrJournalBroken, n, maxLine)
		}
		if errors.Is(err, io.EOF) {
			return records, good, last, nil // what is in text has no end: torn
		}
		if err != nil {
			return nil, 0, "", err
		}
		record, sum, problem := decodeLine(text, last)
		if problem == nil {
			records, good, last = append(records, record), good+int64(len(text)), sum
			continue
		}
		if _, err := in.Peek(1); errors.Is(err, io.EOF) && !json.Valid(text) {
			return records, good, last, nil // the last line, written in part
		}
		if errors.Is(problem, ErrJournalNewer) {
			return nil, 0, "", fmt.Errorf("line %d: %w", n, problem)
		}
		return nil, 0, "", fmt.Errorf("%w: line %d: %w", ErrJournalBroken, n, problem)
	}
}

func decodeLine(text []byte, prev string) (Record, string, error) {
	var l line
	var r Record
	if err := json.Unmarshal(text, &l); err != nil {
		return r, "", err
	}
	if l.V != journalVersion {
		return r, "", fmt.Errorf("%w: format %d, this one reads %d", ErrJournalNewer, l.V, journalVersion)
	}
	if l.Sum != sumOf(l.Prev, l.Record) {
		return r, "", errors.New("sum does not match")
	}
	dec := json.NewDecoder(bytes.NewReader(l.Record))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return r, "", err
	}
	if !slices.Contains(States(), r.State) {
		return r, "", fmt.Errorf("state %q is not known", r.State)
	}
	// After a compaction the first line is a snapshot that goes on from the old chain.
	if l.Prev != prev && (prev != "" || r.State != Snapshot) {
		return r, "", errors.New("does not follow the line before it")
	}
	return r, l.Sum, nil
}

func encodeLine(r Record, prev string) (text []byte, sum string, err error) {
	record, err := json.Marshal(r)
	if err != nil {
		return nil, "", fmt.Errorf("encode journal record: %w", err)
	}
	sum = sumOf(prev, record)
	text, err = json.Marshal(line{V: journalVersion, Prev: prev, Sum: sum, Record: record})
	if err != nil {
		return nil, "", fmt.Errorf("encode journal record: %w", err)
	}
	if len(text) >= maxLine {
		return nil, "", fmt.Errorf("journal record of %d bytes is too long", len(text))
	}
	return append(text, '\n'), sum, nil
}

// Cut is how many bytes of a torn record were cut off when the journal was opened.
func (j *FileJournal) Cut() int64 { return j.cut }

// Load returns all records.
func (j *FileJournal) Load(context.Context) ([]Record, error) {
	return append([]Record(nil), j.records...), nil
}

// Append writes a record and fsyncs it. When that fails, the file is cut back to what it was.
func (j *FileJournal) Append(_ context.Context, r Record) error {
	if j.broken != nil {
		return j.broken
	}
	text, sum, err := encodeLine(r, j.last)
	if err != nil {
		return err
	}
	_, err = j.file.WriteAt(text, j.size)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		if undo := errors.Join(j.file.Truncate(j.size), j.file.Sync()); undo != nil {
			j.broken = fmt.Errorf("%w: %w", ErrJournalRefuses, err)
		}
		return fmt.Errorf("write swap journal: %w", err)
	}
	j.size += int64(len(text))
	j.last = sum
	j.records = append(j.records, r)
	return nil
}

// Compact writes the records to a new file that replaces the old one in one step. The chain goes on from the old end.
// When nobody knows which of the two files has the name after a power cut, the journal refuses everything from then on.
func (j *FileJournal) Compact(_ context.Context, rs []Record) error {
	if j.broken != nil {
		return j.broken
	}
	var all []byte
	last := j.last
	for _, r := range rs {
		text, sum, err := encodeLine(r, last)
		if err != nil {
			return err
		}
		all, last = append(all, text...), sum
	}
	next, err := replaceFile(j.path, all)
	if err != nil {
		return fmt.Errorf("compact swap journal: %w", err)
	}
	// The new file has the name: whatever fails from here on, a record in the old one would be read by nobody.
	old := j.file
	j.file, j.size, j.last, j.records = next, int64(len(all)), last, append([]Record(nil), rs...)
	if err := j.syncDir(filepath.Dir(j.path)); err != nil {
		j.broken = fmt.Errorf("%w: %w", ErrJournalRefuses, err)
		return errors.Join(fmt.Errorf("compact swap journal: %w", err), old.Close())
	}
	if err := old.Close(); err != nil {
		return fmt.Errorf("close old swap journal: %w", err)
	}
	return nil
}

// replaceFile gives the name to a new file with the content. On error the old one has it.
func replaceFile(path string, content []byte) (*os.File, error) {
	next, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = next.Write(content)
	if err == nil {
		err = next.Sync()
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return nil, errors.Join(err, next.Close(), os.Remove(path+".new"))
	}
	return next, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close closes the file. It is idempotent.
func (j *FileJournal) Close() error {
	if err := j.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("close swap journal: %w", err)
	}
	return nil
}
