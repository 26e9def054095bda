package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/alys-node/alys/core/block"
	ledger "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/core/follow"
	"github.com/alys-node/alys/core/network"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
)

// bookName is the file of the remembered peers in the data folder.
const bookName = "peers.json"

// authorSignatures is how many authors' approvals are kept to be handed out with their blocks.
const authorSignatures = 1024

// peers is the node's end of the network: what peers are told and given, and what is taken from them.
type peers struct {
	spec     *spec.Spec
	schedule consensus.Schedule
	genesis  chain.Hash
	chain    *ledger.Chain
	store    *store.Store
	verifier *verifier
	now      func() time.Time
	// signatures are verified approvals of authors, by block: who fetches a block that is not notarized yet needs it.
	signatures *lru.Cache[chain.Hash, chain.BLSSignature]
	driver     func() *driver.Driver // nil until consensus runs
	heard      func(network.Message) // hears of verified messages
	slots      *slotLog
}

// openNetwork listens for peers, unless listener "p2p" is closed: then the node has none.
func (n *Node) openNetwork() error {
	var err error
	if n.verifier, err = newVerifier(); err != nil {
		return fmt.Errorf("remember signatures: %w", err)
	}
	n.peers = &peers{
		spec: n.spec, schedule: n.spec.Agreement(), genesis: n.genesis, chain: n.chain, store: n.store, verifier: n.verifier, now: time.Now,
		driver: n.consensus, slots: n.slots, heard: func(m network.Message) {
			if t := n.doppelganger(); t != nil {
				t.Heard(m)
			}
		},
	}
	if n.peers.signatures, err = lru.New[chain.Hash, chain.BLSSignature](authorSignatures); err != nil {
		return fmt.Errorf("remember authors' signatures: %w", err)
	}
	if n.relay, err = newRelay(n); err != nil {
		return err
	}
	c := n.opt.Config
	if !c.Listeners.P2P.Enabled {
		return nil
	}
	captureLogs.Do(func() { network.CaptureLogs(n.log.Named("libp2p")) })
	n.network, err = network.Open(networkOptions(n, c))
	if err != nil {
		return fmt.Errorf("open network: %w", err)
	}
	return nil
}

func networkOptions(n *Node, c *config.Config) network.Options {
	return network.Options{
		Genesis: n.genesis, Heights: scheduleOf(n.spec.HeightChanges()), Slots: scheduleOf(n.spec.SlotChanges()),
		KeyFile: c.Network.IdentityKey, BookFile: filepath.Join(c.Node.DataDir, bookName),
		Listen: c.Listeners.P2P.Address, QUIC: c.Network.QUIC, MDNS: c.Network.MDNS, Bootnodes: c.Network.Bootnodes,
		StaticPeers: c.Network.StaticPeers, AllowPeers: c.Network.AllowPeers, External: c.Network.External,
		TargetPeers: c.Network.TargetPeers, MaxPeers: c.Network.MaxPeers, MaxMessage: int(c.Network.MaxMessage),
		RequestTimeout: c.Network.RequestTimeout, Client: "alys/" + n.opt.Version, Source: n.peers, Take: n.peers.take,
		TakeTransactions: n.relay.Take,
		Slot:             func() chain.Slot { return n.spec.SlotAt(chain.UnixMilli(time.Now().UnixMilli())) },
		PeerChanged: func(p network.Peer) {
			if t := n.doppelganger(); t != nil && !p.Gone {
				t.Met()
			}
			n.follower.PeerChanged(follow.Peer{
				ID: syncer.PeerID(p.ID), Group: p.Group, RTT: p.RTT, Low: p.Status.Low, Head: p.Status.Head, Gone: p.Gone,
			})
		},
		Metrics: n.metrics, Log: n.log.Named("network"),
	}
}

func scheduleOf(changes []spec.Change) network.Schedule {
	var s network.Schedule
	for _, c := range changes {
		s.Changes = append(s.Changes, network.Change{At: c.At, Digest: c.Digest})
	}
	return s
}

// consensus is the driver, or nil until it runs.
func (n *Node) consensus() *driver.Driver {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.driver
}

// doppelganger is the watch over our keys, or nil without peers and until consensus runs.
func (n *Node) doppelganger() *doppelganger {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.doppel
}

