package network

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/rlp"
	corenet "github.com/libp2p/go-libp2p/core/network"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
)

// answerer answers one request. What it returns is told to the peer, unless the answer has begun.
type answerer func(ctx context.Context, w *answer, raw []byte, m *member) error

// answer is the writing side of a stream. Each frame must be taken within a time: a slow reader holds one block of
// memory for as long, and is then given up.
type answer struct {
	n     *Network
	s     corenet.Stream
	stall time.Duration
	begun bool
	bytes int
}

func (a *answer) frame(c code, content []byte) error {
	a.begun = true
	a.bytes += len(content)
	if err := a.s.SetWriteDeadline(time.Now().Add(a.stall)); err != nil {
		return err
	}
	return writeFrame(a.s, c, content)
}

// asMember reads one request of a member, answers it under the limits, and closes the stream.
func (n *Network) asMember(kind string, w weight, f answerer) handler {
	return n.membersOnly(func(ctx context.Context, s corenet.Stream, m *member) {
		start := time.Now()
		a := &answer{n: n, s: s, stall: n.opt.patience.stall}
		err := n.answerOne(ctx, a, m, w, f)
		n.metrics.PeerServed.WithLabelValues(kind, servedLabel(err)).Inc()
		n.metrics.PeerBytes.WithLabelValues("served").Add(float64(a.bytes))
		if err == nil {
			_ = s.Close() // and no reset after it: QUIC would take back what was not read yet
			return
		}
		n.log.Trace("request not answered", "peer", m.id, "kind", kind, "after", time.Since(start), "error", err)
		if errors.Is(err, ErrMalformed) {
			n.misbehaved(m.id, err.Error())
		}
		if a.begun || a.frame(codeError, refusalOf(err)) != nil {
			_ = s.Reset()
			return
		}
		_ = s.Close()
	})
}

// weight says what an answer costs: a light one is small and comes at once, a heavy one has blocks and takes places.
type weight bool

const (
	light weight = false
	heavy weight = true
)

func (n *Network) answerOne(ctx context.Context, a *answer, m *member, w weight, f answerer) error {
	_ = a.s.SetReadDeadline(time.Now().Add(a.stall))
	_, raw, err := readFrame(a.s, codeRequest)
	if err != nil {
		return err
	}
	if w == heavy {
		places := []chan struct{}{m.serving}
		if !n.book.static(m.id) { // slow readers do not keep blocks from those who make the chain
			places = append(places, n.serving)
		}
		for _, places := range places {
			select {
			case places <- struct{}{}:
				defer func() { <-places }()
			default:
				return fmt.Errorf("%w: %d answers are under way", ErrBusy, cap(places))
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, serveTime+a.stall)
	defer cancel()
	return f(ctx, a, raw, m)
}

func servedLabel(err error) string {
	switch {
	case err == nil:
		return "answered"
	case errors.Is(err, ErrBusy):
		return "busy"
	case errors.Is(err, ErrNotFound):
		return "not_found"
	case errors.Is(err, ErrMalformed):
		return "malformed"
	}
	return "failed"
}

// refusalOf is what a peer is told. What failed here in detail is our own business.
func refusalOf(err error) []byte {
	switch {
	case errors.Is(err, ErrBusy):
		return refusalBusy.encode(err.Error())
	case errors.Is(err, ErrNotFound):
		return refusalNotFound.encode("not here")
	case errors.Is(err, ErrMalformed):
		return refusalFailed.encode(err.Error())
	}
	return refusalFailed.encode("the node could not answer")
}

var errTooOften = fmt.Errorf("%w: you ask too often", ErrBusy)

func (n *Network) serveStatus(_ context.Context, w *answer, raw []byte, m *member) error {
	if _, err := decodeRequest[noRequest](raw); err != nil {
		return err
	}
	if !m.quota.status.Allow() {
		return errTooOften
	}
	content, err := encodeStatus(n.status())
	if err != nil {
		return err
	}
	return w.frame(codeStatus, content)
}

// serveRange sends blocks upwards, each the child of the one before, and ends with the certificate of the last. It ends
// early at our head, at the size that was asked for, after serveTime, where readers of other answers are slow, and where a
// reorganization moved the chain away under it.
func (n *Network) serveRange(ctx context.Context, w *answer, raw []byte, m *member) error {
	q, err := decodeRequest[rangeRequest](raw)
	if err != nil {
		return err
	}
	if !m.quota.ranges.Allow() {
		return errTooOften
	}
	deadline := time.Now().Add(serveTime)
	var last chain.Hash
	var sent uint64
	for i := range q.Count {
		s, err := n.opt.Source.At(ctx, q.From+chain.Height(i))
		if i > 0 && errors.Is(err, ErrNotFound) {
			break
		}
		if err != nil {
			return err
		}
		size := uint64(len(s.Raw))
		if i > 0 && (s.Parent != last || sent+size > q.Bytes || time.Now().After(deadline)) {
			break
		}
		err = w.block(ctx, m, s, nil)
		if i > 0 && errors.Is(err, ErrBusy) {
			break
		}
		if err != nil {
			return err
		}
		last, sent = s.Hash, sent+size
	}
	qc, err := n.opt.Source.Certificate(ctx, last)
	if err != nil {
		return fmt.Errorf("certificate of %s: %w", last, err)
	}
	return w.frame(codeEnd, block.EncodeQC(qc))
}

// block sends a block once the peer's quota of bytes allows it.
func (a *answer) block(ctx context.Context, m *member, s Stored, qc *block.QC) error {
	if err := m.quota.served.WaitN(ctx, len(s.Raw)); err != nil {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	if !a.n.book.static(m.id) {
		if !a.n.sending.take(len(s.Raw)) {
			return fmt.Errorf("%w: too much waits for slow readers", ErrBusy)
		}
		defer a.n.sending.give(len(s.Raw))
	}
	content, err := encodeStored(s, qc)
	if err != nil {
		return err
	}
	return a.frame(codeBlock, content)
}

// serveHashes sends each block that was asked for, or that it is not here, in the order of the question.
func (n *Network) serveHashes(ctx context.Context, w *answer, raw []byte, m *member) error {
	q, err := decodeRequest[hashRequest](raw)
	if err != nil {
		return err
	}
	if !m.quota.hashes.AllowN(time.Now(), len(q.Hashes)) {
		return errTooOften
	}
	for _, h := range q.Hashes {
		s, err := n.opt.Source.Block(ctx, h)
		if errors.Is(err, ErrNotFound) {
			if err := w.frame(codeMissing, nil); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		var qc *block.QC
		switch known, err := n.opt.Source.Certificate(ctx, h); {
		case err == nil:
			qc = &known
		case !errors.Is(err, ErrNotFound):
			return err
		}
		if err := w.block(ctx, m, s, qc); err != nil {
			return err
		}
	}
	return w.frame(codeEnd, nil)
}

// servePeers sends the signed records of members, so that who asks can dial them.
func (n *Network) servePeers(_ context.Context, w *answer, raw []byte, m *member) error {
	if _, err := decodeRequest[noRequest](raw); err != nil {
		return err
	}
	if !m.quota.peers.Allow() {
		return errTooOften
	}
	content, err := rlp.EncodeToBytes(peersAnswer{n.records(m.id)})
	if err != nil {
		return fmt.Errorf("encode peer records: %w", err)
	}
	return w.frame(codePeers, content)
}
