package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/internal/durable"
	"github.com/alys-node/alys/sdk/chain"
)

// Limits that Options leaves to the store.
const (
	DefaultMinFree         = 64 << 20 // bytes
	DefaultMaxPending      = 16_384   // transactions
	DefaultMaxPendingBytes = 64 << 20

	folderName   = "store"  // the database, inside the data folder
	cacheBytes   = 16 << 20 // decoded table blocks
	memTableSize = 16 << 20 // a block of 10 MiB is one ordinary batch in it
)

// Options is what Open needs. Dir and Genesis are required.
type Options struct {
	Dir     string     // the node's data folder; made (0700) when it is missing
	Genesis chain.Hash // the chain; a folder of another is ErrOtherChain. Zero takes an existing folder as it is
	Log     hclog.Logger

	MinFree         uint64 // bytes that writes leave free on the disk; 0 is DefaultMinFree
	MaxPending      int    // pending transactions; 0 is DefaultMaxPending
	MaxPendingBytes int    // their bytes together; 0 is DefaultMaxPendingBytes

	fs vfs.FS // tests: a file system that crashes or fills up
}

// Store is an open data folder. Its methods may be called concurrently.
type Store struct {
	opts    Options
	log     hclog.Logger
	lock    io.Closer
	db      *pebble.DB
	genesis chain.Hash
	failed  atomic.Pointer[error] // the first fatal error of the database

	closeOnce sync.Once
	closeErr  error
	life      sync.RWMutex // guards closed; held for reading by every operation
	closed    bool

	guardMu sync.Mutex // one CompareAndSwap at a time
	pending pendingSet
}

// Open takes the data folder and opens its database: ErrLocked, ErrOtherChain, ErrNewerSchema, ErrNoSpace or ErrCorrupt
// where one of these is the reason that it cannot.
func Open(o Options) (*Store, error) {
	o = o.withDefaults()
	if o.Dir == "" {
		return nil, errors.New("open store: no data folder given")
	}
	if err := makeFolder(o.Dir); err != nil {
		return nil, noSpace(fmt.Errorf("make data folder: %w", err))
	}
	held, err := lock(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{opts: o, log: o.Log, lock: held}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.fs == nil {
		o.fs = vfs.Default
	}
	if o.MinFree == 0 {
		o.MinFree = DefaultMinFree
	}
	if o.MaxPending == 0 {
		o.MaxPending = DefaultMaxPending
	}
	if o.MaxPendingBytes == 0 {
		o.MaxPendingBytes = DefaultMaxPendingBytes
	}
	return o
}

// Exists reports whether dir is a data folder that holds a database. Open makes one where there is none.
func Exists(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, folderName))
	return err == nil && info.IsDir()
}

// makeFolder makes a folder that survives a power cut: its name is synced too. The database does so for its own below.
func makeFolder(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(filepath.Clean(dir)))
}

func (s *Store) open() error {
	dir := filepath.Join(s.opts.Dir, folderName)
	if err := s.checkSpace(0); err != nil {
		return err
	}
	if err := s.openDB(dir); err != nil {
		return fmt.Errorf("open store %s: %w", dir, err)
	}
	if err := s.checkMeta(); err != nil {
		return err
	}
	return s.loadPending()
}

// openDB opens the database. A panic of the database (its way to report a broken disk) is an error here.
func (s *Store) openDB(dir string) (err error) {
	defer s.recoverFatal(&err)
	cache := pebble.NewCache(cacheBytes)
	defer cache.Unref() // the database holds its own reference
	opts := &pebble.Options{
		FS:    s.opts.fs,
		Cache: cache,
		// Pinned: a later format would keep this version of alys from opening the folder again after a rollback.
		FormatMajorVersion: pebble.FormatColumnarBlocks,
		MemTableSize:       memTableSize,
		Logger:             dbLogger{s},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { s.log.Error("background work of the store", "error", err) },
			DataCorruption: func(i pebble.DataCorruptionInfo) {
				s.log.Error("corrupt file in the store", "path", i.Path, "error", i.Details)
			},
		},
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	s.db, err = pebble.Open(dir, opts)
	return translate(err)
}

// Genesis is the genesis hash of the folder's chain.
func (s *Store) Genesis() chain.Hash { return s.genesis }

// Close closes the database and gives the folder back. It is idempotent; operations after it are ErrClosed.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.life.Lock()
		s.closed = true
		s.life.Unlock()
		// A database that broke while writing may wait for ever in its own Close; the process is on its way out.
		if s.db != nil && s.failed.Load() == nil {
			if err := s.db.Close(); err != nil {
				s.closeErr = fmt.Errorf("close store: %w", err)
			}
		}
		s.closeErr = errors.Join(s.closeErr, s.lock.Close())
	})
	return s.closeErr
}

// enter lets an operation in while the store is open and has not failed; the caller calls leave when it is done, and does
// not enter again before. After a failed write even reads are refused: they could see what never reached the disk.
func (s *Store) enter() (leave func(), err error) {
	if failed := s.failed.Load(); failed != nil {
		return nil, *failed
	}
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return nil, ErrClosed
	}
	return s.life.RUnlock, nil
}
