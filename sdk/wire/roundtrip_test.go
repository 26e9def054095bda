package wire_test

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugintest"
	"github.com/alys-node/alys/sdk/schema"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
	"github.com/alys-node/alys/sdk/syncer"
	"github.com/alys-node/alys/sdk/syncertest"
	"github.com/alys-node/alys/sdk/wire"
)

// TestMain keeps the generated values few: they are large, and what they look for is a forgotten field, which the first
// ones find. A number of checks that was asked for on the command line is kept.
func TestMain(m *testing.M) {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "rapid.checks" })
	if !asked {
		_ = flag.Set("rapid.checks", "12")       // the flag is there: the package is imported
		_ = flag.Set("rapid.nofailfile", "true") // what failed is printed
	}
	os.Exit(m.Run())
}

// draw makes any value of a contract type, from its shape alone: a field that an adapter forgets does not come back.
func draw[T any](t *rapid.T, name string) T { return rapid.Make[T]().Draw(t, name) }

func listOf[T any](t *rapid.T, name string, n int) []T {
	return rapid.SliceOfN(rapid.Make[T](), n, n).Draw(t, name)
}

// same compares what went in with what came out. A nil list and an empty one are one, except where the contract says
// otherwise, which has tests of its own.
func same(t *rapid.T, what string, want, got any) {
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s (-sent +arrived):\n%s", what, diff)
	}
}

func signerKey(t *rapid.T) signer.Key {
	k := signer.Key{Purpose: signer.PurposeBitcoin, Label: rapid.StringN(0, 20, 60).Draw(t, "label")}
	if rapid.Bool().Draw(t, "BLS") {
		k.ID, k.Purpose = signer.BLSKey(draw[chain.BLSPublicKey](t, "key")), signer.PurposeApproval
		k.Possession = listOf[byte](t, "possession", 96)
		return k
	}
	k.ID = signer.BitcoinKey(draw[chain.BitcoinPublicKey](t, "key"))
	return k
}

func approval(t *rapid.T) signer.Approval {
	a := draw[signer.Approval](t, "approval")
	a.Header.Version = chain.HeaderVersion
	return a
}

func TestSignerRoundTrips(t *testing.T) {
	h := &heard{}
	s := plugintest.Serve(t, signerEcho{signertest.NewMemory(chain.Hash{}), h}).Signer()
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		a, sig := approval(t), draw[chain.BLSSignature](t, "signature")
		h.answer = sig
		got, err := s.Approve(ctx, a)
		same(t, "error", nil, err)
		same(t, "approval", a, h.asked)
		same(t, "signature", sig, got)

		u := draw[signer.Update](t, "update")
		got, err = s.SignUpdate(ctx, u)
		same(t, "error", nil, err)
		same(t, "update", u, h.asked)
		same(t, "signature", sig, got)

		key := signerKey(t)
		h.answer = []signer.Key{key}
		keys, err := s.Keys(ctx)
		same(t, "error", nil, err)
		same(t, "keys", h.answer, keys)

		fs := draw[[]signer.Floor](t, "floors")
		same(t, "error", nil, s.RaiseFloor(ctx, fs))
		same(t, "floors", fs, h.asked)
	})
}

func TestBatchRoundTrips(t *testing.T) {
	h := &heard{}
	s := plugintest.Serve(t, signerEcho{signertest.NewMemory(chain.Hash{}), h}).Signer()
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		as := []signer.Approval{approval(t), approval(t), approval(t)}
		sig := draw[chain.BLSSignature](t, "signature")
		h.answer = []signer.ApprovalResult{
			{Signature: sig},
			{Err: errors.Join(signer.ErrUnavailable, context.DeadlineExceeded)},
			{Err: errors.New("disk on fire")},
		}
		got, err := s.ApproveBatch(ctx, as)
		same(t, "error", nil, err)
		same(t, "requests", as, h.asked)
		same(t, "signature", signer.ApprovalResult{Signature: sig}, got[0])
		if !errors.Is(got[1].Err, signer.ErrUnavailable) || !errors.Is(got[1].Err, context.DeadlineExceeded) {
			t.Fatalf("the second error lost a reason: %v", got[1].Err)
		}
		var call *wire.CallError
		if !errors.As(got[2].Err, &call) || call.Message != "disk on fire" || len(call.Unwrap()) != 0 {
			t.Fatalf("the third error is %#v", got[2].Err)
		}
	})
}

