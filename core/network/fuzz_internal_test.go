package network

import (
	"bytes"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/multiformats/go-multiaddr"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
)

// Each decoder of remote bytes: no input makes it panic, and what it takes encodes back to the same bytes, so that a
// message has one encoding.

func FuzzDecodeStatus(f *testing.F) {
	l := newLedger(2, 0)
	s := l.Status()
	s.Genesis, s.Clock, s.Client = testGenesis, chain.UnixMilli(time.Unix(1, 0).UnixMilli()), "alys/1"
	s.Coming = []SetChange{{Effective: 9, Digest: chain.Hash{1}}}
	raw, err := encodeStatus(s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte{0xc0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := decodeStatus(raw)
		if err != nil {
			return
		}
		again, err := encodeStatus(s)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := decodeStatus(again)
		if err != nil {
			t.Fatalf("what was decoded does not decode again: %v", err)
		}
		if back, err := encodeStatus(twice); err != nil || !bytes.Equal(again, back) {
			t.Errorf("%x becomes %x, %v", again, back, err)
		}
	})
}

func FuzzDecodeMessage(f *testing.F) {
	b := newLedger(2, 10).tip()
	for _, make := range []func() ([]byte, error){
		func() ([]byte, error) { return encodeProposal(5, b, chain.BLSSignature{1}) },
		func() ([]byte, error) { return encodeApproval(5, approvalOf(b)) },
		func() ([]byte, error) { return encodeCertificate(5, certificateOf(b)) },
	} {
		raw, err := make()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := decodeMessage(raw)
		if err != nil {
			return
		}
		again, err := encode(m)
		if err != nil || !bytes.Equal(raw, again) {
			t.Errorf("%x decodes and encodes to %x, %v", raw, again, err)
		}
		if e, _ := m.Event(); e == nil || m.Header() == (chain.Header{}) {
			t.Error("a message without an event or a header")
		}
	})
}

func encode(m Message) ([]byte, error) {
	switch m.Kind() {
	case KindProposal:
		return encodeProposal(m.Slot, m.Block, m.Proposal.Signature)
	case KindApproval:
		return encodeApproval(m.Slot, *m.Approval)
	case KindCertificate:
		return encodeCertificate(m.Slot, *m.Certificate)
	}
	return nil, ErrMalformed
}

func FuzzDecodeStored(f *testing.F) {
	b := newLedger(2, 10).tip()
	qc := certify(b)
	for _, with := range []bool{true, false} {
		s := Stored{Raw: b.Encode(), Signature: chain.BLSSignature{1}}
		raw, err := encodeStored(s, nil)
		if with {
			raw, err = encodeStored(s, &qc)
		}
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := decodeStored(raw)
		if err != nil {
			return
		}
		again, err := encodeStored(Stored{Raw: r.Block.Encode(), Signature: r.Signature}, r.QC)
		if err != nil || !bytes.Equal(raw, again) {
			t.Errorf("%x decodes and encodes to %x, %v", raw, again, err)
		}
	})
}

func FuzzDecodeRequest(f *testing.F) {
	for _, q := range []any{rangeRequest{From: 7, Count: 100, Bytes: 1 << 20}, hashRequest{Hashes: []chain.Hash{{1}, {2}}}, noRequest{}} {
		raw, err := rlp.EncodeToBytes(q)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if q, err := decodeRequest[rangeRequest](raw); err == nil && (q.Count > MaxRangeBlocks || q.Bytes > MaxRangeBytes) {
			t.Errorf("range %+v", q)
		}
		if q, err := decodeRequest[hashRequest](raw); err == nil && len(q.Hashes) > MaxHashes {
			t.Errorf("%d hashes", len(q.Hashes))
		}
		if _, err := decodeRequest[noRequest](raw); err == nil && !bytes.Equal(raw, []byte{0xc0}) {
			t.Errorf("%x is a question without arguments", raw)
		}
	})
}

