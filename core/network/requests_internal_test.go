package network

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/rlp"
	corenet "github.com/libp2p/go-libp2p/core/network"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
)

// pair is two networks that have admitted each other; the second has a chain of its own.
func pair(t *testing.T, l *ledger, setups ...setup) (a, b *running) {
	t.Helper()
	b = startOn(t, l)
	a = start(t, append(setups, dialling(b))...)
	a.meets(b)
	return a, b
}

func TestARangeComesWithItsCertificate(t *testing.T) {
	a, b := pair(t, newLedger(300, 1000))
	for _, test := range []struct {
		name     string
		from     chain.Height
		count    uint64
		bytes    uint64
		wantFrom chain.Height
		want     int
	}{
		{"from the start", 0, 10, 0, 0, 10},
		{"in the middle", 100, 128, 0, 100, 128},
		{"beyond the head it ends", 290, 1024, 0, 290, 11},
		{"the bytes end it", 1, 100, 5000, 1, 2},
		{"one block always comes", 1, 100, 1, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := a.Range(t.Context(), RangeRequest{Peer: b.name(), From: test.from, Count: test.count, Bytes: test.bytes})
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Blocks) != test.want || got.Bytes == 0 || got.Took <= 0 || got.First <= 0 || got.First > got.Took {
				t.Fatalf("%d blocks, want %d; %d bytes in %s", len(got.Blocks), test.want, got.Bytes, got.Took)
			}
			for i, r := range got.Blocks {
				want := b.chain.at(int(test.wantFrom) + i)
				if r.Block.Header != want.Header || r.Size != len(want.Encode()) || r.Signature != (chain.BLSSignature{9}) {
					t.Fatalf("block %d is %+v", i, r.Block.Header)
				}
			}
			if last := b.chain.at(int(test.wantFrom) + test.want - 1); got.QC.Hash() != certify(last).Hash() {
				t.Error("the certificate is not the last block's")
			}
		})
	}
}

// D-37: an empty answer was taken for "synced".
func TestD37_NothingIsNoAnswer(t *testing.T) {
	a, b := pair(t, newLedger(5, 0))
	_, err := a.Range(t.Context(), RangeRequest{Peer: b.name(), From: 6, Count: 10})
	wantError(t, err, ErrNotFound)

	liar := newStranger(t)
	liar.SetStreamHandler(liar.proto.blocks, func(s corenet.Stream) {
		_ = writeFrame(s, codeEnd, block.EncodeQC(certify(liar.chain.at(1))))
		_ = s.Close()
	})
	liar.joins(a)
	_, err = a.Range(t.Context(), RangeRequest{Peer: liar.name(), From: 1, Count: 10})
	wantError(t, err, ErrMisbehaved)
	// The claim of a head comes with what proves it.
	if s := a.Peers(); len(s) != 2 || s[0].Status.Head.QC.Block != s[0].Status.Head.Header.Hash() {
		t.Error("a head without its certificate")
	}
}

func TestBlocksByHash(t *testing.T) {
	a, b := pair(t, newLedger(10, 100))
	want := b.chain.at(7)
	got, err := a.Blocks(t.Context(), b.name(), []chain.Hash{{1}, want.Header.Hash(), b.chain.at(0).Header.Hash()})
	if err != nil {
		t.Fatal(err)
	}
	if got[0] != nil || got[1].Block.Header != want.Header || got[1].QC.Hash() != certify(want).Hash() || got[2].Block.Header.Height != 0 {
		t.Errorf("got %+v", got)
	}
	for _, n := range []int{0, MaxHashes + 1} {
		_, err := a.Blocks(t.Context(), b.name(), make([]chain.Hash, n))
		wantError(t, err, ErrMalformed)
	}
	for _, q := range []RangeRequest{{Count: 0}, {Count: MaxRangeBlocks + 1}, {Count: 1, Bytes: MaxRangeBytes + 1}, {Count: 1, From: 1 << 63}} {
		q.Peer = b.name()
		_, err := a.Range(t.Context(), q)
		wantError(t, err, ErrMalformed)
	}
}

