package signertest

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// payout is a transaction that spends outputs of a federation in which the key under test is one of two members and one
// signature suffices, so that a single answer can be run through Bitcoin's script engine.
type payout struct {
	genesis chain.Hash
	key     signer.KeyID
	base    []byte // version 0
	version uint32
	tx      *wire.MsgTx
	inputs  []payoutInput
}

// payoutInput is one spent output with what is needed to spend it.
type payoutInput struct {
	kind    signer.ScriptKind
	script  []byte
	prevout signer.Prevout
	control []byte // taproot control block
}

// Amounts of a payout, in satoshi. The change is the last output.
const (
	firstAmount  = 40_000
	secondAmount = 30_000
	changeAmount = 10_000
)

// newPayout makes version 0 of a payout with an input of each kind; without kinds, one P2WSH input. It pays two
// recipients, and change to the script of its first input.
func newPayout(t *testing.T, genesis chain.Hash, key signer.KeyID, kinds ...signer.ScriptKind) *payout {
	t.Helper()
	if len(kinds) == 0 {
		kinds = []signer.ScriptKind{signer.P2WSH}
	}
	p := &payout{genesis: genesis, key: key, tx: wire.NewMsgTx(2)}
	pub := parseBitcoinKey(t, key)
	other := BitcoinSecret("the federation's other member").PubKey()
	for i, kind := range kinds {
		in := p2wshInput(t, pub, other)
		if kind == signer.TaprootScript {
			in = taprootInput(t, pub, other)
		}
		in.prevout.Value = chain.Sat(100_000 + i)
		p.inputs = append(p.inputs, in)
		outpoint := wire.OutPoint{Hash: sha256.Sum256([]byte{byte(i)}), Index: uint32(i)}
		p.tx.AddTxIn(wire.NewTxIn(&outpoint, nil, nil))
	}
	p.tx.AddTxOut(wire.NewTxOut(firstAmount, []byte{txscript.OP_0, txscript.OP_DATA_20, 19: 1, 21: 2}))
	p.tx.AddTxOut(wire.NewTxOut(secondAmount, []byte{txscript.OP_0, txscript.OP_DATA_20, 19: 3, 21: 4}))
	p.tx.AddTxOut(wire.NewTxOut(changeAmount, p.inputs[0].prevout.Script))
	p.base = encodeTx(p.tx)
	return p
}

// bump makes p the next version of its payment: both recipients get less.
func (p *payout) bump() {
	p.version++
	p.tx.TxOut[0].Value -= 500
	p.tx.TxOut[1].Value -= 500
}

func encodeTx(tx *wire.MsgTx) []byte {
	var raw bytes.Buffer
	_ = tx.SerializeNoWitness(&raw) // a bytes.Buffer does not fail
	return raw.Bytes()
}

func p2wshInput(t *testing.T, a, b *btcec.PublicKey) payoutInput {
	t.Helper()
	script := buildScript(t, txscript.NewScriptBuilder().AddInt64(1).
		AddData(a.SerializeCompressed()).AddData(b.SerializeCompressed()).
		AddInt64(2).AddOp(txscript.OP_CHECKMULTISIG))
	program := sha256.Sum256(script)
	return payoutInput{
		kind:   signer.P2WSH,
		script: script,
		prevout: signer.Prevout{
			Script: buildScript(t, txscript.NewScriptBuilder().AddOp(txscript.OP_0).AddData(program[:])),
		},
	}
}

func taprootInput(t *testing.T, a, b *btcec.PublicKey) payoutInput {
	t.Helper()
	script := buildScript(t, txscript.NewScriptBuilder().
		AddData(schnorr.SerializePubKey(a)).AddOp(txscript.OP_CHECKSIG).
		AddData(schnorr.SerializePubKey(b)).AddOp(txscript.OP_CHECKSIGADD).
		AddInt64(1).AddOp(txscript.OP_NUMEQUAL))
	tree := txscript.AssembleTaprootScriptTree(txscript.NewBaseTapLeaf(script))
	internal := BitcoinSecret("taproot internal key").PubKey()
	root := tree.RootNode.TapHash()
	control := tree.LeafMerkleProofs[0].ToControlBlock(internal)
	controlBytes, err := control.ToBytes()
	if err != nil {
		t.Fatal(err)
	}
	pkScript, err := txscript.PayToTaprootScript(txscript.ComputeTaprootOutputKey(internal, root[:]))
	if err != nil {
		t.Fatal(err)
	}
	return payoutInput{
		kind:    signer.TaprootScript,
		script:  script,
		prevout: signer.Prevout{Script: pkScript},
		control: controlBytes,
	}
}

func buildScript(t *testing.T, b *txscript.ScriptBuilder) []byte {
	t.Helper()
	script, err := b.Script()
	if err != nil {
		t.Fatal(err)
	}
	return script
}
