package network

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/rlp"
	"github.com/hashicorp/go-hclog"
	corenet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
)

// request writes a request on a stream.
func (s *stranger) request(st corenet.Stream, q any) {
	s.t.Helper()
	raw, err := rlp.EncodeToBytes(q)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := writeFrame(st, codeRequest, raw); err != nil {
		s.t.Error(err)
	}
}

// D-32: v1 served any number of blocks for one request, and any number of requests.
func TestD32_AFloodOfRequestsIsTurnedAway(t *testing.T) {
	b := startOn(t, newLedger(50, 0))
	s := newStranger(t)
	s.joins(b)
	const flood = 3 * rangeBurst
	served, busy := 0, 0
	for range flood {
		st := s.open(b, s.proto.blocks)
		s.request(st, rangeRequest{From: 1, Count: 1, Bytes: 1000})
		c, raw, err := readFrame(st, codeBlock, codeError)
		switch {
		case err == nil && c == codeBlock:
			served++
		case err == nil && errors.Is(decodeRefusal(raw), ErrBusy):
			busy++
		}
		_ = st.Reset()
	}
	if busy == 0 {
		t.Errorf("%d of %d requests were served, none turned away", served, flood)
	}
	// Others are served as before, and the flood is no fault.
	a := start(t, dialling(b))
	a.meets(b)
	if _, err := a.Range(t.Context(), RangeRequest{Peer: b.name(), From: 1, Count: 10}); err != nil {
		t.Error(err)
	}
	if got := testutil.ToFloat64(b.metrics.PeerServed.WithLabelValues("blocks_by_range", "busy")); got != float64(busy) {
		t.Errorf("%v counted as busy, want %d", got, busy)
	}
	for _, q := range []rangeRequest{{From: 1, Count: 1 << 40, Bytes: 1000}, {From: 1, Count: 10, Bytes: 1 << 40}} {
		st := s.open(b, s.proto.blocks)
		s.request(st, q)
		if _, raw, err := readFrame(st, codeError); err != nil || !errors.Is(decodeRefusal(raw), ErrPeerFailed) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// A peer that opens streams and says nothing, or never reads, holds only so many.
func TestStreamsOfAPeerAreCounted(t *testing.T) {
	b := startOn(t, newLedger(50, 0))
	s := newStranger(t)
	s.joins(b)
	release := make(chan struct{})
	b.chain.mu.Lock()
	b.chain.gate = release
	b.chain.mu.Unlock()
	first := s.open(b, s.proto.blocks)
	s.request(first, rangeRequest{From: 1, Count: 1, Bytes: 1})
	eventually(t, "the first answer is under way", func() bool { return len(b.serving) == 1 })
	var refused atomic.Int32
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			st, err := s.NewStream(t.Context(), b.peerID(), s.proto.blocks)
			if err != nil {
				refused.Add(1)
				return
			}
			raw, _ := rlp.EncodeToBytes(rangeRequest{From: 1, Count: 1, Bytes: 1})
			_ = st.SetDeadline(time.Now().Add(inVain))
			_ = writeFrame(st, codeRequest, raw)
			if c, _, err := readFrame(st, codeBlock, codeError); err != nil || c == codeError {
				refused.Add(1)
			}
			_ = st.Reset()
		})
	}
	eventually(t, "all but a few are refused", func() bool { return refused.Load() >= 200-(maxServingPeer-1) })
	if got := len(b.serving); got > maxServingPeer {
		t.Errorf("%d answers to one peer are under way", got)
	}
	b.chain.mu.Lock()
	calls := b.chain.calls
	b.chain.mu.Unlock()
	if calls > maxServingPeer {
		t.Errorf("the chain was asked %d times", calls)
	}
	close(release)
	wg.Wait()
	eventually(t, "the places are free again", func() bool { return len(b.serving) == 0 })
}

// A reader that takes nothing holds one block for a time, and is then given up.
func TestASlowReaderIsGivenUp(t *testing.T) {
	b := startOn(t, newLedger(30, 1<<20), func(o *Options) {
		o.patience = patience{handshake: handshakeTimeout, stall: time.Second}
	})
	s := newStranger(t)
	s.joins(b)
	st := s.open(b, s.proto.blocks)
	s.request(st, rangeRequest{From: 1, Count: 30, Bytes: MaxRangeBytes})
	eventually(t, "the answer begins", func() bool { return len(b.serving) == 1 })
	eventually(t, "the answer is given up", func() bool { return len(b.serving) == 0 })
	b.chain.mu.Lock()
	calls := b.chain.calls
	b.chain.mu.Unlock()
	if calls > 25 {
		t.Errorf("%d blocks were loaded for a reader that takes none", calls)
	}
	if b.member(s.id.id) == nil {
		t.Error("slowness is no reason to part")
	}
}

