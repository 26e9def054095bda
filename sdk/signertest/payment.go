package signertest

import (
	"errors"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"

	"github.com/alys-node/alys/sdk/signer"
)

func testFeeBump(t *testing.T, s *subject) {
	p := newPayout(t, s.h.Genesis, s.bitcoinKey(t), signer.P2WSH, signer.TaprootScript)
	for range 3 {
		p.wantSpends(t, s.sign(t, p.request())...)
		p.bump()
	}
}

// testFalseVersion spoils a fee bump. A signer that signed the base must not be led to pay anybody else, or more.
func testFalseVersion(t *testing.T, s *subject) {
	key := s.bitcoinKey(t)
	for _, test := range []struct {
		name  string
		spoil func(p *payout)
	}{
		{"another recipient", func(p *payout) { p.tx.TxOut[0].PkScript[5] ^= 1 }},
		{"recipients in another order", func(p *payout) {
			p.tx.TxOut[0], p.tx.TxOut[1] = p.tx.TxOut[1], p.tx.TxOut[0]
		}},
		{"a recipient more", func(p *payout) { p.tx.AddTxOut(p.tx.TxOut[0]) }},
		{"a recipient less", func(p *payout) { p.tx.TxOut = p.tx.TxOut[1:] }},
		{"a higher amount", func(p *payout) { p.tx.TxOut[1].Value = secondAmount + 1 }},
		{"a negative amount", func(p *payout) { p.tx.TxOut[1].Value = -1 }},
		{"less change", func(p *payout) { p.tx.TxOut[2].Value-- }},
		{"more change", func(p *payout) { p.tx.TxOut[2].Value++ }},
		{"another outpoint", func(p *payout) { p.tx.TxIn[0].PreviousOutPoint.Index++ }},
		{"another sequence", func(p *payout) { p.tx.TxIn[0].Sequence-- }},
		{"inputs in another order", func(p *payout) { p.tx.TxIn[0], p.tx.TxIn[1] = p.tx.TxIn[1], p.tx.TxIn[0] }},
		{"another lock time", func(p *payout) { p.tx.LockTime++ }},
		{"another transaction version", func(p *payout) { p.tx.Version++ }},
		{"version 0 that is not the base", func(p *payout) { p.version = 0 }},
	} {
		p := newPayout(t, s.h.Genesis, key, signer.P2WSH, signer.P2WSH)
		p.bump()
		test.spoil(p)
		s.wantUnsigned(t, test.name, p.request())
	}
	for _, test := range []struct {
		name  string
		spoil func(r *signer.BitcoinRequest)
	}{
		{"the id of another payment", func(r *signer.BitcoinRequest) { r.Payment[0] ^= 1 }},
		{"the base of another payment", func(r *signer.BitcoinRequest) { r.BaseTx[5] ^= 1 }},
		{"no base", func(r *signer.BitcoinRequest) { r.BaseTx = nil }},
		{"another chain's id", func(r *signer.BitcoinRequest) {
			other := s.h.Genesis
			other[0] ^= 1
			r.Payment = signer.PaymentID(other, r.BaseTx)
		}},
		{"an unknown payment kind", func(r *signer.BitcoinRequest) { r.Kind = "gift" }},
	} {
		p := newPayout(t, s.h.Genesis, key)
		p.bump()
		r := p.request()
		test.spoil(&r)
		s.wantUnsigned(t, test.name, r)
	}
}

// wantUnsigned wants ErrRefused.
func (s *subject) wantUnsigned(t *testing.T, name string, r signer.BitcoinRequest) {
	t.Helper()
	if _, err := s.s.SignBitcoin(ctx(t), r); !errors.Is(err, signer.ErrRefused) {
		t.Errorf("%s: got error %v, want %v", name, err, signer.ErrRefused)
	}
}

// testOnePayment spends the same outpoint in two payments, the second of which is well-formed by itself.
func testOnePayment(t *testing.T, s *subject) {
	first := newPayout(t, s.h.Genesis, s.bitcoinKey(t))
	s.sign(t, first.request())
	second := newPayout(t, s.h.Genesis, s.bitcoinKey(t))
	second.tx.TxOut[0] = wire.NewTxOut(firstAmount, append([]byte{}, second.tx.TxOut[1].PkScript...))
	second.base = encodeTx(second.tx)
	s.wantUnsigned(t, "the outpoint of another payment", second.request())
	first.bump()
	first.wantSpends(t, s.sign(t, first.request())...)
}
