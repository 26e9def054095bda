package wire_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
	"github.com/alys-node/alys/sdk/wire"
	"github.com/alys-node/alys/sdk/wire/enginev1"
	"github.com/alys-node/alys/sdk/wire/pluginv1"
	"github.com/alys-node/alys/sdk/wire/signerv1"
	"github.com/alys-node/alys/sdk/wire/syncerv1"
)

// bad is one way to spoil a reply.
type bad[M proto.Message] struct {
	name  string
	spoil func(M)
}

// rejects wants the good reply taken, and each spoiled one blamed on the plugin.
func rejects[M proto.Message](t *testing.T, kind lifecycle.Kind, method string, good M, call func(context.Context, *wire.Client) error, bads []bad[M]) {
	t.Helper()
	t.Run(method, func(t *testing.T) {
		if err := call(t.Context(), client(replying(good), kind)); err != nil {
			t.Fatalf("the good reply: %v", err)
		}
		for _, b := range bads {
			t.Run(b.name, func(t *testing.T) {
				m := proto.Clone(good).(M)
				b.spoil(m)
				wantMalformed(t, call(t.Context(), client(replying(m), kind)), method)
			})
		}
	})
}

func fill(n int) []byte { return bytes.Repeat([]byte{7}, n) }

func long(n int) string { return strings.Repeat("x", n) }

var (
	blsID     = signer.BLSKey(signertest.BLSPublic("a"))
	bitcoinID = signer.BitcoinKey(signertest.BitcoinPublic("a"))
)

func TestMalformedSignerReplies(t *testing.T) {
	rejects(t, lifecycle.Signer, "Keys", &signerv1.KeysResponse{Keys: []*signerv1.Key{
		{Id: string(blsID), Purpose: "approval", Possession: fill(96)}, {Id: string(bitcoinID), Purpose: "bitcoin"},
	}}, func(ctx context.Context, c *wire.Client) error { _, err := c.Signer().Keys(ctx); return err },
		[]bad[*signerv1.KeysResponse]{
			{"a key twice", func(m *signerv1.KeysResponse) { m.Keys = append(m.Keys, m.Keys[0]) }},
			{"an approval key of secp256k1", func(m *signerv1.KeysResponse) { m.Keys[0].Id = string(bitcoinID) }},
			{"a Bitcoin key of BLS", func(m *signerv1.KeysResponse) { m.Keys[1].Id = string(blsID) }},
			{"an id in capitals", func(m *signerv1.KeysResponse) { m.Keys[0].Id = "bls:0x" + strings.ToUpper(m.Keys[0].Id[6:]) }},
			{"an id without 0x", func(m *signerv1.KeysResponse) { m.Keys[0].Id = "bls:" + m.Keys[0].Id[6:] }},
			{"an empty id", func(m *signerv1.KeysResponse) { m.Keys[0].Id = "" }},
			{"a short possession", func(m *signerv1.KeysResponse) { m.Keys[0].Possession = fill(95) }},
			{"a possession of a Bitcoin key", func(m *signerv1.KeysResponse) { m.Keys[1].Possession = fill(96) }},
			{"a long label", func(m *signerv1.KeysResponse) { m.Keys[1].Label = long(257) }},
			{"too many keys", func(m *signerv1.KeysResponse) { m.Keys = make([]*signerv1.Key, 4097) }},
		})
	rejects(t, lifecycle.Signer, "Approve", &signerv1.ApproveResponse{Signature: fill(96)},
		func(ctx context.Context, c *wire.Client) error {
			_, err := c.Signer().Approve(ctx, signer.Approval{})
			return err
		}, []bad[*signerv1.ApproveResponse]{
			{"no signature", func(m *signerv1.ApproveResponse) { m.Signature = nil }},
			{"a short signature", func(m *signerv1.ApproveResponse) { m.Signature = fill(95) }},
			{"a long signature", func(m *signerv1.ApproveResponse) { m.Signature = fill(97) }},
		})
	rejects(t, lifecycle.Signer, "ApproveBatch", &signerv1.ApproveBatchResponse{Results: []*signerv1.ApproveResult{
		{Signature: fill(96)}, {Reasons: []string{"SIGNER_REFUSED"}},
	}}, func(ctx context.Context, c *wire.Client) error {
		_, err := c.Signer().ApproveBatch(ctx, make([]signer.Approval, 2))
		return err
	}, []bad[*signerv1.ApproveBatchResponse]{
		{"a result less", func(m *signerv1.ApproveBatchResponse) { m.Results = m.Results[1:] }},
		{"a result more", func(m *signerv1.ApproveBatchResponse) { m.Results = append(m.Results, m.Results[0]) }},
		{"neither signature nor error", func(m *signerv1.ApproveBatchResponse) { m.Results[0].Signature = nil }},
		{"both signature and error", func(m *signerv1.ApproveBatchResponse) { m.Results[1].Signature = fill(96) }},
		{"too many reasons", func(m *signerv1.ApproveBatchResponse) { m.Results[1].Reasons = make([]string, 65) }},
	})
	rejects(t, lifecycle.Signer, "SignUpdate", &signerv1.SignUpdateResponse{Signature: fill(96)},
		func(ctx context.Context, c *wire.Client) error {
			_, err := c.Signer().SignUpdate(ctx, signer.Update{})
			return err
		}, []bad[*signerv1.SignUpdateResponse]{{"a short signature", func(m *signerv1.SignUpdateResponse) { m.Signature = fill(1) }}})
	rejects(t, lifecycle.Signer, "ExportKey", &signerv1.ExportKeyResponse{Keystore: fill(9)},
		func(ctx context.Context, c *wire.Client) error {
			_, err := c.Signer().ExportKey(ctx, blsID, nil)
			return err
		},
		[]bad[*signerv1.ExportKeyResponse]{
			{"an empty keystore", func(m *signerv1.ExportKeyResponse) { m.Keystore = nil }},
			{"a huge keystore", func(m *signerv1.ExportKeyResponse) { m.Keystore = fill(1<<20 + 1) }},
		})
	rejects(t, lifecycle.Signer, "CreateKey", &signerv1.CreateKeyResponse{Key: &signerv1.Key{Id: string(blsID), Purpose: "approval"}},
		func(ctx context.Context, c *wire.Client) error {
			_, err := c.Signer().CreateKey(ctx, signer.NewKey{Purpose: signer.PurposeApproval})
			return err
		}, []bad[*signerv1.CreateKeyResponse]{
			{"no key", func(m *signerv1.CreateKeyResponse) { m.Key = nil }},
			{"a key for another purpose", func(m *signerv1.CreateKeyResponse) { m.Key.Id, m.Key.Purpose = string(bitcoinID), "bitcoin" }},
			{"a key for an unknown purpose", func(m *signerv1.CreateKeyResponse) { m.Key.Purpose = "heartbeat" }},
		})
}

