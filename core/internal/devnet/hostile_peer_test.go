package devnet_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/rlp"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	corenet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"github.com/alys-node/alys/core/internal/devnet"
	"github.com/alys-node/alys/sdk/chain"
)

// The codes of frames, as a peer in another language would have them.
const (
	frameStatus  = 1
	frameVerdict = 2
	frameRequest = 3
	frameMessage = 8
)

// attacked is a node as a hostile peer knows it.
type attacked struct {
	node    *devnet.Node
	at      peer.AddrInfo
	genesis chain.Hash
	status  []byte // what the node says about itself: good enough for anybody on its chain
}

// attackedBy finds out what a stranger can: a handshake of garbage is answered with the node's own status before it is refused.
func attackedBy(t *testing.T, n *devnet.Node) *attacked {
	t.Helper()
	s := n.Status()
	address, err := multiaddr.NewMultiaddr(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/p2p/%s", n.P2P(), s.PeerID))
	check(t, err)
	at, err := peer.AddrInfoFromP2pAddr(address)
	check(t, err)
	a := &attacked{node: n, at: *at, genesis: s.Genesis}
	h, err := newHostile(a)
	check(t, err)
	defer h.Close()
	a.status, err = h.handshake(t.Context(), []byte("garbage"))
	if len(a.status) == 0 {
		t.Fatalf("the node does not say who it is: %v", err)
	}
	return a
}

func (a *attacked) id(name string) protocol.ID {
	return protocol.ID("/alys/" + hex.EncodeToString(a.genesis[:16]) + "/" + name + "/1")
}

// hostile is a peer of its own identity that keeps to no rules. It answers questions for its status, so that silence is not
// what it is disconnected for.
type hostile struct {
	host.Host
	a     *attacked
	limit corenet.ResourceManager
}

func newHostile(a *attacked) (*hostile, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, err
	}
	known, err := pstoremem.NewPeerstore()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(known.AddPrivKey(id, key), known.AddPubKey(id, key.GetPublic())); err != nil {
		return nil, err
	}
	limit, bus := &corenet.NullResourceManager{}, eventbus.NewBus()
	s, err := swarm.NewSwarm(id, known, bus, swarm.WithResourceManager(limit))
	if err != nil {
		return nil, err
	}
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: yamux.DefaultTransport}}
	security, err := noise.New(noise.ID, key, muxers)
	if err != nil {
		return nil, err
	}
	up, err := upgrader.New([]sec.SecureTransport{security}, muxers, nil, limit, nil)
	if err != nil {
		return nil, err
	}
	overTCP, err := tcp.NewTCPTransport(up, limit, nil)
	if err != nil {
		return nil, err
	}
	if err := s.AddTransport(overTCP); err != nil {
		return nil, err
	}
	b, err := basichost.NewHost(s, &basichost.HostOpts{EventBus: bus})
	if err != nil {
		return nil, err
	}
	b.Start()
	b.SetStreamHandler(a.id("status"), func(st corenet.Stream) {
		_, _, _ = takeFrame(st)
		_ = putFrame(st, frameStatus, a.status)
		_ = st.Close()
	})
	return &hostile{b, a, limit}, nil
}

// member is a hostile peer that the node has admitted.
func (a *attacked) member(ctx context.Context) (*hostile, error) {
	h, err := newHostile(a)
	if err != nil {
		return nil, err
	}
	if _, err := h.handshake(ctx, a.status); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// handshake does the dialler's part and gives the status of the node. An error is also a refusal.
func (h *hostile) handshake(ctx context.Context, status []byte) (theirs []byte, err error) {
	if err := h.Connect(ctx, h.a.at); err != nil {
		return nil, err
	}
	st, err := h.NewStream(ctx, h.a.at.ID, "/alys/handshake/1")
	if err != nil {
		return nil, err
	}
	defer st.Reset()
	_ = st.SetDeadline(time.Now().Add(20 * time.Second))
	if err := putFrame(st, frameStatus, status); err != nil {
		return nil, err
	}
	_, theirs, err = takeFrame(st)
	if err != nil {
		return nil, err
	}
	if err := putFrame(st, frameVerdict, nil); err != nil {
		return theirs, err
	}
	_, refusal, err := takeFrame(st)
	if err == nil && len(refusal) > 0 {
		err = fmt.Errorf("refused: %s", refusal)
	}
	return theirs, err
}

// open opens a stream.
func (h *hostile) open(ctx context.Context, name string) (corenet.Stream, error) {
	return h.NewStream(ctx, h.a.at.ID, h.a.id(name))
}

func putFrame(w io.Writer, code byte, content []byte) error {
	head := binary.BigEndian.AppendUint32([]byte{code}, uint32(len(content)))
	_, err := w.Write(append(head, content...))
	return err
}

func takeFrame(r io.Reader) (code byte, content []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	content = make([]byte, binary.BigEndian.Uint32(head[1:]))
	_, err = io.ReadFull(r, content)
	return head[0], content, err
}

// packet is a packet of gossip, with its length before it.
func packet(rpc *pb.RPC) ([]byte, error) {
	raw, err := proto.Marshal(rpc)
	if err != nil {
		return nil, err
	}
	return append(binary.AppendUvarint(nil, uint64(len(raw))), raw...), nil
}

// said is a packet with messages of a topic.
func (a *attacked) said(topic string, messages ...[]byte) ([]byte, error) {
	name := string(a.id(topic))
	rpc := &pb.RPC{}
	for _, m := range messages {
		rpc.Publish = append(rpc.Publish, &pb.Message{Data: m, Topic: &name})
	}
	return packet(rpc)
}

// vote looks like an approval of this slot and is of no authority.
func (a *attacked) vote(slot chain.Slot, n uint64) ([]byte, error) {
	h := chain.Header{Version: chain.HeaderVersion, Genesis: a.genesis, Slot: slot, Height: chain.Height(slot)}
	binary.BigEndian.PutUint64(h.PayloadHash[:], n)
	content, err := rlp.EncodeToBytes(struct {
		Header    []byte
		Authority uint64
		Signature chain.BLSSignature
	}{h.Encode(), n % 3, chain.BLSSignature{0x80, byte(n)}})
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint64([]byte{2}, uint64(slot)), content...), nil
}

// mob is hostile peers that do the same thing, each as often as it can, with a short rest between. One that is disconnected
// comes back as another.
type mob struct {
	*attacked
	t              *testing.T
	size           int
	admitted, done atomic.Int64 // identities that were let in, and rounds that went through
}

// attack lets every peer of the mob repeat a round until ctx ends, and closes what they opened.
func (m *mob) attack(ctx context.Context, round func(ctx context.Context, h *hostile) error) {
	var wg sync.WaitGroup
	for range m.size {
		wg.Go(func() {
			for ctx.Err() == nil {
				m.oneLife(ctx, round)
				pause(ctx, 50*time.Millisecond)
			}
		})
	}
	wg.Wait()
}

func (m *mob) oneLife(ctx context.Context, round func(ctx context.Context, h *hostile) error) {
	h, err := m.member(ctx)
	if err != nil {
		return // no room, or the attack is over
	}
	defer h.Close()
	m.admitted.Add(1)
	for ctx.Err() == nil {
		if err := round(ctx, h); err != nil {
			return
		}
		m.done.Add(1)
		pause(ctx, 10*time.Millisecond)
	}
}
