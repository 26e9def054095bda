package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corenet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// The handshake. Who dialled speaks first:
//
//	dialler   status ─▶            says who it is
//	listener          ◀─ status    says who it is, whatever it thinks of the dialler
//	dialler   verdict ─▶           empty: yes; else the reason
//	listener          ◀─ verdict   the same; after it both know
//
// A stream that begins with a verdict is a farewell: the reason why its sender disconnects.

// errPeerRefused means that the peer's verdict was no.
var errPeerRefused = errors.New("the peer refused us")

// exchange is what a handshake measured.
type exchange struct {
	status Status
	rtt    time.Duration
	clock  reading // of the listener's; the dialler's came unasked
}

// greet does the dialler's part, on a connection that we opened.
func (n *Network) greet(ctx context.Context, conn corenet.Conn) {
	id := conn.RemotePeer()
	if n.member(id) != nil {
		return // another connection of a member
	}
	ctx, cancel := context.WithTimeout(ctx, n.opt.patience.handshake)
	defer cancel()
	s, err := n.node.NewStream(ctx, id, n.proto.handshake)
	if err != nil {
		n.part(conn, fmt.Errorf("open handshake: %w", err))
		return
	}
	_ = s.SetDeadline(time.Now().Add(n.opt.patience.handshake))
	x, err := n.dialler(s, id)
	if err != nil {
		_ = s.Reset()
		n.part(conn, err)
		return
	}
	n.admit(conn, x)
	_ = s.Close()
}

func (n *Network) dialler(s corenet.Stream, id peer.ID) (exchange, error) {
	ours := n.status()
	raw, err := encodeStatus(ours)
	if err != nil {
		return exchange{}, err
	}
	sent := time.Now()
	if err := writeFrame(s, codeStatus, raw); err != nil {
		return exchange{}, err
	}
	_, raw, err = readFrame(s, codeStatus)
	if err != nil {
		return exchange{}, err
	}
	x := exchange{rtt: time.Since(sent)}
	judged := n.judge(id, ours, raw, &x)
	x.clock = read(x.status.Clock, sent)
	if err := writeFrame(s, codeVerdict, reason(judged)); err != nil {
		return exchange{}, errors.Join(judged, err)
	}
	told := readVerdict(s)
	return x, errors.Join(judged, told)
}

// welcome does the listener's part.
func (n *Network) welcome(_ context.Context, s corenet.Stream) {
	conn := s.Conn()
	id := conn.RemotePeer()
	if m := n.member(id); m != nil && !m.quota.status.Allow() {
		_ = s.Reset() // it has been admitted, and does not need to be over and over
		return
	}
	_ = s.SetDeadline(time.Now().Add(n.opt.patience.handshake))
	c, raw, err := readFrame(s, codeStatus, codeVerdict)
	if err == nil && c == codeVerdict {
		n.log.Debug("the peer disconnects", "peer", id, "reason", printable(string(raw)))
		_ = s.Reset()
		_ = conn.Close()
		return
	}
	var x exchange
	if err == nil {
		x, err = n.listener(s, id, raw)
	}
	if err != nil {
		_ = s.Reset()
		n.part(conn, err)
		return
	}
	n.admit(conn, x)
	if writeFrame(s, codeVerdict, nil) != nil {
		_ = s.Reset()
		return
	}
	_ = s.Close() // and no reset after it: QUIC would take back what was not read yet
}

func (n *Network) listener(s corenet.Stream, id peer.ID, theirs []byte) (exchange, error) {
	ours := n.status()
	raw, err := encodeStatus(ours)
	if err != nil {
		return exchange{}, err
	}
	sent := time.Now()
	if err := writeFrame(s, codeStatus, raw); err != nil {
		return exchange{}, err
	}
	var x exchange
	judged := n.judge(id, ours, theirs, &x)
	told := readVerdict(s)
	x.rtt = time.Since(sent)
	if judged == nil && told == nil {
		return x, nil // the verdict is sent once the peer is admitted: what it sends next finds it so
	}
	// The peer waits for our verdict, and reads it before it sees the connection end.
	err = writeFrame(s, codeVerdict, reason(judged))
	letRead(s)
	return exchange{}, errors.Join(judged, told, err)
}

// judge decides about a peer by its status.
func (n *Network) judge(id peer.ID, ours Status, raw []byte, x *exchange) error {
	theirs, err := decodeStatus(raw)
	if err != nil {
		return err
	}
	x.status = theirs
	if err := n.check(ours, theirs); err != nil {
		return err
	}
	if n.parsed.allow != nil && !n.parsed.allow[id] {
		return fmt.Errorf("%w: it is not in network.allow_peers", ErrNotAllowed)
	}
	if n.member(id) == nil && !n.book.static(id) && len(n.snapshot()) >= n.opt.MaxPeers {
		return fmt.Errorf("%w: %d are connected", ErrFull, n.opt.MaxPeers)
	}
	return nil
}

