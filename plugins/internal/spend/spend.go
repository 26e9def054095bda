// Package spend checks a request to sign inputs of a peg-out transaction and makes the signatures. Signers share it.
//
// It computes every digest from the whole transaction: BIP-143 with SIGHASH_ALL for P2WSH, BIP-342 with SIGHASH_DEFAULT
// for a taproot script path. What does not fit together is refused (signer.ErrRefused): an answer, because no other
// signer should sign it either.
package spend

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// Limits of a transaction.
const (
	MaxTxSize = 400_000 // bytes without witness
	MaxInputs = 4096
	maxMoney  = 21_000_000 * 100_000_000
)

// Transaction is a request that fits together.
type Transaction struct {
	TxID      chain.Hash // natural byte order
	Outpoints []string   // every input, as "txid:vout" in natural byte order

	tx       *wire.MsgTx
	request  signer.BitcoinRequest
	prevouts *txscript.MultiPrevOutFetcher
	hashes   *txscript.TxSigHashes
}

// Parse reads and checks a request of the chain with this genesis, by signer.CheckPayment and more. Every error is
// signer.ErrRefused.
func Parse(genesis chain.Hash, r signer.BitcoinRequest) (*Transaction, error) {
	if r.Block.Hash.IsZero() {
		return nil, refuse("the block of the payment is not named")
	}
	if err := signer.CheckPayment(genesis, r); err != nil {
		return nil, err
	}
	tx, err := parseTx(r.Tx)
	if err != nil {
		return nil, err
	}
	t := &Transaction{TxID: chain.Hash(tx.TxHash()), tx: tx, request: r}
	if err := t.readPrevouts(); err != nil {
		return nil, err
	}
	t.hashes = txscript.NewTxSigHashes(tx, t.prevouts)
	return t, t.checkInputs()
}

func parseTx(b []byte) (*wire.MsgTx, error) {
	if len(b) > MaxTxSize {
		return nil, refuse("the transaction has %d bytes, at most %d are signed", len(b), MaxTxSize)
	}
	var tx wire.MsgTx
	if err := tx.DeserializeNoWitness(bytes.NewReader(b)); err != nil {
		return nil, refuse("decode the transaction: %s", err)
	}
	var again bytes.Buffer
	if err := tx.SerializeNoWitness(&again); err != nil || !bytes.Equal(again.Bytes(), b) {
		return nil, refuse("the transaction is not in its one encoding without witness")
	}
	if len(tx.TxIn) == 0 || len(tx.TxIn) > MaxInputs || len(tx.TxOut) == 0 {
		return nil, refuse("the transaction has %d inputs and %d outputs", len(tx.TxIn), len(tx.TxOut))
	}
	for i, in := range tx.TxIn {
		if len(in.SignatureScript) > 0 {
			return nil, refuse("input %d has a script", i)
		}
	}
	return &tx, nil
}

// readPrevouts checks that no outpoint is spent twice and that no more is paid than spent.
func (t *Transaction) readPrevouts() error {
	if len(t.request.Prevouts) != len(t.tx.TxIn) {
		return refuse("%d inputs and %d prevouts", len(t.tx.TxIn), len(t.request.Prevouts))
	}
	t.prevouts = txscript.NewMultiPrevOutFetcher(nil)
	seen := make(map[wire.OutPoint]bool, len(t.tx.TxIn))
	var in, out int64
	for i, p := range t.request.Prevouts {
		o := t.tx.TxIn[i].PreviousOutPoint
		if seen[o] {
			return refuse("input %d spends an outpoint twice", i)
		}
		seen[o] = true
		if p.Value < 0 || p.Value > maxMoney {
			return refuse("prevout %d has a value of %d sat", i, p.Value)
		}
		in += int64(p.Value)
		t.prevouts.AddPrevOut(o, wire.NewTxOut(int64(p.Value), p.Script))
		t.Outpoints = append(t.Outpoints, fmt.Sprintf("%s:%d", chain.Hash(o.Hash), o.Index))
	}
	for i, o := range t.tx.TxOut {
		if o.Value < 0 || o.Value > maxMoney {
			return refuse("output %d has a value of %d sat", i, o.Value)
		}
		out += o.Value
	}
	if out > in {
		return refuse("%d sat are paid and %d spent", out, in)
	}
	return nil
}

