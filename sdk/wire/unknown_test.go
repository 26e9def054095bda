package wire_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugintest"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
	"github.com/alys-node/alys/sdk/syncer"
	"github.com/alys-node/alys/sdk/syncertest"
	"github.com/alys-node/alys/sdk/wire/enginev1"
	"github.com/alys-node/alys/sdk/wire/signerv1"
	"github.com/alys-node/alys/sdk/wire/syncerv1"
)

// What a newer plugin says and this host does not know yet must not cost the rest of what it says.

func TestAKeyOfAnUnknownPurposeIsSkipped(t *testing.T) {
	a, b := signer.BLSKey(signertest.BLSPublic("a")), signer.BitcoinKey(signertest.BitcoinPublic("a"))
	reply := &signerv1.KeysResponse{Keys: []*signerv1.Key{
		{Id: string(a), Purpose: "approval"},
		{Id: "ed25519:0x00", Purpose: "heartbeat", Possession: []byte("a proof of another kind")},
		{Id: string(a), Purpose: "heartbeat"},
		{Id: string(b), Purpose: "bitcoin", Label: "b"},
	}}
	got, err := client(replying(reply), lifecycle.Signer).Signer().Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []signer.Key{{ID: a, Purpose: signer.PurposeApproval}, {ID: b, Purpose: signer.PurposeBitcoin, Label: "b"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestAnEventOfAnUnknownKindIsAcknowledgedAndSkipped(t *testing.T) {
	c := streaming(
		&signerv1.WatchResponse{Id: "1", Kind: "update"},
		&signerv1.WatchResponse{Id: "2", Kind: "weather", Data: []byte("rain")},
		&signerv1.WatchResponse{Id: "3", Kind: "halt"},
	)
	var got []string
	err := client(c, lifecycle.Signer).Signer().Watch(t.Context(), func(_ context.Context, e signer.Event) error {
		got = append(got, e.ID)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1", "3"}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	var acks []string
	for _, m := range c.sent {
		acks = append(acks, m.(*signerv1.WatchRequest).GetAck())
	}
	if diff := cmp.Diff([]string{"", "1", "2", "3"}, acks); diff != "" {
		t.Errorf("acknowledgements (-want +got):\n%s", diff)
	}
}

func TestAnUnknownStateOfABitcoinAnswerIsPending(t *testing.T) {
	for _, state := range []string{"", "half_done"} {
		reply := &signerv1.SignBitcoinResponse{State: state, RetryAfterMillis: 7}
		got, err := client(replying(reply), lifecycle.Signer).Signer().SignBitcoin(t.Context(), signer.BitcoinRequest{})
		if err != nil || got.State != signer.BitcoinPending || got.RetryAfterMillis != 7 {
			t.Errorf("state %q: got %+v, %v", state, got, err)
		}
	}
}

func TestAnUnknownCodeIsNotTaken(t *testing.T) {
	reply := &enginev1.AddTransactionsResponse{Results: []*enginev1.AddResult{{Code: "added"}, {Code: "postponed", Text: "later"}}}
	got, err := client(replying(reply), lifecycle.Engine).Engine().AddTransactions(t.Context(), make([][]byte, 2))
	if err != nil {
		t.Fatal(err)
	}
	want := []engine.AddResult{{Code: engine.AddAdded}, {Code: "postponed", Text: "later"}}
	if diff := cmp.Diff(want, got); diff != "" || !got[0].Taken() || got[1].Taken() {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// session hands out events, and keeps orders.
type session struct {
	events chan syncer.Event
	orders []syncer.Order
}

func (s *session) Next(ctx context.Context) (syncer.Event, error) {
	select {
	case e, ok := <-s.events:
		if !ok {
			return syncer.Event{}, io.EOF
		}
		return e, nil
	case <-ctx.Done():
		return syncer.Event{}, ctx.Err()
	}
}

func (s *session) Send(_ context.Context, o syncer.Order) error {
	s.orders = append(s.orders, o)
	return nil
}

// unknownOrder is an order of a later version: a oneof field that this host does not know.
func unknownOrder(sequence uint64) *syncerv1.RunResponse {
	m := &syncerv1.RunResponse{Epoch: 3, Sequence: sequence}
	m.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 99, protowire.BytesType), []byte{8, 1}))
	return m
}

func TestAnUnknownOrderIsRefusedAndTheRunGoesOn(t *testing.T) {
	s := &session{events: make(chan syncer.Event)}
	c := streaming(unknownOrder(41),
		&syncerv1.RunResponse{Epoch: 3, Sequence: 42, Order: &syncerv1.RunResponse_Window{Window: &syncerv1.Window{Bytes: 5}}},
	)
	if err := client(c, lifecycle.Sync).Strategy().Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	want := []syncer.Order{{Epoch: 3, Sequence: 42, Window: &syncer.Window{Bytes: 5}}}
	if diff := cmp.Diff(want, s.orders); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
	refused := &syncerv1.RunRequest{Credits: 1, Event: &syncerv1.RunRequest_Refused{
		Refused: &syncerv1.Refused{Sequence: 41, Reason: "order is empty or of an unknown kind"},
	}}
	if diff := cmp.Diff([]proto.Message{refused}, c.sent, protocmp.Transform()); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

// counting keeps the events that reach a strategy.
type counting struct {
	*syncertest.Memory
	got chan syncer.Event
}

func (c counting) Run(ctx context.Context, s syncer.Session) error {
	for {
		e, err := s.Next(ctx)
		if errors.Is(err, io.EOF) {
			close(c.got)
			return nil
		}
		if err != nil {
			return err
		}
		c.got <- e
	}
}

// TestAnUnknownSyncEventKeepsItsCredits sends what a newer host may send to a plugin of today.
func TestAnUnknownSyncEventKeepsItsCredits(t *testing.T) {
	p := counting{syncertest.NewMemory(), make(chan syncer.Event, 8)}
	stream, err := syncerv1.NewSyncerClient(plugintest.Conn(t, p)).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unknown := func(credits uint32) *syncerv1.RunRequest {
		m := &syncerv1.RunRequest{Epoch: 3, Credits: credits}
		m.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 99, protowire.BytesType), []byte{8, 1}))
		return m
	}
	frozen := &syncerv1.Batch{Id: 1, State: "frozen"}
	for _, m := range []*syncerv1.RunRequest{
		{Epoch: 3, Credits: 2, Event: &syncerv1.RunRequest_Snapshot{Snapshot: &syncerv1.Snapshot{
			Target: 9, Batches: []*syncerv1.Batch{frozen, {Id: 2, State: "downloaded"}},
		}}},
		unknown(3),
		unknown(0),
		{Epoch: 3, Credits: 4, Event: &syncerv1.RunRequest_Batch{Batch: frozen}},
		{Epoch: 3, Event: &syncerv1.RunRequest_Tip{Tip: &syncerv1.Tip{Cursor: 1, Target: 9}}},
	} {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var got []syncer.Event
	for e := range p.got {
		got = append(got, e)
	}
	want := []syncer.Event{
		{Epoch: 3, Credits: 2, Snapshot: &syncer.Snapshot{Target: 9, Batches: []syncer.Batch{{ID: 2, State: syncer.BatchDownloaded}}}},
		{Epoch: 3, Credits: 3},
		{Epoch: 3, Credits: 4},
		{Epoch: 3, Tip: &syncer.Tip{Cursor: 1, Target: 9}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestAnUnknownKindInABitcoinRequestIsTheSignersToRefuse sends what a newer host may ask of a plugin of today.
func TestAnUnknownKindInABitcoinRequestIsTheSignersToRefuse(t *testing.T) {
	s := plugintest.Serve(t, signertest.NewMemory([32]byte{}, "a")).Signer()
	r := signer.BitcoinRequest{Kind: "gift", Inputs: []signer.BitcoinInput{{Kind: "musig"}}}
	if _, err := s.SignBitcoin(t.Context(), r); !errors.Is(err, signer.ErrRefused) {
		t.Errorf("got %v, want %v", err, signer.ErrRefused)
	}
}
