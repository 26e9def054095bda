package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corenet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/alys-node/alys/core/consensus"
)

// Direct messages go to one peer, on one stream that stays open. What a slow peer does not take is dropped.

// write sends what is put into a member's outbox, until the outbox is closed.
func (n *Network) write(ctx context.Context, m *member) {
	var s corenet.Stream
	defer func() {
		if s != nil {
			_ = s.Reset()
		}
	}()
	for {
		raw, ok, open := m.outbox.take()
		if !open {
			return
		}
		if !ok {
			select {
			case <-m.outbox.ready:
			case <-ctx.Done():
				return
			}
			continue
		}
		if s == nil {
			var err error
			if s, err = n.openDirect(ctx, m.id); err != nil {
				n.log.Debug("a direct message is lost", "peer", m.id, "error", err)
				s = nil
				continue
			}
		}
		_ = s.SetWriteDeadline(time.Now().Add(n.opt.patience.stall))
		if err := writeFrame(s, codeMessage, raw); err != nil {
			n.log.Debug("a direct message is lost", "peer", m.id, "error", err)
			_ = s.Reset()
			s = nil
		}
	}
}

func (n *Network) openDirect(ctx context.Context, id peer.ID) (corenet.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, n.opt.patience.stall)
	defer cancel()
	return n.node.NewStream(ctx, id, n.proto.direct)
}

// hear reads direct messages. A peer that sends faster than its quota waits: its stream fills up.
func (n *Network) hear(ctx context.Context, s corenet.Stream, m *member) {
	defer s.Reset() //nolint:errcheck // the stream is done with
	for {
		err := n.hearOne(ctx, s, m)
		if errors.Is(err, ErrMalformed) {
			n.misbehaved(m.id, err.Error())
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				n.log.Trace("direct stream ended", "peer", m.id, "error", err)
			}
			return
		}
	}
}

// hearOne reads a message and takes it. Before its first byte a stream may be silent for as long as it likes; a message
// whose head has come must come to its end.
func (n *Network) hearOne(ctx context.Context, s corenet.Stream, m *member) error {
	_ = s.SetReadDeadline(time.Time{})
	_, size, err := readHead(s, codeMessage)
	if err != nil {
		return err
	}
	release, err := n.reserve(ctx, m.id, size)
	if err != nil {
		return err
	}
	defer release()
	_ = s.SetReadDeadline(time.Now().Add(n.arrivalTime(size)))
	raw, err := readGrowing(s, size)
	if err != nil {
		return fmt.Errorf("read message: %w", err)
	}
	if err := m.quota.direct.Wait(ctx); err != nil {
		return err
	}
	if err := m.quota.heard.WaitN(ctx, min(len(raw), m.quota.heard.Burst())); err != nil {
		return err
	}
	msg, err := decodeMessage(raw)
	if err != nil {
		return err
	}
	msg.From, msg.Direct = consensus.Peer(m.id.String()), true
	n.take(ctx, m.id, msg)
	return nil
}

// take hands a message to the caller, unless it is of another chain.
func (n *Network) take(ctx context.Context, from peer.ID, m Message) Verdict {
	verdict := Reject
	if m.Header().Genesis == n.opt.Genesis {
		verdict = n.opt.Take(ctx, m)
	}
	n.metrics.Messages.WithLabelValues(m.Kind().String(), verdict.String()).Inc()
	if verdict == Reject {
		n.misbehaved(from, "a "+m.Kind().String()+" that no honest node sends")
	}
	return verdict
}

// String names the verdict, as metrics do.
func (v Verdict) String() string {
	switch v {
	case Accept:
		return "accepted"
	case Reject:
		return "rejected"
	case Ignore:
	}
	return "ignored"
}