// Slow readers together hold no more than a share of memory: an answer begins as busy, and one under way ends early.
func TestSlowReadersShareABudget(t *testing.T) {
	a, b := pair(t, newLedger(10, 1000))
	size := int64(len(b.chain.at(1).Encode()))
	b.sending.used.Store(servingBytes - size/2)
	_, err := a.Range(t.Context(), RangeRequest{Peer: b.name(), From: 1, Count: 10})
	wantError(t, err, ErrBusy)
	b.sending.used.Store(0)
	b.chain.mu.Lock()
	gate := make(chan struct{})
	b.chain.gate = gate
	b.chain.mu.Unlock()
	done := make(chan int, 1)
	go func() {
		got, err := a.Range(t.Context(), RangeRequest{Peer: b.name(), From: 1, Count: 10})
		if err != nil || got.QC.Block != got.Blocks[len(got.Blocks)-1].Block.Header.Hash() {
			t.Errorf("%d blocks, %v", len(got.Blocks), err)
		}
		done <- len(got.Blocks)
	}()
	gate <- struct{}{}
	gate <- struct{}{}
	b.sending.used.Add(servingBytes)
	close(gate)
	if n := <-done; n == 0 || n == 10 {
		t.Errorf("%d blocks", n)
	}
	b.sending.used.Add(-servingBytes)
	eventually(t, "nothing is held", func() bool { return b.sending.used.Load() == 0 })
}

// D-33: a slow consumer froze the whole network stack of v1.
func TestD33_ASlowConsumerFreezesNothing(t *testing.T) {
	a, b := pair(t, newLedger(10, 100))
	release := make(chan struct{})
	stuck := make(chan struct{}, 1)
	b.in.verdict = func(Message) Verdict {
		select {
		case stuck <- struct{}{}:
		default:
		}
		<-release
		return Accept
	}
	x := a.chain.at(3)
	for range 3 * outboxMessages {
		a.SendApproval(approvalOf(x), b.name())
		a.SendApproval(approvalOf(x), "")
	}
	<-stuck
	a.renew(t.Context(), a.member(b.peerID()))
	if got := a.member(b.peerID()).failed.Load(); got != 0 {
		t.Error("no status of a node whose consumer is slow")
	}
	if _, err := a.Range(t.Context(), RangeRequest{Peer: b.name(), From: 1, Count: 10}); err != nil {
		t.Error(err)
	}
	if items, _ := a.member(b.peerID()).outbox.size(); items > outboxMessages {
		t.Errorf("%d messages wait", items)
	}
	close(release)
	eventually(t, "it goes on", func() bool { return len(b.in.messages()) > 1 })
}

// D-15: one undecodable message killed a node. Here it costs its sender: five of them are a ban.
func TestD15_GarbageIsAFaultAndNoMore(t *testing.T) {
	for _, test := range []struct {
		name string
		send func(t *testing.T, s *stranger, b *running)
	}{
		{"a direct message", func(t *testing.T, s *stranger, b *running) {
			_ = writeFrame(s.open(b, s.proto.direct), codeMessage, []byte{byte(KindApproval), 0, 0, 0, 0, 0, 0, 0, 1, 0xff})
		}},
		{"a frame of another kind", func(t *testing.T, s *stranger, b *running) {
			_ = writeFrame(s.open(b, s.proto.direct), codePeers, nil)
		}},
		{"a length beyond the limit", func(t *testing.T, s *stranger, b *running) {
			head := []byte{byte(codeMessage), 0xff, 0xff, 0xff, 0xff}
			_, _ = s.open(b, s.proto.direct).Write(head)
		}},
		{"a request", func(t *testing.T, s *stranger, b *running) {
			_ = writeFrame(s.open(b, s.proto.hashes), codeRequest, []byte{0xc1})
		}},
		{"a request for peers with arguments", func(t *testing.T, s *stranger, b *running) {
			_ = writeFrame(s.open(b, s.proto.peers), codeRequest, []byte{0xc1, 1})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := start(t)
			s := newStranger(t)
			s.joins(b)
			for i := range 5 {
				test.send(t, s, b)
				eventually(t, "the fault is counted", func() bool { return testutil.ToFloat64(b.metrics.PeerFaults) >= float64(i+1) })
			}
			eventually(t, "the sender is banned", func() bool { return b.member(s.id.id) == nil && b.book.barred(s.id.id, time.Now()) })
			if got := testutil.ToFloat64(b.metrics.PeerDismissals.WithLabelValues("banned")); got != 1 {
				t.Errorf("%v dismissals", got)
			}
		})
	}
}