func TestMalformedProofs(t *testing.T) {
	for _, key := range []struct {
		id   signer.KeyID
		good *signerv1.ProveResponse
		bads []bad[*signerv1.ProveResponse]
	}{
		{blsID, &signerv1.ProveResponse{Scheme: "bls", Signature: fill(96)}, []bad[*signerv1.ProveResponse]{
			{"a BLS key by BIP-340", func(m *signerv1.ProveResponse) { m.Scheme, m.Signature = "bip340", fill(64) }},
			{"a short BLS signature", func(m *signerv1.ProveResponse) { m.Signature = fill(64) }},
			{"no scheme", func(m *signerv1.ProveResponse) { m.Scheme = "" }},
		}},
		{bitcoinID, &signerv1.ProveResponse{Scheme: "bip340", Signature: fill(64)}, []bad[*signerv1.ProveResponse]{
			{"a Bitcoin key by BLS", func(m *signerv1.ProveResponse) { m.Scheme, m.Signature = "bls", fill(96) }},
			{"a long BIP-340 signature", func(m *signerv1.ProveResponse) { m.Signature = fill(65) }},
		}},
		{bitcoinID, &signerv1.ProveResponse{Scheme: "ecdsa", Signature: fill(71)}, []bad[*signerv1.ProveResponse]{
			{"a long ECDSA signature", func(m *signerv1.ProveResponse) { m.Signature = fill(73) }},
			{"a short ECDSA signature", func(m *signerv1.ProveResponse) { m.Signature = fill(7) }},
			{"an unknown scheme", func(m *signerv1.ProveResponse) { m.Scheme = "rsa" }},
		}},
	} {
		rejects(t, lifecycle.Signer, "Prove", key.good, func(ctx context.Context, c *wire.Client) error {
			_, err := c.Signer().Prove(ctx, signer.Challenge{Key: key.id})
			return err
		}, key.bads)
	}
}