func TestBitcoinRoundTrips(t *testing.T) {
	h := &heard{}
	s := plugintest.Serve(t, signerEcho{signertest.NewMemory(chain.Hash{}), h}).Signer()
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		r := draw[signer.BitcoinRequest](t, "request")
		r.Key = ""
		r.Inputs = []signer.BitcoinInput{{Index: 3, Kind: signer.P2WSH, Script: []byte{1}}, {Index: 9, Kind: signer.TaprootScript}}
		answer := signer.BitcoinAnswer{
			State:            rapid.SampledFrom([]signer.BitcoinState{signer.BitcoinPending, signer.BitcoinFinalPartial}).Draw(t, "state"),
			RetryAfterMillis: rapid.Uint32().Draw(t, "retry"),
			Signatures: []signer.BitcoinSignature{
				{Input: 9, PublicKey: draw[chain.BitcoinPublicKey](t, "key"), Signature: listOf[byte](t, "signature", 64)},
			},
		}
		h.answer = answer
		got, err := s.SignBitcoin(ctx, r)
		same(t, "error", nil, err)
		same(t, "request", r, h.asked)
		same(t, "answer", answer, got)

		c := draw[signer.Challenge](t, "challenge")
		c.Key = signer.BitcoinKey(draw[chain.BitcoinPublicKey](t, "key"))
		proof := signer.Proof{Scheme: signer.ProofECDSA, Signature: rapid.SliceOfN(rapid.Byte(), 8, 72).Draw(t, "proof")}
		h.answer = proof
		proved, err := s.Prove(ctx, c)
		same(t, "error", nil, err)
		same(t, "challenge", c, h.asked)
		same(t, "proof", proof, proved)
	})
}

func TestKeyAdminRoundTrips(t *testing.T) {
	h := &heard{}
	s := plugintest.Serve(t, signerEcho{signertest.NewMemory(chain.Hash{}), h}).Signer()
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		password := draw[signer.Secret](t, "password")
		same(t, "error", nil, s.Unlock(ctx, password))
		same(t, "password", password, h.asked)

		k, made := draw[signer.NewKey](t, "new key"), signerKey(t)
		k.Purpose, h.answer = made.Purpose, made
		got, err := s.CreateKey(ctx, k)
		same(t, "error", nil, err)
		same(t, "new key", k, h.asked)
		same(t, "key", made, got)

		id, keystore := draw[signer.KeyID](t, "id"), rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "keystore")
		h.answer = keystore
		sealed, err := s.ExportKey(ctx, id, password)
		same(t, "error", nil, err)
		same(t, "export", exported{id, password}, h.asked)
		same(t, "keystore", keystore, sealed)
		same(t, "error", nil, s.RemoveKey(ctx, id))
		same(t, "removal", id, h.asked)
	})
}

func TestEventRoundTrips(t *testing.T) {
	h := &heard{}
	s := plugintest.Serve(t, signerEcho{signertest.NewMemory(chain.Hash{}), h}).Signer()
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		e := draw[signer.Event](t, "event")
		e.ID, e.Subject = "id "+rapid.StringN(0, 9, 60).Draw(t, "id"), rapid.StringN(0, 9, 60).Draw(t, "subject")
		e.Kind = rapid.SampledFrom([]signer.EventKind{
			signer.EventKeysChanged, signer.EventProposal, signer.EventUpdate, signer.EventHalt,
		}).Draw(t, "kind")
		h.answer = e
		var got signer.Event
		err := s.Watch(ctx, func(_ context.Context, e signer.Event) error {
			got = e
			return nil
		})
		same(t, "error", nil, err)
		same(t, "event", e, got)
	})
}

func executionData(t *rapid.T) chain.ExecutionData {
	d := draw[chain.ExecutionData](t, "execution data")
	d.Payload.ExtraData = rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "extra data")
	return d
}

func TestEngineRoundTrips(t *testing.T) {
	h := &heard{}
	m, err := enginetest.NewMemory(nil)
	if err != nil {
		t.Fatal(err)
	}
	e := plugintest.Serve(t, engineEcho{m, h}).Engine()
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		st := draw[engine.Status](t, "status")
		h.answer = st
		status, err := e.Status(ctx)
		same(t, "error", nil, err)
		same(t, "status", st, status)

		r, d := draw[engine.BuildRequest](t, "request"), executionData(t)
		d.Payload.ParentHash, d.Payload.Timestamp = r.Parent, r.Timestamp
		h.answer = d
		built, err := e.Build(ctx, r)
		same(t, "error", nil, err)
		same(t, "request", r, h.asked)
		same(t, "payload", d, built)
		if (d.Requests == nil) != (built.Requests == nil) {
			t.Fatalf("requests: sent nil %v, arrived nil %v", d.Requests == nil, built.Requests == nil)
		}

		other := executionData(t)
		h.answer = []*chain.ExecutionData{&d, nil, &other}
		stored, err := e.Payloads(ctx, []chain.Hash{d.Payload.BlockHash, {1}, other.Payload.BlockHash})
		same(t, "error", nil, err)
		same(t, "payloads", h.answer, stored)
	})
}

