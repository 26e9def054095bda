package driver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
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
	// CheckBody reports whether every byte of a body is what its header commits to. It is called from any goroutine.
	CheckBody(b *block.Block) error
	// Check applies every rule that needs no receipts; ErrInvalid (by errors.Is) for a block that breaks one.
	Check(ctx context.Context, b *block.Block) error
	// Insert derives the states of a run of blocks, each the child of the one before, from their receipts, and makes blocks,
	// states and the parents' certificates durable. What comes before a block that fails is stored all the same.
	Insert(ctx context.Context, run ...Executed) error
	// Has reports whether a block is inserted.
	Has(hash chain.Hash) bool
	// Block is a stored block.
	Block(hash chain.Hash) (*block.Block, error)
	// PutQC makes certificates durable.
	PutQC(ctx context.Context, certificates ...block.QC) error
	// SetHeads makes the heads durable and re-points the canonical chain; moved is true when the old head is not an
	// ancestor of the new one.
	SetHeads(ctx context.Context, head, safe chain.Ref) (moved bool, err error)
	// Forkchoice is the engine's fork choice for the present heads.
	Forkchoice() (engine.Forkchoice, error)
}

// Executed is a block that the engine said VALID to, with its receipts.
type Executed struct {
	Block    *block.Block
	Receipts []chain.Receipt
}

// Engine executes. Calls are made one after another. Errors are ErrUnavailable (by errors.Is) unless they say more.
type Engine interface {
	// Build makes a payload; its deadline is in ctx.
	Build(ctx context.Context, slot chain.Slot, r engine.BuildRequest) (chain.ExecutionData, error)
	// Execute judges a run of payloads, each the child of the one before, and returns the receipts of those that are VALID.
	// Where there are fewer than payloads the error says why: ErrInvalid when the engine says INVALID to the next.
	Execute(ctx context.Context, slot chain.Slot, run ...chain.ExecutionData) ([][]chain.Receipt, error)
	// Forkchoice sets the heads and has read them back.
	Forkchoice(ctx context.Context, slot chain.Slot, f engine.Forkchoice) error
}

// Signer approves blocks behind the guard: ErrRefused for a refusal, ErrUnavailable for no answer. A signature that it
// returns is verified.
type Signer interface {
	Approve(ctx context.Context, key chain.BLSPublicKey, h chain.Header) (chain.BLSSignature, error)
}

// Network sends to peers. Sending never blocks the driver. Its methods are called from several goroutines.
type Network interface {
	SendProposal(p consensus.Proposal, b *block.Block, to consensus.Peer)
	SendApproval(a consensus.Approval, to consensus.Peer)
	SendCertificate(c consensus.Certificate, to consensus.Peer)
	// Fetch asks peers for a block; answer is called once, with nil when nobody has it, before Fetch returns or later.
	Fetch(hash chain.Hash, from consensus.Peer, answer func(*block.Block, chain.BLSSignature, consensus.Peer))
	// Misbehaved reports a sender that broke the protocol by itself.
	Misbehaved(peer consensus.Peer, reason string)
}

// Advanced tells about a new head. Heads that were there at the start are not told.
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
	// Notarized tells of every new certificate, in any order of heights. It is verified and durable.
	Notarized(c consensus.Certificate)
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
	opt     Options
	answers chan consensus.Event // of engine, signer and fetches
	inbox   chan consensus.Event // messages of the network
	jobs    chan job
	stores  chan executed               // runs that the engine has done with
	bodies  map[chain.Hash]*block.Block // owned by the loop
	missed  missed                      // owned by the loop
	tip     chain.Hash                  // owned by work: the last block of the last run that was executed whole

	waiting atomic.Int64 // bytes of the bodies in inbox

	mu    sync.Mutex
	heads Heads // guarded by mu
}

// Limits of what waits for the loop.
const (
	queue        = 4096     // answers, messages and orders each: more than one slot of any honest network
	maxBodyBytes = 64 << 20 // bodies among the messages
)