func TestGarbageInGossipIsAFault(t *testing.T) {
	a, b := pair(t, newLedger(5, 0))
	b.book.change(func() { b.book.of(a.peerID()).static = false })
	vote, err := encodeApproval(1000, approvalOf(a.chain.at(1)))
	if err != nil {
		t.Fatal(err)
	}
	n := byte(0)
	resend(t, []*running{a, b}, func() {
		n++
		_ = a.gossip.Load().votes.Publish(t.Context(), append([]byte("garbage"), n))
		_ = a.gossip.Load().proposals.Publish(t.Context(), vote) // a vote among the proposals
	}, func() bool { return testutil.ToFloat64(b.metrics.PeerFaults) >= 2 })
	if len(b.in.messages()) != 0 {
		t.Error("it was handed on")
	}
}

// A message of a slot long past does not come round again.
func TestOldMessagesAreIgnored(t *testing.T) {
	a, b := pair(t, newLedger(5, 0))
	for range 10 {
		b.slot.next()
	}
	resend(t, nil, func() { a.slot.next(); a.SendApproval(approvalOf(a.chain.at(2)), "") }, func() bool { return len(b.in.messages()) > 0 })
	if got := testutil.ToFloat64(b.metrics.Messages.WithLabelValues("approval", "other_slot")); got == 0 {
		t.Log("no message of another slot arrived before one of ours")
	}
	if m := b.in.messages()[0]; !near(m.Slot, b.slot.now()) {
		t.Errorf("a message of slot %d in slot %d", m.Slot, b.slot.now())
	}
}

// Who has not been admitted is neither answered nor listened to.
func TestStrangersAreNotServed(t *testing.T) {
	b := start(t, func(o *Options) { o.patience = patience{handshake: time.Second, stall: stallTimeout} })
	s := newStranger(t)
	s.connect(b)
	st := s.open(b, s.proto.blocks)
	s.request(st, rangeRequest{From: 1, Count: 1, Bytes: 1})
	direct := s.open(b, s.proto.direct)
	vote, _ := encodeApproval(1000, approvalOf(s.chain.at(1)))
	_ = writeFrame(direct, codeMessage, vote)
	if _, _, err := readFrame(st, codeBlock, codeError); err == nil {
		t.Error("a stranger is served")
	}
	eventually(t, "a connection without a handshake is closed", func() bool { return len(b.node.Network().ConnsToPeer(s.id.id)) == 0 })
	if len(b.in.messages()) != 0 {
		t.Error("a stranger is listened to")
	}
	b.chain.mu.Lock()
	defer b.chain.mu.Unlock()
	if b.chain.calls != 0 {
		t.Error("the chain was asked for a stranger")
	}
}

// Who connects, says nothing and goes, again and again, leaves nothing that waits for its handshake.
func TestAConnectionThatEndsIsNotWaitedFor(t *testing.T) {
	b := start(t, func(o *Options) { o.patience = patience{handshake: time.Hour, stall: stallTimeout} })
	s := newStranger(t)
	waiting := func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.greetings)
	}
	for range 10 {
		s.connect(b)
		eventually(t, "the handshake is waited for", func() bool { return waiting() == 1 })
		if err := s.Network().ClosePeer(b.id.id); err != nil {
			t.Fatal(err)
		}
		eventually(t, "nothing is waited for", func() bool { return waiting() == 0 })
	}
}

// A handshake of garbage is a refusal that is told.
func TestAGarbledHandshakeIsRefusedInWords(t *testing.T) {
	b := start(t)
	for name, raw := range map[string][]byte{"garbage": []byte("hello"), "empty": nil} {
		t.Run(name, func(t *testing.T) {
			s := newStranger(t)
			s.connect(b)
			st := s.open(b, s.proto.handshake)
			if err := writeFrame(st, codeStatus, raw); err != nil {
				t.Fatal(err)
			}
			if _, _, err := readFrame(st, codeStatus); err != nil {
				t.Fatal(err)
			}
			_ = writeFrame(st, codeVerdict, nil)
			wantError(t, readVerdict(st), errPeerRefused)
			eventually(t, "it is remembered", func() bool { return b.book.barred(s.id.id, time.Now()) })
		})
	}
}

// A handshake that breaks off is an accident: the peer is dialled again, with pauses that grow, and refused by nobody.
func TestAHandshakeThatBreaksOffIsNoRefusal(t *testing.T) {
	s := newStranger(t)
	s.SetStreamHandler(s.proto.handshake, func(st corenet.Stream) { _ = st.Reset() })
	addrs, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: s.id.id, Addrs: s.Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	b := start(t, func(o *Options) { o.StaticPeers = []string{addrs[0].String()} })
	eventually(t, "two attempts", func() bool {
		b.book.mu.Lock()
		defer b.book.mu.Unlock()
		return b.book.records[s.id.id].Failures >= 2
	})
	if got := b.Barred(); len(got) != 0 {
		t.Errorf("barred %+v", got)
	}
	s.SetStreamHandler(s.proto.handshake, s.welcome)
	eventually(t, "it is admitted in the end", func() bool { return b.member(s.id.id) != nil })
}

