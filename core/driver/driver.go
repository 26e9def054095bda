package driver

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// ErrUnavailable means that no engine or signer answered: the work is asked for again later.
var ErrUnavailable = errors.New("no answer")

// ErrInvalid means that a block breaks the chain's rules, or that the engine said INVALID.
var ErrInvalid = errors.New("invalid block")

// ErrRefused means that guard or signer will not sign.
var ErrRefused = errors.New("refused to sign")

// ErrHalted means that consensus stopped because what it holds contradicts itself.
var ErrHalted = errors.New("consensus halted")

// Chain is what the driver needs of the chain: rules, state and storage.
type Chain interface {
	// Attributes is what the author of a slot may ask of the engine, on a parent.
	Attributes(parent chain.Hash, slot chain.Slot) (engine.BuildRequest, error)
	// Assemble makes a sealed block of an execution result.
	Assemble(parent chain.Hash, slot chain.Slot, qc block.QC, data chain.ExecutionData) (*block.Block, error)
	// Check applies every rule that needs no receipts; ErrInvalid (by errors.Is) for a block that breaks one.
	Check(ctx context.Context, b *block.Block) error
	// Insert derives the block's state from the receipts and makes block, parent's certificate and state durable.
	Insert(ctx context.Context, b *block.Block, receipts []chain.Receipt) error
	// Has reports whether a block is inserted.
	Has(hash chain.Hash) bool
	// Block is a stored block.
	Block(hash chain.Hash) (*block.Block, error)
	// PutQC makes a certificate durable.
	PutQC(ctx context.Context, qc block.QC) error
	// SetHeads makes the heads durable and re-points the canonical chain; moved is true when the old head is not an
	// ancestor of the new one.
	SetHeads(ctx context.Context, head, safe chain.Ref) (moved bool, err error)
	// Forkchoice is the engine's fork choice for the present heads.
	Forkchoice() (engine.Forkchoice, error)
}

// Engine executes. Calls are made one after another. Errors are ErrUnavailable (by errors.Is) unless they say more.
type Engine interface {
	// Build makes a payload; its deadline is in ctx.
	Build(ctx context.Context, slot chain.Slot, r engine.BuildRequest) (chain.ExecutionData, error)
	// Execute judges a payload, ErrInvalid when the engine says INVALID, and returns its receipts.
	Execute(ctx context.Context, slot chain.Slot, data chain.ExecutionData) ([]chain.Receipt, error)
	// Forkchoice sets the heads and has read them back.
	Forkchoice(ctx context.Context, slot chain.Slot, f engine.Forkchoice) error
}

// Signer approves blocks behind the guard: ErrRefused for a refusal, ErrUnavailable for no answer. A signature that it
// returns is verified.
type Signer interface {
	Approve(ctx context.Context, key chain.BLSPublicKey, h chain.Header) (chain.BLSSignature, error)
}

// Network sends to peers. Sending never blocks the driver.
type Network interface {
	SendProposal(p consensus.Proposal, b *block.Block, to consensus.Peer)
	SendApproval(a consensus.Approval, to consensus.Peer)
	SendCertificate(c consensus.Certificate, to consensus.Peer)
	// Fetch asks peers for a block; answer is called once, with nil when nobody has it.
	Fetch(hash chain.Hash, from consensus.Peer, answer func(*block.Block, chain.BLSSignature, consensus.Peer))
	// Misbehaved reports a sender that broke the protocol by itself.
	Misbehaved(peer consensus.Peer, reason string)
}

// Advanced tells about a new head.
type Advanced struct {
	Head, Safe chain.Ref
	Slot       chain.Slot
	Txs        int
	Own        bool          // authored by us
	Moved      bool          // the old head is on another branch
	SinceSlot  time.Duration // from the slot's start to imported and set as head
}

// Observer hears what happened, for metrics and people. Calls are short and do not block.
type Observer interface {
	Advanced(a Advanced)
	MissedSlot(slot chain.Slot)
	EngineCall(call string, took time.Duration, err error)
	Halted(reason string)
	Evidence(e consensus.Evidence)
}

// Options are what a Driver needs.
type Options struct {
	Machine  *consensus.Machine
	Schedule consensus.Schedule
	Self     []chain.BLSPublicKey
	Bodies   []*block.Block // stored blocks above safe, which the machine was restored with
	Heads    Heads
	Chain    Chain
	Engine   Engine
	Signer   Signer
	Network  Network
	Observer Observer
	Now      func() time.Time
	Log      hclog.Logger
}

// Heads are the heads at start.
type Heads struct{ Head, Safe chain.Ref }

// Driver runs consensus.
type Driver struct {
	opt    Options
	events chan consensus.Event
	jobs   chan job
	bodies map[chain.Hash]*block.Block // owned by the loop
	missed missed                      // owned by the loop

	mu    sync.Mutex
	heads Heads // guarded by mu
}

// queue is how many answers or messages may wait: more than one slot of any honest network.
const queue = 4096

// New makes a driver.
func New(opt Options) *Driver {
	d := &Driver{
		opt: opt, events: make(chan consensus.Event, queue), jobs: make(chan job, queue),
		bodies: map[chain.Hash]*block.Block{}, heads: opt.Heads,
	}
	for _, b := range opt.Bodies {
		d.bodies[b.Header.Hash()] = b
	}
	return d
}

// Heads are the present head and safe block.
func (d *Driver) Heads() Heads {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.heads
}

// Run drives until ctx ends or something that a node must not go on with happens.
func (d *Driver) Run(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("consensus panicked: %v\n%s", r, debug.Stack())
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	failed := make(chan error, 1)
	wg.Go(func() {
		if err := d.work(ctx); err != nil {
			failed <- err
		}
	})
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var event consensus.Event
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case event = <-d.events:
		case <-timer.C:
			event = consensus.Tick{}
		}
		if err := d.step(ctx, &wg, event); err != nil {
			return err
		}
		timer.Reset(d.untilWake())
	}
}

// maxSleep bounds how long a jump of the wall clock can go unnoticed.
const maxSleep = 250 * time.Millisecond

func (d *Driver) untilWake() time.Duration {
	wait := d.opt.Machine.NextWake().Time().Sub(d.opt.Now())
	return max(0, min(wait, maxSleep))
}

func (d *Driver) nowMilli() chain.UnixMilli { return chain.UnixMilli(d.opt.Now().UnixMilli()) }

// arrived is an event that brings a block's body.
type arrived struct {
	body *block.Block
	consensus.Event
}

// post hands an answer to the loop.
func (d *Driver) post(ctx context.Context, e consensus.Event) {
	select {
	case d.events <- e:
	case <-ctx.Done():
	}
}

// Receive hands a message of the network to consensus, with the block's body for a proposal and nil otherwise. It reports
// false when the queue is full: the message is lost, as on any network, and comes again.
func (d *Driver) Receive(e consensus.Event, body *block.Block) bool {
	if body != nil {
		e = arrived{body, e}
	}
	select {
	case d.events <- e:
		return true
	default:
		return false
	}
}

func (d *Driver) step(ctx context.Context, wg *sync.WaitGroup, e consensus.Event) error {
	now := d.nowMilli()
	d.missed.observe(d, now)
	if a, ok := e.(arrived); ok {
		d.bodies[a.body.Header.Hash()] = a.body
		e = a.Event
	}
	for _, effect := range d.opt.Machine.Step(consensus.Input{Now: now, Event: e}) {
		if err := d.carryOut(ctx, wg, effect); err != nil {
			return err
		}
	}
	return nil
}
