package network

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	corenet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/alys-node/alys/core/telemetry"
)

// configured makes another one a configured peer.
func (r *running) configured(other *running) {
	r.book.change(func() { r.book.of(other.peerID()).static = true })
}

// largest is the head of the largest direct message.
func largest() []byte {
	return binary.BigEndian.AppendUint32([]byte{byte(codeMessage)}, maxStoredBytes)
}

// Peers that begin the largest message and do not end it hold what the budget has and no more, and a configured peer does
// not wait for them.
func TestUnendedMessagesShareABudget(t *testing.T) {
	a, b := pair(t, newLedger(5, 0))
	b.configured(a)
	const peers = 2 + arrivingBytes/maxStoredBytes
	for range peers {
		s := newStranger(t)
		s.joins(b)
		st := s.open(b, s.proto.direct)
		if _, err := st.Write(largest()); err != nil {
			t.Fatal(err)
		}
	}
	full := func() bool {
		if !b.arriving.TryAcquire(maxStoredBytes) {
			return true
		}
		b.arriving.Release(maxStoredBytes)
		return false
	}
	eventually(t, "the budget is used up", full)
	release, err := b.reserve(t.Context(), a.peerID(), maxStoredBytes)
	if err != nil {
		t.Fatalf("a configured peer waits: %v", err)
	}
	release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stranger, _ := somePeer(t, 1)
	_, err = b.reserve(ctx, stranger, maxStoredBytes)
	wantError(t, err, ErrBusy)
	if release, err = b.reserve(ctx, stranger, firstChunk); err != nil {
		t.Errorf("a small message waits: %v", err)
	}
	release()
}

// What has begun must end in time: the stream is given up, what it held is free, and the peer is not blamed.
func TestAnUnendedMessageIsGivenUp(t *testing.T) {
	b := start(t, func(o *Options) { o.patience = patience{handshake: handshakeTimeout, stall: 200 * time.Millisecond} })
	s := newStranger(t)
	s.joins(b)
	direct := s.open(b, s.proto.direct)
	if _, err := direct.Write(binary.BigEndian.AppendUint32([]byte{byte(codeMessage)}, 2*firstChunk)); err != nil {
		t.Fatal(err)
	}
	gossip := s.open(b, s.proto.gossip)
	if _, err := gossip.Write(binary.AppendUvarint(nil, 2*firstChunk)); err != nil {
		t.Fatal(err)
	}
	half := s.open(b, s.proto.gossip) // takes the other's place
	if _, err := half.Write([]byte{0x80}); err != nil {
		t.Fatal(err)
	}
	for name, st := range map[string]corenet.Stream{"direct": direct, "gossip": gossip, "half a length": half} {
		if _, err := io.ReadFull(st, make([]byte, 1)); err == nil || errors.Is(err, io.EOF) || isTimeout(err) {
			t.Errorf("%s: the stream is not reset: %v", name, err)
		}
	}
	eventually(t, "what they held is free", func() bool {
		free := b.arriving.TryAcquire(arrivingBytes)
		if free {
			b.arriving.Release(arrivingBytes)
		}
		return free
	})
	if m := b.member(s.id.id); m == nil || len(b.Barred()) > 0 {
		t.Error("slowness is a fault")
	}
}

// A packet of gossip longer than any is a fault.
func TestAGossipPacketBeyondTheLimitIsAFault(t *testing.T) {
	b := start(t)
	s := newStranger(t)
	s.joins(b)
	for _, length := range [][]byte{binary.AppendUvarint(nil, 1<<27), {0xff, 0xff, 0xff, 0xff, 0xff, 0x01}} {
		st := s.open(b, s.proto.gossip)
		if _, err := st.Write(length); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(st, make([]byte, 1)); err == nil {
			t.Error("the stream goes on")
		}
	}
	eventually(t, "both are counted", func() bool { _, faults := b.book.standing(s.id.id, time.Now()); return faults > faultPoints })
}

// Gossip of who has not been admitted is not read, and its stream goes with its connection.
func TestGossipOfStrangersIsNotRead(t *testing.T) {
	b := start(t, func(o *Options) { o.patience = patience{handshake: time.Second, stall: stallTimeout} })
	s := newStranger(t)
	s.connect(b)
	st := s.open(b, s.proto.gossip)
	if _, err := st.Write(binary.AppendUvarint(nil, 10<<20)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(st, make([]byte, 1))
		ended <- err
	}()
	eventually(t, "its stream ends, and until then nothing of it has a place", func() bool {
		if !b.arriving.TryAcquire(arrivingBytes) {
			t.Fatal("it was read")
		}
		b.arriving.Release(arrivingBytes)
		return len(ended) == 1
	})
	if <-ended == nil {
		t.Error("it is answered")
	}
}