func TestMalformedBitcoinAnswers(t *testing.T) {
	a, b := signertest.BitcoinPublic("a"), signertest.BitcoinPublic("b")
	request := signer.BitcoinRequest{Inputs: []signer.BitcoinInput{{Index: 1, Kind: signer.P2WSH}, {Index: 4, Kind: signer.TaprootScript}}}
	good := &signerv1.SignBitcoinResponse{State: "complete", Signatures: []*signerv1.BitcoinSignature{
		{Input: 1, PublicKey: a[:], Signature: fill(72)},
		{Input: 1, PublicKey: b[:], Signature: fill(72)},
		{Input: 4, PublicKey: a[:], Signature: fill(64)},
	}}
	rejects(t, lifecycle.Signer, "SignBitcoin", good, func(ctx context.Context, c *wire.Client) error {
		_, err := c.Signer().SignBitcoin(ctx, request)
		return err
	}, []bad[*signerv1.SignBitcoinResponse]{
		{"an input that was not asked for", func(m *signerv1.SignBitcoinResponse) { m.Signatures[0].Input = 2 }},
		{"an input twice by one key", func(m *signerv1.SignBitcoinResponse) { m.Signatures[1].PublicKey = a[:] }},
		{"a short public key", func(m *signerv1.SignBitcoinResponse) { m.Signatures[0].PublicKey = a[1:] }},
		{"a long taproot signature", func(m *signerv1.SignBitcoinResponse) { m.Signatures[2].Signature = fill(65) }},
		{"a short ECDSA signature", func(m *signerv1.SignBitcoinResponse) { m.Signatures[0].Signature = fill(8) }},
		{"a long ECDSA signature", func(m *signerv1.SignBitcoinResponse) { m.Signatures[0].Signature = fill(74) }},
		{"complete without an input", func(m *signerv1.SignBitcoinResponse) { m.Signatures = m.Signatures[:2] }},
	})
	request.Key = signer.BitcoinKey(a)
	one := &signerv1.SignBitcoinResponse{State: "final_partial", Signatures: good.GetSignatures()[:1]}
	rejects(t, lifecycle.Signer, "SignBitcoin", one, func(ctx context.Context, c *wire.Client) error {
		_, err := c.Signer().SignBitcoin(ctx, request)
		return err
	}, []bad[*signerv1.SignBitcoinResponse]{
		{"another key than asked for", func(m *signerv1.SignBitcoinResponse) { m.Signatures[0].PublicKey = b[:] }},
	})
}

func TestMalformedEvents(t *testing.T) {
	for _, b := range []bad[*signerv1.WatchResponse]{
		{"no id", func(m *signerv1.WatchResponse) { m.Id = "" }},
		{"a long id", func(m *signerv1.WatchResponse) { m.Id = long(257) }},
		{"a long subject", func(m *signerv1.WatchResponse) { m.Subject = long(257) }},
		{"too much data", func(m *signerv1.WatchResponse) { m.Data = fill(1<<20 + 1) }},
		{"an unknown kind without id", func(m *signerv1.WatchResponse) { m.Kind, m.Id = "weather", "" }},
	} {
		m := &signerv1.WatchResponse{Id: "1", Kind: "halt"}
		b.spoil(m)
		err := client(streaming(m), lifecycle.Signer).Signer().Watch(t.Context(), func(context.Context, signer.Event) error {
			t.Errorf("%s: it is handled", b.name)
			return nil
		})
		wantMalformed(t, err, "Watch")
	}
}

func TestMalformedOrders(t *testing.T) {
	for name, m := range map[string]*syncerv1.RunResponse{
		"an empty range":        assign(5, 4, "a"),
		"a range over 1024":     assign(1, 1025, "a"),
		"a range that wraps":    assign(0, 1<<64-1, "a"),
		"a long peer":           assign(1, 2, long(257)),
		"a long penalised peer": {Order: &syncerv1.RunResponse_Penalise{Penalise: &syncerv1.Penalise{Peer: long(257)}}},
		"a long reason":         {Order: &syncerv1.RunResponse_Penalise{Penalise: &syncerv1.Penalise{Reason: long(64<<10 + 1)}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &session{}
			wantMalformed(t, client(streaming(m), lifecycle.Sync).Strategy().Run(t.Context(), s), "Run")
			if len(s.orders) != 0 {
				t.Errorf("the order reached the session: %+v", s.orders)
			}
		})
	}
}

