package swap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/alys-node/alys/core/internal/chainfile"
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

func journalFormat() chainfile.Format {
	return chainfile.Format{
		Name: "swap journal", Version: journalVersion,
		Broken: ErrJournalBroken, Newer: ErrJournalNewer, Refuses: ErrJournalRefuses,
	}
}

// FileJournal keeps the journal in one file of JSON lines, each fsynced before Append returns, chained by hash.
type FileJournal struct {
	file    *chainfile.File
	records []Record
}

// OpenFileJournal opens the journal at a path, and makes it (0600) when there is none. A torn last line, left by a crash,
// is cut off; damage anywhere else is ErrJournalBroken.
func OpenFileJournal(path string) (*FileJournal, error) {
	j := &FileJournal{}
	file, err := chainfile.Open(path, journalFormat(), func(e chainfile.Entry) error {
		r, err := decodeRecord(e)
		j.records = append(j.records, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	j.file = file
	return j, nil
}

// CheckJournal reports whether the bytes are a journal's, whole but for a torn last line.
func CheckJournal(raw []byte) error {
	_, err := journalFormat().Decode(bytes.NewReader(raw), func(e chainfile.Entry) error {
		_, err := decodeRecord(e)
		return err
	})
	return err
}

func decodeRecord(e chainfile.Entry) (Record, error) {
	var r Record
	dec := json.NewDecoder(bytes.NewReader(e.Record))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return r, err
	}
	if !slices.Contains(States(), r.State) {
		return r, fmt.Errorf("state %q is not known", r.State)
	}
	// After a compaction the first line is a snapshot that goes on from the old chain.
	if e.Continued && r.State != Snapshot {
		return r, errors.New("does not follow the line before it")
	}
	return r, nil
}

func encodeRecord(r Record) ([]byte, error) {
	record, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode journal record: %w", err)
	}
	return record, nil
}

// Cut is how many bytes of a torn record were cut off when the journal was opened.
func (j *FileJournal) Cut() int64 { return j.file.Cut() }

// Load returns all records.
func (j *FileJournal) Load(context.Context) ([]Record, error) {
	return append([]Record(nil), j.records...), nil
}

// Append writes a record and fsyncs it. When that fails, the file is cut back to what it was.
func (j *FileJournal) Append(_ context.Context, r Record) error {
	record, err := encodeRecord(r)
	if err != nil {
		return err
	}
	if err := j.file.Append(record); err != nil {
		return err
	}
	j.records = append(j.records, r)
	return nil
}

// Compact writes the records to a new file that replaces the old one in one step. The chain goes on from the old end.
// When nobody knows which of the two files has the name after a power cut, the journal refuses everything from then on.
func (j *FileJournal) Compact(_ context.Context, rs []Record) error {
	all := make([][]byte, 0, len(rs))
	for _, r := range rs {
		record, err := encodeRecord(r)
		if err != nil {
			return err
		}
		all = append(all, record)
	}
	replaced, err := j.file.Replace(all)
	if replaced {
		j.records = append([]Record(nil), rs...)
	}
	return err
}

// Close closes the file. It is idempotent.
func (j *FileJournal) Close() error { return j.file.Close() }