func FuzzDecodePeers(f *testing.F) {
	key, err := crypto.UnmarshalEd25519PrivateKey(fixedKey())
	if err != nil {
		f.Fatal(err)
	}
	id, err := identityOf(key)
	if err != nil {
		f.Fatal(err)
	}
	addr, err := multiaddr.NewMultiaddr("/ip4/192.0.2.1/tcp/1")
	if err != nil {
		f.Fatal(err)
	}
	env, err := record.Seal(&peer.PeerRecord{PeerID: id.id, Addrs: []multiaddr.Multiaddr{addr}, Seq: 1}, key)
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := env.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	raw, err := rlp.EncodeToBytes(peersAnswer{[][]byte{sealed}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := decodePeers(raw)
		if err != nil {
			return
		}
		for _, r := range a.Records {
			info, err := openRecord(r)
			if err == nil && (info.ID == "" || len(info.Addrs) > maxBookAddrs) {
				t.Errorf("record of %q with %d addresses", info.ID, len(info.Addrs))
			}
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	var b bytes.Buffer
	if err := writeFrame(&b, codeVerdict, []byte("no")); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{byte(codeError), 0, 0, 0, 2, 1, 'x'})
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, content, err := readFrame(bytes.NewReader(raw), codeStatus, codeVerdict, codeRequest, codeBlock, codeMissing, codeEnd, codePeers, codeMessage, codeError)
		if err != nil {
			return
		}
		if len(content) > c.limit() {
			t.Errorf("%d bytes of code %d", len(content), c)
		}
		var again bytes.Buffer
		if err := writeFrame(&again, c, content); err != nil || !bytes.Equal(again.Bytes(), raw[:again.Len()]) {
			t.Errorf("%x encodes to %x, %v", raw, again.Bytes(), err)
		}
		if c == codeError && decodeRefusal(content) == nil {
			t.Error("a refusal that is none")
		}
	})
}

func fixedKey() []byte {
	// RFC 8032, section 7.1, test 1: seed and public key.
	return []byte{
		0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
		0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
		0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
		0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
	}
}

// The status survives the way there and back, and a later version's additions do no harm.
func TestStatusThereAndBack(t *testing.T) {
	s := newLedger(3, 0).Status()
	s.Genesis, s.Client, s.Low, s.Clock = testGenesis, "alys/1\x1b[31m", 2, 12345
	s.Safe, s.Finalized = chain.Ref{Height: 2, Hash: chain.Hash{2}}, chain.Ref{Height: 1, Hash: chain.Hash{1}}
	s.Heights, s.Slots = ForkID{Hash: [8]byte{1}, Next: 3}, ForkID{Hash: [8]byte{2}, Next: 4}
	s.Coming = []SetChange{{Effective: 9, Digest: chain.Hash{7}}}
	raw, err := encodeStatus(s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeStatus(raw)
	if err != nil {
		t.Fatal(err)
	}
	if got.Client != "alys/1?[31m" {
		t.Errorf("client %q reaches a terminal", got.Client)
	}
	got.Client = s.Client
	if got.Genesis != s.Genesis || got.ChainID != s.ChainID || got.Heights != s.Heights || got.Slots != s.Slots || got.Low != s.Low ||
		got.Safe != s.Safe || got.Finalized != s.Finalized || got.Clock != s.Clock || got.Engine != s.Engine ||
		len(got.Coming) != 1 || got.Coming[0] != s.Coming[0] || got.Head.Header != s.Head.Header || got.Head.QC.Hash() != s.Head.QC.Hash() {
		t.Errorf("got %+v\nwant %+v", got, s)
	}
	c := got.Clone()
	c.Coming[0].Effective++
	c.Head.QC.Signers[0]++
	if got.Coming[0] != s.Coming[0] || got.Head.QC.Hash() != s.Head.QC.Hash() {
		t.Error("a clone shares memory")
	}

	var w wireStatus
	if err := rlp.DecodeBytes(raw, &w); err != nil {
		t.Fatal(err)
	}
	reencode := func() []byte {
		b, err := rlp.EncodeToBytes(w)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	w.Version, w.Rest = ProtocolVersion+1, []rlp.RawValue{{0x05}, {0xc0}}
	if _, err := decodeStatus(reencode()); err != nil {
		t.Errorf("a later version: %v", err)
	}
	w.Version = 0
	_, err = decodeStatus(reencode())
	wantError(t, err, ErrOtherVersion)
	w.Version, w.HeadQC = ProtocolVersion, raw[:3]
	_, err = decodeStatus(reencode())
	wantError(t, err, ErrMalformed)
}

func TestARecordOfAnotherSignerIsRefused(t *testing.T) {
	key, err := crypto.UnmarshalEd25519PrivateKey(fixedKey())
	if err != nil {
		t.Fatal(err)
	}
	victim, _ := somePeer(t, 1)
	env, err := record.Seal(&peer.PeerRecord{PeerID: victim, Seq: 1}, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := env.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	_, err = openRecord(raw)
	wantError(t, err, ErrMalformed)
	var c consensus.Certificate
	if _, err := encodeCertificate(1, c); err != nil {
		t.Error(err)
	}
}