// New makes a driver.
func New(opt Options) *Driver {
	d := &Driver{
		opt: opt, answers: make(chan consensus.Event, queue), inbox: make(chan consensus.Event, queue),
		jobs: make(chan job, queue), stores: make(chan executed), bodies: map[chain.Hash]*block.Block{}, heads: opt.Heads,
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

// Run drives until ctx ends (nil) or something that a node must not go on with happens. It is called once.
func (d *Driver) Run(ctx context.Context) error {
	inner, cancel := context.WithCancel(ctx)
	c := &crew{failed: make(chan error, 1)}
	c.start("engine orders", func() error { return d.work(inner) })
	c.start("storing", func() error { return d.keep(inner) })
	err := safely("consensus", func() error { return d.loop(inner, c) })
	cancel()
	c.wg.Wait()
	if ended := ctx.Err(); ended != nil && errors.Is(err, ended) {
		return nil // what was under way when the stop came
	}
	return err
}

// loop owns the machine.
func (d *Driver) loop(ctx context.Context, c *crew) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		event, err := d.next(ctx, c, timer.C)
		if err != nil {
			return err
		}
		if err := d.step(ctx, c, event); err != nil {
			return err
		}
		timer.Reset(d.untilWake())
	}
}

// next waits for an event. Answers of our own engine and signer go before messages: a flood does not delay them.
func (d *Driver) next(ctx context.Context, c *crew, tick <-chan time.Time) (consensus.Event, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case err := <-c.failed:
		return nil, err
	case event := <-d.answers:
		return event, nil
	default:
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case err := <-c.failed:
		return nil, err
	case event := <-d.answers:
		return event, nil
	case event := <-d.inbox:
		if a, ok := event.(arrived); ok {
			d.waiting.Add(-a.size)
		}
		return event, nil
	case <-tick:
		return consensus.Tick{}, nil
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
	size int64 // bytes, of a body that waits in the inbox
	consensus.Event
}

// post hands an answer to the loop. ctx is the run's, never that of the call that was answered: an answer that comes at
// the end of its time is an answer.
func (d *Driver) post(ctx context.Context, e consensus.Event) {
	select {
	case d.answers <- e:
	case <-ctx.Done():
	}
}

// Receive hands a message of the network to consensus, with the block's body for a proposal and nil otherwise. It reports
// false when the queue is full: the message is lost, as on any network, and comes again. A proposal whose body is not its
// own goes no further, and its sender has misbehaved: the block itself may be good, and its body still come.
func (d *Driver) Receive(e consensus.Event, body *block.Block) bool {
	p, proposes := e.(consensus.ProposalReceived)
	if !proposes {
		return d.deliver(e)
	}
	if reason := d.unfit(p.Proposal, body); reason != "" {
		d.opt.Network.Misbehaved(p.From, reason)
		return true
	}
	size := int64(len(body.Encode()))
	if d.waiting.Add(size) > maxBodyBytes || !d.deliver(arrived{body, size, e}) {
		d.waiting.Add(-size)
		return false
	}
	return true
}

func (d *Driver) deliver(e consensus.Event) bool {
	select {
	case d.inbox <- e:
		return true
	default:
		return false
	}
}

// unfit says why a body is not the proposal's; empty when it is.
func (d *Driver) unfit(p consensus.Proposal, body *block.Block) string {
	switch {
	case body == nil:
		return "proposal without a body"
	case body.Header != p.Header || body.ParentQC.Hash() != p.ParentQC.Hash():
		return "body of another proposal"
	}
	if err := d.opt.Chain.CheckBody(body); err != nil {
		return fmt.Sprintf("body that is not the header's: %v", err)
	}
	return ""
}

func (d *Driver) step(ctx context.Context, c *crew, e consensus.Event) error {
	now := d.nowMilli()
	d.missed.observe(d, now)
	switch wrapped := e.(type) {
	case arrived:
		d.bodies[wrapped.body.Header.Hash()] = wrapped.body
		e = wrapped.Event
	case kept:
		e = wrapped.Event
		defer func() { wrapped.done <- wrapped.err }() // the order of new heads, if there is one, waits before the next run
	}
	effects := d.opt.Machine.Step(consensus.Input{Now: now, Event: e})
	if err := d.persist(ctx, effects); err != nil {
		return err
	}
	for _, effect := range effects {
		if err := d.carryOut(ctx, c, effect); err != nil {
			return err
		}
	}
	return nil
}

// persist makes all certificates of a step durable before anything else of it is done: one write for a run of blocks.
func (d *Driver) persist(ctx context.Context, effects []consensus.Effect) error {
	var certificates []block.QC
	for _, effect := range effects {
		if p, ok := effect.(consensus.Persist); ok {
			certificates = append(certificates, p.Certificate.QC)
		}
	}
	if len(certificates) == 0 {
		return nil
	}
	if err := d.opt.Chain.PutQC(ctx, certificates...); err != nil {
		return fmt.Errorf("store certificate of %s: %w", certificates[0].Block, err)
	}
	return nil
}
