package network

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	corenet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/alys-node/alys/core/consensus"
)

// member is an admitted peer: connected, and on our chain.
type member struct {
	id      peer.ID
	since   time.Time
	inbound bool
	addr    multiaddr.Multiaddr
	outbox  *queue
	quota   *quota
	serving chan struct{} // a place for each answer with blocks
	failed  atomic.Uint32 // questions for its status without an answer, in a row

	// Under Network.mu.
	status Status
	rtt    time.Duration
	clock  reading
	score  float64 // of gossip
}

// Peer is an admitted peer, for people and for the sync strategy.
type Peer struct {
	ID        consensus.Peer `json:"id"`
	Address   string         `json:"address"`
	Group     string         `json:"group"` // its /24 or /48
	Inbound   bool           `json:"inbound"`
	Static    bool           `json:"static"` // configured as always connected
	Since     time.Time      `json:"since"`
	RTT       time.Duration  `json:"rtt"`
	ClockSkew time.Duration  `json:"clock_skew"` // its clock minus ours; 0 until it has answered a question
	Score     float64        `json:"score"`      // of gossip; negative is bad
	Faults    float64        `json:"faults"`     // points of proven faults: 100 is a ban
	Status    Status         `json:"status"`
	Gone      bool           `json:"gone"` // in PeerChanged: it has just left
}

// Peers lists the admitted peers, in order of their ids.
func (n *Network) Peers() []Peer {
	now := n.opt.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]Peer, 0, len(n.members))
	for _, m := range n.members {
		out = append(out, n.describe(m, now))
	}
	slices.SortFunc(out, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// describe needs mu.
func (n *Network) describe(m *member, now time.Time) Peer {
	static, faults := n.book.standing(m.id, now)
	return Peer{
		ID: consensus.Peer(m.id.String()), Address: m.addr.String(), Group: groupOf(m.addr.String()), Inbound: m.inbound,
		Static: static, Since: m.since, RTT: m.rtt, ClockSkew: m.clock.skew(now, time.Now()), Score: m.score, Faults: faults, Status: m.status.Clone(),
	}
}

func (b *book) standing(id peer.ID, now time.Time) (static bool, faults float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.records[id]
	if r == nil {
		return false, 0
	}
	return r.static, r.faultsAt(now)
}

// Barred lists the peers that are kept away.
func (n *Network) Barred() []Barred { return n.book.barredPeers(n.opt.Now()) }

// Pardon lifts a ban or a refusal.
func (n *Network) Pardon(id consensus.Peer) error {
	p, err := peer.Decode(string(id))
	if err != nil {
		return ErrUnknownPeer
	}
	n.book.pardon(p)
	return nil
}

// member is an admitted peer, or nil.
func (n *Network) member(id peer.ID) *member {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.members[id]
}

func (n *Network) snapshot() []*member {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]*member, 0, len(n.members))
	for _, m := range n.members {
		out = append(out, m)
	}
	return out
}

// crowds counts the members of each network group, and all.
func (n *Network) crowds() (map[string]int, int) {
	groups := map[string]int{}
	for _, m := range n.snapshot() {
		groups[groupOf(m.addr.String())]++
	}
	return groups, len(n.snapshot())
}

// awaitMember waits for a peer to be admitted: the last word of a handshake and the first of what follows go on streams
// of their own, and may arrive the other way round.
func (n *Network) awaitMember(ctx context.Context, conn corenet.Conn) *member {
	id := conn.RemotePeer()
	ctx, cancel := context.WithTimeout(ctx, n.opt.patience.handshake)
	defer cancel()
	look := time.NewTicker(500 * time.Millisecond)
	defer look.Stop()
	for {
		n.mu.Lock()
		m, came := n.members[id], n.came
		n.mu.Unlock()
		if m != nil {
			return m
		}
		select {
		case <-came:
		case <-look.C:
			if conn.IsClosed() {
				return nil // nobody is there to be admitted
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// admit makes a peer a member after a handshake that both sides were content with, or renews its status.
func (n *Network) admit(conn corenet.Conn, x exchange) {
	id, now := conn.RemotePeer(), n.opt.Now()
	inbound := conn.Stat().Direction == corenet.DirInbound
	n.book.admitted(id, !inbound, now)
	if !inbound {
		n.book.learn(id, []multiaddr.Multiaddr{conn.RemoteMultiaddr()})
	}
	n.telling.Lock()
	n.mu.Lock()
	m, known := n.members[id]
	if !known {
		m = &member{
			id: id, since: now, inbound: inbound, addr: conn.RemoteMultiaddr(),
			outbox: newQueue(outboxMessages, outboxBytes, &n.outboxes), quota: newQuota(n.opt.MaxMessage),
			serving: make(chan struct{}, maxServingPeer),
		}
		n.members[id] = m
		n.crew.start(func(ctx context.Context) { n.write(ctx, m) })
		close(n.came)
		n.came = make(chan struct{})
	}
	m.status, m.rtt, m.clock = x.status, x.rtt, x.clock.after(m.clock, time.Now())
	p, count, told := n.describe(m, now), len(n.members), n.told[id]
	n.mu.Unlock()
	n.book.learn(id, told.addrs)
	n.metrics.Peers.Set(float64(count))
	if !known {
		n.log.Info("peer connected", "peer", id, "address", m.addr.String(), "client", x.status.Client, "head", x.status.Head.Header.Height, "inbound", inbound)
	}
	n.changed(p)
	n.telling.Unlock()
	// The connection may have ended while it was admitted, with nobody there to be told.
	if n.node.Network().Connectedness(id) != corenet.Connected {
		n.left(id)
	}
}

// left forgets a member whose last connection has ended.
func (n *Network) left(id peer.ID) {
	now := n.opt.Now()
	n.telling.Lock()
	defer n.telling.Unlock()
	n.mu.Lock()
	m := n.members[id]
	if m == nil {
		n.mu.Unlock()
		return
	}
	delete(n.members, id)
	p, count := n.describe(m, now), len(n.members)
	n.mu.Unlock()
	m.outbox.close()
	n.book.lost(id, now)
	n.metrics.Peers.Set(float64(count))
	n.log.Info("peer disconnected", "peer", id, "after", now.Sub(m.since).Round(time.Second))
	p.Gone = true
	n.changed(p)
	n.nudge()
}

// changed tells of a member, in the order of changes: telling is held.
func (n *Network) changed(p Peer) {
	if n.opt.PeerChanged != nil {
		n.opt.PeerChanged(p)
	}
}

// nudge lets the dialler look at the book at once.
func (n *Network) nudge() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// groupOf is the network that an address belongs to: its /24, or /48 for IPv6; the address itself when it has no IP.
func groupOf(addr string) string {
	a, err := multiaddr.NewMultiaddr(addr)
	if err != nil {
		return addr
	}
	ip, err := manet.ToIP(a)
	if err != nil {
		return addr
	}
	ap, ok := netip.AddrFromSlice(ip)
	if !ok {
		return addr
	}
	bits := 48
	if ap = ap.Unmap(); ap.Is4() {
		bits = 24
	}
	prefix, err := ap.Prefix(bits)
	if err != nil {
		return addr
	}
	return prefix.String()
}