func (t *Transaction) checkInputs() error {
	if len(t.request.Inputs) == 0 {
		return refuse("no input is to be signed")
	}
	for i, in := range t.request.Inputs {
		if i > 0 && in.Index <= t.request.Inputs[i-1].Index {
			return refuse("the inputs to sign are not ascending")
		}
		if int(in.Index) >= len(t.tx.TxIn) {
			return refuse("input %d of %d", in.Index, len(t.tx.TxIn))
		}
		if err := checkScript(in, t.request.Prevouts[in.Index].Script); err != nil {
			return err
		}
	}
	return nil
}

// checkScript checks what the signer can check of the script against the output that it spends. That a taproot leaf is
// in the output's tree shows only with its control block; the digest commits to both, so a wrong one spends nothing.
func checkScript(in signer.BitcoinInput, prevout []byte) error {
	switch in.Kind {
	case signer.P2WSH:
		hash := sha256.Sum256(in.Script)
		if !txscript.IsPayToWitnessScriptHash(prevout) || !bytes.Equal(prevout[2:], hash[:]) {
			return refuse("input %d does not spend its witness script", in.Index)
		}
	case signer.TaprootScript:
		if !txscript.IsPayToTaproot(prevout) {
			return refuse("input %d does not spend a taproot output", in.Index)
		}
	default:
		return refuse("input %d is of kind %q", in.Index, in.Kind)
	}
	tok := txscript.MakeScriptTokenizer(0, in.Script)
	for tok.Next() {
		if tok.Opcode() == txscript.OP_CODESEPARATOR {
			return refuse("the script of input %d has a code separator", in.Index)
		}
	}
	if tok.Err() != nil || len(in.Script) == 0 {
		return refuse("the script of input %d does not parse", in.Index)
	}
	return nil
}

// CheckKey refuses unless every input's script names the key.
func (t *Transaction) CheckKey(public *btcec.PublicKey) error {
	compressed := public.SerializeCompressed()
	for _, in := range t.request.Inputs {
		want := compressed
		if in.Kind == signer.TaprootScript {
			want = compressed[1:]
		}
		if !pushes(in.Script, want) {
			return refuse("the script of input %d does not name the key", in.Index)
		}
	}
	return nil
}

func pushes(script, data []byte) bool {
	tok := txscript.MakeScriptTokenizer(0, script)
	for tok.Next() {
		if bytes.Equal(tok.Data(), data) {
			return true
		}
	}
	return false
}

// Sign signs the inputs that the request names, and verifies each signature before it gives it out.
func (t *Transaction) Sign(key *btcec.PrivateKey) ([]signer.BitcoinSignature, error) {
	public := key.PubKey()
	if err := t.CheckKey(public); err != nil {
		return nil, err
	}
	out := make([]signer.BitcoinSignature, 0, len(t.request.Inputs))
	for _, in := range t.request.Inputs {
		digest, err := t.digest(in)
		if err != nil {
			return nil, err
		}
		sig, err := sign(key, in.Kind, digest)
		if err != nil {
			return nil, fmt.Errorf("sign input %d: %w", in.Index, err)
		}
		out = append(out, signer.BitcoinSignature{
			Input: in.Index, PublicKey: chain.BitcoinPublicKey(public.SerializeCompressed()), Signature: sig,
		})
	}
	return out, nil
}

func (t *Transaction) digest(in signer.BitcoinInput) (digest []byte, err error) {
	i := int(in.Index)
	if in.Kind == signer.TaprootScript {
		leaf := txscript.NewBaseTapLeaf(in.Script)
		digest, err = txscript.CalcTapscriptSignaturehash(t.hashes, txscript.SigHashDefault, t.tx, i, t.prevouts, leaf)
	} else {
		value := int64(t.request.Prevouts[i].Value)
		digest, err = txscript.CalcWitnessSigHash(in.Script, t.hashes, txscript.SigHashAll, t.tx, i, value)
	}
	if err != nil {
		return nil, refuse("digest of input %d: %s", i, err)
	}
	return digest, nil
}

func sign(key *btcec.PrivateKey, kind signer.ScriptKind, digest []byte) ([]byte, error) {
	if kind == signer.TaprootScript {
		sig, err := schnorr.Sign(key, digest) // verifies by itself
		if err != nil {
			return nil, err
		}
		return sig.Serialize(), nil
	}
	sig := ecdsa.Sign(key, digest) // low S, RFC 6979
	if !sig.Verify(digest, key.PubKey()) {
		return nil, fmt.Errorf("the signature does not verify: %w", signer.ErrUnavailable)
	}
	return append(slices.Clip(sig.Serialize()), byte(txscript.SigHashAll)), nil
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), signer.ErrRefused)
}
