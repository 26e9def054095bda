package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/block"
	ledger "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/host"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// CheckpointInterval is how many heights lie between two checkpoints.
const CheckpointInterval chain.Height = 1000

// Resumed is what resuming did.
type Resumed struct {
	admin.CheckedChain
	Resumed bool      `json:"resumed"` // false: the stored chain is whole, nothing was done
	From    chain.Ref `json:"from"`    // head and safe block now
}

// ErrCannotResume means that a folder is not mended in place: what to do instead is in the error.
var ErrCannotResume = errors.New("the folder is left as it is")

// archive is the stored chain of a node.
type archive struct {
	*store.Store
	spec   *spec.Spec
	heads  block.Heads
	beside bool // the node runs: what is above its safe block may change, and the machine is not ours alone
}

// withArchive opens the folder of a node that does not run, and keeps it from being opened by one meanwhile.
func withArchive(c *config.Config, do func(*archive) error) error {
	s, err := loadSpec(c)
	if err != nil {
		return err
	}
	genesis, err := s.Genesis()
	if err != nil {
		return fmt.Errorf("genesis of %s: %w", s.Name, err)
	}
	if !store.Exists(c.Node.DataDir) { // opening would make one
		return fmt.Errorf("%s holds no node's data: name the configuration with -c", c.Node.DataDir)
	}
	db, err := store.Open(store.Options{Dir: c.Node.DataDir, Genesis: genesis.Header.Hash()})
	if errors.Is(err, store.ErrLocked) {
		return fmt.Errorf("%w: a node that runs on this folder and does not answer keeps it to itself: stop it first", err)
	}
	if err != nil {
		return err
	}
	a := &archive{Store: db, spec: s}
	if a.heads, err = db.Heads(); errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s has no block yet", c.Node.DataDir)
	}
	if err == nil {
		err = do(a)
	}
	return errors.Join(err, db.Close())
}

// checkpoints are the heights of all checkpoints, ascending.
func (a *archive) checkpoints() []chain.Height {
	var out []chain.Height
	for h := chain.Height(0); h < a.heads.Safe.Height; h += CheckpointInterval {
		out = append(out, h)
	}
	return append(out, a.heads.Safe.Height)
}

// Checkpoints lists the last checkpoints of a stopped node, the oldest first, each checked by itself.
func Checkpoints(c *config.Config, last int) ([]admin.Checkpoint, error) {
	var out []admin.Checkpoint
	err := withArchive(c, func(a *archive) error {
		out = a.list(last)
		return nil
	})
	return out, err
}

func (a *archive) list(last int) []admin.Checkpoint {
	var out []admin.Checkpoint
	heights := a.checkpoints()
	for _, h := range heights[max(0, len(heights)-last):] {
		out = append(out, a.checkpoint(h))
	}
	return out
}

func (a *archive) checkpoint(h chain.Height) admin.Checkpoint {
	b, err := a.sound(h)
	if b == nil {
		return admin.Checkpoint{Height: h, Problem: err.Error()}
	}
	out := admin.Checkpoint{
		Height: h, Hash: b.Header.Hash(), Parent: b.Header.Parent, StateRoot: b.Execution.Payload.StateRoot,
		Time: a.spec.SlotStart(b.Header.Slot).Time().UTC(), Verified: err == nil,
	}
	if err != nil {
		out.Problem = err.Error()
	}
	return out
}

// sound reads the block at a height and checks it by itself: that its body and the derived state's record are there and
// whole, and that a quorum certified it. The block is nil where there is none to show.
func (a *archive) sound(h chain.Height) (*block.Block, error) {
	hash, err := a.Canonical(h)
	if err != nil {
		return nil, fmt.Errorf("block %d is not in the index: %w", h, err)
	}
	b, err := a.Block(hash)
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", h, err)
	}
	if b.Header.Height != h {
		return b, fmt.Errorf("block %d is one of height %d", h, b.Header.Height)
	}
	if _, err := a.Header(hash); err != nil {
		return b, fmt.Errorf("header of block %d: %w", h, err)
	}
	if _, err := a.State(hash); err != nil {
		return b, fmt.Errorf("state after block %d: %w", h, err)
	}
	if h == 0 {
		return b, nil
	}
	if err := ledger.CheckBody(b); err != nil {
		return b, fmt.Errorf("block %d: %w", h, err)
	}
	qc, err := a.QC(hash)
	if err != nil {
		return b, fmt.Errorf("certificate of block %d: %w", h, err)
	}
	set, known := a.spec.Agreement().Set(h)
	if !known || !consensus.VerifyQC(nil, set, qc) {
		return b, fmt.Errorf("certificate of block %d: the signatures are not a quorum's", h)
	}
	return b, nil
}

