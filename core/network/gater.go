package network

import (
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	corenet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// gater closes connections before anything is said: those of peers that are not allowed, and all while the network does
// not run.
type gater struct {
	open    atomic.Bool
	allowed func(peer.ID) bool
}

var _ connmgr.ConnectionGater = (*gater)(nil)

// InterceptPeerDial implements connmgr.ConnectionGater.
func (g *gater) InterceptPeerDial(p peer.ID) bool { return g.open.Load() && g.allowed(p) }

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g *gater) InterceptAddrDial(peer.ID, multiaddr.Multiaddr) bool { return true }

// InterceptAccept implements connmgr.ConnectionGater.
func (g *gater) InterceptAccept(corenet.ConnMultiaddrs) bool { return g.open.Load() }

// InterceptSecured implements connmgr.ConnectionGater. The peer has proven its id here.
func (g *gater) InterceptSecured(_ corenet.Direction, p peer.ID, _ corenet.ConnMultiaddrs) bool {
	return g.allowed(p)
}

// InterceptUpgraded implements connmgr.ConnectionGater.
func (g *gater) InterceptUpgraded(corenet.Conn) (bool, control.DisconnectReason) { return true, 0 }
