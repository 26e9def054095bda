package network

import (
	"encoding/hex"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

// found hears of peers on the local network.
type neighbours struct{ n *Network }

// HandlePeerFound implements mdns.Notifee.
func (f neighbours) HandlePeerFound(info peer.AddrInfo) {
	if info.ID == f.n.node.ID() {
		return
	}
	f.n.book.learn(info.ID, info.Addrs)
	f.n.nudge()
}

// startMDNS looks for peers of the chain on the local network, if that is configured. The function that it returns ends
// it.
func (n *Network) startMDNS() (stop func(), err error) {
	if !n.opt.MDNS {
		return func() {}, nil
	}
	s := mdns.NewMdnsService(n.node, "_alys-"+hex.EncodeToString(n.opt.Genesis[:4])+"._udp", neighbours{n})
	if err := s.Start(); err != nil {
		return func() {}, err
	}
	return func() { _ = s.Close() }, nil
}
