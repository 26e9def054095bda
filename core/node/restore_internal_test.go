package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/block"
	ledger "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
	"github.com/alys-node/alys/sdk/signer"
)

// errCrash is the power cut: no write after it reaches the disk.
var errCrash = errors.New("the power is gone")

// disk is a store whose power goes after a number of writes. The last one is done, or not, before the power goes.
type disk struct {
	*store.Store

	mu   sync.Mutex
	left int  // guarded by mu; writes that still pass, negative: all of them
	torn bool // the last write is done, and yet reported as failed
	dead bool // guarded by mu
}

func (d *disk) write(do func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errCrash
	}
	if d.left == 0 {
		d.dead = true
		if d.torn {
			return errors.Join(errCrash, do())
		}
		return errCrash
	}
	d.left--
	return do()
}

func (d *disk) InsertBlocks(run ...block.Derived) error {
	return d.write(func() error { return d.Store.InsertBlocks(run...) })
}

func (d *disk) PutQC(q ...block.QC) error {
	return d.write(func() error { return d.Store.PutQC(q...) })
}

func (d *disk) SetHeads(h block.Heads, canonical []chain.Ref) error {
	return d.write(func() error { return d.Store.SetHeads(h, canonical) })
}

func (d *disk) CompareAndSwap(ctx context.Context, key guard.Key, old guard.Version, rec guard.Record) (guard.Version, error) {
	var version guard.Version
	err := d.write(func() error {
		var err error
		version, err = d.Store.CompareAndSwap(ctx, key, old, rec)
		return err
	})
	return version, err
}

// power is a node's consensus over a real store, without plugins of its own: the engine and the signer live on when the
// node dies, as processes of their own would.
type power struct {
	t      *testing.T
	spec   *spec.Spec
	dir    string
	engine *enginetest.Memory
	signer *devSigner
	offset time.Duration
	heads  []driver.Advanced // of all lives
}

// quiet is a driver.Observer that keeps heads.
type quiet struct{ p *power }

func (q quiet) Advanced(a driver.Advanced)            { q.p.heads = append(q.p.heads, a) }
func (quiet) Notarized(consensus.Certificate)         {}
func (quiet) MissedSlot(chain.Slot)                   {}
func (quiet) EngineCall(string, time.Duration, error) {}
func (quiet) Halted(string)                           {}
func (quiet) Evidence(consensus.Evidence)             {}

func (p *power) now() time.Time { return time.Now().Add(p.offset) }

// live runs the node until its power goes or the time is over, and returns the heads that are stored then.
func (p *power) live(writes int, torn bool, limit time.Duration) (block.Heads, error) {
	p.t.Helper()
	ctx := p.t.Context()
	genesis, err := p.spec.Genesis()
	must(p.t, err)
	db, err := store.Open(store.Options{Dir: p.dir, Genesis: genesis.Header.Hash()})
	must(p.t, err)
	defer func() { must(p.t, db.Close()) }()
	d := &disk{Store: db, left: writes, torn: torn}
	c, err := ledger.Open(ctx, ledger.Options{Spec: p.spec, Store: d})
	if errors.Is(err, errCrash) {
		return block.Heads{}, err
	}
	must(p.t, err)
	g, err := guard.Open(ctx, guard.Options{
		Store: d, Genesis: genesis.Header.Hash(), Now: p.now,
		SlotAt: func(at time.Time) chain.Slot { return p.spec.SlotAt(chain.UnixMilli(at.UnixMilli())) },
	})
	must(p.t, err)
	_, err = c.Replay(ctx, p.engine)
	must(p.t, err)
	err = p.drive(c, g, limit)
	heads, readErr := db.Heads()
	must(p.t, readErr)
	return heads, err
}

