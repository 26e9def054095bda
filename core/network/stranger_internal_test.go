package network

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	corenet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
)

// stranger is a peer that does by hand what a test wants, on our chain.
type stranger struct {
	*node
	t     *testing.T
	id    Identity
	proto protocols
	chain *ledger
}

func newStranger(t *testing.T) *stranger {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := identityOf(key)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Genesis: testGenesis, Listen: "127.0.0.1:0"}
	o.setDefaults()
	in := &inbox{}
	o.Source, o.Take, o.TakeTransactions, o.Slot = newLedger(0, 0), in.take, in.takeTransactions, (&slotClock{}).now
	p, err := o.parse()
	if err != nil {
		t.Fatal(err)
	}
	g := &gater{allowed: func(peer.ID) bool { return true }}
	g.open.Store(true)
	n, err := newNode(o, p, id, g, &corenet.NullResourceManager{}) // it keeps to no limits of its own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &stranger{n, t, id, protocolsOf(testGenesis), newLedger(20, 100)}
	n.SetStreamHandler(s.proto.handshake, s.welcome)
	return s
}

func (s *stranger) name() consensus.Peer { return consensus.Peer(s.id.ID()) }

// status is as good as a real one.
func (s *stranger) status() []byte {
	st := s.chain.Status()
	st.Genesis = testGenesis
	st.Heights = Schedule{Axis: "height"}.ID(testGenesis, 0)
	st.Slots = Schedule{Axis: "slot"}.ID(testGenesis, 0)
	st.Clock = chain.UnixMilli(time.Now().UnixMilli())
	raw, err := encodeStatus(st)
	if err != nil {
		s.t.Error(err)
	}
	return raw
}

// welcome is the listener's part of a handshake.
func (s *stranger) welcome(st corenet.Stream) {
	if c, _, err := readFrame(st, codeStatus, codeVerdict); err != nil || c == codeVerdict {
		_ = st.Reset()
		return
	}
	_ = writeFrame(st, codeStatus, s.status())
	_ = readVerdict(st)
	_ = writeFrame(st, codeVerdict, nil)
	_ = st.Close()
}

func (s *stranger) connect(to *running) {
	s.t.Helper()
	if err := s.Connect(s.t.Context(), peer.AddrInfo{ID: to.peerID(), Addrs: to.node.Addrs()}); err != nil {
		s.t.Fatal(err)
	}
}

// open opens a stream.
func (s *stranger) open(to *running, p protocol.ID) corenet.Stream {
	s.t.Helper()
	st, err := s.NewStream(s.t.Context(), to.peerID(), p)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = st.SetDeadline(time.Now().Add(inVain))
	s.t.Cleanup(func() { _ = st.Reset() })
	return st
}

// joins connects and passes the handshake.
func (s *stranger) joins(to *running) {
	s.t.Helper()
	s.connect(to)
	st := s.open(to, s.proto.handshake)
	if err := writeFrame(st, codeStatus, s.status()); err != nil {
		s.t.Fatal(err)
	}
	if _, _, err := readFrame(st, codeStatus); err != nil {
		s.t.Fatal(err)
	}
	if err := writeFrame(st, codeVerdict, nil); err != nil {
		s.t.Fatal(err)
	}
	if err := readVerdict(st); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the stranger is admitted", func() bool { return to.member(s.id.id) != nil })
}