func assign(from, to uint64, peer string) *syncerv1.RunResponse {
	return &syncerv1.RunResponse{Order: &syncerv1.RunResponse_Assign{
		Assign: &syncerv1.Assign{Batch: 1, Range: &syncerv1.Range{From: from, To: to}, Peer: peer},
	}}
}

func goodPayload(hash byte) *enginev1.ExecutionData {
	h := fill(32)
	return &enginev1.ExecutionData{Payload: &enginev1.Payload{
		ParentHash: h, FeeRecipient: fill(20), StateRoot: h, ReceiptsRoot: h, LogsBloom: fill(256), PrevRandao: h,
		BaseFeePerGas: h, BlockHash: bytes.Repeat([]byte{hash}, 32), Timestamp: 9,
		Withdrawals: []*enginev1.Withdrawal{{Address: fill(20)}},
	}, ParentBeaconRoot: h, HasRequests: true, Requests: [][]byte{{1, 2}}}
}

// badPayloads are the ways to spoil execution data.
func badPayloads() []bad[*enginev1.ExecutionData] {
	return []bad[*enginev1.ExecutionData]{
		{"no payload", func(d *enginev1.ExecutionData) { d.Payload = nil }},
		{"a short parent", func(d *enginev1.ExecutionData) { d.Payload.ParentHash = fill(31) }},
		{"a short fee recipient", func(d *enginev1.ExecutionData) { d.Payload.FeeRecipient = fill(19) }},
		{"a long state root", func(d *enginev1.ExecutionData) { d.Payload.StateRoot = fill(33) }},
		{"no receipts root", func(d *enginev1.ExecutionData) { d.Payload.ReceiptsRoot = nil }},
		{"a short bloom", func(d *enginev1.ExecutionData) { d.Payload.LogsBloom = fill(255) }},
		{"a short randao", func(d *enginev1.ExecutionData) { d.Payload.PrevRandao = fill(1) }},
		{"a short base fee", func(d *enginev1.ExecutionData) { d.Payload.BaseFeePerGas = fill(8) }},
		{"no block hash", func(d *enginev1.ExecutionData) { d.Payload.BlockHash = nil }},
		{"much extra data", func(d *enginev1.ExecutionData) { d.Payload.ExtraData = fill(33) }},
		{"a withdrawal to nobody", func(d *enginev1.ExecutionData) { d.Payload.Withdrawals[0].Address = nil }},
		{"an empty withdrawal", func(d *enginev1.ExecutionData) { d.Payload.Withdrawals[0] = &enginev1.Withdrawal{} }},
		{"a short beacon root", func(d *enginev1.ExecutionData) { d.ParentBeaconRoot = fill(31) }},
		{"an empty beacon root", func(d *enginev1.ExecutionData) { d.ParentBeaconRoot = []byte{} }},
		{"requests marked absent", func(d *enginev1.ExecutionData) { d.HasRequests = false }},
	}
}

