package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/alys-node/alys/core/internal/durable"
)

// Binary is a checked copy in the data folder: the only thing that the host executes.
type Binary struct {
	Path   string
	Digest Digest
}

// stage holds the copies, one file for each digest, named by it.
type stage struct {
	dir string

	mu     sync.Mutex // guards intact and asked
	intact map[Digest]identity
	asked  map[Digest]bool // staged since the last prune: a plan may name them that is not in the journal yet
}

// identity changes whenever somebody writes to the file, even if they put size and times back.
type identity struct {
	inode, size, changed uint64
}

func newStage(dir string) *stage {
	return &stage{dir: dir, intact: map[Digest]identity{}, asked: map[Digest]bool{}}
}

// Stage finds a command, checks it against the checksums (any of them is accepted; none are needed when
// Config.RequireChecksum is false) and copies it into the data folder. What is hashed is the open file, and what runs
// is the copy: replacing the command afterwards changes nothing.
func (h *Host) Stage(ctx context.Context, command string, checksums []string) (Binary, error) {
	f, err := open(h.config.PluginDir, command)
	if err != nil {
		return Binary{}, err
	}
	defer func() { _ = f.Close() }()
	got, err := digestOf(ctx, f)
	if err != nil {
		return Binary{}, fmt.Errorf("read plugin %s: %w", f.Name(), err)
	}
	if err := h.checkPin(f.Name(), got, checksums); err != nil {
		return Binary{}, err
	}
	h.stage.ask(got)
	if b, err := h.stage.get(ctx, got); err == nil {
		return b, nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return Binary{}, fmt.Errorf("read plugin %s: %w", f.Name(), err)
	}
	return h.stage.put(ctx, f, got)
}

// StageDigest finds the copy that an earlier Stage made, whatever has become of the command since.
func (h *Host) StageDigest(ctx context.Context, d Digest) (Binary, error) { return h.stage.get(ctx, d) }

func (h *Host) checkPin(path string, got Digest, checksums []string) error {
	if len(checksums) == 0 {
		if !h.config.RequireChecksum {
			return nil
		}
		return &Error{
			Err: ErrNoChecksum, Detail: fmt.Sprintf("%s is %s", path, got),
			Hint: "check that this is the binary you trust, then run alys plugin pin to write it into alys.hcl",
		}
	}
	var pins []string
	for _, c := range checksums {
		pin, err := ParseDigest(c)
		if err != nil {
			return &Error{Err: ErrChecksum, Cause: err, Hint: "run alys plugin pin to write it"}
		}
		pins = append(pins, string(pin))
	}
	if slices.Contains(pins, string(got)) {
		return nil
	}
	return &Error{
		Err: ErrChecksum, Detail: fmt.Sprintf("%s is %s, alys.hcl pins %s", path, got, strings.Join(pins, " or ")),
		Hint: "if the binary was replaced on purpose, run alys plugin pin; if not, find out who did",
	}
}

// ask keeps a copy from the next prune.
func (s *stage) ask(d Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[d] = true
}

// takeAsked gives what was staged since it was called last.
func (s *stage) takeAsked() map[Digest]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = map[Digest]bool{}
	return asked
}

// get opens the copy of a digest and hashes it, once as long as nobody touches it.
func (s *stage) get(ctx context.Context, d Digest) (Binary, error) {
	parsed, err := ParseDigest(string(d))
	if err != nil {
		return Binary{}, &Error{Err: ErrNotStaged, Cause: err}
	}
	path := filepath.Join(s.dir, parsed.file())
	f, err := os.Open(path)
	if err != nil {
		return Binary{}, &Error{Err: ErrNotStaged, Cause: err, Hint: "apply the configuration again to copy it"}
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return Binary{}, &Error{Err: ErrNotStaged, Cause: err}
	}
	id := identify(info)
	s.mu.Lock()
	known := s.intact[parsed]
	s.mu.Unlock()
	if known == id {
		return Binary{Path: path, Digest: parsed}, nil
	}
	got, err := digestOf(ctx, f)
	if err != nil {
		return Binary{}, fmt.Errorf("read plugin copy %s: %w", path, err)
	}
	if got != parsed {
		return Binary{}, &Error{
			Err: ErrNotStaged, Detail: fmt.Sprintf("%s is damaged: its content is %s", path, got),
			Hint: "remove it and apply the configuration again to copy it",
		}
	}
	s.mu.Lock()
	s.intact[parsed] = id
	s.mu.Unlock()
	return Binary{Path: path, Digest: parsed}, nil
}

// put copies r, which must have digest d, under a temporary name and renames it when it is whole and on disk.
func (s *stage) put(ctx context.Context, r io.Reader, d Digest) (Binary, error) {
	if err := s.write(ctx, r, d); err != nil {
		if errors.Is(err, syscall.ENOSPC) {
			err = fmt.Errorf("%w; free some space, or choose another node.data_dir", err)
		}
		return Binary{}, fmt.Errorf("copy plugin to %s: %w", s.dir, err)
	}
	return s.get(ctx, d)
}

func (s *stage) write(ctx context.Context, r io.Reader, d Digest) error {
	tmp, err := os.CreateTemp(s.dir, ".copy-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = io.Copy(tmp, &cancellable{ctx, r})
	err = errors.Join(err, tmp.Chmod(0o500), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), filepath.Join(s.dir, d.file())); err != nil {
		return err
	}
	return durable.SyncDir(s.dir)
}

// identify uses the change time, which nobody but the kernel sets.
func identify(info os.FileInfo) identity {
	id := identity{size: uint64(info.Size())}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		id.inode, id.changed = st.Ino, uint64(st.Ctim.Nano())
	}
	return id
}

// Prune removes the copies that are neither named in keep (what the journal may start again) nor in use by an instance. A
// copy that this host staged since the prune before stays, because it may be about to be started. No launch of a digest
// that is not in keep may begin meanwhile.
func (h *Host) Prune(keep []Digest) error {
	wanted := map[string]bool{}
	for d := range h.stage.takeAsked() {
		wanted[d.file()] = true
	}
	for _, d := range keep {
		wanted[d.file()] = true
	}
	h.mu.Lock()
	for i := range h.instances {
		wanted[i.Digest.file()] = true
	}
	h.mu.Unlock()
	entries, err := os.ReadDir(h.stage.dir)
	if err != nil {
		return fmt.Errorf("list plugin copies: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if _, err := ParseDigest(digestPrefix + e.Name()); err == nil && !wanted[e.Name()] {
			errs = append(errs, os.Remove(filepath.Join(h.stage.dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
