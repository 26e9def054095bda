package driver_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/signer"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// payloadHash stands for the execution layer's hash: every byte of the payload is covered.
func payloadHash(p chain.Payload) chain.Hash {
	parts := [][]byte{p.ParentHash[:], fmt.Append(nil, p.Number, p.Timestamp)}
	return chain.TaggedHash("test/payload", append(parts, p.Transactions...)...)
}

// library is a driver.Chain in memory. The hooks say what its disk does; nil is a good disk.
type library struct {
	genesis chain.Hash

	mu     sync.Mutex // guards all below
	blocks map[chain.Hash]*block.Block
	heads  driver.Heads
	writes []int // certificates in each PutQC

	insert, putQC, setHeads func() error
}

func newLibrary(genesis *block.Block) *library {
	ref := genesis.Ref()
	return &library{
		genesis: ref.Hash, blocks: map[chain.Hash]*block.Block{ref.Hash: genesis}, heads: driver.Heads{Head: ref, Safe: ref},
	}
}

func (l *library) Block(hash chain.Hash) (*block.Block, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.blocks[hash]; b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("no block %s", hash)
}

func (l *library) Has(hash chain.Hash) bool { _, err := l.Block(hash); return err == nil }

func (l *library) Attributes(parent chain.Hash, slot chain.Slot) (engine.BuildRequest, error) {
	b, err := l.Block(parent)
	if err != nil {
		return engine.BuildRequest{}, err
	}
	return engine.BuildRequest{Parent: b.Header.PayloadHash, Timestamp: uint64(slot) * 2, GasLimit: uint64(b.Header.Height)}, nil
}

func (l *library) Assemble(parent chain.Hash, slot chain.Slot, qc block.QC, data chain.ExecutionData) (*block.Block, error) {
	p, err := l.Block(parent)
	if err != nil {
		return nil, err
	}
	return assemble(l.genesis, p.Header, slot, qc, data), nil
}

func assemble(genesis chain.Hash, parent chain.Header, slot chain.Slot, qc block.QC, data chain.ExecutionData) *block.Block {
	b := &block.Block{ParentQC: qc, Execution: data, Header: chain.Header{
		Version: chain.HeaderVersion, Genesis: genesis, Slot: slot, Height: parent.Height + 1, Parent: parent.Hash(),
	}}
	b.Seal()
	return b
}

func (l *library) CheckBody(b *block.Block) error {
	if b.Execution.Payload.BlockHash != payloadHash(b.Execution.Payload) {
		return block.ErrMismatch
	}
	return b.CheckSeal()
}

func (l *library) Check(_ context.Context, b *block.Block) error {
	if !l.Has(b.Header.Parent) {
		return errors.New("parent is not stored")
	}
	return nil
}

func (l *library) Insert(ctx context.Context, blocks ...driver.Executed) error {
	for _, x := range blocks {
		if err := errors.Join(ctx.Err(), run(l.insert)); err != nil {
			return err
		}
		l.mu.Lock()
		l.blocks[x.Block.Header.Hash()] = x.Block
		l.mu.Unlock()
	}
	return nil
}

func (l *library) PutQC(ctx context.Context, certificates ...block.QC) error {
	l.mu.Lock()
	l.writes = append(l.writes, len(certificates))
	l.mu.Unlock()
	return errors.Join(ctx.Err(), run(l.putQC))
}

func (l *library) SetHeads(ctx context.Context, head, safe chain.Ref) (bool, error) {
	if err := errors.Join(ctx.Err(), run(l.setHeads)); err != nil {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	moved := head != l.heads.Head && l.blocks[head.Hash].Header.Parent != l.heads.Head.Hash
	l.heads = driver.Heads{Head: head, Safe: safe}
	return moved, nil
}

func (l *library) Forkchoice() (engine.Forkchoice, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return engine.Forkchoice{Head: l.blocks[l.heads.Head.Hash].Header.PayloadHash}, nil
}

func run(hook func() error) error {
	if hook == nil {
		return nil
	}
	return hook()
}

// executor is a driver.Engine: it executes everything. The hooks run before each call; nil lets it through.
type executor struct {
	mu     sync.Mutex // guards all below
	builds []chain.Slot
	told   []chain.Hash // heads

	build, execute func(context.Context, chain.Slot) error
	forkchoice     func(context.Context) error
}

func (e *executor) Build(ctx context.Context, slot chain.Slot, r engine.BuildRequest) (chain.ExecutionData, error) {
	e.mu.Lock()
	e.builds = append(e.builds, slot)
	e.mu.Unlock()
	if e.build != nil {
		if err := e.build(ctx, slot); err != nil {
			return chain.ExecutionData{}, err
		}
	}
	return payload(r.Parent, chain.Height(r.GasLimit)+1, slot), nil
}

// payload is an empty payload, or one with a transaction of each size.
func payload(parent chain.Hash, number chain.Height, slot chain.Slot, sizes ...int) chain.ExecutionData {
	p := chain.Payload{ParentHash: parent, Number: number, Timestamp: uint64(slot) * 2}
	for _, n := range sizes {
		p.Transactions = append(p.Transactions, make([]byte, n))
	}
	p.BlockHash = payloadHash(p)
	return chain.ExecutionData{Payload: p}
}

func (e *executor) Execute(ctx context.Context, _ chain.Slot, payloads ...chain.ExecutionData) ([][]chain.Receipt, error) {
	receipts := make([][]chain.Receipt, 0, len(payloads))
	for _, p := range payloads {
		if e.execute != nil {
			if err := e.execute(ctx, chain.Slot(p.Payload.Timestamp/2)); err != nil {
				return receipts, err
			}
		}
		receipts = append(receipts, nil)
	}
	return receipts, nil
}

func (e *executor) Forkchoice(ctx context.Context, _ chain.Slot, f engine.Forkchoice) error {
	if e.forkchoice != nil {
		if err := e.forkchoice(ctx); err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = append(e.told, f.Head)
	return nil
}

// heads are what it was told.
func (e *executor) heads() []chain.Hash {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.told)
}

func (e *executor) buildsOf(slot chain.Slot) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, s := range e.builds {
		if s == slot {
			n++
		}
	}
	return n
}

