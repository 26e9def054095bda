package signertest

import (
	"bytes"
	"context"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// SignBitcoin implements signer.Signer. Without a key in the request it signs with every key that a script names.
func (m *Memory) SignBitcoin(ctx context.Context, r signer.BitcoinRequest) (signer.BitcoinAnswer, error) {
	if err := ctx.Err(); err != nil {
		return signer.BitcoinAnswer{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	keys, err := m.bitcoinKeys(r.Key)
	if err != nil {
		return signer.BitcoinAnswer{}, err
	}
	if err := signer.CheckPayment(m.genesis, r); err != nil {
		return signer.BitcoinAnswer{}, err
	}
	spend, err := newSpend(r)
	if err != nil {
		return signer.BitcoinAnswer{}, fmt.Errorf("%w: %w", signer.ErrRefused, err)
	}
	out, err := spend.signAll(r, keys)
	if err != nil {
		return signer.BitcoinAnswer{}, err
	}
	if err := m.reserve(spend.tx, r.Payment); err != nil {
		return signer.BitcoinAnswer{}, err
	}
	return signer.BitcoinAnswer{Signatures: out, State: signer.BitcoinComplete}, nil
}

// reserve is the guard of outpoints: each is signed for one payment only.
func (m *Memory) reserve(tx *wire.MsgTx, payment chain.Hash) error {
	for _, in := range tx.TxIn {
		o := in.PreviousOutPoint.String()
		if other, spent := m.spent[o]; spent && other != payment {
			return fmt.Errorf("%w: outpoint %s is signed for payment %s", signer.ErrRefused, o, other)
		}
	}
	for _, in := range tx.TxIn {
		m.spent[in.PreviousOutPoint.String()] = payment
	}
	return nil
}

// signAll signs every input that was asked for with each of the keys that its script names.
func (s *spend) signAll(r signer.BitcoinRequest, keys []*heldKey) ([]signer.BitcoinSignature, error) {
	var out []signer.BitcoinSignature
	for _, in := range r.Inputs {
		found := false
		for _, k := range keys {
			if !names(in, k.bitcoin) {
				continue
			}
			sig, err := s.sign(in, k.bitcoin)
			if err != nil {
				return nil, fmt.Errorf("sign input %d: %w", in.Index, err)
			}
			pub := chain.BitcoinPublicKey(k.bitcoin.PubKey().SerializeCompressed())
			out = append(out, signer.BitcoinSignature{Input: in.Index, PublicKey: pub, Signature: sig})
			found = true
		}
		if !found {
			return nil, fmt.Errorf("%w: the script of input %d does not name the key", signer.ErrRefused, in.Index)
		}
	}
	return out, nil
}

// bitcoinKeys lists the keys to sign with, in the order in which they were added.
func (m *Memory) bitcoinKeys(asked signer.KeyID) ([]*heldKey, error) {
	var out []*heldKey
	for _, id := range m.order {
		if k := m.keys[id]; k.bitcoin != nil && (asked == "" || asked == id) {
			out = append(out, k)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: %s", signer.ErrUnknownKey, asked)
	}
	return out, nil
}

// names reports whether an input's script holds the key, in the form that its kind uses.
func names(in signer.BitcoinInput, k *btcec.PrivateKey) bool {
	if in.Kind == signer.TaprootScript {
		return bytes.Contains(in.Script, schnorr.SerializePubKey(k.PubKey()))
	}
	return bytes.Contains(in.Script, k.PubKey().SerializeCompressed())
}

// spend is a decoded transaction with what its digests commit to.
type spend struct {
	tx       *wire.MsgTx
	prevouts []signer.Prevout
	hashes   *txscript.TxSigHashes
	fetcher  txscript.PrevOutputFetcher
}

// newSpend decodes and checks a request.
func newSpend(r signer.BitcoinRequest) (*spend, error) {
	tx := wire.NewMsgTx(wire.TxVersion)
	in := bytes.NewReader(r.Tx)
	if err := tx.DeserializeNoWitness(in); err != nil {
		return nil, fmt.Errorf("decode transaction: %w", err)
	}
	if in.Len() != 0 {
		return nil, fmt.Errorf("%d bytes after the transaction", in.Len())
	}
	if len(r.Prevouts) != len(tx.TxIn) {
		return nil, fmt.Errorf("%d prevouts for %d inputs", len(r.Prevouts), len(tx.TxIn))
	}
	outs := make(map[wire.OutPoint]*wire.TxOut, len(tx.TxIn))
	for i, txIn := range tx.TxIn {
		outs[txIn.PreviousOutPoint] = wire.NewTxOut(int64(r.Prevouts[i].Value), r.Prevouts[i].Script)
	}
	for i, input := range r.Inputs {
		if int(input.Index) >= len(tx.TxIn) || (i > 0 && input.Index <= r.Inputs[i-1].Index) {
			return nil, fmt.Errorf("input %d is out of range or order", input.Index)
		}
	}
	fetcher := txscript.NewMultiPrevOutFetcher(outs)
	return &spend{tx, r.Prevouts, txscript.NewTxSigHashes(tx, fetcher), fetcher}, nil
}

func (s *spend) sign(in signer.BitcoinInput, k *btcec.PrivateKey) ([]byte, error) {
	i := int(in.Index)
	switch in.Kind {
	case signer.P2WSH:
		digest, err := txscript.CalcWitnessSigHash(
			in.Script, s.hashes, txscript.SigHashAll, s.tx, i, int64(s.prevouts[i].Value))
		if err != nil {
			return nil, err
		}
		return append(ecdsa.Sign(k, digest).Serialize(), byte(txscript.SigHashAll)), nil
	case signer.TaprootScript:
		digest, err := txscript.CalcTapscriptSignaturehash(
			s.hashes, txscript.SigHashDefault, s.tx, i, s.fetcher, txscript.NewBaseTapLeaf(in.Script))
		if err != nil {
			return nil, err
		}
		sig, err := schnorr.Sign(k, digest)
		if err != nil {
			return nil, err
		}
		return sig.Serialize(), nil
	}
	return nil, fmt.Errorf("%w: script kind %q", signer.ErrRefused, in.Kind)
}