func reason(err error) []byte {
	if err == nil {
		return nil
	}
	return []byte(truncate(err.Error(), maxErrorBytes))
}

func readVerdict(r io.Reader) error {
	_, raw, err := readFrame(r, codeVerdict)
	if err != nil {
		return err
	}
	if len(raw) > 0 {
		return fmt.Errorf("%w: %q", errPeerRefused, printable(string(raw)))
	}
	return nil
}

// refused reports whether a failed handshake was a decision and no accident of the connection.
func refused(err error) bool {
	for _, decision := range []error{
		errPeerRefused, ErrOtherChain, ErrOtherVersion, ErrOtherSchedule, ErrPeerOutdated, ErrWeOutdated, ErrNotAllowed, ErrFull, ErrMalformed,
	} {
		if errors.Is(err, decision) {
			return true
		}
	}
	return false
}

// part ends a connection whose handshake failed. A refusal is remembered, so that neither side dials again at once, and
// logged once for each reason.
func (n *Network) part(conn corenet.Conn, err error) {
	id := conn.RemotePeer()
	if n.member(id) != nil {
		return // another handshake of the same peer went well
	}
	if refused(err) {
		n.metrics.PeerRefusals.WithLabelValues(refusalLabel(err)).Inc()
		if n.book.refuse(id, err.Error(), n.opt.Now()) {
			n.warn(id, "peer refused", "address", conn.RemoteMultiaddr(), "reason", err)
		}
	} else {
		n.log.Debug("handshake failed", "peer", id, "error", err)
		n.book.stumbled(id, n.opt.Now())
	}
	_ = conn.Close()
}

// warn warns about a peer. Strangers, who can come with a new id each time, do not fill the log: there is a warning in ten
// seconds for all of them after the first few.
func (n *Network) warn(id peer.ID, message string, args ...any) {
	args = append([]any{"peer", id}, args...)
	if n.book.static(id) || n.warnings.Allow() {
		n.log.Warn(message, args...)
		return
	}
	n.log.Debug(message, args...)
}

// refusalLabel is the metric's label of a refusal.
func refusalLabel(err error) string {
	for _, l := range []struct {
		err  error
		name string
	}{
		{ErrOtherChain, "other_chain"},
		{ErrOtherVersion, "other_version"},
		{ErrOtherSchedule, "other_schedule"},
		{ErrPeerOutdated, "peer_outdated"},
		{ErrWeOutdated, "we_outdated"},
		{ErrNotAllowed, "not_allowed"},
		{ErrFull, "full"},
		{ErrMalformed, "malformed"},
	} {
		if errors.Is(err, l.err) {
			return l.name
		}
	}
	return "by_peer"
}

// farewellTimeout is how long a parting word may take.
const farewellTimeout = time.Second

// letRead gives a peer a moment to read our last word: it ends the stream when it has.
func letRead(s corenet.Stream) {
	_ = s.CloseWrite()
	_ = s.SetReadDeadline(time.Now().Add(farewellTimeout))
	_, _ = io.Copy(io.Discard, io.LimitReader(s, 1))
}

// dismiss tells a peer why, and disconnects. kind is the metric's label.
func (n *Network) dismiss(id peer.ID, kind, why string) {
	n.metrics.PeerDismissals.WithLabelValues(kind).Inc()
	n.crew.start(func(ctx context.Context) { n.sayGoodbye(ctx, id, why) })
}

// sayGoodbye opens a handshake that begins with a verdict, and ends all connections.
func (n *Network) sayGoodbye(ctx context.Context, id peer.ID, why string) {
	ctx, cancel := context.WithTimeout(ctx, farewellTimeout)
	defer cancel()
	if s, err := n.node.NewStream(ctx, id, n.proto.handshake); err == nil {
		_ = s.SetDeadline(time.Now().Add(farewellTimeout))
		if writeFrame(s, codeVerdict, []byte(truncate(why, maxErrorBytes))) == nil {
			letRead(s)
		}
		_ = s.Reset()
	}
	_ = n.node.Network().ClosePeer(id)
}

// misbehaved counts a proven fault of a peer, and bans it for a time when there are many.
func (n *Network) misbehaved(id peer.ID, why string) {
	n.metrics.PeerFaults.Inc()
	until := n.book.fault(id, why, n.opt.Now())
	n.log.Debug("peer broke the protocol", "peer", id, "reason", why)
	if until.IsZero() {
		return
	}
	n.warn(id, "peer banned", "reason", why, "until", until.UTC().Format(time.RFC3339))
	n.dismiss(id, "banned", "banned: "+why)
}
