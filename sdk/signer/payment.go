package signer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/alys-node/alys/sdk/chain"
)

// maxPaymentTx bounds a payment's transaction, in bytes without witness: what Bitcoin nodes relay.
const maxPaymentTx = 400_000

// PaymentID names a payment: TaggedHash("alys/payment/1", genesis, base transaction). The base is the payment's version
// 0 in Bitcoin's consensus encoding without witness.
func PaymentID(genesis chain.Hash, baseTx []byte) chain.Hash {
	return chain.TaggedHash("alys/payment/1", genesis[:], baseTx)
}

// CheckPayment is the rule by which a signer, which trusts nobody, ties a transaction to its payment. genesis is that of
// the chain that the signer is configured for. It gives nil or ErrRefused:
//
//   - Payment is PaymentID(genesis, BaseTx), and Kind is known;
//   - version 0 is BaseTx itself; every other version has BaseTx's transaction version, lock time, inputs with their
//     sequences, and output scripts, all in the same order;
//   - no output pays more than in BaseTx. The change of a payout, which is each output to a script that one of the
//     Prevouts has, pays exactly as much: a fee is at the recipients' cost.
//
// It does not look at the guard, the scripts or whether the prevouts are true: see the packages that sign.
func CheckPayment(genesis chain.Hash, r BitcoinRequest) error {
	if r.Kind != Payout && r.Kind != Sweep {
		return refuse("payment kind %q is unknown", r.Kind)
	}
	if want := PaymentID(genesis, r.BaseTx); r.Payment != want {
		return refuse("payment %s is not the id of its base transaction, %s", r.Payment, want)
	}
	base, err := parseTx(r.BaseTx)
	if err != nil {
		return refuse("base transaction: %w", err)
	}
	if r.Version == 0 {
		if !bytes.Equal(r.Tx, r.BaseTx) {
			return refuse("version 0 is not the base transaction")
		}
		return nil
	}
	tx, err := parseTx(r.Tx)
	if err != nil {
		return refuse("transaction: %w", err)
	}
	if tx.frame != base.frame || !bytes.Equal(tx.inputs, base.inputs) {
		return refuse("version %d spends other inputs than its payment, or under other conditions", r.Version)
	}
	if len(tx.outputs) != len(base.outputs) {
		return refuse("version %d has %d outputs, its payment %d", r.Version, len(tx.outputs), len(base.outputs))
	}
	for i, o := range tx.outputs {
		if err := checkOutput(r, o, base.outputs[i]); err != nil {
			return refuse("version %d, output %d: %w", r.Version, i, err)
		}
	}
	return nil
}

func checkOutput(r BitcoinRequest, o, base output) error {
	change := r.Kind == Payout && slices.ContainsFunc(r.Prevouts, func(p Prevout) bool {
		return bytes.Equal(p.Script, o.script)
	})
	switch {
	case !bytes.Equal(o.script, base.script):
		return errors.New("it pays another script than in the payment")
	case o.value > base.value:
		return fmt.Errorf("it pays %d sat, in the payment %d", o.value, base.value)
	case change && o.value != base.value:
		return fmt.Errorf("the change is %d sat, in the payment %d", o.value, base.value)
	}
	return nil
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrRefused, fmt.Errorf(format, args...))
}

// bareTx is a transaction without witness, taken apart as far as CheckPayment needs it.
type bareTx struct {
	frame   [8]byte // version and lock time
	inputs  []byte  // encoding of all inputs with their count
	outputs []output
}

type output struct {
	value  uint64 // sat
	script []byte
}

// parseTx reads the consensus encoding without witness. It takes one encoding only: shortest counts, no script in an
// input, at least one input and output, nothing after the end.
func parseTx(b []byte) (bareTx, error) {
	if len(b) > maxPaymentTx {
		return bareTx{}, fmt.Errorf("it has %d bytes, at most %d", len(b), maxPaymentTx)
	}
	r := reader{left: b}
	var tx bareTx
	copy(tx.frame[:4], r.take(4))
	start := r.left
	inputs := r.count()
	for range inputs {
		r.take(32 + 4)
		if r.count() != 0 && r.err == nil {
			return tx, errors.New("an input has a script")
		}
		r.take(4)
		if r.err != nil {
			return tx, r.err
		}
	}
	tx.inputs = start[:len(start)-len(r.left)]
	outputs := r.count()
	for range outputs {
		value := r.take(8)
		script := r.take(r.count())
		if r.err != nil {
			return tx, r.err
		}
		tx.outputs = append(tx.outputs, output{binary.LittleEndian.Uint64(value), script})
	}
	copy(tx.frame[4:], r.take(4))
	switch {
	case r.err != nil:
		return tx, r.err
	case len(r.left) != 0:
		return tx, fmt.Errorf("%d bytes after its end", len(r.left))
	case inputs == 0 || outputs == 0:
		return tx, errors.New("it has no input or no output")
	}
	return tx, nil
}

// reader takes bytes off the front; after its first error it gives nothing more.
type reader struct {
	left []byte
	err  error
}

func (r *reader) take(n uint64) []byte {
	if r.err == nil && uint64(len(r.left)) < n {
		r.err = errors.New("it is cut off")
	}
	if r.err != nil {
		return nil
	}
	out := r.left[:n]
	r.left = r.left[n:]
	return out
}

// count reads Bitcoin's variable-length integer in its shortest form. A count is never more than the bytes that follow.
func (r *reader) count() uint64 {
	first := r.take(1)
	if r.err != nil {
		return 0
	}
	n, least := uint64(first[0]), uint64(0)
	switch first[0] {
	case 0xfd:
		if b := r.take(2); b != nil {
			n, least = uint64(binary.LittleEndian.Uint16(b)), 0xfd
		}
	case 0xfe:
		if b := r.take(4); b != nil {
			n, least = uint64(binary.LittleEndian.Uint32(b)), 1<<16
		}
	case 0xff:
		r.err = errors.New("a count is too large")
	}
	if r.err == nil && (n < least || n > uint64(len(r.left))) {
		r.err = errors.New("a count is not in its shortest form or too large")
	}
	if r.err != nil {
		return 0
	}
	return n
}
