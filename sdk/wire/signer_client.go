package wire

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/wire/signerv1"
)

// SignerClient is a signer behind the wire. It has every optional method; those that the plugin lacks fail with
// lifecycle.ErrUnsupported.
type SignerClient struct {
	c   *Client
	rpc signerv1.SignerClient
}

var (
	_ signer.Signer             = (*SignerClient)(nil)
	_ signer.SignerWithBatch    = (*SignerClient)(nil)
	_ signer.SignerWithFloor    = (*SignerClient)(nil)
	_ signer.SignerWithEvents   = (*SignerClient)(nil)
	_ signer.SignerWithUpdates  = (*SignerClient)(nil)
	_ signer.SignerWithKeyAdmin = (*SignerClient)(nil)
)

// Keys implements signer.Signer.
func (s *SignerClient) Keys(ctx context.Context) ([]signer.Key, error) {
	resp, err := invoke(ctx, s.c.at("Keys"), s.rpc.Keys, &signerv1.KeysRequest{})
	if err != nil {
		return nil, err
	}
	keys, err := keysFromProto(resp)
	if err != nil {
		return nil, s.c.malformed("Keys", err)
	}
	return keys, nil
}

// Approve implements signer.Signer.
func (s *SignerClient) Approve(ctx context.Context, a signer.Approval) (chain.BLSSignature, error) {
	resp, err := invoke(ctx, s.c.at("Approve"), s.rpc.Approve, approvalToProto(a))
	if err != nil {
		return chain.BLSSignature{}, err
	}
	return s.signature("Approve", resp.GetSignature())
}

// SignBitcoin implements signer.Signer.
func (s *SignerClient) SignBitcoin(ctx context.Context, r signer.BitcoinRequest) (signer.BitcoinAnswer, error) {
	resp, err := invoke(ctx, s.c.at("SignBitcoin"), s.rpc.SignBitcoin, bitcoinRequestToProto(r))
	if err != nil {
		return signer.BitcoinAnswer{}, err
	}
	answer, err := bitcoinAnswerFromProto(resp, r)
	if err != nil {
		return signer.BitcoinAnswer{}, s.c.malformed("SignBitcoin", err)
	}
	return answer, nil
}

// Prove implements signer.Signer.
func (s *SignerClient) Prove(ctx context.Context, ch signer.Challenge) (signer.Proof, error) {
	req := &signerv1.ProveRequest{Key: string(ch.Key), Genesis: ch.Genesis[:], Nonce: ch.Nonce[:]}
	resp, err := invoke(ctx, s.c.at("Prove"), s.rpc.Prove, req)
	if err != nil {
		return signer.Proof{}, err
	}
	proof, err := proofFromProto(resp, ch.Key)
	if err != nil {
		return signer.Proof{}, s.c.malformed("Prove", err)
	}
	return proof, nil
}

// ApproveBatch implements signer.SignerWithBatch.
func (s *SignerClient) ApproveBatch(ctx context.Context, as []signer.Approval) ([]signer.ApprovalResult, error) {
	req := &signerv1.ApproveBatchRequest{Requests: each(as, approvalToProto)}
	resp, err := invoke(ctx, s.c.at("ApproveBatch"), s.rpc.ApproveBatch, req)
	if err != nil {
		return nil, err
	}
	if got := len(resp.GetResults()); got != len(as) {
		return nil, s.c.malformed("ApproveBatch", fmt.Errorf("%d results for %d requests", got, len(as)))
	}
	results, err := convert("result", resp.GetResults(), s.c.approvalResultFromProto)
	if err != nil {
		return nil, s.c.malformed("ApproveBatch", err)
	}
	return results, nil
}

// RaiseFloor implements signer.SignerWithFloor.
func (s *SignerClient) RaiseFloor(ctx context.Context, floors []signer.Floor) error {
	req := &signerv1.RaiseFloorRequest{Floors: each(floors, func(f signer.Floor) *signerv1.Floor {
		return &signerv1.Floor{Key: string(f.Key), Slot: uint64(f.Slot), Height: uint64(f.Height)}
	})}
	_, err := invoke(ctx, s.c.at("RaiseFloor"), s.rpc.RaiseFloor, req)
	return err
}

// SignUpdate implements signer.SignerWithUpdates.
func (s *SignerClient) SignUpdate(ctx context.Context, u signer.Update) (chain.BLSSignature, error) {
	req := &signerv1.SignUpdateRequest{Key: string(u.Key), Genesis: u.Genesis[:], Encoded: u.Encoded}
	resp, err := invoke(ctx, s.c.at("SignUpdate"), s.rpc.SignUpdate, req)
	if err != nil {
		return chain.BLSSignature{}, err
	}
	return s.signature("SignUpdate", resp.GetSignature())
}

// Watch implements signer.SignerWithEvents. It has no deadline: it ends with ctx, with handle's first error or with the
// plugin. An event of an unknown kind is acknowledged without being handled, so that those behind it come.
func (s *SignerClient) Watch(ctx context.Context, handle func(context.Context, signer.Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.rpc.Watch(ctx)
	if err != nil {
		return s.c.decodeError("Watch", err)
	}
	ack := ""
	for {
		// A failed Send is told by the Recv that follows it, with the plugin's own error.
		if err := stream.Send(&signerv1.WatchRequest{Ack: ack}); err != nil && !errors.Is(err, io.EOF) {
			return s.c.decodeError("Watch", err)
		}
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return s.c.decodeError("Watch", err)
		}
		event, known, err := eventFromProto(m)
		if err != nil {
			return s.c.malformed("Watch", err)
		}
		ack = event.ID
		if !known {
			continue
		}
		if err := handle(ctx, event); err != nil {
			return fmt.Errorf("handle event %q: %w", event.ID, err)
		}
	}
}

func (s *SignerClient) signature(call string, b []byte) (chain.BLSSignature, error) {
	sig, err := fixedBytes[chain.BLSSignature]("signature", b)
	if err != nil {
		return chain.BLSSignature{}, s.c.malformed(call, err)
	}
	return sig, nil
}
