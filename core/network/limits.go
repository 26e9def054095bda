package network

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	corenet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Limits of time.
const (
	handshakeTimeout = 10 * time.Second // from connection to admission
	statusInterval   = 10 * time.Second // between two questions for a peer's status
	stallTimeout     = 10 * time.Second // a reader of ours that takes nothing for so long is given up
	serveTime        = 30 * time.Second // one answer takes no longer; a range then ends early, as it may
	dialTimeout      = 10 * time.Second
)

// Limits of numbers. Streams are counted by the resource manager for each protocol and peer, and refused above.
const (
	maxServing        = 32       // answers with blocks under way at once, of all peers that are not static
	maxServingPeer    = 3        // of one peer
	servingBytes      = 64 << 20 // blocks that wait to be taken by readers that are not static
	maxConnsPeer      = 4
	maxConnsAddress   = 8  // of one IPv4 address or IPv6 /56
	minConnsGroup     = 16 // of one /24 or /48; half of MaxPeers where that is more
	maxConnsStatic    = 32 // of a configured peer's address
	maxStreamsPeer    = 48
	systemMemory      = 256 << 20 // bytes that transports may reserve for windows
	peerMemory        = 48 << 20
	maxPending        = 64 // connections that have not been secured or admitted
	outboxMessages    = 64 // direct messages that wait for one peer
	outboxBytes       = 24 << 20
	outboxesBytes     = 64 << 20 // of all peers together
	publishMessages   = 512      // messages that wait for gossip
	publishBytes      = 64 << 20
	fetchWorkers      = 8
	fetchQueue        = 64
	maxConcurrentDial = 8
)

// resourceManager limits connections, streams and memory before any code of ours runs.
func resourceManager(o Options, p protocols, static []peer.AddrInfo) (corenet.ResourceManager, error) {
	conns := rcmgr.LimitVal(o.MaxPeers + maxPending + 16)
	inboundOf := func(n int) rcmgr.ResourceLimits {
		return rcmgr.ResourceLimits{
			Streams: rcmgr.LimitVal(2 * n), StreamsInbound: rcmgr.LimitVal(n), StreamsOutbound: rcmgr.LimitVal(n),
		}
	}
	wide := inboundOf(o.MaxPeers * maxStreamsPeer)
	partial := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: 2 * conns, ConnsInbound: conns, ConnsOutbound: conns, FD: 2 * conns,
			Streams: wide.Streams, StreamsInbound: wide.StreamsInbound, StreamsOutbound: wide.StreamsOutbound,
			Memory: systemMemory,
		},
		Transient: rcmgr.ResourceLimits{
			Conns: maxPending, ConnsInbound: maxPending, ConnsOutbound: maxPending, FD: maxPending,
			Streams: 4 * maxPending, StreamsInbound: 2 * maxPending, StreamsOutbound: 2 * maxPending, Memory: peerMemory,
		},
		PeerDefault: rcmgr.ResourceLimits{
			Conns: maxConnsPeer, ConnsInbound: maxConnsPeer, ConnsOutbound: maxConnsPeer, FD: maxConnsPeer,
			Streams: 2 * maxStreamsPeer, StreamsInbound: maxStreamsPeer, StreamsOutbound: maxStreamsPeer, Memory: peerMemory,
		},
		ProtocolPeer: map[protocol.ID]rcmgr.ResourceLimits{
			p.handshake: inboundOf(2),
			p.status:    inboundOf(2),
			p.direct:    inboundOf(2), // one, and one that takes its place
			p.blocks:    inboundOf(2 * maxServingPeer),
			p.hashes:    inboundOf(2 * maxServingPeer),
			p.peers:     inboundOf(2),
			p.gossip:    inboundOf(4), // one, and those that take its place
		},
	}
	m, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(partial.Build(rcmgr.DefaultLimits.AutoScale())), rcmgr.WithMetricsDisabled(), limitGroups(o), limitStatic(static))
	if err != nil {
		return nil, fmt.Errorf("limit resources: %w", err)
	}
	return m, nil
}

// limitGroups limits connections by where they come from, before anything is said: an address has few, and no /24 or /48
// has more than half of the places. Loopback has no limit.
func limitGroups(o Options) rcmgr.Option {
	group := max(minConnsGroup, o.MaxPeers/2)
	return rcmgr.WithLimitPerSubnet(
		[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: maxConnsAddress}, {PrefixLength: 24, ConnCount: group}},
		[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: maxConnsAddress}, {PrefixLength: 48, ConnCount: group}},
	)
}

// limitStatic gives the addresses of configured peers places of their own: neighbours cannot take them.
func limitStatic(static []peer.AddrInfo) rcmgr.Option {
	v4, v6 := slices.Clone(rcmgr.DefaultNetworkPrefixLimitV4), slices.Clone(rcmgr.DefaultNetworkPrefixLimitV6)
	for _, info := range static {
		for _, a := range info.Addrs {
			ip, err := manet.ToIP(a)
			if err != nil {
				continue // a name: its address is not known
			}
			addr, ok := netip.AddrFromSlice(ip)
			if addr = addr.Unmap(); !ok || addr.IsLoopback() {
				continue
			}
			limit := rcmgr.NetworkPrefixLimit{Network: netip.PrefixFrom(addr, addr.BitLen()), ConnCount: maxConnsStatic}
			if addr.Is4() {
				v4 = append(v4, limit)
			} else {
				v6 = append(v6, limit)
			}
		}
	}
	return rcmgr.WithNetworkPrefixLimit(v4, v6)
}
