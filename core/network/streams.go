package network

import (
	"context"
	"time"

	corenet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// handler serves one stream of a peer and ends it. The stream is reset when the context ends.
type handler func(ctx context.Context, s corenet.Stream)

// handlers are who serves what.
func (n *Network) handlers() map[protocol.ID]handler {
	return map[protocol.ID]handler{
		n.proto.handshake: n.welcome,
		n.proto.status:    n.asMember("status", light, n.serveStatus),
		n.proto.direct:    n.membersOnly(n.hear),
		n.proto.blocks:    n.asMember("blocks_by_range", heavy, n.serveRange),
		n.proto.hashes:    n.asMember("blocks_by_hash", heavy, n.serveHashes),
		n.proto.peers:     n.asMember("peers", light, n.servePeers),
	}
}

// register lets streams and connections come in.
func (n *Network) register() {
	n.node.Network().Notify(n.notifiee())
	for id, h := range n.handlers() {
		n.node.SetStreamHandler(id, func(s corenet.Stream) {
			if !n.crew.run(func(ctx context.Context) {
				stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
				defer stop()
				h(ctx, s)
			}) {
				_ = s.Reset()
			}
		})
	}
}

func (n *Network) unregister() {
	for id := range n.handlers() {
		n.node.RemoveStreamHandler(id)
	}
	for _, m := range n.snapshot() {
		_ = n.node.Network().ClosePeer(m.id)
		n.left(m.id)
	}
}

// membersOnly lets a handler see members' streams only.
func (n *Network) membersOnly(h func(ctx context.Context, s corenet.Stream, m *member)) handler {
	return func(ctx context.Context, s corenet.Stream) {
		m := n.awaitMember(ctx, s.Conn())
		if m == nil {
			_ = s.Reset()
			return
		}
		h(ctx, s, m)
	}
}

// notifiee hears of connections. Its functions must not block: libp2p waits for them.
func (n *Network) notifiee() corenet.Notifiee {
	return &corenet.NotifyBundle{
		ConnectedF: func(_ corenet.Network, c corenet.Conn) {
			if c.Stat().Direction == corenet.DirOutbound {
				n.crew.start(func(ctx context.Context) { n.greet(ctx, c) })
				return
			}
			n.expectGreeting(c)
		},
		DisconnectedF: func(net corenet.Network, c corenet.Conn) {
			n.ended(c)
			if net.Connectedness(c.RemotePeer()) != corenet.Connected {
				n.left(c.RemotePeer())
				n.forget(c.RemotePeer())
			}
		},
	}
}

// expectGreeting closes a connection whose opener says nothing. It is forgotten with the connection, so that whoever only
// connects and goes costs nothing afterwards.
func (n *Network) expectGreeting(c corenet.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.greetings[c] = time.AfterFunc(n.opt.patience.handshake, func() {
		n.crew.start(func(context.Context) { n.ungreeted(c) })
	})
}

func (n *Network) ungreeted(c corenet.Conn) {
	n.mu.Lock()
	delete(n.greetings, c)
	m := n.members[c.RemotePeer()]
	n.mu.Unlock()
	if m == nil {
		n.log.Debug("a connection without a handshake", "peer", c.RemotePeer(), "address", c.RemoteMultiaddr())
		_ = c.Close()
	}
}

func (n *Network) ended(c corenet.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if timer := n.greetings[c]; timer != nil {
		timer.Stop()
		delete(n.greetings, c)
	}
}
