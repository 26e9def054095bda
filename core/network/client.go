package network

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/rlp"
	corenet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
)

// call is a request under way.
type call struct {
	n       *Network
	s       corenet.Stream
	start   time.Time
	first   time.Duration // to the first frame of the answer
	bytes   int
	timeout time.Duration
}

// ask opens a stream, sends one request and lets f read the answer. It ends with one of the errors of requests; one that
// is ErrMisbehaved has been counted against the peer.
func (n *Network) ask(ctx context.Context, id peer.ID, kind string, p protocol.ID, request any, f func(c *call) error) error {
	m := n.member(id)
	if m == nil {
		return fmt.Errorf("%w: %s", ErrUnknownPeer, id)
	}
	start := time.Now()
	err := classify(ctx, n.askMember(ctx, m, p, request, f))
	n.metrics.PeerRequestTime.WithLabelValues(kind).Observe(time.Since(start).Seconds())
	n.metrics.PeerRequests.WithLabelValues(kind, requestLabel(err)).Inc()
	if errors.Is(err, ErrMisbehaved) {
		n.misbehaved(id, err.Error())
	}
	return err
}

func (n *Network) askMember(ctx context.Context, m *member, p protocol.ID, request any, f func(c *call) error) error {
	raw, err := rlp.EncodeToBytes(request)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	opening, cancel := context.WithTimeout(ctx, n.opt.RequestTimeout)
	defer cancel()
	s, err := n.node.NewStream(opening, m.id, p)
	if err != nil {
		return fmt.Errorf("open stream: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	c := &call{n: n, s: s, start: time.Now(), timeout: n.opt.RequestTimeout}
	_ = s.SetWriteDeadline(c.start.Add(c.timeout))
	err = writeFrame(s, codeRequest, raw)
	if err == nil {
		_ = s.CloseWrite()
		err = f(c)
	}
	if err != nil {
		_ = s.Reset()
		return err
	}
	_ = s.Close()
	return nil
}

// frame reads the next frame of the answer, which must come within the request timeout.
func (c *call) frame(want ...code) (code, []byte, error) {
	_ = c.s.SetReadDeadline(time.Now().Add(c.timeout))
	got, raw, err := readFrame(c.s, append(want, codeError)...)
	if err != nil {
		return 0, nil, err
	}
	if c.first == 0 {
		c.first = time.Since(c.start)
	}
	c.bytes += frameHead + len(raw)
	c.n.metrics.PeerBytes.WithLabelValues("received").Add(float64(frameHead + len(raw)))
	if got == codeError {
		return 0, nil, decodeRefusal(raw)
	}
	return got, raw, nil
}

func requestLabel(err error) string {
	switch {
	case err == nil:
		return "answered"
	case errors.Is(err, ErrTimeout):
		return "timeout"
	case errors.Is(err, ErrMisbehaved):
		return "misbehaved"
	case errors.Is(err, ErrBusy):
		return "busy"
	case errors.Is(err, ErrNotFound):
		return "not_found"
	case errors.Is(err, ErrPeerFailed):
		return "peer_failed"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return "disconnected"
}

// RangeRequest asks a peer for blocks of its chain.
type RangeRequest struct {
	Peer  consensus.Peer
	From  chain.Height
	Count uint64 // 1 to MaxRangeBlocks
	Bytes uint64 // at most so many, but always one block; 0 means MaxRangeBytes
}

// RangeAnswer is a run of blocks, each the child of the one before. There may be fewer than were asked for, never none.
type RangeAnswer struct {
	Blocks []Received
	QC     block.QC // of the last block; whether it certifies is the caller's to verify
	Bytes  uint64   // received
	First  time.Duration
	Took   time.Duration // from request to last byte
}

// Range fetches blocks from a peer. Heights, hash links and the place of the certificate are checked; ErrMisbehaved when
// they are wrong. ErrNotFound means that the peer does not have the first block.
func (n *Network) Range(ctx context.Context, r RangeRequest) (RangeAnswer, error) {
	if r.Bytes == 0 {
		r.Bytes = MaxRangeBytes
	}
	q := rangeRequest{From: r.From, Count: r.Count, Bytes: r.Bytes}
	if err := q.check(); err != nil {
		return RangeAnswer{}, fmt.Errorf("ask for blocks: %w", err)
	}
	id, err := peer.Decode(string(r.Peer))
	if err != nil {
		return RangeAnswer{}, fmt.Errorf("%w: %q", ErrUnknownPeer, r.Peer)
	}
	var a RangeAnswer
	err = n.ask(ctx, id, "blocks_by_range", n.proto.blocks, q, func(c *call) error {
		err := c.readRange(q, &a)
		a.Bytes, a.First, a.Took = uint64(c.bytes), c.first, time.Since(c.start)
		return err
	})
	if err != nil {
		return RangeAnswer{Bytes: a.Bytes, First: a.First, Took: a.Took}, fmt.Errorf("blocks from height %d of %s: %w", r.From, r.Peer, err)
	}
	return a, nil
}

// slack is by how much an answer may exceed the bytes that were asked for: one block may always come, and frames have
// heads.
const slack = 64 << 10

func (c *call) readRange(q rangeRequest, a *RangeAnswer) error {
	var bytes uint64
	for {
		got, raw, err := c.frame(codeBlock, codeEnd)
		if err != nil {
			return err
		}
		if got == codeEnd {
			return a.finish(raw)
		}
		bytes += uint64(len(raw))
		switch {
		case uint64(len(a.Blocks)) == q.Count:
			return fmt.Errorf("%w: more than the %d blocks asked for", ErrMisbehaved, q.Count)
		case len(a.Blocks) > 0 && bytes > q.Bytes+slack:
			return fmt.Errorf("%w: %w: more than the %d bytes asked for", ErrMisbehaved, ErrTooLarge, q.Bytes)
		}
		r, err := decodeStored(raw)
		if err != nil {
			return err
		}
		if err := a.follows(r, q.From); err != nil {
			return err
		}
		a.Blocks = append(a.Blocks, r)
	}
}

// follows checks that a block continues the range.
func (a *RangeAnswer) follows(r Received, from chain.Height) error {
	h := r.Block.Header
	if want := from + chain.Height(len(a.Blocks)); h.Height != want {
		return fmt.Errorf("%w: a block at height %d where %d is due", ErrMisbehaved, h.Height, want)
	}
	if len(a.Blocks) == 0 {
		return nil
	}
	if before := a.Blocks[len(a.Blocks)-1].Block.Header; h.Parent != before.Hash() || r.Block.ParentQC.Block != h.Parent {
		return fmt.Errorf("%w: the block at height %d is not the child of the one before", ErrMisbehaved, h.Height)
	}
	return nil
}

func (a *RangeAnswer) finish(raw []byte) error {
	if len(a.Blocks) == 0 {
		return fmt.Errorf("%w: no block and no reason", ErrMisbehaved)
	}
	qc, err := block.DecodeQC(raw)
	if err != nil {
		return fmt.Errorf("%w: certificate of the last block: %w", ErrMisbehaved, err)
	}
	if last := a.Blocks[len(a.Blocks)-1].Block.Header.Hash(); qc.Block != last {
		return fmt.Errorf("%w: the certificate is for %s and the last block is %s", ErrMisbehaved, qc.Block, last)
	}
	a.QC = qc
	return nil
}

// Blocks fetches blocks by hash from a peer, at most MaxHashes. The answer is in the order of the question, nil where the
// peer does not have the block.
func (n *Network) Blocks(ctx context.Context, from consensus.Peer, hashes []chain.Hash) ([]*Received, error) {
	q := hashRequest{Hashes: hashes}
	if err := q.check(); err != nil {
		return nil, fmt.Errorf("ask for blocks: %w", err)
	}
	id, err := peer.Decode(string(from))
	if err != nil {
		return nil, fmt.Errorf("%w: %q", ErrUnknownPeer, from)
	}
	out := make([]*Received, 0, len(hashes))
	err = n.ask(ctx, id, "blocks_by_hash", n.proto.hashes, q, func(c *call) error {
		for _, h := range hashes {
			r, err := c.readBlock(h)
			if err != nil {
				return err
			}
			out = append(out, r)
		}
		_, _, err := c.frame(codeEnd)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("blocks by hash of %s: %w", from, err)
	}
	return out, nil
}

func (c *call) readBlock(h chain.Hash) (*Received, error) {
	got, raw, err := c.frame(codeBlock, codeMissing)
	if err != nil || got == codeMissing {
		return nil, err
	}
	r, err := decodeStored(raw)
	if err != nil {
		return nil, err
	}
	if r.Block.Header.Hash() != h {
		return nil, fmt.Errorf("%w: block %s where %s was asked for", ErrMisbehaved, r.Block.Header.Hash(), h)
	}
	return &r, nil
}
