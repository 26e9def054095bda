package network

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/libp2p/go-libp2p/core/host"
	corenet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/sec"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"
)

// ErrPortInUse means that another process listens on the address of the p2p listener.
var ErrPortInUse = errors.New("the address is in use")

// node is a libp2p host, put together by hand: libp2p's own constructor links WebRTC, WebTransport, relays and hole
// punching, which no peer of ours speaks.
type node struct {
	host.Host
	swarm   *swarm.Swarm
	closers []io.Closer // what the host does not close itself, in order
}

// newNode makes a host and listens. It owns limits from here on.
func newNode(o Options, p parsed, id Identity, g *gater, limits corenet.ResourceManager) (*node, error) {
	n := &node{closers: []io.Closer{limits}}
	fail := func(err error) (*node, error) { return nil, errors.Join(err, n.Close()) }
	peers, err := newPeerstore(id)
	if err != nil {
		return fail(err)
	}
	n.closers = append(n.closers, peers)
	bus := eventbus.NewBus()
	n.swarm, err = swarm.NewSwarm(id.id, peers, bus,
		swarm.WithConnectionGater(g), swarm.WithResourceManager(limits), swarm.WithDialTimeout(dialTimeout))
	if err != nil {
		return fail(fmt.Errorf("make swarm: %w", err))
	}
	n.closers = append([]io.Closer{n.swarm}, n.closers...)
	if err := n.addTransports(id, limits, g); err != nil {
		return fail(err)
	}
	opts := &basichost.HostOpts{EventBus: bus, UserAgent: o.Client, ProtocolVersion: string(protocolsOf(o.Genesis).handshake)}
	if len(p.external) > 0 {
		opts.AddrsFactory = func([]multiaddr.Multiaddr) []multiaddr.Multiaddr { return p.external }
	}
	h, err := basichost.NewHost(n.swarm, opts)
	if err != nil {
		return fail(fmt.Errorf("make host: %w", err))
	}
	n.Host = h
	for _, a := range p.listen {
		if err := n.swarm.AddListenAddr(a); err != nil {
			return fail(listenError(a, err))
		}
	}
	h.Start()
	return n, nil
}

// listenError says what an operator can do.
func listenError(a multiaddr.Multiaddr, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen on %s: %w: end the process that has it, or set another listener.p2p.address", a, ErrPortInUse)
	}
	return fmt.Errorf("listen on %s: %w", a, err)
}

func newPeerstore(id Identity) (peerstore.Peerstore, error) {
	peers, err := pstoremem.NewPeerstore()
	if err != nil {
		return nil, fmt.Errorf("make peerstore: %w", err)
	}
	if err := errors.Join(peers.AddPrivKey(id.id, id.key), peers.AddPubKey(id.id, id.key.GetPublic())); err != nil {
		return nil, errors.Join(fmt.Errorf("make peerstore: %w", err), peers.Close())
	}
	return peers, nil
}

// addTransports adds TCP with Noise and Yamux, and QUIC, for dialling at least.
func (n *node) addTransports(id Identity, limits corenet.ResourceManager, g *gater) error {
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: yamux.DefaultTransport}}
	security, err := noise.New(noise.ID, id.key, muxers)
	if err != nil {
		return fmt.Errorf("make noise transport: %w", err)
	}
	up, err := upgrader.New([]sec.SecureTransport{security}, muxers, nil, limits, g, upgrader.WithAcceptTimeout(handshakeTimeout))
	if err != nil {
		return fmt.Errorf("make upgrader: %w", err)
	}
	overTCP, err := tcp.NewTCPTransport(up, limits, nil)
	if err != nil {
		return fmt.Errorf("make TCP transport: %w", err)
	}
	reset, token, err := quicKeys(id)
	if err != nil {
		return err
	}
	reuse, err := quicreuse.NewConnManager(reset, token, quicreuse.VerifySourceAddress(limits.VerifySourceAddress))
	if err != nil {
		return fmt.Errorf("make QUIC transport: %w", err)
	}
	n.closers = append(n.closers, reuse)
	overQUIC, err := libp2pquic.NewTransport(id.key, reuse, nil, g, limits)
	if err != nil {
		return fmt.Errorf("make QUIC transport: %w", err)
	}
	return errors.Join(n.swarm.AddTransport(overTCP), n.swarm.AddTransport(overQUIC))
}

// quicKeys derives the keys of QUIC's reset and address tokens, so that they survive a restart.
func quicKeys(id Identity) (reset quic.StatelessResetKey, token quic.TokenGeneratorKey, err error) {
	secret, err := id.key.Raw()
	if err != nil {
		return reset, token, fmt.Errorf("read peer identity: %w", err)
	}
	a, errA := hkdf.Key(sha256.New, secret, nil, "alys quic stateless reset", len(reset))
	b, errB := hkdf.Key(sha256.New, secret, nil, "alys quic address token", len(token))
	copy(reset[:], a)
	copy(token[:], b)
	return reset, token, errors.Join(errA, errB)
}

// Close closes everything, the host first.
func (n *node) Close() error {
	var errs []error
	if n.Host != nil {
		errs = append(errs, n.Host.Close())
	}
	for _, c := range n.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
