package spend_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/alys-node/alys/plugins/internal/spend"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

var genesis = chain.TaggedHash("test/genesis")

// member is a federation member's key, the same for the same name.
func member(name string) *btcec.PrivateKey {
	secret := sha256.Sum256([]byte(name))
	k, _ := btcec.PrivKeyFromBytes(secret[:])
	return k
}

func build(t testing.TB, b *txscript.ScriptBuilder) []byte {
	t.Helper()
	script, err := b.Script()
	if err != nil {
		t.Fatal(err)
	}
	return script
}

// multisig is the witness script of a federation of which one member's signature is enough.
func multisig(t testing.TB, members ...*btcec.PrivateKey) []byte {
	b := txscript.NewScriptBuilder().AddInt64(1)
	for _, m := range members {
		b.AddData(m.PubKey().SerializeCompressed())
	}
	return build(t, b.AddInt64(int64(len(members))).AddOp(txscript.OP_CHECKMULTISIG))
}

// leaf is multisig as a taproot leaf.
func leaf(t testing.TB, members ...*btcec.PrivateKey) []byte {
	b := txscript.NewScriptBuilder()
	for i, m := range members {
		b.AddData(schnorr.SerializePubKey(m.PubKey()))
		if i == 0 {
			b.AddOp(txscript.OP_CHECKSIG)
		} else {
			b.AddOp(txscript.OP_CHECKSIGADD)
		}
	}
	return build(t, b.AddInt64(1).AddOp(txscript.OP_NUMEQUAL))
}

func p2wsh(t testing.TB, script []byte) []byte {
	program := sha256.Sum256(script)
	return build(t, txscript.NewScriptBuilder().AddOp(txscript.OP_0).AddData(program[:]))
}

// p2tr is the output of a leaf, and its control block.
func p2tr(t testing.TB, script []byte) (output, control []byte) {
	t.Helper()
	tree := txscript.AssembleTaprootScriptTree(txscript.NewBaseTapLeaf(script))
	internal := member("internal").PubKey()
	root := tree.RootNode.TapHash()
	block := tree.LeafMerkleProofs[0].ToControlBlock(internal)
	control, err := block.ToBytes()
	if err != nil {
		t.Fatal(err)
	}
	output, err = txscript.PayToTaprootScript(txscript.ComputeTaprootOutputKey(internal, root[:]))
	if err != nil {
		t.Fatal(err)
	}
	return output, control
}

// encode is the transaction without witness.
func encode(tx *wire.MsgTx) []byte {
	var b bytes.Buffer
	_ = tx.SerializeNoWitness(&b)
	return b.Bytes()
}

// payment is a request of two members' federation: input 0 is P2WSH, input 1 taproot, and one output is paid.
type payment struct {
	request signer.BitcoinRequest
	tx      *wire.MsgTx
	control []byte // of input 1
}

func newPayment(t testing.TB) *payment {
	t.Helper()
	a, b := member("a"), member("b")
	witness, tap := multisig(t, a, b), leaf(t, a, b)
	p := &payment{tx: wire.NewMsgTx(2)}
	output, control := p2tr(t, tap)
	p.control = control
	for i := range 2 {
		p.tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: sha256.Sum256([]byte{byte(i)}), Index: uint32(i)}, nil, nil))
	}
	p.tx.AddTxOut(wire.NewTxOut(150_000, p2wsh(t, []byte{txscript.OP_TRUE})))
	p.request = signer.BitcoinRequest{
		Key:   signer.BitcoinKey(chain.BitcoinPublicKey(a.PubKey().SerializeCompressed())),
		Kind:  signer.Payout,
		Block: chain.Ref{Height: 7, Hash: chain.Hash{7}},
		Prevouts: []signer.Prevout{
			{Value: 100_000, Script: p2wsh(t, witness)},
			{Value: 60_000, Script: output},
		},
		Inputs: []signer.BitcoinInput{
			{Index: 0, Kind: signer.P2WSH, Script: witness},
			{Index: 1, Kind: signer.TaprootScript, Script: tap},
		},
	}
	p.encode()
	return p
}

// encode puts the transaction into the request, as version 0 of its payment.
func (p *payment) encode() {
	p.request.Tx = encode(p.tx)
	p.request.BaseTx = p.request.Tx
	p.request.Payment = signer.PaymentID(genesis, p.request.BaseTx)
}