// checkedAtOnce is how many blocks are read between two reports, and between two rests of a check beside a running node.
const (
	checkedAtOnce = 256
	checkedBeside = 16
)

// CheckChain reads all stored blocks of a stopped node's chain again: that each is whole and certified, and the child of the
// one before. told, if not nil, hears how far it is. The first that is not sound is in the answer; an error means that
// the check itself failed.
func CheckChain(ctx context.Context, c *config.Config, told func(done, all chain.Height)) (admin.CheckedChain, error) {
	var out admin.CheckedChain
	err := withArchive(c, func(a *archive) error {
		var err error
		out, err = a.check(ctx, told)
		return err
	})
	return out, err
}

// reading is a block as it was read again.
type reading struct {
	block   *block.Block
	problem error
}

func (a *archive) check(ctx context.Context, told func(done, all chain.Height)) (admin.CheckedChain, error) {
	out := admin.CheckedChain{Head: a.heads.Head, Safe: a.heads.Safe, Finalized: a.heads.Finalized, Checked: a.heads.Head.Height}
	atOnce, readers := chain.Height(checkedAtOnce), runtime.GOMAXPROCS(0)
	if a.beside {
		out.Checked, atOnce, readers = out.Safe.Height, checkedBeside, 1
	}
	var last chain.Hash
	for from := chain.Height(0); from <= out.Checked; from += atOnce {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		began := time.Now()
		read := make([]reading, min(atOnce, out.Checked-from+1))
		var g errgroup.Group
		g.SetLimit(readers)
		for i := range read {
			g.Go(func() error {
				read[i].block, read[i].problem = a.sound(from + chain.Height(i))
				return nil
			})
		}
		_ = g.Wait() // problems are in their places
		for i, r := range read {
			h := from + chain.Height(i)
			if r.problem == nil && h > 0 && r.block.Header.Parent != last {
				r.problem = fmt.Errorf("block %d is not the child of the one before", h)
			}
			if r.problem != nil { // found, and not a failure of the check
				out.Bad, out.Reason = max(h, 1), r.problem.Error()
				break
			}
			last = r.block.Header.Hash()
		}
		if out.Bad > 0 {
			break
		}
		if told != nil {
			told(from+chain.Height(len(read))-1, out.Checked)
		}
		if a.beside { // a check takes half of a core at the most: slots come first
			select {
			case <-time.After(time.Since(began)):
			case <-ctx.Done():
			}
		}
	}
	return out, nil
}

// running is the stored chain of this node as it is now.
func (n *Node) running() (*archive, error) {
	heads, err := n.store.Heads()
	if err != nil {
		return nil, fmt.Errorf("read heads: %w", err)
	}
	return &archive{Store: n.store, spec: n.spec, heads: heads, beside: true}, nil
}

// maxCheckpoints is how many checkpoints a running node reads for one question.
const maxCheckpoints = 1000

// Checkpoints implements admin.Archive.
func (n *Node) Checkpoints(_ context.Context, last int) ([]admin.Checkpoint, error) {
	if last > maxCheckpoints {
		return nil, &admin.Error{
			Code: "invalid", Message: fmt.Sprintf("%d checkpoints, a running node lists %d at the most", last, maxCheckpoints),
			Hint: "ask for fewer, or stop the node first",
		}
	}
	a, err := n.running()
	if err != nil {
		return nil, err
	}
	return a.list(last), nil
}

// CheckChain implements admin.Archive. There is one check at a time.
func (n *Node) CheckChain(ctx context.Context, progress func(admin.CheckProgress)) (admin.CheckedChain, error) {
	if !n.checks.CompareAndSwap(false, true) {
		return admin.CheckedChain{}, &admin.Error{Code: "conflict", Message: "the chain is being checked already", Hint: "wait for the end of that check"}
	}
	defer n.checks.Store(false)
	a, err := n.running()
	if err != nil {
		return admin.CheckedChain{}, err
	}
	return a.check(ctx, func(done, all chain.Height) { progress(admin.CheckProgress{Height: done, All: all}) })
}

