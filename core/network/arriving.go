package network

import (
	"context"
	"fmt"
	"math/bits"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	corenet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// What arrives takes memory before it can be judged. Frames and packets above firstChunk take a share of one budget while
// they arrive, and each must arrive in a time that its size gives: many peers that begin the largest message and do not end
// it hold no more than the budget, and not for long. Configured peers are apart from it: others cannot make them wait.

// arrivingBytes is what all peers that are not static may have arriving at once.
const arrivingBytes = 96 << 20

// slowestPeer is the bytes a second that a frame must come by, after stall.
const slowestPeer = 512 << 10

// arrivalTime is how long a frame or packet of a size may take once it has begun.
func (n *Network) arrivalTime(size int) time.Duration {
	return n.opt.patience.stall + time.Duration(size)*(time.Second/slowestPeer)
}

// reserve waits until there is room for so many bytes of a peer. ErrBusy when there is none in time.
func (n *Network) reserve(ctx context.Context, from peer.ID, size int) (release func(), err error) {
	if size <= firstChunk || n.book.static(from) {
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, n.opt.patience.stall)
	defer cancel()
	if err := n.arriving.Acquire(ctx, int64(size)); err != nil {
		return nil, fmt.Errorf("%w: too much arrives at once: %w", ErrBusy, err)
	}
	return sync.OnceFunc(func() { n.arriving.Release(int64(size)) }), nil
}

// gossipHost is the host as gossipsub sees it: streams come from members only, and are limited.
type gossipHost struct {
	host.Host
	n *Network
}

// SetStreamHandler implements host.Host.
func (h gossipHost) SetStreamHandler(id protocol.ID, f corenet.StreamHandler) {
	h.Host.SetStreamHandler(id, h.limited(f))
}

// SetStreamHandlerMatch implements host.Host.
func (h gossipHost) SetStreamHandlerMatch(id protocol.ID, match func(protocol.ID) bool, f corenet.StreamHandler) {
	h.Host.SetStreamHandlerMatch(id, match, h.limited(f))
}

func (h gossipHost) limited(f corenet.StreamHandler) corenet.StreamHandler {
	return func(s corenet.Stream) {
		began := h.n.crew.run(func(ctx context.Context) {
			defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
			if h.n.awaitMember(ctx, s.Conn()) == nil {
				_ = s.Reset()
				return
			}
			f(&packets{Stream: s, n: h.n, ctx: ctx})
		})
		if !began {
			_ = s.Reset()
		}
	}
}

// packets is a stream of gossip as gossipsub reads it: each packet after its length, a varint. One goroutine reads it.
//
// It keeps the run's context, against the habit: a reader has none.
type packets struct {
	corenet.Stream
	n   *Network
	ctx context.Context

	length  uint64 // what has come of it
	bits    uint
	left    int // bytes of a packet that are to come
	release func()
	err     error // of the framing or of the budget: nothing is read after it
}

// errPacketLength means that a packet's length is beyond what gossip takes, or is no number.
var errPacketLength = fmt.Errorf("gossip packet with a length beyond the limit: %w", ErrMalformed)

// Read implements io.Reader. It never reads beyond a packet. An error of ours comes without bytes: who reads a byte at a time
// with io.ReadFull, as gossipsub reads lengths, never sees one that comes with its byte.
func (p *packets) Read(b []byte) (int, error) {
	if p.err != nil || len(b) == 0 {
		return 0, p.err
	}
	if p.left == 0 {
		b = b[:1]
	}
	n, err := p.Stream.Read(b[:min(len(b), max(p.left, 1))])
	if n > 0 {
		if p.err = p.count(b[:n]); p.err != nil {
			n, err = 0, p.err
		}
	}
	if err != nil && p.release != nil {
		p.release()
	}
	return n, err
}

// count follows the framing.
func (p *packets) count(b []byte) error {
	if p.left > 0 {
		if p.left -= len(b); p.left == 0 {
			p.release()
			return p.SetReadDeadline(time.Time{}) // between packets a peer may be silent
		}
		return nil
	}
	if p.bits == 0 {
		if err := p.SetReadDeadline(time.Now().Add(p.n.arrivalTime(0))); err != nil {
			return err
		}
	}
	p.length |= uint64(b[0]&0x7f) << p.bits
	p.bits += 7
	switch size := p.length; {
	case p.bits > 28 || size > uint64(p.n.opt.MaxMessage+packetOverhead):
		p.n.misbehaved(p.Conn().RemotePeer(), errPacketLength.Error())
		return errPacketLength
	case b[0]&0x80 != 0:
		return nil // there is more of it
	default:
		p.length, p.bits = 0, 0
		return p.begin(int(size))
	}
}

// begin makes room for a packet whose length is known. An empty one is nothing.
func (p *packets) begin(size int) error {
	if size == 0 {
		return p.SetReadDeadline(time.Time{})
	}
	takes := 1 << bits.Len(uint(size-1)) // gossipsub's buffers come from a pool of powers of two
	release, err := p.n.reserve(p.ctx, p.Conn().RemotePeer(), takes)
	if err != nil {
		return err
	}
	p.left, p.release = size, release
	return p.SetReadDeadline(time.Now().Add(p.n.arrivalTime(size)))
}
