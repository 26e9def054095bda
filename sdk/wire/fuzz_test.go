package wire_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/syncer"
	"github.com/alys-node/alys/sdk/wire"
	"github.com/alys-node/alys/sdk/wire/enginev1"
	"github.com/alys-node/alys/sdk/wire/pluginv1"
	"github.com/alys-node/alys/sdk/wire/signerv1"
	"github.com/alys-node/alys/sdk/wire/syncerv1"
)

// raw answers every call with these bytes, whatever message they make.
func raw(b []byte) *conn {
	done := false
	return &conn{reply: func(into proto.Message) error {
		if done {
			return io.EOF
		}
		if err := proto.Unmarshal(b, into); err != nil {
			return err
		}
		_, event := into.(*signerv1.WatchResponse)
		_, order := into.(*syncerv1.RunResponse)
		done = event || order // a stream gives one message
		return nil
	}}
}

func encoded(f *testing.F, m proto.Message) []byte {
	f.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	return b
}

// FuzzSignerReplies wants no panic, and of what is taken, the shape that the host relies on.
func FuzzSignerReplies(f *testing.F) {
	f.Add(encoded(f, &signerv1.KeysResponse{Keys: []*signerv1.Key{{Id: string(blsID), Purpose: "approval"}}}))
	f.Add(encoded(f, &signerv1.SignBitcoinResponse{State: "pending", Signatures: []*signerv1.BitcoinSignature{
		{Input: 1, PublicKey: fill(33), Signature: fill(72)},
	}}))
	f.Add(encoded(f, &signerv1.ApproveBatchResponse{Results: []*signerv1.ApproveResult{{Reasons: []string{"SIGNER_REFUSED"}}}}))
	f.Add(encoded(f, &signerv1.WatchResponse{Id: "1", Kind: "halt"}))
	f.Add(encoded(f, &signerv1.ProveResponse{Scheme: "bls", Signature: fill(96)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := client(raw(b), lifecycle.Signer).Signer()
		ctx := t.Context()
		if keys, err := s.Keys(ctx); err == nil {
			checkKeys(t, keys)
		}
		r := signer.BitcoinRequest{Inputs: []signer.BitcoinInput{{Index: 1, Kind: signer.P2WSH}}}
		if a, err := s.SignBitcoin(ctx, r); err == nil {
			for _, sig := range a.Signatures {
				if sig.Input != 1 || len(sig.Signature) > 73 {
					t.Errorf("signature %+v was not asked for", sig)
				}
			}
		}
		if rs, err := s.ApproveBatch(ctx, make([]signer.Approval, 1)); err == nil && len(rs) != 1 {
			t.Errorf("%d results for 1 request", len(rs))
		}
		if p, err := s.Prove(ctx, signer.Challenge{Key: blsID}); err == nil && (p.Scheme != signer.ProofBLS || len(p.Signature) != 96) {
			t.Errorf("proof %+v of a BLS key", p)
		}
		_, _ = s.Approve(ctx, signer.Approval{})
		_, _ = s.CreateKey(ctx, signer.NewKey{Purpose: signer.PurposeBitcoin})
		_, _ = s.ExportKey(ctx, blsID, nil)
		_, _ = s.SignUpdate(ctx, signer.Update{})
		_ = client(raw(b), lifecycle.Signer).Signer().Watch(ctx, func(_ context.Context, e signer.Event) error {
			if e.ID == "" || len(e.Data) > 1<<20 {
				t.Errorf("event %+v", e)
			}
			return nil
		})
	})
}

func checkKeys(t *testing.T, keys []signer.Key) {
	t.Helper()
	for _, k := range keys {
		_, notBLS := k.ID.BLS()
		_, notBitcoin := k.ID.Bitcoin()
		if k.Purpose == signer.PurposeApproval && notBLS != nil || k.Purpose == signer.PurposeBitcoin && notBitcoin != nil {
			t.Errorf("key %+v", k)
		}
	}
}

// FuzzEngineReplies wants no panic, and of what is taken, an answer to what was asked.
func FuzzEngineReplies(f *testing.F) {
	f.Add(encoded(f, &enginev1.BuildResponse{Data: goodPayload(7)}))
	f.Add(encoded(f, &enginev1.PayloadsResponse{Payloads: []*enginev1.MaybeExecutionData{{Data: goodPayload(7)}}}))
	f.Add(encoded(f, &enginev1.ImportResponse{Statuses: []*enginev1.PayloadStatus{{Hash: fill(32), Verdict: "VALID", LatestValid: fill(32)}}}))
	f.Add(encoded(f, &enginev1.ReceiptsResponse{Receipts: []*enginev1.Receipt{{LogsBloom: fill(256)}}}))
	f.Add(encoded(f, &enginev1.StatusResponse{Genesis: fill(32)}))
	f.Add(encoded(f, &enginev1.AddTransactionsResponse{Results: []*enginev1.AddResult{{Code: "full"}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		e := client(raw(b), lifecycle.Engine).Engine()
		ctx := t.Context()
		hash := chain.Hash(fill(32))
		if d, err := e.Build(ctx, engine.BuildRequest{Parent: hash}); err == nil && (d.Payload.ParentHash != hash || len(d.Payload.ExtraData) > 32) {
			t.Errorf("built %+v", d.Payload)
		}
		if ds, err := e.Payloads(ctx, []chain.Hash{hash}); err == nil && (len(ds) != 1 || ds[0] != nil && ds[0].Payload.BlockHash != hash) {
			t.Errorf("stored %+v", ds)
		}
		asked := engine.ImportRequest{Payloads: make([]chain.ExecutionData, 1)}
		asked.Payloads[0].Payload.BlockHash = hash
		if out, err := e.Import(ctx, asked); err == nil && (len(out.Statuses) != 1 || out.Statuses[0].Hash != hash) {
			t.Errorf("imported %+v", out)
		}
		if rs, err := e.AddTransactions(ctx, make([][]byte, 1)); err == nil && len(rs) != 1 {
			t.Errorf("%d results for 1 transaction", len(rs))
		}
		if txs, err := e.PendingTransactions(ctx, 2); err == nil && len(txs) > 2 {
			t.Errorf("%d transactions, limit 2", len(txs))
		}
		_, _ = e.Status(ctx)
		_, _ = e.Receipts(ctx, hash)
	})
}

// FuzzPluginReplies wants no panic, and of what is taken, names that can be shown.
func FuzzPluginReplies(f *testing.F) {
	f.Add(encoded(f, &pluginv1.DescribeResponse{Kind: "sync", Name: "n", Version: "1"}))
	f.Add(encoded(f, &pluginv1.SchemaResponse{Block: &pluginv1.Block{Blocks: []*pluginv1.Block{{Name: "b"}}}}))
	f.Add(encoded(f, &pluginv1.ValidateResponse{Diagnostics: []*pluginv1.Diagnostic{{Severity: 1, Path: []string{"a"}}}}))
	f.Add(encoded(f, &pluginv1.HealthResponse{State: "ready"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := client(raw(b), lifecycle.Sync).Plugin()
		ctx := t.Context()
		if d, err := p.Describe(ctx); err == nil && (d.Kind != lifecycle.Sync || d.Name == "") {
			t.Errorf("description %+v", d)
		}
		if h, err := p.Health(ctx); err == nil && h.State == "" {
			t.Errorf("health %+v", h)
		}
		_, _ = p.Schema(ctx)
		_, _, _ = p.Validate(ctx, lifecycle.Config{})
	})
}

// FuzzOrders wants no panic, and only orders in bounds.
func FuzzOrders(f *testing.F) {
	f.Add(encoded(f, assign(1, 1024, "a")))
	f.Add(encoded(f, unknownOrder(4)))
	f.Add(encoded(f, &syncerv1.RunResponse{Order: &syncerv1.RunResponse_Cancel{Cancel: &syncerv1.Cancel{Batch: 1}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &session{events: make(chan syncer.Event)}
		err := client(raw(b), lifecycle.Sync).Strategy().Run(t.Context(), s)
		for _, o := range s.orders {
			if a := o.Assign; err != nil || a != nil && (a.Range.Len() == 0 || a.Range.Len() > 1024) {
				t.Errorf("order %+v, %v", o, err)
			}
		}
	})
}

// FuzzStatus wants no panic and a bounded text from whatever a plugin's status says.
func FuzzStatus(f *testing.F) {
	f.Add("SIGNER_REFUSED", "no", uint32(7))
	f.Add("", "\xff", uint32(99))
	f.Fuzz(func(t *testing.T, reason, message string, code uint32) {
		_, err := client(failing(statusOf(reason, message, code)), lifecycle.Signer).Signer().Keys(t.Context())
		var call *wire.CallError
		if err != nil && (!errors.As(err, &call) || len(call.Message) > 3*4096 || !bytes.Equal([]byte(call.Message), bytes.ToValidUTF8([]byte(call.Message), nil))) {
			t.Errorf("got %#v", err)
		}
	})
}