// CheckEngine asks the engine that role "engine" names for the checkpoints' blocks, while no node runs, and notes in a check
// how far it has them. What it lacks is no damage: a start of the node replays it.
func CheckEngine(ctx context.Context, c *config.Config, checked *admin.CheckedChain) error {
	role, ok := c.Role(config.RoleID{Kind: lifecycle.Engine})
	if !ok {
		return fmt.Errorf("%s has no role \"engine\"", c.Path)
	}
	p, ok := c.Plugin(role.Route.Primary)
	if !ok {
		return fmt.Errorf("role engine names %s, which has no block", role.Route.Primary)
	}
	return withArchive(c, func(a *archive) error {
		h, err := offlineHost(c)
		if err != nil {
			return err
		}
		one, diags := resolve(ctx, h, c, p)
		err = diags.Err()
		if err == nil {
			err = launchOnce(ctx, h, one, func(g *host.Generation) error { return a.askEngine(ctx, g, checked) })
		}
		return errors.Join(err, h.Close())
	})
}

func (a *archive) askEngine(ctx context.Context, g *host.Generation, checked *admin.CheckedChain) error {
	for _, h := range a.checkpoints()[1:] { // genesis is no payload
		if checked.Bad > 0 && h >= checked.Bad {
			return nil
		}
		b, err := a.sound(h)
		if err != nil {
			return err
		}
		want := b.Header.PayloadHash
		got, err := g.Client().Engine().Payloads(ctx, []chain.Hash{want})
		if err != nil {
			return fmt.Errorf("ask the engine for block %d: %w", h, err)
		}
		if len(got) != 1 || got[0] == nil || got[0].Payload.BlockHash != want {
			checked.EngineMissing = h
			return nil
		}
		checked.Engine = h
	}
	return nil
}

// Resume makes a stopped node's folder go on from its last sound checkpoint, if its stored chain is damaged: what is above is
// forgotten and fetched from peers again. What a quorum made safe is given up only by a node that has approved nothing: one
// that has must not judge anew what it took part in. ErrCannotResume otherwise.
func Resume(ctx context.Context, c *config.Config, told func(done, all chain.Height)) (Resumed, error) {
	var out Resumed
	err := withArchive(c, func(a *archive) error {
		var err error
		if out.CheckedChain, err = a.check(ctx, told); err != nil {
			return err
		}
		out.From = out.Head
		if out.Bad == 0 {
			return nil
		}
		if err := a.refuseAuthority(ctx, out.CheckedChain); err != nil {
			return err
		}
		heights := a.checkpoints()
		at := slices.IndexFunc(heights, func(h chain.Height) bool { return h >= out.Bad })
		if at < 0 {
			at = len(heights)
		}
		if at == 0 || heights[at-1] < a.heads.Finalized.Height {
			return fmt.Errorf("%w: block %d is damaged (%s), and no sound checkpoint is left above the finalized block %d: %s",
				ErrCannotResume, out.Bad, out.Reason, out.Finalized.Height,
				"remove the folder store in the data folder, and the node syncs anew")
		}
		hash, err := a.Canonical(heights[at-1])
		if err != nil {
			return err
		}
		out.From = chain.Ref{Height: heights[at-1], Hash: hash}
		if err := a.Truncate(block.Heads{Head: out.From, Safe: out.From, Finalized: out.Finalized}); err != nil {
			return err
		}
		out.Resumed = true
		return nil
	})
	if errors.Is(err, store.ErrLocked) {
		err = fmt.Errorf("%w: %w", ErrCannotResume, err)
	}
	return out, err
}

// refuseAuthority keeps a folder whose keys approved blocks as it is: a node that forgets what it saw notarized may approve
// a block that it would have refused.
func (a *archive) refuseAuthority(ctx context.Context, found admin.CheckedChain) error {
	g, err := guard.Open(ctx, guard.Options{
		Store: a.Store, Genesis: a.Genesis(), Now: time.Now, SlotAt: func(time.Time) chain.Slot { return 0 },
	})
	if err != nil {
		return fmt.Errorf("open guard: %w", err)
	}
	states, err := g.Show(ctx)
	if err != nil {
		return fmt.Errorf("read guard: %w", err)
	}
	for _, s := range states {
		if s.Slot > 0 {
			return fmt.Errorf("%w: block %d is damaged (%s), and key %s has approved blocks here: an authority must not forget what it saw notarized; "+
				"restore a backup of the data folder, or sync a new one with validator { enabled = false }; before it signs, bring this guard there: "+
				"`alys guard export` here, `alys guard import` there",
				ErrCannotResume, found.Bad, found.Reason, s.Key)
		}
	}
	return nil
}