func TestImportRoundTrips(t *testing.T) {
	h := &heard{}
	m, err := enginetest.NewMemory(nil)
	if err != nil {
		t.Fatal(err)
	}
	e := plugintest.Serve(t, engineEcho{m, h}).Engine()
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		r := engine.ImportRequest{Payloads: []chain.ExecutionData{executionData(t), executionData(t), executionData(t)}}
		if rapid.Bool().Draw(t, "with forkchoice") {
			f := draw[engine.Forkchoice](t, "forkchoice")
			r.Forkchoice = &f
		}
		last := rapid.SampledFrom([]engine.Verdict{engine.Invalid, engine.Syncing}).Draw(t, "verdict")
		result := engine.ImportResult{Heads: draw[engine.Heads](t, "heads"), Statuses: []engine.PayloadStatus{
			{Hash: r.Payloads[0].Payload.BlockHash, Verdict: engine.Valid, LatestValid: draw[chain.Hash](t, "latest")},
			{Hash: r.Payloads[1].Payload.BlockHash, Verdict: last, Reason: rapid.String().Draw(t, "reason")},
		}}
		h.answer = result
		got, err := e.Import(ctx, r)
		same(t, "error", nil, err)
		same(t, "request", r, h.asked)
		same(t, "result", result, got)

		hash := draw[chain.Hash](t, "hash")
		rs := draw[[]chain.Receipt](t, "receipts")
		for i := range rs {
			for j := range rs[i].Logs {
				rs[i].Logs[j].Topics = listOf[chain.Hash](t, "topics", rapid.IntRange(0, 4).Draw(t, "count"))
			}
		}
		h.answer = rs
		receipts, err := e.Receipts(ctx, hash)
		same(t, "error", nil, err)
		same(t, "hash", hash, h.asked)
		same(t, "receipts", rs, receipts)

		txs := [][]byte{{1}, rapid.SliceOf(rapid.Byte()).Draw(t, "transaction")}
		h.answer = []engine.AddResult{{Code: engine.AddAdded}, {Code: engine.AddStale, Text: rapid.String().Draw(t, "text")}}
		results, err := e.AddTransactions(ctx, txs)
		same(t, "error", nil, err)
		same(t, "transactions", txs, h.asked)
		same(t, "results", h.answer, results)

		h.answer = txs
		pending, err := e.PendingTransactions(ctx, 2)
		same(t, "error", nil, err)
		same(t, "limit", 2, h.asked)
		same(t, "pending", txs, pending)
	})
}

func TestLifecycleRoundTrips(t *testing.T) {
	d := lifecycle.Description{
		Kind: lifecycle.Signer, Name: "echo", Version: "1.2.3", Deterministic: true, Network: true,
		Capabilities: []lifecycle.Capability{lifecycle.CapGuardBesideKey, "signer.new"},
	}
	block := schema.Block{
		Doc: "top", Attributes: []schema.Attribute{
			{Name: "a", Type: schema.Duration, Required: true, Default: `"60s"`, Sensitive: true, Doc: "a doc"},
		},
		Blocks: []schema.Block{{Name: "b", Repeated: true, Required: true, Doc: "b doc", Blocks: []schema.Block{{Name: "c"}}}},
	}
	findings := diag.Diagnostics{{Severity: diag.Warning, Summary: "s", Detail: "d", Path: []string{"b", "0", "c"}}}
	resources := []lifecycle.Resource{{Kind: "path", Value: "/data"}, {Kind: "port", Value: "30303"}}
	health := lifecycle.Health{State: lifecycle.Degraded, Message: "slow", Progress: 9}
	var asked lifecycle.Config
	p := plugintest.Serve(t, pluginEcho{signertest.NewMemory(chain.Hash{}), d, block, findings, resources, &asked, health}).Plugin()
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		gotDescription, err := p.Describe(ctx)
		same(t, "error", nil, err)
		same(t, "description", d, gotDescription)
		gotBlock, err := p.Schema(ctx)
		same(t, "error", nil, err)
		same(t, "schema", block, gotBlock)
		gotHealth, err := p.Health(ctx)
		same(t, "error", nil, err)
		same(t, "health", health, gotHealth)

		c := draw[lifecycle.Config](t, "config")
		gotFindings, gotResources, err := p.Validate(ctx, c)
		same(t, "error", nil, err)
		same(t, "config", c, asked)
		same(t, "findings", findings, gotFindings)
		same(t, "resources", resources, gotResources)
	})
}

