package network

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/event"
	corenet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// identified is what a connected peer has told of its addresses.
type identified struct {
	record []byte // signed by it; nil when it is too large, or none
	addrs  []multiaddr.Multiaddr
}

// watchIdentified subscribes to what peers tell of themselves. The function that it returns reads until its context ends.
func (n *Network) watchIdentified() (func(ctx context.Context), error) {
	sub, err := n.node.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return nil, fmt.Errorf("hear of peers' addresses: %w", err)
	}
	return func(ctx context.Context) {
		defer sub.Close() //nolint:errcheck // nothing is lost
		for {
			select {
			case e := <-sub.Out():
				if told, ok := e.(event.EvtPeerIdentificationCompleted); ok {
					n.identify(told)
				}
			case <-ctx.Done():
				return
			}
		}
	}, nil
}

// identify keeps a connected peer's addresses, and remembers those of a member: that is how a peer that dialled us is
// found again (O-7).
func (n *Network) identify(e event.EvtPeerIdentificationCompleted) {
	known := identified{addrs: e.ListenAddrs}
	if e.SignedPeerRecord != nil {
		if raw, err := e.SignedPeerRecord.Marshal(); err == nil && len(raw) <= maxRecordBytes {
			known.record = raw
		}
	}
	n.mu.Lock()
	n.told[e.Peer] = known
	member := n.members[e.Peer] != nil
	n.mu.Unlock()
	if member {
		n.book.learn(e.Peer, known.addrs)
	}
	// The connection may have ended meanwhile, with nobody there to be told.
	if n.node.Network().Connectedness(e.Peer) != corenet.Connected {
		n.forget(e.Peer)
	}
}

// forget drops what a peer told when it is connected no more.
func (n *Network) forget(id peer.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.told, id)
}

// records are the signed records of members other than one, as many as an answer takes.
func (n *Network) records(but peer.ID) [][]byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out [][]byte
	size := 0
	for id := range n.members {
		raw := n.told[id].record
		if id == but || raw == nil {
			continue
		}
		if size += len(raw) + 8; len(out) == maxPeerRecords || size > maxPeersAnswer-64 {
			break
		}
		out = append(out, raw)
	}
	return out
}