// pen is a driver.Signer with the development chain's keys.
type pen struct {
	mu    sync.Mutex // guards all below
	asked map[chain.Hash]int

	approve func(context.Context, chain.Header) error
}

func (p *pen) Approve(ctx context.Context, key chain.BLSPublicKey, h chain.Header) (chain.BLSSignature, error) {
	p.mu.Lock()
	p.asked[h.Hash()]++
	p.mu.Unlock()
	if p.approve != nil {
		if err := p.approve(ctx, h); err != nil {
			return chain.BLSSignature{}, err
		}
	}
	for i := range spec.MaxDevNodes {
		if k := secret(i); k.Public() == key {
			return k.Sign(signer.ApprovalRoot(h)), nil
		}
	}
	return chain.BLSSignature{}, errors.New("no such key")
}

func (p *pen) times(hash chain.Hash) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[hash]
}

func secret(i int) *bls.SecretKey {
	k, err := bls.ParseSecretKey(spec.DevSecret(i))
	if err != nil {
		panic(err) // a constant of the spec
	}
	return k
}

// wire is a driver.Network that remembers what was sent and answers no fetch unless told how.
type wire struct {
	mu           sync.Mutex // guards all below
	proposals    []*block.Block
	approvals    []consensus.Approval
	certificates map[consensus.Peer][]consensus.Certificate
	fetched      []chain.Hash
	misbehaved   []string

	fetch func(chain.Hash, func(*block.Block, chain.BLSSignature, consensus.Peer))
}

// faults are the reports of misbehaviour.
func (w *wire) faults() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.misbehaved)
}

// latest is the header of the last proposal.
func (w *wire) latest() chain.Header {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.proposals[len(w.proposals)-1].Header
}

func (w *wire) SendProposal(_ consensus.Proposal, b *block.Block, _ consensus.Peer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.proposals = append(w.proposals, b)
}

func (w *wire) SendApproval(a consensus.Approval, _ consensus.Peer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.approvals = append(w.approvals, a)
}

func (w *wire) SendCertificate(c consensus.Certificate, to consensus.Peer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.certificates[to] = append(w.certificates[to], c)
}

func (w *wire) Fetch(hash chain.Hash, _ consensus.Peer, answer func(*block.Block, chain.BLSSignature, consensus.Peer)) {
	w.mu.Lock()
	w.fetched = append(w.fetched, hash)
	w.mu.Unlock()
	if w.fetch != nil {
		w.fetch(hash, answer)
		return
	}
	answer(nil, chain.BLSSignature{}, "")
}

func (w *wire) Misbehaved(peer consensus.Peer, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.misbehaved = append(w.misbehaved, string(peer)+": "+reason)
}

// diary is a driver.Observer that remembers.
type diary struct {
	mu       sync.Mutex // guards all below
	heads    []driver.Advanced
	certs    []consensus.Certificate
	missed   []chain.Slot
	halted   string
	evidence []consensus.Evidence
	calls    map[string]int
}

func (o *diary) Advanced(a driver.Advanced) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.heads = append(o.heads, a)
}

func (o *diary) Notarized(c consensus.Certificate) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.certs = append(o.certs, c)
}

// blocks are the heads so far.
func (o *diary) blocks() []driver.Advanced {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.heads)
}

func (o *diary) missedSlots() []chain.Slot {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.missed)
}

func (o *diary) MissedSlot(s chain.Slot) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.missed = append(o.missed, s)
}

func (o *diary) EngineCall(call string, _ time.Duration, _ error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls[call]++
}

func (o *diary) Halted(reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.halted = reason
}

func (o *diary) Evidence(e consensus.Evidence) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.evidence = append(o.evidence, e)
}

// node is one authority, the first of n, under a clock that can jump.
type node struct {
	*driver.Driver
	t        *testing.T
	spec     *spec.Spec
	genesis  *block.Block
	chain    *library
	engine   *executor
	signer   *pen
	network  *wire
	observer *diary
	options  driver.Options
	restored consensus.Restored

	mu     sync.Mutex
	offset time.Duration // guarded by mu: of our clock from the bubble's

	stop context.CancelFunc
	done chan error
}