func TestMalformedPayloads(t *testing.T) {
	asked := engine.BuildRequest{Parent: chain.Hash(fill(32)), Timestamp: 9}
	bads := []bad[*enginev1.BuildResponse]{
		{"nothing", func(m *enginev1.BuildResponse) { m.Data = nil }},
		{"another parent than asked", func(m *enginev1.BuildResponse) { m.Data.Payload.ParentHash[0]++ }},
		{"another time than asked", func(m *enginev1.BuildResponse) { m.Data.Payload.Timestamp++ }},
	}
	stored := []bad[*enginev1.PayloadsResponse]{
		{"one less than asked", func(m *enginev1.PayloadsResponse) { m.Payloads = m.Payloads[1:] }},
		{"one more than asked", func(m *enginev1.PayloadsResponse) { m.Payloads = append(m.Payloads, m.Payloads[0]) }},
		{"another one than asked", func(m *enginev1.PayloadsResponse) { m.Payloads[0] = m.Payloads[1] }},
	}
	for _, b := range badPayloads() {
		bads = append(bads, bad[*enginev1.BuildResponse]{b.name, func(m *enginev1.BuildResponse) { b.spoil(m.GetData()) }})
		stored = append(stored, bad[*enginev1.PayloadsResponse]{b.name, func(m *enginev1.PayloadsResponse) { b.spoil(m.GetPayloads()[1].GetData()) }})
	}
	rejects(t, lifecycle.Engine, "Build", &enginev1.BuildResponse{Data: goodPayload(7)},
		func(ctx context.Context, c *wire.Client) error { _, err := c.Engine().Build(ctx, asked); return err }, bads)
	good := &enginev1.PayloadsResponse{Payloads: []*enginev1.MaybeExecutionData{{}, {Data: goodPayload(2)}}}
	rejects(t, lifecycle.Engine, "Payloads", good, func(ctx context.Context, c *wire.Client) error {
		_, err := c.Engine().Payloads(ctx, []chain.Hash{chain.Hash(bytes.Repeat([]byte{1}, 32)), chain.Hash(bytes.Repeat([]byte{2}, 32))})
		return err
	}, stored)
}