func parse(t testing.TB, r signer.BitcoinRequest) *spend.Transaction {
	t.Helper()
	tx, err := spend.Parse(genesis, r)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// run gives a signature to Bitcoin's script engine as the witness of its input.
func (p *payment) run(sig signer.BitcoinSignature) error {
	in := p.request.Inputs[sig.Input]
	witness := wire.TxWitness{nil, sig.Signature, in.Script} // CHECKMULTISIG takes one element too many
	if in.Kind == signer.TaprootScript {
		witness = wire.TxWitness{nil, sig.Signature, in.Script, p.control} // b gave none
	}
	tx := p.tx.Copy()
	tx.TxIn[sig.Input].Witness = witness
	fetcher := txscript.NewMultiPrevOutFetcher(nil)
	for i, prevout := range p.request.Prevouts {
		fetcher.AddPrevOut(tx.TxIn[i].PreviousOutPoint, wire.NewTxOut(int64(prevout.Value), prevout.Script))
	}
	prevout := p.request.Prevouts[sig.Input]
	engine, err := txscript.NewEngine(prevout.Script, tx, int(sig.Input), txscript.StandardVerifyFlags, nil,
		txscript.NewTxSigHashes(tx, fetcher), int64(prevout.Value), fetcher)
	if err != nil {
		return err
	}
	return engine.Execute()
}

func TestSignaturesSpendOnBitcoin(t *testing.T) {
	p := newPayment(t)
	tx := parse(t, p.request)
	if tx.TxID != chain.Hash(p.tx.TxHash()) || len(tx.Outpoints) != 2 || tx.Outpoints[0] == tx.Outpoints[1] {
		t.Errorf("got transaction %s of outpoints %v", tx.TxID, tx.Outpoints)
	}
	sigs, err := tx.Sign(member("a"))
	if err != nil || len(sigs) != 2 {
		t.Fatalf("got %v, %v, want a signature for each input", sigs, err)
	}
	again, err := parse(t, p.request).Sign(member("a"))
	if err != nil {
		t.Fatal(err)
	}
	for i, sig := range sigs {
		if sig.PublicKey != chain.BitcoinPublicKey(member("a").PubKey().SerializeCompressed()) || int(sig.Input) != i {
			t.Errorf("signature %d is of input %d by %s", i, sig.Input, sig.PublicKey)
		}
		if err := p.run(sig); err != nil {
			t.Errorf("input %d: %v", sig.Input, err)
		}
		if i == 0 && !bytes.Equal(again[i].Signature, sig.Signature) {
			t.Error("the ECDSA signature is not deterministic")
		}
	}
	p.request.Prevouts[1].Value++ // a taproot signature covers all values, an ECDSA one its own
	if err := p.run(sigs[1]); err == nil {
		t.Error("the engine would take anything")
	}
}

func TestOnlyTheInputsAskedForAreSigned(t *testing.T) {
	p := newPayment(t)
	all := p.request.Inputs
	p.request.Inputs = all[1:]
	sigs, err := parse(t, p.request).Sign(member("a"))
	if err != nil || len(sigs) != 1 || sigs[0].Input != 1 {
		t.Fatalf("got %v, %v, want a signature for input 1", sigs, err)
	}
	p.request.Inputs = all
	if err := p.run(sigs[0]); err != nil {
		t.Error(err)
	}
}

func TestKeyThatNoScriptNamesSignsNothing(t *testing.T) {
	p := newPayment(t)
	tx := parse(t, p.request)
	if err := tx.CheckKey(member("b").PubKey()); err != nil {
		t.Errorf("a member: %v", err)
	}
	if sigs, err := tx.Sign(member("stranger")); !errors.Is(err, signer.ErrRefused) || sigs != nil {
		t.Errorf("a stranger: got %v, %v, want a refusal", sigs, err)
	}
	// A key in one script and not in the other signs neither.
	p.request.Inputs[1].Script = leaf(t, member("b"))
	if sigs, err := parse(t, p.request).Sign(member("a")); !errors.Is(err, signer.ErrRefused) || sigs != nil {
		t.Errorf("a member of one script: got %v, %v, want a refusal", sigs, err)
	}
}

func TestWhatDoesNotFitTogetherIsRefused(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, p *payment)
	}{
		{"no payment", func(_ *testing.T, p *payment) { p.request.Payment = chain.Hash{} }},
		{"no block", func(_ *testing.T, p *payment) { p.request.Block.Hash = chain.Hash{} }},
		{"no transaction", func(_ *testing.T, p *payment) { p.request.Tx = nil }},
		{"a cut transaction", func(_ *testing.T, p *payment) { p.request.Tx = p.request.Tx[:len(p.request.Tx)-1] }},
		{"something after the transaction", func(_ *testing.T, p *payment) { p.request.Tx = append(p.request.Tx, 0) }},
		{"a transaction that is too long", func(_ *testing.T, p *payment) { p.request.Tx = make([]byte, spend.MaxTxSize+1) }},
		{"a transaction with witness", func(t *testing.T, p *payment) {
			p.tx.TxIn[0].Witness = wire.TxWitness{{1}}
			var b bytes.Buffer
			if err := p.tx.Serialize(&b); err != nil {
				t.Fatal(err)
			}
			p.request.Tx = b.Bytes()
		}},
		{"an input with a script", func(_ *testing.T, p *payment) { p.tx.TxIn[0].SignatureScript = []byte{1}; p.encode() }},
		{"no output", func(_ *testing.T, p *payment) { p.tx.TxOut = nil; p.encode() }},
		{"an outpoint twice", func(_ *testing.T, p *payment) {
			p.tx.TxIn[1].PreviousOutPoint = p.tx.TxIn[0].PreviousOutPoint
			p.encode()
		}},
		{"a prevout missing", func(_ *testing.T, p *payment) { p.request.Prevouts = p.request.Prevouts[:1] }},
		{"a negative prevout", func(_ *testing.T, p *payment) { p.request.Prevouts[0].Value = -1 }},
		{"a prevout of more than all bitcoins", func(_ *testing.T, p *payment) { p.request.Prevouts[0].Value = math.MaxInt64 }},
		{"a negative output", func(_ *testing.T, p *payment) { p.tx.TxOut[0].Value = -1; p.encode() }},
		{"an output of more than all bitcoins", func(_ *testing.T, p *payment) { p.tx.TxOut[0].Value = math.MaxInt64; p.encode() }},
		{"more paid than spent", func(_ *testing.T, p *payment) { p.tx.TxOut[0].Value = 160_001; p.encode() }},
		{"nothing to sign", func(_ *testing.T, p *payment) { p.request.Inputs = nil }},
		{"inputs that descend", func(_ *testing.T, p *payment) {
			p.request.Inputs[0], p.request.Inputs[1] = p.request.Inputs[1], p.request.Inputs[0]
		}},
		{"an input twice", func(_ *testing.T, p *payment) { p.request.Inputs[1] = p.request.Inputs[0] }},
		{"an input that is not there", func(_ *testing.T, p *payment) { p.request.Inputs[1].Index = 2 }},
		{"an input far away", func(_ *testing.T, p *payment) { p.request.Inputs[1].Index = math.MaxUint32 }},
		{"an unknown kind of input", func(_ *testing.T, p *payment) { p.request.Inputs[0].Kind = "p2pkh" }},
		{"another witness script", func(t *testing.T, p *payment) { p.request.Inputs[0].Script = multisig(t, member("a")) }},
		{"P2WSH on a taproot output", func(_ *testing.T, p *payment) { p.request.Inputs[1].Kind = signer.P2WSH }},
		{"taproot on a P2WSH output", func(_ *testing.T, p *payment) { p.request.Inputs[0].Kind = signer.TaprootScript }},
		{"an empty leaf", func(_ *testing.T, p *payment) { p.request.Inputs[1].Script = nil }},
		{"a leaf that does not parse", func(_ *testing.T, p *payment) { p.request.Inputs[1].Script = []byte{txscript.OP_PUSHDATA1} }},
		{"a code separator", func(_ *testing.T, p *payment) {
			p.request.Inputs[1].Script = append([]byte{txscript.OP_CODESEPARATOR}, p.request.Inputs[1].Script...)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPayment(t)
			tt.spoil(t, p)
			if _, err := spend.Parse(genesis, p.request); !errors.Is(err, signer.ErrRefused) {
				t.Fatalf("got %v, want a refusal", err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	p := newPayment(f)
	f.Add(p.request.Tx, p.request.Inputs[0].Script, int64(100_000), uint32(0))
	f.Add([]byte{}, []byte{txscript.OP_PUSHDATA4, 255, 255, 255, 255}, int64(-1), uint32(1))
	f.Fuzz(func(t *testing.T, tx, script []byte, value int64, index uint32) {
		r := p.request
		r.Prevouts, r.Inputs = slices.Clone(r.Prevouts), slices.Clone(r.Inputs)
		r.Tx, r.BaseTx, r.Payment = tx, tx, signer.PaymentID(genesis, tx)
		r.Prevouts[0].Value, r.Inputs[0].Script, r.Inputs[1].Index = chain.Sat(value), script, index
		parsed, err := spend.Parse(genesis, r)
		if err == nil {
			_, err = parsed.Sign(member("a"))
		}
		if err != nil && !errors.Is(err, signer.ErrRefused) {
			t.Fatalf("got %v, want a refusal", err)
		}
	})
}
