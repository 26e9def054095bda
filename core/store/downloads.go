package store

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/alys-node/alys/sdk/chain"
)

const (
	downloadsName = "downloads" // the folder, beside the database
	downloadName  = "%020d-%020d.run"
)

// Download is what was fetched of the heights From to To, both included, and is not imported.
type Download struct {
	From, To chain.Height
	Bytes    uint64 // of the content
}

// Downloads keeps what was fetched of a chain across a kill, in a file for each range, beside the database. It is a cache:
// files are not synced, a power cut may lose them, and who reads one has to judge it as if it came from a stranger. Its
// methods may be called concurrently.
type Downloads struct {
	store *Store
	dir   string
	limit uint64

	mu    sync.Mutex
	files map[Download]bool // guarded by mu, as all below
	bytes uint64            // of all files together
}

// OpenDownloads opens the folder of downloads, which is made when it is missing. It holds at most limit bytes: of more that
// is found, and of files that nobody finished, what is highest goes.
func (s *Store) OpenDownloads(limit uint64) (*Downloads, error) {
	d := &Downloads{store: s, dir: filepath.Join(s.opts.Dir, downloadsName), limit: limit, files: map[Download]bool{}}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, noSpace(fmt.Errorf("make folder of downloads: %w", err))
	}
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, fmt.Errorf("list downloads: %w", err)
	}
	for _, e := range entries { // by name, which is by height
		f, ok := downloadOf(e)
		if ok && d.bytes+f.Bytes <= limit {
			d.files[f] = true
			d.bytes += f.Bytes
			continue
		}
		if err := os.RemoveAll(filepath.Join(d.dir, e.Name())); err != nil {
			return nil, fmt.Errorf("remove a download: %w", err)
		}
	}
	return d, nil
}

// downloadOf reads what a file is from its name and size; false for one that is no download.
func downloadOf(e fs.DirEntry) (Download, bool) {
	var f Download
	n, err := fmt.Sscanf(e.Name(), downloadName, &f.From, &f.To)
	info, missing := e.Info()
	if n != 2 || err != nil || missing != nil || !info.Mode().IsRegular() || info.Size() < checksumSize || f.name() != e.Name() {
		return f, false
	}
	f.Bytes = uint64(info.Size()) - checksumSize
	return f, true
}

func (f Download) name() string { return fmt.Sprintf(downloadName, f.From, f.To) }

// List are the downloads, the lowest first.
func (d *Downloads) List() []Download {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]Download, 0, len(d.files))
	for f := range d.files {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b Download) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return out
}

// Keep writes what was fetched of a range, in place of an earlier one of the same. ErrNoSpace when the disk, or the limit,
// leaves no room.
func (d *Downloads) Keep(from, to chain.Height, content []byte) error {
	f := Download{From: from, To: to, Bytes: uint64(len(content))}
	if err := d.store.checkSpace(len(content)); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bytes+f.Bytes > d.limit {
		return fmt.Errorf("%d bytes beside %d of other downloads, limit %d: %w", f.Bytes, d.bytes, d.limit, ErrNoSpace)
	}
	if err := d.drop(from, to); err != nil {
		return err
	}
	path := filepath.Join(d.dir, f.name())
	// The name comes last: a file that has it was written to its end, unless the machine died.
	err := os.WriteFile(path+".part", frame([]byte(f.name()), content), 0o600)
	if err == nil {
		err = os.Rename(path+".part", path)
	}
	if err != nil {
		_ = os.Remove(path + ".part") // if not even that is done, the next start removes it
		return noSpace(fmt.Errorf("keep a download: %w", err))
	}
	d.files[f] = true
	d.bytes += f.Bytes
	return nil
}

// Read returns what Keep wrote for a range; ErrNotFound, or ErrCorrupt when it is something else.
func (d *Downloads) Read(from, to chain.Height) ([]byte, error) {
	name := Download{From: from, To: to}.name()
	raw, err := os.ReadFile(filepath.Join(d.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("download %s: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read download: %w", err)
	}
	if len(raw) < checksumSize || binary.BigEndian.Uint32(raw) != checksum([]byte(name), raw[checksumSize:]) {
		return nil, fmt.Errorf("download %s of %d bytes: %w", name, len(raw), ErrCorrupt)
	}
	return raw[checksumSize:], nil
}

// Drop forgets what was fetched of a range. There may be none.
func (d *Downloads) Drop(from, to chain.Height) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.drop(from, to)
}

func (d *Downloads) drop(from, to chain.Height) error {
	for f := range d.files {
		if f.From != from || f.To != to {
			continue
		}
		if err := os.Remove(filepath.Join(d.dir, f.name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a download: %w", err)
		}
		delete(d.files, f)
		d.bytes -= f.Bytes
	}
	return nil
}
