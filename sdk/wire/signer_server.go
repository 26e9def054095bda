package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/wire/signerv1"
)

// signerServer serves a signer. Optional methods are found by type assertion.
type signerServer struct {
	signerv1.UnimplementedSignerServer
	s signer.Signer
}

// optional gives the optional interface that a call needs, or ErrUnsupported as a status.
func optional[T any](s signer.Signer) (T, error) {
	v, ok := s.(T)
	if !ok {
		return v, EncodeError(lifecycle.ErrUnsupported)
	}
	return v, nil
}

func (s *signerServer) Keys(ctx context.Context, _ *signerv1.KeysRequest) (*signerv1.KeysResponse, error) {
	keys, err := s.s.Keys(ctx)
	if err != nil {
		return nil, EncodeError(err)
	}
	return &signerv1.KeysResponse{Keys: each(keys, keyToProto)}, nil
}

func (s *signerServer) Approve(ctx context.Context, r *signerv1.ApproveRequest) (*signerv1.ApproveResponse, error) {
	a, err := approvalFromProto(r)
	if err != nil {
		return nil, badRequest(err)
	}
	sig, err := s.s.Approve(ctx, a)
	if err != nil {
		return nil, EncodeError(err)
	}
	return &signerv1.ApproveResponse{Signature: sig[:]}, nil
}

func (s *signerServer) SignBitcoin(ctx context.Context, r *signerv1.SignBitcoinRequest) (*signerv1.SignBitcoinResponse, error) {
	req, err := bitcoinRequestFromProto(r)
	if err != nil {
		return nil, badRequest(err)
	}
	answer, err := s.s.SignBitcoin(ctx, req)
	if err != nil {
		return nil, EncodeError(err)
	}
	return bitcoinAnswerToProto(answer), nil
}

func (s *signerServer) Prove(ctx context.Context, r *signerv1.ProveRequest) (*signerv1.ProveResponse, error) {
	genesis, err := fixedBytes[chain.Hash]("genesis", r.GetGenesis())
	if err != nil {
		return nil, badRequest(err)
	}
	nonce, err := fixedBytes[chain.Hash]("nonce", r.GetNonce())
	if err != nil {
		return nil, badRequest(err)
	}
	proof, err := s.s.Prove(ctx, signer.Challenge{Key: signer.KeyID(r.GetKey()), Genesis: genesis, Nonce: nonce})
	if err != nil {
		return nil, EncodeError(err)
	}
	return &signerv1.ProveResponse{Scheme: string(proof.Scheme), Signature: proof.Signature}, nil
}

func (s *signerServer) ApproveBatch(ctx context.Context, r *signerv1.ApproveBatchRequest) (*signerv1.ApproveBatchResponse, error) {
	batcher, err := optional[signer.SignerWithBatch](s.s)
	if err != nil {
		return nil, err
	}
	as, err := convert("request", r.GetRequests(), approvalFromProto)
	if err != nil {
		return nil, badRequest(err)
	}
	results, err := batcher.ApproveBatch(ctx, as)
	if err != nil {
		return nil, EncodeError(err)
	}
	return &signerv1.ApproveBatchResponse{Results: each(results, approvalResultToProto)}, nil
}

func (s *signerServer) RaiseFloor(ctx context.Context, r *signerv1.RaiseFloorRequest) (*signerv1.RaiseFloorResponse, error) {
	raiser, err := optional[signer.SignerWithFloor](s.s)
	if err != nil {
		return nil, err
	}
	floors := each(r.GetFloors(), func(f *signerv1.Floor) signer.Floor {
		return signer.Floor{
			Key: signer.KeyID(f.GetKey()), Slot: chain.Slot(f.GetSlot()), Height: chain.Height(f.GetHeight()),
		}
	})
	if err := raiser.RaiseFloor(ctx, floors); err != nil {
		return nil, EncodeError(err)
	}
	return &signerv1.RaiseFloorResponse{}, nil
}

