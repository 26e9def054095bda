package signertest

import (
	"errors"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/txscript/v2"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// bitcoinKey gives a Bitcoin key of the signer, or skips.
func (s *subject) bitcoinKey(t *testing.T) signer.KeyID {
	t.Helper()
	if len(s.bitcoin) == 0 {
		t.Skip("the signer holds no Bitcoin key")
	}
	return s.bitcoin[0]
}

func testP2WSH(t *testing.T, s *subject) {
	p := newPayout(t, s.h.Genesis, s.bitcoinKey(t), signer.P2WSH)
	sig := s.signOne(t, p)
	if n := len(sig.Signature); sig.Signature[n-1] != byte(txscript.SigHashAll) {
		t.Errorf("sighash byte is %#x, want %#x", sig.Signature[n-1], byte(txscript.SigHashAll))
	}
	parsed, err := ecdsa.ParseDERSignature(sig.Signature[:len(sig.Signature)-1])
	if err != nil {
		t.Fatalf("parse signature: %v", err)
	}
	scalar := parsed.S()
	if scalar.IsOverHalfOrder() {
		t.Error("signature has a high S, which Bitcoin nodes do not relay")
	}
	p.wantSpends(t, sig)
}

func testTaproot(t *testing.T, s *subject) {
	p := newPayout(t, s.h.Genesis, s.bitcoinKey(t), signer.TaprootScript)
	sig := s.signOne(t, p)
	if len(sig.Signature) != schnorr.SignatureSize {
		t.Errorf("signature has %d bytes, want %d", len(sig.Signature), schnorr.SignatureSize)
	}
	p.wantSpends(t, sig)
}

// signOne signs a payout of one input.
func (s *subject) signOne(t *testing.T, p *payout) signer.BitcoinSignature {
	t.Helper()
	sigs := s.sign(t, p.request())
	if len(sigs) != 1 {
		t.Fatalf("%d signatures for one input of one key", len(sigs))
	}
	return sigs[0]
}

func (s *subject) sign(t *testing.T, r signer.BitcoinRequest) []signer.BitcoinSignature {
	t.Helper()
	answer, err := s.s.SignBitcoin(ctx(t), r)
	if err != nil {
		t.Fatalf("sign: %v", err)
	}
	switch answer.State {
	case signer.BitcoinComplete, signer.BitcoinFinalPartial, signer.BitcoinPending:
	default:
		t.Errorf("the answer has the unknown state %q", answer.State)
	}
	for _, sig := range answer.Signatures {
		if id := signer.BitcoinKey(sig.PublicKey); id != r.Key {
			t.Errorf("input %d is signed by %s, asked for %s", sig.Input, id, r.Key)
		}
	}
	return answer.Signatures
}

func testMixedInputs(t *testing.T, s *subject) {
	p := newPayout(t, s.h.Genesis, s.bitcoinKey(t), signer.P2WSH, signer.TaprootScript, signer.P2WSH)
	sigs := s.sign(t, p.request())
	if len(sigs) != 3 {
		t.Fatalf("%d signatures for 3 inputs", len(sigs))
	}
	p.wantSpends(t, sigs...)
}

func testSomeInputs(t *testing.T, s *subject) {
	p := newPayout(t, s.h.Genesis, s.bitcoinKey(t), signer.P2WSH, signer.TaprootScript)
	r := p.request()
	r.Inputs = r.Inputs[1:]
	sigs := s.sign(t, r)
	if len(sigs) != 1 || sigs[0].Input != 1 {
		t.Fatalf("got %+v, want one signature on input 1", sigs)
	}
}

func testBrokenBitcoin(t *testing.T, s *subject) {
	key := s.bitcoinKey(t)
	for _, test := range []struct {
		name  string
		spoil func(*signer.BitcoinRequest)
	}{
		{"transaction with bytes after it", func(r *signer.BitcoinRequest) { s.setTx(r, append(r.Tx, 0)) }},
		{"transaction cut off", func(r *signer.BitcoinRequest) { s.setTx(r, r.Tx[:len(r.Tx)-1]) }},
		{"no transaction", func(r *signer.BitcoinRequest) { s.setTx(r, nil) }},
		{"an unknown script kind", func(r *signer.BitcoinRequest) { r.Inputs[0].Kind = "p2pkh" }},
		{"a prevout is missing", func(r *signer.BitcoinRequest) { r.Prevouts = r.Prevouts[:1] }},
		{"an input that the transaction does not have", func(r *signer.BitcoinRequest) { r.Inputs[1].Index = 7 }},
		{"an input twice", func(r *signer.BitcoinRequest) { r.Inputs[1] = r.Inputs[0] }},
		{"a script without the key", func(r *signer.BitcoinRequest) {
			for i := range r.Inputs {
				r.Inputs[i].Script = []byte{txscript.OP_TRUE}
			}
		}},
	} {
		r := newPayout(t, s.h.Genesis, key, signer.P2WSH, signer.TaprootScript).request()
		test.spoil(&r)
		if answer, err := s.s.SignBitcoin(ctx(t), r); err == nil {
			t.Errorf("%s: %d signatures, want an error", test.name, len(answer.Signatures))
		}
	}
	approvalKey := newPayout(t, s.h.Genesis, key, signer.P2WSH).request()
	approvalKey.Key = s.approval[0]
	if _, err := s.s.SignBitcoin(ctx(t), approvalKey); !errors.Is(err, signer.ErrUnknownKey) {
		t.Errorf("an approval key for a Bitcoin input: got error %v, want %v", err, signer.ErrUnknownKey)
	}
}

// setTx makes b the base and the version 0 of the request's payment.
func (s *subject) setTx(r *signer.BitcoinRequest, b []byte) {
	r.Tx, r.BaseTx, r.Version = b, slices.Clone(b), 0
	r.Payment = signer.PaymentID(s.h.Genesis, b)
}

// wantSpends puts signatures into the witnesses and runs Bitcoin's script engine on every input.
func (p *payout) wantSpends(t *testing.T, sigs ...signer.BitcoinSignature) {
	t.Helper()
	for _, sig := range sigs {
		in := p.inputs[sig.Input]
		if in.kind == signer.P2WSH {
			p.tx.TxIn[sig.Input].Witness = [][]byte{nil, sig.Signature, in.script}
		} else {
			p.tx.TxIn[sig.Input].Witness = [][]byte{nil, sig.Signature, in.script, in.control}
		}
	}
	spend, err := newSpend(p.request())
	if err != nil {
		t.Fatal(err)
	}
	for i, in := range p.inputs {
		vm, err := txscript.NewEngine(in.prevout.Script, p.tx, i, txscript.StandardVerifyFlags, nil,
			txscript.NewTxSigHashes(p.tx, spend.fetcher), int64(in.prevout.Value), spend.fetcher)
		if err != nil {
			t.Fatalf("input %d: %v", i, err)
		}
		if err := vm.Execute(); err != nil {
			t.Errorf("input %d (%s) does not spend: %v", i, in.kind, err)
		}
	}
}

// parseBitcoinKey gives the point of a Bitcoin key id.
func parseBitcoinKey(t *testing.T, id signer.KeyID) *btcec.PublicKey {
	t.Helper()
	pub, err := id.Bitcoin()
	if err != nil {
		t.Fatal(err)
	}
	point, err := btcec.ParsePubKey(pub[:])
	if err != nil {
		t.Fatal(err)
	}
	return point
}

// request asks for every input of the payout.
func (p *payout) request() signer.BitcoinRequest {
	r := signer.BitcoinRequest{
		Key:              p.key,
		Kind:             signer.Payout,
		Payment:          signer.PaymentID(p.genesis, p.base),
		Version:          p.version,
		BaseTx:           slices.Clone(p.base),
		FederationSerial: 3,
		Block:            chain.Ref{Height: 7, Hash: chain.Hash{0xbb}},
		Tx:               encodeTx(p.tx),
	}
	for i, in := range p.inputs {
		r.Prevouts = append(r.Prevouts, in.prevout)
		r.Inputs = append(r.Inputs, signer.BitcoinInput{
			Index: uint32(i), Kind: in.kind, Script: slices.Clone(in.script),
		})
	}
	return r
}