// syncEcho tells the test what it hears, and orders what the test says.
type syncEcho struct {
	*syncertest.Memory
	events chan syncer.Event
	orders chan syncer.Order
}

func (s syncEcho) Run(ctx context.Context, session syncer.Session) error {
	for {
		e, err := session.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		s.events <- e
		if o := <-s.orders; o != (syncer.Order{}) {
			if err := session.Send(ctx, o); err != nil {
				return err
			}
		}
	}
}

func batch(t *rapid.T) syncer.Batch {
	b := draw[syncer.Batch](t, "batch")
	b.State = rapid.SampledFrom([]syncer.BatchState{
		syncer.BatchAssigned, syncer.BatchDownloaded, syncer.BatchImported, syncer.BatchFailed, syncer.BatchCancelled,
	}).Draw(t, "state")
	return b
}

func event(t *rapid.T) (e syncer.Event) {
	e.Credits = rapid.Uint32Range(1, 9).Draw(t, "credits")
	switch rapid.IntRange(0, 5).Draw(t, "kind of event") {
	case 0:
		p := draw[syncer.Peer](t, "peer")
		e.Peer = &p
	case 1:
		b := batch(t)
		e.Batch = &b
	case 2:
		v := draw[syncer.Tip](t, "tip")
		e.Tip = &v
	case 3:
		v := draw[syncer.Pressure](t, "pressure")
		e.Pressure = &v
	case 4:
		v := draw[syncer.Refused](t, "refused")
		e.Refused = &v
	}
	return e
}

func order(t *rapid.T) (o syncer.Order) {
	o.Sequence = rapid.Uint64().Draw(t, "sequence")
	switch rapid.IntRange(0, 4).Draw(t, "kind of order") {
	case 0:
		a := draw[syncer.Assign](t, "assign")
		a.Range.From %= 1 << 40
		a.Range.To = a.Range.From + chain.Height(rapid.Uint64Range(0, 1023).Draw(t, "length"))
		o.Assign = &a
	case 1:
		v := draw[syncer.Cancel](t, "cancel")
		o.Cancel = &v
	case 2:
		v := draw[syncer.Penalise](t, "penalise")
		o.Penalise = &v
	case 3:
		v := draw[syncer.Window](t, "window")
		o.Window = &v
	case 4:
		v := draw[syncer.Complete](t, "complete")
		o.Complete = &v
	}
	return o
}

// pipe is a session over channels.
type pipe struct {
	events chan syncer.Event
	orders chan syncer.Order
}

func (p pipe) Next(ctx context.Context) (syncer.Event, error) {
	return (&session{events: p.events}).Next(ctx)
}

func (p pipe) Send(_ context.Context, o syncer.Order) error {
	p.orders <- o
	return nil
}

func TestSyncRoundTrips(t *testing.T) {
	echo := syncEcho{syncertest.NewMemory(), make(chan syncer.Event), make(chan syncer.Order)}
	s := plugintest.Serve(t, echo).Strategy()
	host := pipe{make(chan syncer.Event), make(chan syncer.Order)}
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context(), host) }()
	tell := func(t *rapid.T, e syncer.Event, o syncer.Order) {
		e.Epoch = 7
		host.events <- e
		same(t, "event", e, <-echo.events)
		echo.orders <- o
	}
	first := true
	rapid.Check(t, func(t *rapid.T) {
		e := event(t)
		if first {
			e = syncer.Event{Credits: 1, Snapshot: &syncer.Snapshot{
				Cursor: 3, Target: 9, Peers: draw[[]syncer.Peer](t, "peers"), Batches: []syncer.Batch{batch(t), batch(t)},
			}}
			first = false
		}
		o := order(t)
		o.Epoch = 7
		tell(t, e, o)
		same(t, "order", o, <-host.orders)
	})
	close(host.events)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