// Strangers with a new id each time do not fill the log.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	var out bytes.Buffer
	b := start(t, func(o *Options) { o.Log = hclog.New(&hclog.LoggerOptions{Output: &out, Level: hclog.Warn}) })
	for i := range 1000 {
		id, _ := somePeer(t, i)
		b.warn(id, "peer refused", "reason", i)
	}
	b.stop()
	if got := strings.Count(out.String(), "peer refused"); got == 0 || got > 50 {
		t.Errorf("%d warnings", got)
	}
}

// Who has been admitted does not need to be over and over.
func TestHandshakesOfAMemberAreCounted(t *testing.T) {
	b := start(t)
	s := newStranger(t)
	s.joins(b)
	refused := 0
	for range 4 * statusBurst {
		st := s.open(b, s.proto.handshake)
		_ = writeFrame(st, codeStatus, s.status())
		if _, _, err := readFrame(st, codeStatus); err != nil {
			refused++
			continue
		}
		_ = writeFrame(st, codeVerdict, nil)
		_ = readVerdict(st)
		_ = st.Close()
	}
	if refused == 0 {
		t.Error("any number is answered")
	}
}

// What an announced length costs is what arrives.
func TestAnAnnouncedLengthCostsNothing(t *testing.T) {
	frame := make([]byte, frameHead+1000)
	frame[0] = byte(codeMessage)
	binary.BigEndian.PutUint32(frame[1:], uint32(maxStoredBytes))
	grown := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if _, _, err := readFrame(bytes.NewReader(frame), codeMessage); !errors.Is(err, io.ErrUnexpectedEOF) {
				b.Fatal(err)
			}
		}
	}).AllocedBytesPerOp()
	if grown > 4*firstChunk {
		t.Errorf("%d bytes for a thousand", grown)
	}
}

func TestQueuesAreBounded(t *testing.T) {
	shared := &budget{limit: 120}
	q, other := newQueue(3, 100, shared), newQueue(3, 100, shared)
	for i, test := range []struct {
		size int
		want bool
	}{{50, true}, {60, false}, {50, true}, {1, false}} {
		if got := q.put(make([]byte, test.size)); got != test.want {
			t.Errorf("put %d: %v", i, got)
		}
	}
	b, ok, open := q.take()
	if len(b) != 50 || !ok || !open {
		t.Errorf("took %d bytes, %v, %v", len(b), ok, open)
	}
	if !q.put([]byte{1}) || !q.put([]byte{2}) || q.put([]byte{3}) {
		t.Error("the number of items is not bounded")
	}
	if items, size := q.size(); items != 3 || size != 52 {
		t.Errorf("%d items, %d bytes", items, size)
	}
	if other.put(make([]byte, 69)) || !other.put(make([]byte, 68)) {
		t.Error("what all share is not bounded")
	}
	other.close()
	q.close()
	if got := shared.used.Load(); got != 0 {
		t.Errorf("%d bytes are used by nobody", got)
	}
	if _, ok, open := q.take(); ok || open || q.put(nil) {
		t.Error("a closed queue is open")
	}
}

// The flood of a member's gossip is not looked at beyond its quota.
func TestGossipOverTheQuotaIsNotLookedAt(t *testing.T) {
	a, b := pair(t, newLedger(5, 0))
	b.member(a.peerID()).quota.notices.SetBurst(0)
	b.member(a.peerID()).quota.notices.SetLimit(0)
	resend(t, []*running{a, b}, func() { a.SendApproval(approvalOf(a.chain.at(2)), "") }, func() bool {
		return testutil.ToFloat64(b.metrics.MessagesDropped.WithLabelValues("over_quota")) > 0
	})
	if len(b.in.messages()) != 0 {
		t.Error("it was looked at")
	}
}

func TestLimitsFitTogether(t *testing.T) {
	if maxStoredBytes < block.MaxBlockBytes+block.MaxQCBytes || outboxBytes < 2*block.MaxBlockBytes || publishBytes < 2*block.MaxBlockBytes {
		t.Error("the largest block does not fit")
	}
	if _, err := encodeApproval(0, approvalOf(newLedger(1, 0).at(1))); err != nil {
		t.Error(err)
	}
	x := approvalOf(newLedger(1, 0).at(1))
	x.Authority = block.MaxAuthorities
	if _, err := encodeApproval(0, x); err == nil {
		t.Error("an authority that does not fit")
	}
	full := certificateOf(newLedger(1, 0).at(1))
	full.QC.Signers = block.NewSigners(block.MaxAuthorities)
	raw, err := encodeCertificate(^chain.Slot(0), full)
	if err != nil || len(raw) > maxVoteBytes {
		t.Errorf("the largest certificate has %d bytes, %v", len(raw), err)
	}
}