func (p *power) drive(c *ledger.Chain, g *guard.Guard, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(p.t.Context(), limit)
	defer cancel()
	self := []chain.BLSPublicKey{devKey(0).Public()}
	restored, bodies, err := restore(ctx, c, g, self)
	must(p.t, err)
	machine, err := consensus.New(consensus.Config{Genesis: c.Genesis().Header, Schedule: p.spec.Agreement(), Self: self}, restored)
	must(p.t, err)
	signers := route.New[signer.Signer](route.Options{Name: "signer"})
	defer signers.Close()
	must(p.t, signers.Set(route.Positions[signer.Signer]{Primary: at[signer.Signer]("signer.dev", p.signer)}))
	engines := route.New[engine.Engine](route.Options{Name: "engine"})
	defer engines.Close()
	must(p.t, engines.Set(route.Positions[engine.Engine]{Primary: at[engine.Engine]("engine.memory", p.engine)}))
	head, safe, _ := c.Heads()
	return driver.New(driver.Options{
		Machine: machine, Schedule: p.spec.Agreement(), Self: self, Bodies: bodies, Heads: driver.Heads{Head: head, Safe: safe},
		Chain: book{c}, Network: alone{}, Observer: quiet{p}, Now: p.now, Log: hclog.NewNullLogger(),
		Engine: &executor{slotTime: p.spec.SlotDuration, writer: route.NewWriter(engines, route.WriterOptions[engine.Engine]{
			IsBehind: func(err error) bool { return errors.Is(err, engine.ErrSyncing) },
			CatchUp:  func(ctx context.Context, _ route.ID, e engine.Engine) error { _, err := c.Replay(ctx, e); return err },
		})},
		Signer: &authority{
			guard: g, route: func() *route.Route[signer.Signer] { return signers }, slotTime: p.spec.SlotDuration,
			holds: func(route.ID, signer.KeyID) bool { return true },
		},
	}).Run(ctx)
}

// TestConsensusIsRestoredAfterACrashAtEveryWrite: whatever the node was writing when its power went, it goes on from
// there, signs no slot twice, and its store and engine agree.
func TestConsensusIsRestoredAfterACrashAtEveryWrite(t *testing.T) {
	t.Parallel()
	const writes = 13 // a new folder's two, and those of two blocks and a half
	for _, torn := range []bool{false, true} {
		for n := range writes {
			fresh := (n%2 == 0) != torn
			t.Run(fmt.Sprintf("after %d writes, last one done %v, engine lost too %v", n, torn, fresh), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { crashAndGoOn(t, n, torn, fresh) })
			})
		}
	}
}

func crashAndGoOn(t *testing.T, writes int, torn, fresh bool) {
	s := spec.Dev()
	genesis, err := s.Genesis()
	must(t, err)
	p := &power{
		t: t, spec: s, dir: t.TempDir(), engine: devEngine(t), signer: newDevSigner(genesis.Header.Hash(), 1),
		offset: 25 * 365 * 24 * time.Hour, // the chain began long after a fake clock does
	}
	before, err := p.live(writes, torn, time.Minute)
	if !errors.Is(err, errCrash) && err != nil {
		t.Fatalf("the first life ended with %v", err)
	}
	if fresh {
		p.engine = devEngine(t)
	}
	seen := len(p.heads)
	after, err := p.live(-1, false, 9*time.Second)
	must(t, err)
	if after.Head.Height < before.Head.Height+3 {
		t.Errorf("the head went from %d to %d in four slots", before.Head.Height, after.Head.Height)
	}
	if after.Safe.Height < before.Safe.Height {
		t.Errorf("safe went back from %d to %d", before.Safe.Height, after.Safe.Height)
	}
	for i, a := range p.heads[seen:] {
		if want := p.heads[seen].Head.Height + chain.Height(i); a.Head.Height != want || a.Moved {
			t.Errorf("head %d of the second life is %+v", i, a)
		}
	}
	if twice := p.signer.signedTwice(); len(twice) > 0 {
		t.Errorf("slots %v were signed twice", twice)
	}
	status, err := p.engine.Status(t.Context())
	must(t, err)
	if status.Heads.Head.Height != after.Head.Height {
		t.Errorf("the engine is at %d, the store at %d", status.Heads.Head.Height, after.Head.Height)
	}
}