func TestMalformedEngineReplies(t *testing.T) {
	h := fill(32)
	heads := func() *enginev1.Heads {
		return &enginev1.Heads{Head: &enginev1.Ref{Hash: h}, Safe: &enginev1.Ref{Hash: h}, Finalized: &enginev1.Ref{Hash: h}}
	}
	rejects(t, lifecycle.Engine, "Status", &enginev1.StatusResponse{Genesis: h, Heads: heads(), Forks: []*enginev1.Fork{{Name: "prague"}}},
		func(ctx context.Context, c *wire.Client) error { _, err := c.Engine().Status(ctx); return err },
		[]bad[*enginev1.StatusResponse]{
			{"no genesis", func(m *enginev1.StatusResponse) { m.Genesis = nil }},
			{"no heads", func(m *enginev1.StatusResponse) { m.Heads = nil }},
			{"a short head", func(m *enginev1.StatusResponse) { m.Heads.Head.Hash = fill(31) }},
			{"no safe head", func(m *enginev1.StatusResponse) { m.Heads.Safe = nil }},
			{"a short finalized head", func(m *enginev1.StatusResponse) { m.Heads.Finalized.Hash = fill(31) }},
			{"a long client version", func(m *enginev1.StatusResponse) { m.ClientVersion = long(257) }},
			{"a long wallet RPC", func(m *enginev1.StatusResponse) { m.WalletRpc = long(64<<10 + 1) }},
			{"too many forks", func(m *enginev1.StatusResponse) { m.Forks = make([]*enginev1.Fork, 65) }},
			{"a long fork name", func(m *enginev1.StatusResponse) { m.Forks[0].Name = long(257) }},
		})
	asked := engine.ImportRequest{Payloads: make([]chain.ExecutionData, 2)}
	asked.Payloads[0].Payload.BlockHash, asked.Payloads[1].Payload.BlockHash = chain.Hash(fill(32)), chain.Hash{1}
	second := chain.Hash{1}
	rejects(t, lifecycle.Engine, "Import", &enginev1.ImportResponse{Heads: heads(), Statuses: []*enginev1.PayloadStatus{
		{Hash: h, Verdict: "VALID", LatestValid: h}, {Hash: second[:], Verdict: "INVALID", LatestValid: h},
	}}, func(ctx context.Context, c *wire.Client) error { _, err := c.Engine().Import(ctx, asked); return err },
		[]bad[*enginev1.ImportResponse]{
			{"a status too many", func(m *enginev1.ImportResponse) { m.Statuses = append(m.Statuses, m.Statuses[0]) }},
			{"no statuses", func(m *enginev1.ImportResponse) { m.Statuses = nil }},
			{"stops after a VALID one", func(m *enginev1.ImportResponse) { m.Statuses = m.Statuses[:1] }},
			{"goes on after an INVALID one", func(m *enginev1.ImportResponse) { m.Statuses[0].Verdict = "INVALID" }},
			{"goes on after a SYNCING one", func(m *enginev1.ImportResponse) { m.Statuses[0].Verdict = "SYNCING" }},
			{"an unknown verdict", func(m *enginev1.ImportResponse) { m.Statuses[1].Verdict = "ACCEPTED" }},
			{"judges another payload", func(m *enginev1.ImportResponse) { m.Statuses[0].Hash = second[:] }},
			{"a short hash", func(m *enginev1.ImportResponse) { m.Statuses[0].Hash = fill(31) }},
			{"a short latest valid hash", func(m *enginev1.ImportResponse) { m.Statuses[0].LatestValid = fill(31) }},
			{"a long reason", func(m *enginev1.ImportResponse) { m.Statuses[1].Reason = long(64<<10 + 1) }},
			{"no heads", func(m *enginev1.ImportResponse) { m.Heads = nil }},
		})
	rejects(t, lifecycle.Engine, "Receipts", &enginev1.ReceiptsResponse{Receipts: []*enginev1.Receipt{
		{LogsBloom: fill(256), Logs: []*enginev1.Log{{Address: fill(20), Topics: [][]byte{h}}}},
	}}, func(ctx context.Context, c *wire.Client) error {
		_, err := c.Engine().Receipts(ctx, chain.Hash{})
		return err
	},
		[]bad[*enginev1.ReceiptsResponse]{
			{"a type of two bytes", func(m *enginev1.ReceiptsResponse) { m.Receipts[0].Type = 256 }},
			{"a short bloom", func(m *enginev1.ReceiptsResponse) { m.Receipts[0].LogsBloom = fill(255) }},
			{"a log of nobody", func(m *enginev1.ReceiptsResponse) { m.Receipts[0].Logs[0].Address = nil }},
			{"a short topic", func(m *enginev1.ReceiptsResponse) { m.Receipts[0].Logs[0].Topics[0] = fill(31) }},
			{"five topics", func(m *enginev1.ReceiptsResponse) { m.Receipts[0].Logs[0].Topics = [][]byte{h, h, h, h, h} }},
		})
	rejects(t, lifecycle.Engine, "AddTransactions", &enginev1.AddTransactionsResponse{Results: []*enginev1.AddResult{{Code: "added"}}},
		func(ctx context.Context, c *wire.Client) error {
			_, err := c.Engine().AddTransactions(ctx, [][]byte{{1}})
			return err
		}, []bad[*enginev1.AddTransactionsResponse]{
			{"no result", func(m *enginev1.AddTransactionsResponse) { m.Results = nil }},
			{"an empty code", func(m *enginev1.AddTransactionsResponse) { m.Results[0].Code = "" }},
			{"a long code", func(m *enginev1.AddTransactionsResponse) { m.Results[0].Code = long(257) }},
		})
	rejects(t, lifecycle.Engine, "PendingTransactions", &enginev1.PendingTransactionsResponse{Transactions: [][]byte{{1}}},
		func(ctx context.Context, c *wire.Client) error {
			_, err := c.Engine().PendingTransactions(ctx, 1)
			return err
		}, []bad[*enginev1.PendingTransactionsResponse]{
			{"more than asked for", func(m *enginev1.PendingTransactionsResponse) { m.Transactions = [][]byte{{1}, {2}} }},
		})
}

