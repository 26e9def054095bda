package watermark

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// ErrHeld means that another process holds the folder.
var ErrHeld = errors.New("the guard folder is held by another process")

const bitcoinSubject signer.KeyID = "bitcoin"

// Guard keeps the watermarks of one signer. Its methods may be called concurrently.
type Guard struct {
	dir     string
	genesis chain.Hash
	lock    *os.File
	cut     []string // files whose last line was cut off

	mu        sync.Mutex // guards approvals and closed
	approvals map[signer.KeyID]*approvals
	spends    *spends
	closed    bool
}

// Open takes the folder, makes it when it is not there, and reads every file of the chain. Damage is ErrCorrupt, a
// folder in use ErrHeld.
func Open(dir string, genesis chain.Hash) (*Guard, error) {
	g := &Guard{dir: filepath.Join(dir, genesis.String()[2:]), genesis: genesis, approvals: map[signer.KeyID]*approvals{}}
	if err := os.MkdirAll(g.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make guard folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open guard lock: %w", err)
	}
	g.lock = lock
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: %w", dir, ErrHeld, err), lock.Close())
	}
	if err := errors.Join(g.readAll(), syncDir(dir), syncDir(filepath.Dir(dir))); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

func (g *Guard) readAll() error {
	g.spends = newSpends(g.path(bitcoinSubject), g.head(bitcoinSubject))
	if cut, err := g.spends.open(); err != nil {
		return err
	} else if cut > 0 {
		g.cut = append(g.cut, g.spends.path)
	}
	names, err := os.ReadDir(g.dir)
	if err != nil {
		return fmt.Errorf("read guard folder: %w", err)
	}
	for _, n := range names {
		if strings.HasPrefix(n.Name(), tempPrefix) { // never answered, and nobody else writes here
			if err := os.Remove(filepath.Join(g.dir, n.Name())); err != nil {
				return fmt.Errorf("remove what a crash left: %w", err)
			}
			continue
		}
		id, ok := subjectOf(n.Name())
		if !ok {
			continue
		}
		a := newApprovals(g.path(id), g.head(id))
		cut, err := a.open()
		if err != nil {
			return err
		}
		if cut > 0 {
			g.cut = append(g.cut, a.path)
		}
		g.approvals[id] = a
	}
	return nil
}

// Cut lists files whose unfinished last line was cut off at Open: a write that was interrupted and never answered.
func (g *Guard) Cut() []string { return g.cut }

// Approve records that key approves the block of header, durably, or that it did so before. signer.ErrRefused is the
// rule's answer; signer.ErrUnavailable means that the decision could not be recorded.
func (g *Guard) Approve(key signer.KeyID, header chain.Header) error {
	a, err := g.of(key)
	if err != nil {
		return err
	}
	return a.approve(header)
}

// Raise makes floors durable. A floor that is not higher changes nothing.
func (g *Guard) Raise(floors []signer.Floor) error {
	for _, f := range floors {
		a, err := g.of(f.Key)
		if err == nil {
			err = a.raise(f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Spend is a transaction of a payment.
type Spend struct {
	Payment   chain.Hash
	TxID      chain.Hash // natural byte order
	Outpoints []string   // every input, as "txid:vout", no two equal
}

// Spend records that the outpoints belong to the payment, or that they did before. Errors are those of Approve.
func (g *Guard) Spend(s Spend) error {
	g.mu.Lock()
	closed := g.closed
	g.mu.Unlock()
	if closed {
		return fmt.Errorf("guard is closed: %w", signer.ErrUnavailable)
	}
	return g.spends.add(s)
}

// of is the file of a key; a key id has one spelling, or one key would have two guards.
func (g *Guard) of(key signer.KeyID) (*approvals, error) {
	public, err := key.BLS()
	if err != nil || signer.BLSKey(public) != key {
		return nil, fmt.Errorf("%q is not an approval key: %w", key, signer.ErrUnknownKey)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, fmt.Errorf("guard is closed: %w", signer.ErrUnavailable)
	}
	a, ok := g.approvals[key]
	if !ok {
		a = newApprovals(g.path(key), g.head(key))
		g.approvals[key] = a
	}
	return a, nil
}

// Err is the first reason why a file records nothing any more, or nil.
func (g *Guard) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range g.approvals {
		if err := a.failed(); err != nil {
			return err
		}
	}
	return g.spends.failed()
}

// Close waits for decisions in progress and lets the folder go. It is idempotent.
func (g *Guard) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	var errs []error
	for _, a := range g.approvals {
		errs = append(errs, a.close())
	}
	if g.spends != nil {
		errs = append(errs, g.spends.close())
	}
	return errors.Join(append(errs, g.lock.Close())...)
}

func (g *Guard) head(subject signer.KeyID) line {
	return line{Kind: kindHead, Format: format, Genesis: &g.genesis, Subject: subject}
}

const fileExt = ".guard"

func (g *Guard) path(subject signer.KeyID) string {
	return filepath.Join(g.dir, strings.Replace(string(subject), "bls:0x", "bls-", 1)+fileExt)
}

func subjectOf(name string) (signer.KeyID, bool) {
	hex, ok := strings.CutPrefix(strings.TrimSuffix(name, fileExt), "bls-")
	return signer.KeyID("bls:0x" + hex), ok && strings.HasSuffix(name, fileExt)
}

// book is what the two kinds of files share: a journal that is made at the first write.
type book struct {
	mu     sync.Mutex // guards all below
	path   string
	first  line
	log    *journal
	closed bool
}

// open reads the file, if there is one.
func (b *book) open(apply func(line) error) (cut int, err error) {
	first := true
	b.log, cut, err = openJournal(b.path, func(l line) error {
		if !first {
			return apply(l)
		}
		first = false
		if l.Kind != kindHead || l.Format != format || l.Genesis == nil || *l.Genesis != *b.first.Genesis || l.Subject != b.first.Subject {
			return fmt.Errorf("the file is of another key, chain or format: %w", ErrCorrupt)
		}
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		b.log = nil
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read guard: %w", err)
	}
	return cut, nil
}

// write makes a line durable.
func (b *book) write(l line) (err error) {
	if b.closed {
		return fmt.Errorf("guard is closed: %w", signer.ErrUnavailable)
	}
	if b.log == nil {
		b.log, err = createJournal(b.path, []line{b.first, l})
	} else {
		err = b.log.append(l)
	}
	if err != nil {
		return fmt.Errorf("guard could not record, so nothing was signed: %w: %w", signer.ErrUnavailable, err)
	}
	return nil
}

func (b *book) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.log == nil {
		return nil
	}
	return b.log.err
}

func (b *book) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.log == nil {
		return nil
	}
	return b.log.close()
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), signer.ErrRefused)
}
