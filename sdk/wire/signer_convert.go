package wire

import (
	"errors"
	"fmt"
	"slices"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/wire/signerv1"
)

func keyToProto(k signer.Key) *signerv1.Key {
	return &signerv1.Key{Id: string(k.ID), Purpose: string(k.Purpose), Label: k.Label, Possession: k.Possession}
}

// keyFromProto checks that the id is the canonical text of a key of the scheme that the purpose has.
func keyFromProto(m *signerv1.Key) (signer.Key, error) {
	k := signer.Key{
		ID: signer.KeyID(m.GetId()), Purpose: signer.Purpose(m.GetPurpose()),
		Label: m.GetLabel(), Possession: m.GetPossession(),
	}
	if err := text("label", k.Label, maxName); err != nil {
		return k, err
	}
	switch k.Purpose {
	case signer.PurposeApproval:
		pub, err := k.ID.BLS()
		if err != nil || k.ID != signer.BLSKey(pub) {
			return k, fmt.Errorf("key id %q is not the id of a BLS key", errorText(m.GetId()))
		}
		if n := len(k.Possession); n != 0 && n != len(chain.BLSSignature{}) {
			return k, fmt.Errorf("proof of possession has %d bytes, want %d", n, len(chain.BLSSignature{}))
		}
	case signer.PurposeBitcoin:
		pub, err := k.ID.Bitcoin()
		if err != nil || k.ID != signer.BitcoinKey(pub) {
			return k, fmt.Errorf("key id %q is not the id of a Bitcoin key", errorText(m.GetId()))
		}
		if len(k.Possession) != 0 {
			return k, errors.New("a Bitcoin key has no proof of possession")
		}
	default:
		return k, fmt.Errorf("purpose %q is unknown", errorText(m.GetPurpose()))
	}
	return k, nil
}

// keysFromProto leaves out keys of a purpose that this host does not know: a newer signer may hold them, and this host
// has no use for them.
func keysFromProto(m *signerv1.KeysResponse) ([]signer.Key, error) {
	if err := atMost("keys", len(m.GetKeys()), maxKeys); err != nil {
		return nil, err
	}
	known := slices.DeleteFunc(slices.Clone(m.GetKeys()), func(p *signerv1.Key) bool {
		purpose := signer.Purpose(p.GetPurpose())
		return purpose != signer.PurposeApproval && purpose != signer.PurposeBitcoin
	})
	seen := make(map[signer.KeyID]bool, len(known))
	return convert("key", known, func(p *signerv1.Key) (signer.Key, error) {
		k, err := keyFromProto(p)
		if err == nil && seen[k.ID] {
			err = fmt.Errorf("key %s is listed twice", k.ID)
		}
		seen[k.ID] = true
		return k, err
	})
}

func approvalToProto(a signer.Approval) *signerv1.ApproveRequest {
	return &signerv1.ApproveRequest{Key: string(a.Key), Header: a.Header.Encode()}
}

func approvalFromProto(m *signerv1.ApproveRequest) (signer.Approval, error) {
	h, err := chain.DecodeHeader(m.GetHeader())
	return signer.Approval{Key: signer.KeyID(m.GetKey()), Header: h}, err
}

func approvalResultToProto(r signer.ApprovalResult) *signerv1.ApproveResult {
	if r.Err == nil {
		return &signerv1.ApproveResult{Signature: r.Signature[:]}
	}
	return &signerv1.ApproveResult{Reasons: resultReasons(r.Err), Message: errorText(r.Err.Error())}
}

// approvalResultFromProto gives the error of a single call, or the signature. A result is one or the other.
func (c *Client) approvalResultFromProto(m *signerv1.ApproveResult) (signer.ApprovalResult, error) {
	if len(m.GetReasons()) == 0 {
		sig, err := fixedBytes[chain.BLSSignature]("signature", m.GetSignature())
		return signer.ApprovalResult{Signature: sig}, err
	}
	if len(m.GetSignature()) > 0 {
		return signer.ApprovalResult{}, errors.New("result has both a signature and an error")
	}
	if err := atMost("reasons", len(m.GetReasons()), maxReasons); err != nil {
		return signer.ApprovalResult{}, err
	}
	return signer.ApprovalResult{Err: c.resultError("ApproveBatch", m.GetReasons(), m.GetMessage())}, nil
}