func TestMalformedPluginReplies(t *testing.T) {
	rejects(t, lifecycle.Signer, "Describe", &pluginv1.DescribeResponse{Kind: "signer", Name: "n", Version: "1", Capabilities: []string{"new"}},
		func(ctx context.Context, c *wire.Client) error { _, err := c.Plugin().Describe(ctx); return err },
		[]bad[*pluginv1.DescribeResponse]{
			{"another kind", func(m *pluginv1.DescribeResponse) { m.Kind = "engine" }},
			{"no name", func(m *pluginv1.DescribeResponse) { m.Name = "" }},
			{"no version", func(m *pluginv1.DescribeResponse) { m.Version = "" }},
			{"a long name", func(m *pluginv1.DescribeResponse) { m.Name = long(257) }},
			{"a long version", func(m *pluginv1.DescribeResponse) { m.Version = long(257) }},
			{"a long capability", func(m *pluginv1.DescribeResponse) { m.Capabilities[0] = long(257) }},
			{"too many capabilities", func(m *pluginv1.DescribeResponse) { m.Capabilities = make([]string, 65) }},
		})
	deep := &pluginv1.Block{Name: "deepest"}
	for i := range 17 {
		deep = &pluginv1.Block{Name: fmt.Sprint("b", i), Blocks: []*pluginv1.Block{deep}}
	}
	rejects(t, lifecycle.Signer, "Schema", &pluginv1.SchemaResponse{Block: &pluginv1.Block{
		Attributes: []*pluginv1.Attribute{{Name: "a", Type: "string"}}, Blocks: []*pluginv1.Block{{Name: "b"}},
	}}, func(ctx context.Context, c *wire.Client) error { _, err := c.Plugin().Schema(ctx); return err },
		[]bad[*pluginv1.SchemaResponse]{
			{"nothing", func(m *pluginv1.SchemaResponse) { m.Block = nil }},
			{"an unknown type", func(m *pluginv1.SchemaResponse) { m.Block.Attributes[0].Type = "regexp" }},
			{"an attribute without name", func(m *pluginv1.SchemaResponse) { m.Block.Attributes[0].Name = "" }},
			{"a block without name", func(m *pluginv1.SchemaResponse) { m.Block.Blocks[0].Name = "" }},
			{"one name twice", func(m *pluginv1.SchemaResponse) { m.Block.Blocks[0].Name = "a" }},
			{"a long name", func(m *pluginv1.SchemaResponse) { m.Block.Attributes[0].Name = long(257) }},
			{"a long default", func(m *pluginv1.SchemaResponse) { m.Block.Attributes[0].Default = long(64<<10 + 1) }},
			{"a long doc", func(m *pluginv1.SchemaResponse) { m.Block.Doc = long(64<<10 + 1) }},
			{"too many attributes", func(m *pluginv1.SchemaResponse) { m.Block.Attributes = make([]*pluginv1.Attribute, 1025) }},
			{"too deep", func(m *pluginv1.SchemaResponse) { m.Block.Blocks[0] = deep }},
		})
	rejects(t, lifecycle.Signer, "Validate", &pluginv1.ValidateResponse{
		Diagnostics: []*pluginv1.Diagnostic{{Severity: 2, Path: []string{"a"}}}, Resources: []*pluginv1.Resource{{Kind: "path", Value: "/x"}},
	}, func(ctx context.Context, c *wire.Client) error {
		_, _, err := c.Plugin().Validate(ctx, lifecycle.Config{})
		return err
	}, []bad[*pluginv1.ValidateResponse]{
		{"no severity", func(m *pluginv1.ValidateResponse) { m.Diagnostics[0].Severity = 0 }},
		{"an unknown severity", func(m *pluginv1.ValidateResponse) { m.Diagnostics[0].Severity = 258 }},
		{"a long summary", func(m *pluginv1.ValidateResponse) { m.Diagnostics[0].Summary = long(64<<10 + 1) }},
		{"a long detail", func(m *pluginv1.ValidateResponse) { m.Diagnostics[0].Detail = long(64<<10 + 1) }},
		{"a long path", func(m *pluginv1.ValidateResponse) { m.Diagnostics[0].Path = make([]string, 65) }},
		{"too many diagnostics", func(m *pluginv1.ValidateResponse) { m.Diagnostics = make([]*pluginv1.Diagnostic, 1025) }},
		{"too many resources", func(m *pluginv1.ValidateResponse) { m.Resources = make([]*pluginv1.Resource, 257) }},
		{"an unknown resource", func(m *pluginv1.ValidateResponse) { m.Resources[0].Kind = "memory" }},
		{"an empty resource", func(m *pluginv1.ValidateResponse) { m.Resources[0].Value = "" }},
	})
	rejects(t, lifecycle.Signer, "Health", &pluginv1.HealthResponse{State: "ready"},
		func(ctx context.Context, c *wire.Client) error { _, err := c.Plugin().Health(ctx); return err },
		[]bad[*pluginv1.HealthResponse]{
			{"no state", func(m *pluginv1.HealthResponse) { m.State = "" }},
			{"an unknown state", func(m *pluginv1.HealthResponse) { m.State = "dizzy" }},
			{"a long message", func(m *pluginv1.HealthResponse) { m.Message = long(64<<10 + 1) }},
		})
}