// D-34: a failed request never ended, and one that was merely queued counted as sent.
func TestD34_EveryRequestEnds(t *testing.T) {
	a, b := pair(t, newLedger(10, 100), func(o *Options) { o.RequestTimeout = 500 * time.Millisecond })
	ask := func(ctx context.Context, p consensus.Peer) error {
		_, err := a.Range(ctx, RangeRequest{Peer: p, From: 1, Count: 10})
		return err
	}
	wantError(t, ask(t.Context(), "nobody"), ErrUnknownPeer)
	wantError(t, ask(t.Context(), newStranger(t).name()), ErrUnknownPeer)
	_, err := a.Blocks(t.Context(), "nobody", []chain.Hash{{1}})
	wantError(t, err, ErrUnknownPeer)

	b.chain.mu.Lock()
	b.chain.fail = errors.New("disk on fire")
	b.chain.mu.Unlock()
	wantError(t, ask(t.Context(), b.name()), ErrPeerFailed)
	b.chain.mu.Lock()
	b.chain.fail, b.chain.gate = nil, make(chan struct{})
	b.chain.mu.Unlock()
	wantError(t, ask(t.Context(), b.name()), ErrTimeout)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, ask(ctx, b.name()), context.Canceled)

	mute := newStranger(t) // a peer that speaks no protocol but the handshake
	mute.joins(a)
	wantError(t, ask(t.Context(), mute.name()), ErrDisconnected)
	hangsUp := newStranger(t)
	hangsUp.SetStreamHandler(hangsUp.proto.blocks, func(s corenet.Stream) { _ = s.Conn().Close() })
	hangsUp.joins(a)
	wantError(t, ask(t.Context(), hangsUp.name()), ErrDisconnected)
	if p, _ := a.book.standing(b.peerID(), time.Now()); p != true {
		t.Error("b is not static")
	}
	if _, faults := a.book.standing(b.peerID(), time.Now()); faults != 0 {
		t.Error("slowness counts as a fault")
	}
}