func bitcoinRequestToProto(r signer.BitcoinRequest) *signerv1.SignBitcoinRequest {
	return &signerv1.SignBitcoinRequest{
		Key:              string(r.Key),
		Kind:             string(r.Kind),
		Payment:          r.Payment[:],
		Version:          r.Version,
		BaseTx:           r.BaseTx,
		FederationSerial: r.FederationSerial,
		BlockHeight:      uint64(r.Block.Height),
		BlockHash:        r.Block.Hash[:],
		Tx:               r.Tx,
		Prevouts: each(r.Prevouts, func(p signer.Prevout) *signerv1.Prevout {
			return &signerv1.Prevout{Value: int64(p.Value), Script: p.Script}
		}),
		Inputs: each(r.Inputs, func(i signer.BitcoinInput) *signerv1.BitcoinInput {
			return &signerv1.BitcoinInput{Index: i.Index, Kind: string(i.Kind), Script: i.Script}
		}),
	}
}

// bitcoinRequestFromProto lets unknown kinds pass: to refuse them is the signer's answer, not a malformed request.
func bitcoinRequestFromProto(m *signerv1.SignBitcoinRequest) (signer.BitcoinRequest, error) {
	payment, err := fixedBytes[chain.Hash]("payment", m.GetPayment())
	if err != nil {
		return signer.BitcoinRequest{}, err
	}
	block, err := fixedBytes[chain.Hash]("block hash", m.GetBlockHash())
	if err != nil {
		return signer.BitcoinRequest{}, err
	}
	return signer.BitcoinRequest{
		Key:              signer.KeyID(m.GetKey()),
		Kind:             signer.PaymentKind(m.GetKind()),
		Payment:          payment,
		Version:          m.GetVersion(),
		BaseTx:           m.GetBaseTx(),
		FederationSerial: m.GetFederationSerial(),
		Block:            chain.Ref{Height: chain.Height(m.GetBlockHeight()), Hash: block},
		Tx:               m.GetTx(),
		Prevouts: each(m.GetPrevouts(), func(p *signerv1.Prevout) signer.Prevout {
			return signer.Prevout{Value: chain.Sat(p.GetValue()), Script: p.GetScript()}
		}),
		Inputs: each(m.GetInputs(), func(i *signerv1.BitcoinInput) signer.BitcoinInput {
			return signer.BitcoinInput{Index: i.GetIndex(), Kind: signer.ScriptKind(i.GetKind()), Script: i.GetScript()}
		}),
	}, nil
}

func bitcoinAnswerToProto(a signer.BitcoinAnswer) *signerv1.SignBitcoinResponse {
	return &signerv1.SignBitcoinResponse{
		Signatures: each(a.Signatures, func(b signer.BitcoinSignature) *signerv1.BitcoinSignature {
			return &signerv1.BitcoinSignature{Input: b.Input, PublicKey: b.PublicKey[:], Signature: b.Signature}
		}),
		State:            string(a.State),
		RetryAfterMillis: a.RetryAfterMillis,
	}
}

// bitcoinAnswerFromProto reads an unknown state as pending: to ask again is never wrong.
func bitcoinAnswerFromProto(m *signerv1.SignBitcoinResponse, r signer.BitcoinRequest) (signer.BitcoinAnswer, error) {
	a := signer.BitcoinAnswer{State: signer.BitcoinState(m.GetState()), RetryAfterMillis: m.GetRetryAfterMillis()}
	switch a.State {
	case signer.BitcoinComplete, signer.BitcoinFinalPartial, signer.BitcoinPending:
	default:
		a.State = signer.BitcoinPending
	}
	var err error
	a.Signatures, err = bitcoinSignaturesFromProto(m, r)
	if err == nil && a.State == signer.BitcoinComplete {
		err = coversInputs(a.Signatures, r.Inputs)
	}
	return a, err
}

// coversInputs wants a signature on every input.
func coversInputs(sigs []signer.BitcoinSignature, inputs []signer.BitcoinInput) error {
	for _, in := range inputs {
		if !slices.ContainsFunc(sigs, func(s signer.BitcoinSignature) bool { return s.Input == in.Index }) {
			return fmt.Errorf("answer is complete without a signature on input %d", in.Index)
		}
	}
	return nil
}

