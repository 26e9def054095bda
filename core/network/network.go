package network

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	corenet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/alys-node/alys/core/telemetry"
)

// Network is the peers of one node. Its methods may be called from any goroutine.
type Network struct {
	opt      Options
	parsed   parsed
	proto    protocols
	id       Identity
	log      hclog.Logger
	metrics  *telemetry.Metrics
	book     *book
	gate     *gater
	clocksOf map[peer.ID]bool // whose clocks count
	node     *node
	crew     crew
	serving  chan struct{}       // a place for each answer under way
	wake     chan struct{}       // the dialler looks at the book at once
	outgo    *queue              // messages for gossip
	warnings *rate.Limiter       // about strangers
	sending  budget              // blocks that wait for readers
	outboxes budget              // direct messages of all peers
	arriving *semaphore.Weighted // bytes that are being read from peers that are not static
	fetches  chan fetchJob
	gossip   atomic.Pointer[gossip] // nil unless running
	started  atomic.Bool
	closing  sync.Once

	telling   sync.Mutex // held from a change of members to its telling, so that changes are told in order; before mu
	mu        sync.Mutex // guards the rest
	members   map[peer.ID]*member
	greetings map[corenet.Conn]*time.Timer // of inbound connections that may still say nothing
	told      map[peer.ID]identified       // of connected peers, members or not
	came      chan struct{}                // closed, and replaced, when a member is admitted
}

// Open reads identity and peer book and listens. Nobody is let in before Run.
func Open(o Options) (*Network, error) {
	o.setDefaults()
	p, err := o.parse()
	if err != nil {
		return nil, err
	}
	id, err := LoadIdentity(o.KeyFile)
	if err != nil {
		return nil, err
	}
	n := &Network{
		opt: o, parsed: p, proto: protocolsOf(o.Genesis), id: id, log: o.Log, metrics: o.Metrics,
		serving: make(chan struct{}, maxServing), wake: make(chan struct{}, 1),
		outgo: newQueue(publishMessages, publishBytes, nil), fetches: make(chan fetchJob, fetchQueue),
		warnings: rate.NewLimiter(rate.Every(10*time.Second), 10),
		members:  map[peer.ID]*member{}, greetings: map[corenet.Conn]*time.Timer{}, told: map[peer.ID]identified{}, came: make(chan struct{}), arriving: semaphore.NewWeighted(arrivingBytes),
	}
	n.outboxes.limit, n.sending.limit = outboxesBytes, servingBytes
	if n.metrics == nil {
		n.metrics = telemetry.New("", "")
	}
	if n.book, err = openBook(o.BookFile); err != nil {
		n.log.Warn("the remembered peers are lost: the configured ones are dialled", "error", err)
	}
	for _, info := range p.bootnodes {
		n.book.configure(info, false)
	}
	for _, info := range p.static {
		n.book.configure(info, true)
	}
	n.clocksOf = p.named(id.id)
	n.gate = &gater{allowed: func(id peer.ID) bool { return !n.book.barred(id, n.opt.Now()) }}
	limits, err := resourceManager(o, n.proto, p.static)
	if err != nil {
		return nil, err
	}
	if n.node, err = newNode(o, p, id, n.gate, limits); err != nil {
		return nil, err
	}
	return n, nil
}

// ID is our own peer id.
func (n *Network) ID() string { return n.id.ID() }

// Addresses are the multiaddresses, with our peer id, that we tell peers to reach us by.
func (n *Network) Addresses() []string {
	addrs, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: n.node.ID(), Addrs: n.node.Addrs()})
	if err != nil {
		return nil
	}
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return out
}

// Run lets peers in and dials, until ctx ends: nil. It is called once.
func (n *Network) Run(ctx context.Context) error {
	if n.started.Swap(true) {
		return errors.New("a network runs once")
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	g, err := n.newGossip(inner)
	if err != nil {
		return err
	}
	hearIdentified, err := n.watchIdentified()
	if err != nil {
		return err
	}
	n.gossip.Store(g)
	n.crew.begin(inner)
	n.crew.start(hearIdentified)
	n.register()
	n.crew.start(n.keepConnected)
	n.crew.start(n.keepAsking)
	n.crew.start(n.keepBook)
	n.crew.start(n.publish)
	for range fetchWorkers {
		n.crew.start(n.fetchLoop)
	}
	n.gate.open.Store(true)
	stopMDNS, err := n.startMDNS()
	if err != nil {
		n.log.Warn("peers on the local network are not looked for", "error", err)
	}
	n.log.Info("network is open", "peer_id", n.ID(), "addresses", n.Addresses())
	<-ctx.Done()

	n.gate.open.Store(false)
	stopMDNS()
	n.farewell(context.WithoutCancel(ctx))
	cancel()
	n.unregister()
	n.crew.stop()
	n.gossip.Store(nil)
	n.outgo.drain()
	n.answerRest()
	if err := n.book.save(); err != nil {
		n.log.Warn("peers of this run may be forgotten", "error", err)
	}
	return nil
}

// farewell tells the peers that we go, so that they need not find out.
func (n *Network) farewell(ctx context.Context) {
	var wg sync.WaitGroup
	for _, m := range n.snapshot() {
		wg.Go(func() { n.sayGoodbye(ctx, m.id, "shutting down") })
	}
	wg.Wait()
}

// Close closes sockets and connections. After Run has ended or before it.
func (n *Network) Close() error {
	var err error
	n.closing.Do(func() {
		n.gate.open.Store(false)
		err = n.node.Close()
	})
	if err != nil {
		return fmt.Errorf("close network: %w", err)
	}
	return nil
}

// bookInterval is how often the book is written, when it has changed.
const bookInterval = 10 * time.Second

func (n *Network) keepBook(ctx context.Context) {
	tick := time.NewTicker(bookInterval)
	defer tick.Stop()
	warned := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := n.book.save()
		if err != nil && !warned {
			n.log.Warn("peers are not remembered", "error", err)
		}
		warned = err != nil
	}
}