// What a lying peer answers is found out, and counted against it.
func TestLiesAreFoundOut(t *testing.T) {
	l := newLedger(20, 100)
	fork := child(l.at(2), 200)
	frame := func(b *block.Block) []byte {
		raw, err := encodeStored(Stored{Raw: b.Encode()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	qc := func(h int) []byte { return block.EncodeQC(certify(l.at(h))) }
	type part struct {
		c   code
		raw []byte
	}
	blocks := func(heights ...int) (out []part) {
		for _, h := range heights {
			out = append(out, part{codeBlock, frame(l.at(h))})
		}
		return out
	}
	for _, test := range []struct {
		name   string
		answer []part
		want   error
	}{
		{"another height", append(blocks(2), part{codeEnd, qc(2)}), ErrMisbehaved},
		{"a gap", append(blocks(1, 3), part{codeEnd, qc(3)}), ErrMisbehaved},
		{"another branch", append(blocks(1), part{codeBlock, frame(fork)}), ErrMisbehaved},
		{"no link", append(blocks(1, 2), part{codeBlock, frame(func() *block.Block {
			b := child(fork, 0)
			b.Header.Height = 3
			return b
		}())}), ErrMisbehaved},
		{"another block's certificate", append(blocks(1, 2), part{codeEnd, qc(3)}), ErrMisbehaved},
		{"no certificate", append(blocks(1, 2), part{codeEnd, nil}), ErrMisbehaved},
		{"more blocks than asked for", blocks(1, 2, 3, 4, 5, 6), ErrMisbehaved},
		{"garbage for a block", []part{{codeBlock, []byte("garbage")}}, ErrMisbehaved},
		{"a frame of another kind", []part{{codePeers, nil}}, ErrMisbehaved},
		{"an unknown frame", []part{{99, nil}}, ErrMisbehaved},
		{"a refusal of no kind", []part{{codeError, []byte{77}}}, ErrMisbehaved},
		{"truncated", blocks(1, 2), ErrDisconnected},
		{"nothing", nil, ErrDisconnected},
		{"busy", []part{{codeError, refusalBusy.encode("no")}}, ErrBusy},
		{"not found", []part{{codeError, refusalNotFound.encode("no")}}, ErrNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := start(t)
			liar := newStranger(t)
			liar.SetStreamHandler(liar.proto.blocks, func(s corenet.Stream) {
				for _, p := range test.answer {
					head := []byte{byte(p.c), byte(len(p.raw) >> 24), byte(len(p.raw) >> 16), byte(len(p.raw) >> 8), byte(len(p.raw))}
					_, _ = s.Write(append(head, p.raw...))
				}
				_ = s.Close()
			})
			liar.joins(a)
			_, err := a.Range(t.Context(), RangeRequest{Peer: liar.name(), From: 1, Count: 5})
			wantError(t, err, test.want)
			if _, faults := a.book.standing(liar.id.id, time.Now()); (faults > 0) != errors.Is(test.want, ErrMisbehaved) {
				t.Errorf("%v points of faults for %v", faults, err)
			}
		})
	}
}

func TestAnAnswerThatIsTooLargeIsCutOff(t *testing.T) {
	a := start(t)
	liar := newStranger(t)
	big := newLedger(10, 40<<10)
	liar.SetStreamHandler(liar.proto.blocks, func(s corenet.Stream) {
		for h := 1; h <= 10; h++ {
			raw, _ := encodeStored(Stored{Raw: big.at(h).Encode()}, nil)
			if writeFrame(s, codeBlock, raw) != nil {
				return
			}
		}
	})
	liar.joins(a)
	_, err := a.Range(t.Context(), RangeRequest{Peer: liar.name(), From: 1, Count: 10, Bytes: 1000})
	wantError(t, err, ErrTooLarge)
	wantError(t, err, ErrMisbehaved)
}

// O-5: one fixed peer was asked, for ever. A block is fetched from others while the first keeps silent.
func TestO5_AFetchDoesNotHangOnOnePeer(t *testing.T) {
	a, b := pair(t, newLedger(10, 100))
	silent := newStranger(t)
	release := make(chan struct{})
	defer close(release)
	silent.SetStreamHandler(silent.proto.hashes, func(corenet.Stream) { <-release })
	silent.joins(a)
	want := b.chain.at(3)
	got := make(chan consensus.Peer, 1)
	a.Fetch(want.Header.Hash(), silent.name(), func(x *block.Block, sig chain.BLSSignature, from consensus.Peer) {
		if x == nil || x.Header != want.Header || sig != (chain.BLSSignature{9}) {
			t.Errorf("got %v", x)
		}
		got <- from
	})
	if from := <-got; from != b.name() {
		t.Errorf("from %s", from)
	}
	none := make(chan bool, 1)
	a.Fetch(chain.Hash{77}, b.name(), answerTo(none))
	select {
	case found := <-none:
		if found {
			t.Error("a block that nobody has")
		}
	case <-time.After(inVain):
		t.Error("no answer")
	}
}

// A reorganization in the middle of an answer ends it: it never mixes two branches.
func TestARangeNeverMixesBranches(t *testing.T) {
	l := newLedger(10, 0)
	other := child(l.at(5), 50)
	a, b := pair(t, l)
	l.mu.Lock()
	l.blocks[6] = other // heights 7 and up belong to the old branch
	l.bodies[other.Header.Hash()] = other
	l.mu.Unlock()
	got, err := a.Range(t.Context(), RangeRequest{Peer: b.name(), From: 4, Count: 6})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Blocks) != 3 || got.QC.Block != other.Header.Hash() {
		t.Errorf("%d blocks to %s", len(got.Blocks), got.QC.Block)
	}
}

func TestStatusIsRenewed(t *testing.T) {
	a, b := pair(t, newLedger(10, 0))
	m := a.member(b.peerID())
	b.chain.add(child(b.chain.tip(), 0))
	a.renew(t.Context(), m)
	if p := a.Peers()[0]; p.Status.Head.Header.Height != 11 || p.RTT <= 0 {
		t.Errorf("peer %+v", p)
	}
	// Who stops answering is dismissed in the end, and who turns to another schedule at once.
	b.node.RemoveStreamHandler(b.proto.status)
	for range maxSilent {
		a.renew(t.Context(), m)
	}
	eventually(t, "the silent peer goes", func() bool { return a.member(b.peerID()) != m })
}

func TestAnswersAreRLP(t *testing.T) {
	// The canonical form of a question without arguments, for whoever writes another client.
	raw, err := rlp.EncodeToBytes(noRequest{})
	if err != nil || len(raw) != 1 || raw[0] != 0xc0 {
		t.Errorf("%x, %v", raw, err)
	}
}