// bitcoinSignaturesFromProto checks an answer against its request: only inputs and keys that were asked for, nothing
// twice, and lengths that the input's script kind allows.
func bitcoinSignaturesFromProto(m *signerv1.SignBitcoinResponse, r signer.BitcoinRequest) ([]signer.BitcoinSignature, error) {
	kinds := make(map[uint32]signer.ScriptKind, len(r.Inputs))
	for _, in := range r.Inputs {
		kinds[in.Index] = in.Kind
	}
	type slot struct {
		input uint32
		key   chain.BitcoinPublicKey
	}
	seen := make(map[slot]bool, len(m.GetSignatures()))
	return convert("signature", m.GetSignatures(), func(p *signerv1.BitcoinSignature) (signer.BitcoinSignature, error) {
		sig := signer.BitcoinSignature{Input: p.GetInput(), Signature: p.GetSignature()}
		kind, asked := kinds[sig.Input]
		if !asked {
			return sig, fmt.Errorf("input %d was not asked for", sig.Input)
		}
		pub, err := fixedBytes[chain.BitcoinPublicKey]("public key", p.GetPublicKey())
		if err != nil {
			return sig, err
		}
		sig.PublicKey = pub
		if r.Key != "" && r.Key != signer.BitcoinKey(pub) {
			return sig, fmt.Errorf("signed with %s, asked for %s", pub, r.Key)
		}
		if seen[slot{sig.Input, pub}] {
			return sig, fmt.Errorf("input %d is signed twice by %s", sig.Input, pub)
		}
		seen[slot{sig.Input, pub}] = true
		return sig, checkBitcoinSignature(kind, sig.Signature)
	})
}

func checkBitcoinSignature(kind signer.ScriptKind, sig []byte) error {
	shortest, longest := 64, 64 // BIP-340 with SIGHASH_DEFAULT
	if kind == signer.P2WSH {
		shortest, longest = 9, 73 // DER of two integers, and the sighash byte
	}
	if len(sig) < shortest || len(sig) > longest {
		return fmt.Errorf("%s signature has %d bytes, want %d to %d", kind, len(sig), shortest, longest)
	}
	return nil
}

// proofFromProto checks that the scheme is one of the key's, and the length that it has.
func proofFromProto(m *signerv1.ProveResponse, id signer.KeyID) (signer.Proof, error) {
	p := signer.Proof{Scheme: signer.ProofScheme(m.GetScheme()), Signature: m.GetSignature()}
	_, notBLS := id.BLS()
	shortest, longest := 0, 0
	switch {
	case notBLS == nil && p.Scheme == signer.ProofBLS:
		shortest, longest = len(chain.BLSSignature{}), len(chain.BLSSignature{})
	case notBLS != nil && p.Scheme == signer.ProofBIP340:
		shortest, longest = 64, 64
	case notBLS != nil && p.Scheme == signer.ProofECDSA:
		shortest, longest = 8, 72 // DER of two integers
	default:
		return p, fmt.Errorf("proof scheme %q is not one of the key %s", errorText(m.GetScheme()), id)
	}
	if n := len(p.Signature); n < shortest || n > longest {
		return p, fmt.Errorf("proof %q has %d bytes, want %d to %d", p.Scheme, n, shortest, longest)
	}
	return p, nil
}

func eventToProto(e signer.Event) *signerv1.WatchResponse {
	return &signerv1.WatchResponse{
		Id: e.ID, Kind: string(e.Kind), Subject: e.Subject, Data: e.Data, ExpiresUnixMilli: int64(e.Expires),
	}
}

// eventFromProto checks an event. known is false for one of a kind that this host does not know.
func eventFromProto(m *signerv1.WatchResponse) (e signer.Event, known bool, err error) {
	e = signer.Event{
		ID: m.GetId(), Kind: signer.EventKind(m.GetKind()), Subject: m.GetSubject(),
		Data: m.GetData(), Expires: chain.UnixMilli(m.GetExpiresUnixMilli()),
	}
	if e.ID == "" {
		return e, false, errors.New("event has no id")
	}
	switch e.Kind {
	case signer.EventKeysChanged, signer.EventProposal, signer.EventUpdate, signer.EventHalt:
		known = true
	}
	return e, known, errors.Join(
		text("event id", e.ID, maxName),
		text("subject", e.Subject, maxName),
		atMost("event data bytes", len(e.Data), maxEventBytes),
	)
}
