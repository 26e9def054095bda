package network

import (
	"bytes"
	"errors"
	"testing"
	"time"

	corenet "github.com/libp2p/go-libp2p/core/network"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/telemetry"
	"github.com/alys-node/alys/sdk/chain"
)

// recorded is the reading side of a stream whose peer has said all that it will.
type recorded struct {
	corenet.Stream
	said *bytes.Reader
}

func (r recorded) Read(b []byte) (int, error)      { return r.said.Read(b) }
func (r recorded) SetReadDeadline(time.Time) error { return nil }

// FuzzAnswers reads whole answers with blocks, frame by frame: what is taken is what was asked for, and a peer is blamed only
// for what it said, never for what it did not.
func FuzzAnswers(f *testing.F) {
	l := newLedger(6, 10)
	say := func(frames ...func(*bytes.Buffer) error) []byte {
		var b bytes.Buffer
		for _, add := range frames {
			if err := add(&b); err != nil {
				f.Fatal(err)
			}
		}
		return b.Bytes()
	}
	blockAt := func(h int) func(*bytes.Buffer) error {
		return func(b *bytes.Buffer) error {
			s, err := stored(l.at(h), nil)
			if err != nil {
				return err
			}
			raw, err := encodeStored(s, nil)
			if err != nil {
				return err
			}
			return writeFrame(b, codeBlock, raw)
		}
	}
	with := func(c code, content []byte) func(*bytes.Buffer) error {
		return func(b *bytes.Buffer) error { return writeFrame(b, c, content) }
	}
	qc := func(h int) []byte { return block.EncodeQC(certify(l.at(h))) }
	whole := say(blockAt(2), blockAt(3), blockAt(4), with(codeEnd, qc(4)))
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(say(blockAt(2), with(codeEnd, qc(2))))
	f.Add(say(blockAt(2), with(codeEnd, qc(3))))
	f.Add(say(blockAt(2), blockAt(4)))
	f.Add(say(blockAt(2), blockAt(3), blockAt(4), blockAt(5)))
	f.Add(say(with(codeEnd, nil)))
	f.Add(say(with(codeError, refusalBusy.encode("later"))))
	f.Add(say(blockAt(2), with(codeMissing, nil), with(codeEnd, nil)))
	f.Add(say(with(codeMissing, nil), blockAt(3), with(codeEnd, nil)))
	n := &Network{metrics: telemetry.New("", "")}
	hashes := []chain.Hash{l.at(2).Header.Hash(), l.at(3).Header.Hash()}
	f.Fuzz(func(t *testing.T, raw []byte) {
		q := rangeRequest{From: 2, Count: 3, Bytes: 4096}
		var a RangeAnswer
		err := (&call{n: n, s: recorded{said: bytes.NewReader(raw)}}).readRange(q, &a)
		if err == nil {
			last := a.Blocks[len(a.Blocks)-1].Block.Header
			if len(a.Blocks) > int(q.Count) || last.Height != q.From+chain.Height(len(a.Blocks))-1 || a.QC.Block != last.Hash() {
				t.Errorf("%d blocks up to %d with a certificate of %s", len(a.Blocks), last.Height, a.QC.Block)
			}
		}
		if len(raw) == 0 && errors.Is(classify(t.Context(), err), ErrMisbehaved) {
			t.Errorf("silence is blamed: %v", err)
		}
		c := &call{n: n, s: recorded{said: bytes.NewReader(raw)}}
		for _, h := range hashes {
			r, err := c.readBlock(h)
			if err != nil {
				return
			}
			if r != nil && r.Block.Header.Hash() != h {
				t.Errorf("block %s for %s", r.Block.Header.Hash(), h)
			}
		}
	})
}