// sending is where consensus sends.
func (n *Node) sending() driver.Network {
	if n.network == nil {
		return alone{}
	}
	return gossip{n.network, n.peers}
}

// importer gives blocks that came by sync to consensus.
type importer struct {
	driver func() *driver.Driver
}

// Import implements follow.Importer.
func (i importer) Import(blocks []*block.Block, qc block.QC) func(context.Context) error {
	d := i.driver()
	if d == nil {
		return func(context.Context) error {
			return fmt.Errorf("%w: consensus does not run yet", follow.ErrUnavailable)
		}
	}
	outcome := d.Import(blocks, qc)
	return func(ctx context.Context) error {
		select {
		case err := <-outcome:
			if errors.Is(err, driver.ErrUnavailable) {
				return fmt.Errorf("%w: %w", follow.ErrUnavailable, err)
			}
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fetcher is the network as sync asks it.
type fetcher struct{ *network.Network }

// Blocks implements follow.Network.
func (f fetcher) Blocks(ctx context.Context, peer syncer.PeerID, from chain.Height, count uint64) (follow.Answer, error) {
	got, err := f.Range(ctx, network.RangeRequest{
		Peer: consensus.Peer(peer), From: from, Count: min(count, network.MaxRangeBlocks), Bytes: network.MaxRangeBytes,
	})
	if errors.Is(err, network.ErrMisbehaved) {
		err = fmt.Errorf("%w: %w", follow.ErrMisbehaved, err)
	}
	if err != nil {
		return follow.Answer{}, err
	}
	a := follow.Answer{QC: got.QC, Bytes: got.Bytes}
	for _, r := range got.Blocks {
		a.Blocks = append(a.Blocks, r.Block)
	}
	return a, nil
}

// Misbehaved implements follow.Network.
func (f fetcher) Misbehaved(peer syncer.PeerID, reason string) {
	f.Network.Misbehaved(consensus.Peer(peer), reason)
}

// downloads is the disk as sync uses it.
type downloads struct{ *store.Downloads }

// List implements follow.Disk.
func (d downloads) List() []follow.Kept {
	var out []follow.Kept
	for _, f := range d.Downloads.List() {
		out = append(out, follow.Kept{Range: syncer.Range{From: f.From, To: f.To}, Bytes: f.Bytes})
	}
	return out
}

// Keep implements follow.Disk.
func (d downloads) Keep(r syncer.Range, content []byte) error {
	return d.Downloads.Keep(r.From, r.To, content)
}

// Read implements follow.Disk.
func (d downloads) Read(r syncer.Range) ([]byte, error) { return d.Downloads.Read(r.From, r.To) }

// Drop implements follow.Disk.
func (d downloads) Drop(r syncer.Range) error { return d.Downloads.Drop(r.From, r.To) }

// captureLogs is done once: the loggers of libp2p belong to the process.
var captureLogs sync.Once

// gossip is the network as the driver sends on it: what authors signed, and what we approved, is remembered.
type gossip struct {
	*network.Network
	peers *peers
}

// SendProposal implements driver.Network.
func (g gossip) SendProposal(p consensus.Proposal, b *block.Block, to consensus.Peer) {
	if !p.Signature.IsZero() {
		g.peers.signatures.Add(p.Header.Hash(), p.Signature)
		g.peers.authored(p.Header)
	}
	g.Network.SendProposal(p, b, to)
}

// SendApproval implements driver.Network.
func (g gossip) SendApproval(a consensus.Approval, to consensus.Peer) {
	g.peers.slots.approved(a.Header, a.Authority)
	g.Network.SendApproval(a, to)
}

// Status implements network.Source. A store that cannot be read makes the next write fail, which stops the node; until
// then a peer hears of genesis.
func (p *peers) Status() network.Status {
	head, safe, finalized := p.chain.Heads()
	s := network.Status{ChainID: p.spec.ChainID, Safe: safe, Finalized: finalized}
	c, err := p.certificate(head)
	if err != nil {
		genesis := p.chain.Genesis()
		return network.Status{
			ChainID: p.spec.ChainID, Safe: genesis.Ref(), Finalized: genesis.Ref(),
			Head: consensus.Certificate{Header: genesis.Header, QC: consensus.GenesisQC(p.genesis)},
		}
	}
	s.Head = c
	return s
}

func (p *peers) certificate(r chain.Ref) (consensus.Certificate, error) {
	if r.Height == 0 {
		return consensus.Certificate{Header: p.chain.Genesis().Header, QC: consensus.GenesisQC(p.genesis)}, nil
	}
	return certificate(p.chain, r.Hash)
}

// At implements network.Source.
func (p *peers) At(ctx context.Context, h chain.Height) (network.Stored, error) {
	if head, _, _ := p.chain.Heads(); h > head.Height {
		return network.Stored{}, network.ErrNotFound
	}
	hash, err := p.store.Canonical(h)
	if err != nil {
		return network.Stored{}, notFound(err)
	}
	return p.Block(ctx, hash)
}

// Block implements network.Source.
func (p *peers) Block(_ context.Context, hash chain.Hash) (network.Stored, error) {
	raw, err := p.store.Encoded(hash)
	if err != nil {
		return network.Stored{}, notFound(err)
	}
	header, err := p.store.Header(hash)
	if err != nil {
		return network.Stored{}, notFound(err)
	}
	signature, _ := p.signatures.Get(hash)
	return network.Stored{Hash: hash, Parent: header.Parent, Raw: raw, Signature: signature}, nil
}

// Certificate implements network.Source.
func (p *peers) Certificate(_ context.Context, hash chain.Hash) (block.QC, error) {
	if hash == p.chain.Genesis().Header.Hash() {
		return consensus.GenesisQC(p.genesis), nil
	}
	qc, err := p.chain.QC(hash)
	return qc, notFound(err)
}

// authored notes the verified signature of a block's author: it is its approval.
func (p *peers) authored(h chain.Header) {
	if author, known := p.schedule.Author(h.Slot, h.Height); known {
		p.slots.approved(h, author)
	}
}

func notFound(err error) error {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, ledger.ErrUnknownBlock) {
		return fmt.Errorf("%w: %w", network.ErrNotFound, err)
	}
	return err
}

// take judges a message of a peer by what it proves itself, before it is forwarded, and hands it to consensus, which judges
// what depends on our view. A message that came too early for us is not forwarded, and nobody is to blame.
func (p *peers) take(_ context.Context, m network.Message) network.Verdict {
	d := p.driver()
	if d == nil {
		return network.Ignore
	}
	verdict := p.judge(m)
	if verdict == network.Reject {
		return verdict
	}
	e, body := m.Event()
	if !d.Receive(e, body) {
		return network.Ignore // our queue is full: it comes again
	}
	return verdict
}

func (p *peers) judge(m network.Message) network.Verdict {
	h := m.Header()
	if h.Version != chain.HeaderVersion || h.Genesis != p.genesis || h.Height == 0 || h.Slot == 0 {
		return network.Reject
	}
	set, known := p.schedule.Set(h.Height)
	author, authored := p.schedule.Author(h.Slot, h.Height)
	if !known || !authored {
		return network.Ignore
	}
	root := consensus.ApprovalRoot(h.Hash())
	switch {
	case m.Proposal != nil:
		if !p.verifier.Verify(set.Keys[author], root, m.Proposal.Signature) {
			return network.Reject
		}
		if m.Block.Header != h || h.ParentQC != m.Proposal.ParentQC.Hash() || ledger.CheckBody(m.Block) != nil {
			return network.Reject
		}
		p.signatures.Add(h.Hash(), m.Proposal.Signature)
		p.authored(h)
	case m.Approval != nil:
		if m.Approval.Authority >= len(set.Keys) || !p.verifier.Verify(set.Keys[m.Approval.Authority], root, m.Approval.Signature) {
			return network.Reject
		}
		p.slots.approved(h, m.Approval.Authority)
	case m.Certificate != nil:
		if !consensus.VerifyQC(p.verifier, set, m.Certificate.QC) {
			return network.Reject
		}
	}
	p.heard(m)
	if p.spec.SlotStart(h.Slot) > chain.UnixMilli(p.now().UnixMilli())+consensus.Drift {
		return network.Ignore
	}
	if _, safe, _ := p.chain.Heads(); h.Height < safe.Height {
		return network.Ignore
	}
	return network.Accept
}
