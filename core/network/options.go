package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/telemetry"
	"github.com/alys-node/alys/sdk/chain"
)

// ErrOptions means that an argument of the configuration cannot be used. It names the argument as alys.hcl does.
var ErrOptions = errors.New("network configuration")

// Source is what the chain gives to peers. Its methods are called from several goroutines.
type Source interface {
	// Status is what the node says about itself; Genesis, Heights, Slots, Clock and Client are filled in afterwards. It
	// does not block.
	Status() Status
	// At is the block at a height of the chain that ends in Status().Head; ErrNotFound above it and below Status().Low.
	At(ctx context.Context, h chain.Height) (Stored, error)
	// Block is a block by hash, on whatever branch; ErrNotFound.
	Block(ctx context.Context, h chain.Hash) (Stored, error)
	// Certificate is the certificate of a block; ErrNotFound.
	Certificate(ctx context.Context, h chain.Hash) (block.QC, error)
}

// Options are what a Network needs. Strings are as alys.hcl has them.
type Options struct {
	Genesis chain.Hash
	Heights Schedule // of what changes at heights
	Slots   Schedule // of what changes at slots; forks of the execution layer are at the first slot whose payload has them

	KeyFile  string // identity_key
	BookFile string // the remembered peers

	Listen         string   // host:port of the p2p listener; port 0 takes a free one. Empty: nobody can dial us
	QUIC           bool     // listen on UDP as well
	MDNS           bool     // find peers on the local network
	Bootnodes      []string // multiaddresses with a peer id
	StaticPeers    []string // the same; always connected, whatever the limits
	AllowPeers     []string // peer ids; empty: everybody
	External       []string // multiaddresses that peers are told
	TargetPeers    int      // dialled for
	MaxPeers       int      // admitted, static ones apart
	MaxMessage     int      // bytes
	RequestTimeout time.Duration

	Client string // program and version, told to peers
	Source Source
	// Take judges a message of a peer and takes it into consensus, if it is of any use; what is early is the caller's to
	// keep. The verdict decides whether the message is forwarded. It is called from several goroutines, must return soon
	// and must not wait for the network.
	Take func(ctx context.Context, m Message) Verdict
	// TakeTransactions judges EIP-2718 envelopes of a peer, at most MaxTransactions, as Take does. It may ask the engine.
	TakeTransactions func(ctx context.Context, from consensus.Peer, txs [][]byte) Verdict
	// Slot is the wall clock's slot.
	Slot func() chain.Slot
	// PeerChanged, when set, tells of a peer that came, changed its status or went, in order. It must not block.
	PeerChanged func(p Peer)

	Metrics *telemetry.Metrics
	Log     hclog.Logger
	Now     func() time.Time // nil: time.Now

	patience patience // of tests
}

// patience is how long we wait for a peer.
type patience struct {
	handshake time.Duration // from connection to admission
	stall     time.Duration // for a reader of ours that takes nothing
}

// parsed is what became of the strings.
type parsed struct {
	listen    []multiaddr.Multiaddr
	bootnodes []peer.AddrInfo
	static    []peer.AddrInfo
	allow     map[peer.ID]bool // nil: everybody
	external  []multiaddr.Multiaddr
}

func (o *Options) parse() (parsed, error) {
	var p parsed
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	p.listen = parseListen(o.Listen, o.QUIC, note)
	p.bootnodes = parsePeers("network.bootnodes", o.Bootnodes, note)
	p.static = parsePeers("network.static_peers", o.StaticPeers, note)
	for i, s := range o.AllowPeers {
		id, err := peer.Decode(s)
		if err != nil {
			note(fmt.Errorf("network.allow_peers[%d]: %q is not a peer id: %w", i, s, err))
			continue
		}
		if p.allow == nil {
			p.allow = map[peer.ID]bool{}
		}
		p.allow[id] = true
	}
	for i, s := range o.External {
		a, err := multiaddr.NewMultiaddr(s)
		if err != nil {
			note(fmt.Errorf("network.external_addresses[%d]: %q is not a multiaddress: %w", i, s, err))
			continue
		}
		p.external = append(p.external, a)
	}
	for _, s := range p.static {
		if p.allow != nil && !p.allow[s.ID] {
			note(fmt.Errorf("network.static_peers: %s is not in network.allow_peers: add it there or remove it here", s.ID))
		}
	}
	if o.Source == nil || o.Take == nil || o.TakeTransactions == nil || o.Slot == nil {
		note(errors.New("Source, Take, TakeTransactions and Slot must be set"))
	}
	note(o.Heights.check())
	note(o.Slots.check())
	if err := errors.Join(errs...); err != nil {
		return parsed{}, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return p, nil
}

func parseListen(s string, quic bool, note func(error)) []multiaddr.Multiaddr {
	if s == "" {
		return nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		note(fmt.Errorf("listener.p2p.address: %q must be an IP address and a port, such as \"0.0.0.0:30300\": %w", s, err))
		return nil
	}
	family := "ip4"
	if ap.Addr().Is6() {
		family = "ip6"
	}
	texts := []string{fmt.Sprintf("/%s/%s/tcp/%d", family, ap.Addr(), ap.Port())}
	if quic {
		texts = append(texts, fmt.Sprintf("/%s/%s/udp/%d/quic-v1", family, ap.Addr(), ap.Port()))
	}
	var out []multiaddr.Multiaddr
	for _, t := range texts {
		a, err := multiaddr.NewMultiaddr(t)
		if err != nil {
			note(fmt.Errorf("listener.p2p.address: %q: %w", s, err))
			continue
		}
		out = append(out, a)
	}
	return out
}

// parsePeers reads multiaddresses with peer ids; several of one peer become one entry.
func parsePeers(where string, list []string, note func(error)) []peer.AddrInfo {
	var out []peer.AddrInfo
	at := map[peer.ID]int{}
	for i, s := range list {
		info, err := peer.AddrInfoFromString(s)
		if err != nil {
			note(fmt.Errorf("%s[%d]: %q must be a multiaddress that ends in the peer's id, such as \"/ip4/192.0.2.1/tcp/30300/p2p/12D3KooW…\": %w",
				where, i, s, err))
			continue
		}
		if j, known := at[info.ID]; known {
			out[j].Addrs = append(out[j].Addrs, info.Addrs...)
			continue
		}
		at[info.ID] = len(out)
		out = append(out, *info)
	}
	return out
}

// Defaults where the configuration gives none.
const (
	defaultTargetPeers    = 16
	defaultMaxPeers       = 64
	defaultMaxMessage     = 10 << 20
	defaultRequestTimeout = 10 * time.Second
)

func (o *Options) setDefaults() {
	if o.TargetPeers == 0 {
		o.TargetPeers = defaultTargetPeers
	}
	if o.MaxPeers == 0 {
		o.MaxPeers = max(defaultMaxPeers, o.TargetPeers)
	}
	if o.MaxMessage == 0 {
		o.MaxMessage = defaultMaxMessage
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = defaultRequestTimeout
	}
	if o.patience == (patience{}) {
		o.patience = patience{handshake: handshakeTimeout, stall: stallTimeout}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	o.Heights.Axis, o.Slots.Axis = "height", "slot"
	if o.Client == "" {
		o.Client = "alys"
	}
}