// Who waits for a member stops when the connection has ended, and not when the time for a handshake has.
func TestNobodyWaitsForAPeerThatHasGone(t *testing.T) {
	b := start(t, func(o *Options) { o.patience = patience{handshake: 10 * inVain, stall: stallTimeout} })
	s := newStranger(t)
	s.connect(b)
	var conns []corenet.Conn
	eventually(t, "the stranger is connected", func() bool { conns = b.node.Network().ConnsToPeer(s.id.id); return len(conns) > 0 })
	done := make(chan *member, 1)
	go func() { done <- b.awaitMember(t.Context(), conns[0]) }()
	_ = s.Network().ClosePeer(b.peerID())
	eventually(t, "the waiting ends", func() bool { return len(done) == 1 })
	if m := <-done; m != nil {
		t.Errorf("%s is a member", m.id)
	}
}

// No /24 takes more than half of the places, no address more than a few; a configured peer's address has its own, and
// loopback as many as it wants.
func TestConnectionsAreLimitedByWhereTheyComeFrom(t *testing.T) {
	static, err := peer.AddrInfoFromString("/ip4/198.51.100.7/tcp/1/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{}
	o.setDefaults()
	limits, err := resourceManager(o, protocolsOf(testGenesis), []peer.AddrInfo{*static})
	if err != nil {
		t.Fatal(err)
	}
	defer limits.Close()
	opened := func(ip netip.Addr) bool {
		family := "ip6"
		if ip.Is4() {
			family = "ip4"
		}
		a, err := multiaddr.NewMultiaddr("/" + family + "/" + ip.String() + "/tcp/1")
		if err != nil {
			t.Fatal(err)
		}
		_, err = limits.OpenConnection(corenet.DirInbound, false, a)
		return err == nil
	}
	count := func(tries int, of func(i int) string) (n int) {
		for i := range tries {
			if opened(netip.MustParseAddr(of(i))) {
				n++
			}
		}
		return n
	}
	one := func(a string) func(int) string { return func(int) string { return a } }
	if got := count(20, one("203.0.113.1")); got != maxConnsAddress {
		t.Errorf("%d connections of one address", got)
	}
	last := byte(1)
	if got := maxConnsAddress + count(60, func(int) string { last++; return netip.AddrFrom4([4]byte{203, 0, 113, last}).String() }); got != o.MaxPeers/2 {
		t.Errorf("%d connections of one /24", got)
	}
	if got := count(1, one("203.0.114.1")); got != 1 {
		t.Error("the next network has no place")
	}
	for _, loopback := range []string{"127.0.0.1", "::1"} {
		if got := count(maxConnsAddress+1, one(loopback)); got != maxConnsAddress+1 {
			t.Errorf("%d connections of %s", got, loopback)
		}
	}
}

func TestAConfiguredPeersAddressHasPlacesOfItsOwn(t *testing.T) {
	static, err := peer.AddrInfoFromString("/ip4/198.51.100.7/tcp/1/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{}
	o.setDefaults()
	limits, err := resourceManager(o, protocolsOf(testGenesis), []peer.AddrInfo{*static})
	if err != nil {
		t.Fatal(err)
	}
	defer limits.Close()
	for last := range 200 {
		a, err := multiaddr.NewMultiaddr("/ip4/" + netip.AddrFrom4([4]byte{198, 51, 100, byte(10 + last)}).String() + "/tcp/1")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = limits.OpenConnection(corenet.DirInbound, false, a)
	}
	if _, err := limits.OpenConnection(corenet.DirInbound, false, static.Addrs[0]); err != nil {
		t.Errorf("its neighbours have taken its place: %v", err)
	}
}

// Who makes the chain is served while slow readers hold every place.
func TestSlowReadersDoNotKeepBlocksFromConfiguredPeers(t *testing.T) {
	a, b := pair(t, newLedger(10, 1000))
	b.configured(a)
	for range cap(b.serving) {
		b.serving <- struct{}{}
	}
	b.sending.used.Store(servingBytes)
	if _, err := a.Range(t.Context(), RangeRequest{Peer: b.name(), From: 1, Count: 10}); err != nil {
		t.Error(err)
	}
	b.sending.used.Store(0)
	for range cap(b.serving) {
		<-b.serving
	}
}

// recordedConn is a stream of a peer.
type recordedConn struct {
	recorded
	from peer.ID
}

func (r recordedConn) Conn() corenet.Conn { return connOf{from: r.from} }

type connOf struct {
	corenet.Conn
	from peer.ID
}

func (c connOf) RemotePeer() peer.ID { return c.from }

// FuzzPackets reads a stream of gossip in pieces: what is read is what was said, up to a length that no packet has, and
// nothing is held at its end.
func FuzzPackets(f *testing.F) {
	packet := func(n int) []byte { return append(binary.AppendUvarint(nil, uint64(n)), make([]byte, n)...) }
	f.Add(packet(3), uint8(1))
	f.Add(append(packet(300), packet(0)...), uint8(7))
	f.Add(append(packet(firstChunk+1), 0x80), uint8(255))
	f.Add([]byte{0xff, 0xff, 0xff, 0x7f}, uint8(3))
	f.Add([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, uint8(2))
	o := Options{}
	o.setDefaults()
	n := &Network{
		opt: o, log: o.Log, metrics: telemetry.New("", ""), book: &book{records: map[peer.ID]*entry{}},
		arriving: semaphore.NewWeighted(arrivingBytes), warnings: rate.NewLimiter(0, 0),
	}
	f.Fuzz(func(t *testing.T, raw []byte, piece uint8) {
		id, _ := somePeer(t, 1)
		p := &packets{Stream: recordedConn{recorded{said: bytes.NewReader(raw)}, id}, n: n, ctx: t.Context()}
		buffer, read := make([]byte, max(1, int(piece))), 0
		for {
			got, err := p.Read(buffer)
			if !bytes.Equal(buffer[:got], raw[read:read+got]) {
				t.Fatalf("%x where %x was said", buffer[:got], raw[read:read+got])
			}
			read += got
			if err != nil {
				if errors.Is(err, io.EOF) && read != len(raw) {
					t.Errorf("%d of %d bytes", read, len(raw))
				}
				break
			}
		}
		if !n.arriving.TryAcquire(arrivingBytes) {
			t.Fatal("something is held")
		}
		n.arriving.Release(arrivingBytes)
	})
}

// gossipsub reads a packet's length byte by byte with io.ReadFull, which drops the error of a read that gave its byte. What is
// refused must stay refused: the body of an honest packet is not a row of lengths.
func TestARefusedPacketEndsItsStream(t *testing.T) {
	o := Options{patience: patience{stall: 10 * time.Millisecond}}
	o.setDefaults()
	n := &Network{
		opt: o, log: o.Log, metrics: telemetry.New("", ""), book: &book{records: map[peer.ID]*entry{}},
		arriving: semaphore.NewWeighted(arrivingBytes), warnings: rate.NewLimiter(0, 0),
	}
	if !n.arriving.TryAcquire(arrivingBytes) {
		t.Fatal("the budget is not whole")
	}
	id, _ := somePeer(t, 1)
	for name, said := range map[string]struct {
		raw  []byte
		want error
	}{
		"no room for the packet": {append(binary.AppendUvarint(nil, 1<<20), bytes.Repeat([]byte{0xff}, 1<<20)...), ErrBusy},
		"a length without end":   {bytes.Repeat([]byte{0xff}, 100), ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			stream := bytes.NewReader(said.raw)
			p := &packets{Stream: recordedConn{recorded{said: stream}, id}, n: n, ctx: t.Context()}
			var err error
			for reads := 0; err == nil; reads++ {
				if reads == 10 {
					t.Fatal("it is read on")
				}
				_, err = io.ReadFull(p, make([]byte, 1))
			}
			wantError(t, err, said.want)
			left := stream.Len()
			for range 10 {
				if _, err := io.ReadFull(p, make([]byte, 1)); !errors.Is(err, said.want) {
					t.Fatalf("after its end: %v", err)
				}
			}
			if stream.Len() != left {
				t.Errorf("%d bytes more were read", left-stream.Len())
			}
		})
	}
}

// gossipsub's buffer for a packet is the next power of two: the budget counts that.
func TestAPacketTakesWhatItsBufferTakes(t *testing.T) {
	o := Options{}
	o.setDefaults()
	n := &Network{
		opt: o, log: o.Log, metrics: telemetry.New("", ""), book: &book{records: map[peer.ID]*entry{}},
		arriving: semaphore.NewWeighted(arrivingBytes), warnings: rate.NewLimiter(0, 0),
	}
	id, _ := somePeer(t, 1)
	p := &packets{Stream: recordedConn{recorded{said: bytes.NewReader(nil)}, id}, n: n, ctx: t.Context()}
	if err := p.begin(9 << 20); err != nil {
		t.Fatal(err)
	}
	if n.arriving.TryAcquire(arrivingBytes - 16<<20 + 1) {
		t.Error("9 MiB take less than 16")
	}
	p.release()
	if !n.arriving.TryAcquire(arrivingBytes) {
		t.Error("something is still held")
	}
}