const slotTime = 2 * time.Second

// inBubble runs a test on a fake clock, just after a slot's start. Every goroutine has to end with the test.
func inBubble(t *testing.T, n int, test func(*node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := spec.DevNodes(n)
		genesis, err := s.Genesis()
		must(t, err)
		nd := &node{
			t: t, spec: s, genesis: genesis, chain: newLibrary(genesis), engine: &executor{}, observer: &diary{calls: map[string]int{}},
			signer:  &pen{asked: map[chain.Hash]int{}},
			network: &wire{certificates: map[consensus.Peer][]consensus.Certificate{}},
			done:    make(chan error, 1),
		}
		test(nd)
	})
}

func (n *node) now() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Now().Add(n.offset)
}

func (n *node) jump(by time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.offset += by
}

func (n *node) slot() chain.Slot { return n.spec.SlotAt(chain.UnixMilli(n.now().UnixMilli())) }

// open makes the driver as a start of the node does.
func (n *node) open() {
	n.t.Helper()
	self := []chain.BLSPublicKey{secret(0).Public()}
	schedule := n.spec.Agreement()
	machine, err := consensus.New(consensus.Config{Genesis: n.genesis.Header, Schedule: schedule, Self: self}, n.restored)
	must(n.t, err)
	n.options.Machine, n.options.Schedule, n.options.Self = machine, schedule, self
	n.options.Heads = n.chain.heads
	n.options.Chain, n.options.Engine, n.options.Signer = n.chain, n.engine, n.signer
	n.options.Network, n.options.Observer, n.options.Now, n.options.Log = n.network, n.observer, n.now, hclog.NewNullLogger()
	n.Driver = driver.New(n.options)
}

// start runs the driver until the test ends it.
func (n *node) start() {
	if n.Driver == nil {
		n.open()
	}
	ctx, cancel := context.WithCancel(n.t.Context())
	n.stop = cancel
	go func() { n.done <- n.Run(ctx) }()
	synctest.Wait()
}

// end asks for the stop and wants a clean one.
func (n *node) end() {
	n.t.Helper()
	n.stop()
	if err := <-n.done; err != nil {
		n.t.Errorf("a requested stop ended with %v", err)
	}
}

// wait lets time pass, and everything that is due happen.
func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// bodies is how many bodies the loop keeps, while it waits. The message orders the look before what the loop does next.
func (n *node) bodies() int {
	defer n.Receive(consensus.ApprovalReceived{}, nil)
	return n.Bodies()
}

// failure waits for the driver to end by itself.
func (n *node) failure() error {
	n.t.Helper()
	defer n.stop()
	select {
	case err := <-n.done:
		return err
	case <-time.After(time.Minute):
		n.stop()
		<-n.done
		n.t.Fatal("the driver goes on")
		return nil
	}
}

// proposal is a block of another authority with the slot's author's approval.
func (n *node) proposal(parent chain.Header, slot chain.Slot, data chain.ExecutionData) (consensus.Proposal, *block.Block) {
	b := assemble(n.genesis.Header.Hash(), parent, slot, n.certificate(parent).QC, data)
	return n.signed(b), b
}

func (n *node) signed(b *block.Block) consensus.Proposal {
	author, _ := n.spec.Agreement().Author(b.Header.Slot, b.Header.Height)
	return consensus.Proposal{Header: b.Header, ParentQC: b.ParentQC, Signature: n.approval(b.Header, author).Signature}
}

func (n *node) approval(h chain.Header, authority int) consensus.Approval {
	return consensus.Approval{Header: h, Authority: authority, Signature: secret(authority).Sign(signer.ApprovalRoot(h))}
}

// certificate is a certificate of all authorities but the first, or of the only one.
func (n *node) certificate(h chain.Header) consensus.Certificate {
	n.t.Helper()
	if h.Height == 0 {
		return consensus.Certificate{Header: h, QC: consensus.GenesisQC(h.Hash())}
	}
	set := n.spec.Set(h.Height)
	qc := block.QC{Block: h.Hash(), Signers: block.NewSigners(len(set.Keys))}
	var sigs []chain.BLSSignature
	for i := range set.Keys {
		if i == 0 && len(set.Keys) > 1 {
			continue
		}
		qc.Signers.Set(i)
		sigs = append(sigs, n.approval(h, i).Signature)
	}
	var err error
	qc.Signature, err = bls.Aggregate(sigs)
	must(n.t, err)
	return consensus.Certificate{Header: h, QC: qc}
}

// untilTurnOf lets time pass until a slot of an authority begins, and returns it.
func (n *node) untilTurnOf(authority int) chain.Slot {
	for {
		next := n.slot() + 1
		wait(n.spec.SlotStart(next).Time().Sub(n.now()) + time.Millisecond)
		if author, _ := n.spec.Agreement().Author(next, 1); author == authority {
			return next
		}
	}
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("got no error")
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not say %q", err, p)
		}
	}
}
