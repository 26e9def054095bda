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
			n.crew.start(func(ctx context.Context) { n.expectGreeting(ctx, c) })
		},
		DisconnectedF: func(net corenet.Network, c corenet.Conn) {
			if net.Connectedness(c.RemotePeer()) != corenet.Connected {
				n.left(c.RemotePeer())
				n.forget(c.RemotePeer())
			}
		},
	}
}

// expectGreeting closes a connection whose opener says nothing.
func (n *Network) expectGreeting(ctx context.Context, c corenet.Conn) {
	timer := time.NewTimer(n.opt.patience.handshake)
	defer timer.Stop()
	for {
		n.mu.Lock()
		m, came := n.members[c.RemotePeer()], n.came
		n.mu.Unlock()
		if m != nil || c.IsClosed() {
			return
		}
		select {
		case <-came:
		case <-timer.C:
			n.log.Debug("a connection without a handshake", "peer", c.RemotePeer(), "address", c.RemoteMultiaddr())
			_ = c.Close()
			return
		case <-ctx.Done():
			return
		}
	}
}
