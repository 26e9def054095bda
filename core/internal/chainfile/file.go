package chainfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/alys-node/alys/core/internal/durable"
)

// File is an open file. Its methods must not be called concurrently.
type File struct {
	format  Format
	path    string
	file    *os.File
	size    int64 // of what is durable
	last    string
	cut     int64
	broken  error
	syncDir func(dir string) error // makes a rename in a folder durable; tests let it fail
}

// Open opens the file at a path, makes it (0600) when there is none, and hands each record to the caller. A torn last line
// is cut off.
func Open(path string, format Format, each func(Entry) error) (*File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", format.Name, err)
	}
	f := &File{format: format, path: path, file: file, syncDir: durable.SyncDir}
	if err := f.read(each); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return f, nil
}

func (f *File) read(each func(Entry) error) error {
	chain, err := f.format.Decode(f.file, each)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.path, err)
	}
	info, err := f.file.Stat()
	if err != nil {
		return fmt.Errorf("read %s: %w", f.path, err)
	}
	f.size, f.last, f.cut = chain.Good, chain.Sum, info.Size()-chain.Good
	if f.cut > maxLine {
		return fmt.Errorf("read %s: %w: %d bytes at its end are more than one record", f.path, f.format.Broken, f.cut)
	}
	if f.cut > 0 {
		if err := f.file.Truncate(f.size); err != nil {
			return fmt.Errorf("cut torn record of %s: %w", f.path, err)
		}
	}
	if err := f.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", f.path, err)
	}
	return f.syncDir(filepath.Dir(f.path))
}

// Cut is how many bytes of a torn record were cut off when the file was opened.
func (f *File) Cut() int64 { return f.cut }

// Append writes a record and fsyncs it. When that fails, the file is cut back to what it was; when that fails too, the file
// refuses everything from then on.
func (f *File) Append(record []byte) error {
	if f.broken != nil {
		return f.broken
	}
	text, sum, err := f.format.Encode(record, f.last)
	if err != nil {
		return err
	}
	_, err = f.file.WriteAt(text, f.size)
	if err == nil {
		err = f.file.Sync()
	}
	if err != nil {
		if undo := errors.Join(f.file.Truncate(f.size), f.file.Sync()); undo != nil {
			f.broken = fmt.Errorf("%w: %w", f.format.Refuses, err)
		}
		return fmt.Errorf("write %s: %w", f.format.Name, err)
	}
	f.size += int64(len(text))
	f.last = sum
	return nil
}

// Replace writes the records to a new file that replaces the old one in one step. The chain goes on from the old end. When
// nobody knows which of the two files has the name after a power cut, the file refuses everything from then on. replaced
// reports that the new one has the name, even with an error.
func (f *File) Replace(records [][]byte) (replaced bool, err error) {
	if f.broken != nil {
		return false, f.broken
	}
	var all []byte
	last := f.last
	for _, r := range records {
		text, sum, err := f.format.Encode(r, last)
		if err != nil {
			return false, err
		}
		all, last = append(all, text...), sum
	}
	next, err := replaceFile(f.path, all)
	if err != nil {
		return false, fmt.Errorf("compact %s: %w", f.format.Name, err)
	}
	// The new file has the name: whatever fails from here on, a record in the old one would be read by nobody.
	old := f.file
	f.file, f.size, f.last = next, int64(len(all)), last
	if err := f.syncDir(filepath.Dir(f.path)); err != nil {
		f.broken = fmt.Errorf("%w: %w", f.format.Refuses, err)
		return true, errors.Join(fmt.Errorf("compact %s: %w", f.format.Name, err), old.Close())
	}
	if err := old.Close(); err != nil {
		return true, fmt.Errorf("close old %s: %w", f.format.Name, err)
	}
	return true, nil
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

// Close closes the file. It is idempotent.
func (f *File) Close() error {
	if err := f.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("close %s: %w", f.format.Name, err)
	}
	return nil
}
