package network

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/alys-node/alys/sdk/chain"
)

func TestPeersMeetOverTCPAndOverQUIC(t *testing.T) {
	for _, test := range []struct {
		name string
		part string
	}{
		{"TCP", "/tcp/"},
		{"QUIC", "/quic-v1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := start(t, func(o *Options) { o.QUIC = true })
			b := start(t, func(o *Options) {
				for _, addr := range a.Addresses() {
					if strings.Contains(addr, test.part) {
						o.StaticPeers = append(o.StaticPeers, addr)
					}
				}
			})
			b.meets(a)
			peers := b.Peers()
			if len(peers) != 1 || peers[0].ID != a.name() || !strings.Contains(peers[0].Address, test.part) || peers[0].Inbound || !peers[0].Static {
				t.Fatalf("peers %+v", peers)
			}
			p := a.Peers()[0]
			if p.ID != b.name() || !p.Inbound || p.Group != "127.0.0.0/24" || p.Status.Client != "alys/test" || p.Status.Engine != "enode://test" ||
				p.Status.Head.Header.Height != 20 || p.RTT <= 0 {
				t.Errorf("the other side sees %+v", p)
			}
			if got := b.Clocks(); got != (Clocks{Peers: 1}) {
				t.Errorf("the clock of one peer says %+v", got)
			}
		})
	}
}

func TestAUsedPortIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Open(options(t, newLedger(1, 0), &inbox{}, &slotClock{}, func(o *Options) { o.Listen = l.Addr().String() }))
	wantError(t, err, ErrPortInUse)
}

func TestEveryWrongArgumentIsNamedAtOnce(t *testing.T) {
	_, err := Open(options(t, newLedger(1, 0), &inbox{}, &slotClock{}, func(o *Options) {
		o.Listen = "everywhere:1"
		o.Bootnodes = []string{"/ip4/127.0.0.1/tcp/1"}
		o.StaticPeers = []string{"/ip4/127.0.0.1/tcp/1/p2p/12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5"}
		o.AllowPeers = []string{"nobody", "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X"}
		o.External = []string{"here"}
		o.Heights.Changes = []Change{{At: 5}, {At: 5}}
	}))
	wantError(t, err, ErrOptions)
	for _, name := range []string{"listener.p2p.address", "network.bootnodes[0]", "network.static_peers", "network.allow_peers[0]", "network.external_addresses[0]", "height"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in %v", name, err)
		}
	}
}

func TestANetworkRunsOnceAndClosesTwice(t *testing.T) {
	a := start(t)
	eventually(t, "it runs", func() bool { return a.gossip.Load() != nil })
	if err := a.Run(t.Context()); err == nil {
		t.Error("it runs twice")
	}
	a.stop()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	// What comes after the end is lost, and nobody waits for ever.
	a.SendApproval(approvalOf(a.chain.at(3)), "")
	answered := make(chan bool, 1)
	a.Fetch(chain.Hash{1}, "", answerTo(answered))
	if <-answered {
		t.Error("a block from nowhere")
	}
}

func TestAPeerThatGoesSaysSo(t *testing.T) {
	a := start(t)
	b := start(t, dialling(a))
	b.meets(a)
	b.stop()
	eventually(t, "the peer is gone", func() bool { return len(a.Peers()) == 0 })
}

func TestChangesOfPeersAreTold(t *testing.T) {
	events := make(chan Peer, 64)
	a := start(t, func(o *Options) { o.PeerChanged = func(p Peer) { events <- p } })
	b := start(t, dialling(a))
	b.meets(a)
	if p := <-events; p.ID != b.name() || p.Gone {
		t.Errorf("first event %+v", p)
	}
	b.stop()
	for p := range events {
		if p.Gone {
			break
		}
	}
}

// Nothing is said to a network that does not run yet, and nothing of it is left when it has ended.
func TestGoroutinesHaveOwners(t *testing.T) {
	a := start(t)
	b := start(t, dialling(a))
	b.meets(a)
	b.stop()
	if b.crew.start(func(context.Context) {}) {
		t.Error("a goroutine starts after the end")
	}
}
