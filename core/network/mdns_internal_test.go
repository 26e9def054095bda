package network

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Whether multicast reaches anybody is the machine's business; what is heard is dialled.
func TestPeersOnTheLocalNetworkAreDialled(t *testing.T) {
	a := start(t)
	b := start(t, func(o *Options) { o.MDNS = true })
	neighbours{b.Network}.HandlePeerFound(peer.AddrInfo{ID: b.peerID(), Addrs: b.node.Addrs()})
	neighbours{b.Network}.HandlePeerFound(peer.AddrInfo{ID: a.peerID(), Addrs: a.node.Addrs()})
	b.meets(a)
	if len(b.book.addrs(b.peerID())) != 0 {
		t.Error("it would dial itself")
	}
}
