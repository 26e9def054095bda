package network

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
)

// maxSilent is how many questions for its status a member may leave without an answer.
const maxSilent = 3

// peersInterval is how often a peer is asked for others while there are too few.
const peersInterval = 30 * time.Second

// keepAsking asks every member for its status from time to time, which also shows that it is there, and for other peers
// while there are too few.
func (n *Network) keepAsking(ctx context.Context) {
	// The interval is shared by the members: the questions do not come all at once.
	tick := time.NewTicker(statusInterval / 4)
	defer tick.Stop()
	asked := map[peer.ID]time.Time{}
	var askedPeers time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		members := n.snapshot()
		seen := make(map[peer.ID]time.Time, len(members))
		for _, m := range members {
			last, known := asked[m.id]
			if !known {
				last = now.Add(-time.Duration(jitter() * float64(statusInterval) / 2))
			}
			if now.Sub(last) >= statusInterval {
				last = now
				n.crew.start(func(ctx context.Context) { n.renew(ctx, m) })
			}
			seen[m.id] = last
		}
		asked = seen
		if len(members) > 0 && len(members) < n.opt.TargetPeers && now.Sub(askedPeers) >= peersInterval {
			askedPeers = now
			m := members[int(jitter()*float64(len(members)))]
			n.crew.start(func(ctx context.Context) { n.askForPeers(ctx, m) })
		}
	}
}

// renew asks a member for its status.
func (n *Network) renew(ctx context.Context, m *member) {
	var s Status
	var took time.Duration
	var clock reading
	err := n.ask(ctx, m.id, "status", n.proto.status, noRequest{}, func(c *call) error {
		_, raw, err := c.frame(codeStatus)
		if err != nil {
			return err
		}
		took = c.first
		s, err = decodeStatus(raw)
		clock = read(s.Clock, c.start)
		return err
	})
	switch {
	case err == nil:
		m.failed.Store(0)
	case ctx.Err() != nil || errors.Is(err, ErrUnknownPeer):
		return
	case m.failed.Add(1) >= maxSilent:
		n.log.Info("peer is silent", "peer", m.id, "error", err)
		n.dismiss(m.id, "silent", "no answer to questions for the status")
		return
	default:
		n.log.Debug("no status of a peer", "peer", m.id, "error", err)
		return
	}
	if err := n.check(n.status(), s); err != nil {
		n.book.refuse(m.id, err.Error(), n.opt.Now())
		n.warn(m.id, "peer no longer follows our chain", "reason", err)
		n.dismiss(m.id, "other_schedule", err.Error())
		return
	}
	now := n.opt.Now()
	n.telling.Lock()
	defer n.telling.Unlock()
	n.mu.Lock()
	known := n.members[m.id] == m
	m.status, m.rtt, m.clock = s, took, clock.after(m.clock, time.Now())
	p := n.describe(m, now)
	n.mu.Unlock()
	if known {
		n.changed(p)
	}
}

// askForPeers learns addresses from a member. Records are signed by the peers that they are about; whether a peer is of
// our chain shows its handshake.
func (n *Network) askForPeers(ctx context.Context, m *member) {
	err := n.ask(ctx, m.id, "peers", n.proto.peers, noRequest{}, func(c *call) error {
		_, raw, err := c.frame(codePeers)
		if err != nil {
			return err
		}
		a, err := decodePeers(raw)
		if err != nil {
			return err
		}
		for _, r := range a.Records {
			if err := n.learnRecord(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		n.log.Debug("no peers of a peer", "peer", m.id, "error", err)
	}
	n.nudge()
}

// learnRecord notes the addresses of a signed record.
func (n *Network) learnRecord(raw []byte) error {
	info, err := openRecord(raw)
	if err != nil {
		return err
	}
	if info.ID != n.node.ID() {
		n.book.learn(info.ID, info.Addrs)
	}
	return nil
}

// openRecord verifies a signed peer record: only the peer itself can have made it.
func openRecord(raw []byte) (peer.AddrInfo, error) {
	env, rec, err := record.ConsumeEnvelope(raw, peer.PeerRecordEnvelopeDomain)
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("peer record: %w: %w", ErrMalformed, err)
	}
	pr, ok := rec.(*peer.PeerRecord)
	if !ok || !pr.PeerID.MatchesPublicKey(env.PublicKey) {
		return peer.AddrInfo{}, fmt.Errorf("peer record is signed by another key: %w", ErrMalformed)
	}
	return peer.AddrInfo{ID: pr.PeerID, Addrs: pr.Addrs[:min(len(pr.Addrs), maxBookAddrs)]}, nil
}