func (s *signerServer) SignUpdate(ctx context.Context, r *signerv1.SignUpdateRequest) (*signerv1.SignUpdateResponse, error) {
	updater, err := optional[signer.SignerWithUpdates](s.s)
	if err != nil {
		return nil, err
	}
	genesis, err := fixedBytes[chain.Hash]("genesis", r.GetGenesis())
	if err != nil {
		return nil, badRequest(err)
	}
	sig, err := updater.SignUpdate(ctx, signer.Update{
		Key: signer.KeyID(r.GetKey()), Genesis: genesis, Encoded: r.GetEncoded(),
	})
	if err != nil {
		return nil, EncodeError(err)
	}
	return &signerv1.SignUpdateResponse{Signature: sig[:]}, nil
}

// Watch sends one event at a time and waits for its acknowledgement. A plugin that calls handle from several goroutines
// is served one event after the other.
func (s *signerServer) Watch(stream grpc.BidiStreamingServer[signerv1.WatchRequest, signerv1.WatchResponse]) error {
	watcher, err := optional[signer.SignerWithEvents](s.s)
	if err != nil {
		return err
	}
	if _, err := stream.Recv(); err != nil {
		return err
	}
	var oneAtATime sync.Mutex
	return EncodeError(watcher.Watch(stream.Context(), func(_ context.Context, e signer.Event) error {
		oneAtATime.Lock()
		defer oneAtATime.Unlock()
		if err := stream.Send(eventToProto(e)); err != nil {
			return fmt.Errorf("send event %q: %w", e.ID, err)
		}
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("event %q was not acknowledged: %w", e.ID, context.Canceled)
		}
		if err != nil {
			return fmt.Errorf("wait for the acknowledgement of event %q: %w", e.ID, err)
		}
		if m.GetAck() != e.ID {
			return fmt.Errorf("acknowledgement of %q, want %q", errorText(m.GetAck()), e.ID)
		}
		return nil
	}))
}

func (s *signerServer) Unlock(ctx context.Context, r *signerv1.UnlockRequest) (*signerv1.UnlockResponse, error) {
	admin, err := optional[signer.SignerWithKeyAdmin](s.s)
	if err != nil {
		return nil, err
	}
	if err := admin.Unlock(ctx, r.GetPassword()); err != nil {
		return nil, EncodeError(err)
	}
	return &signerv1.UnlockResponse{}, nil
}

func (s *signerServer) CreateKey(ctx context.Context, r *signerv1.CreateKeyRequest) (*signerv1.CreateKeyResponse, error) {
	admin, err := optional[signer.SignerWithKeyAdmin](s.s)
	if err != nil {
		return nil, err
	}
	key, err := admin.CreateKey(ctx, signer.NewKey{
		Purpose: signer.Purpose(r.GetPurpose()), Label: r.GetLabel(), Password: r.GetPassword(),
		Import: r.GetImport(), ImportPassword: r.GetImportPassword(),
	})
	if err != nil {
		return nil, EncodeError(err)
	}
	return &signerv1.CreateKeyResponse{Key: keyToProto(key)}, nil
}

func (s *signerServer) ExportKey(ctx context.Context, r *signerv1.ExportKeyRequest) (*signerv1.ExportKeyResponse, error) {
	admin, err := optional[signer.SignerWithKeyAdmin](s.s)
	if err != nil {
		return nil, err
	}
	keystore, err := admin.ExportKey(ctx, signer.KeyID(r.GetKey()), r.GetPassword())
	if err != nil {
		return nil, EncodeError(err)
	}
	return &signerv1.ExportKeyResponse{Keystore: keystore}, nil
}

func (s *signerServer) RemoveKey(ctx context.Context, r *signerv1.RemoveKeyRequest) (*signerv1.RemoveKeyResponse, error) {
	admin, err := optional[signer.SignerWithKeyAdmin](s.s)
	if err != nil {
		return nil, err
	}
	if err := admin.RemoveKey(ctx, signer.KeyID(r.GetKey())); err != nil {
		return nil, EncodeError(err)
	}
	return &signerv1.RemoveKeyResponse{}, nil
}
