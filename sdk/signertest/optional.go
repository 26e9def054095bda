package signertest

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
)

// need gives the optional interface of a capability, or skips.
func need[T any](t *testing.T, s *subject, c lifecycle.Capability) T {
	t.Helper()
	v, ok := s.s.(T)
	if !s.has(c) {
		t.Skipf("without capability %s", c)
	}
	if !ok {
		t.Fatalf("describes capability %s and does not have its methods", c)
	}
	return v
}

func testBatch(t *testing.T, s *subject) {
	b := need[signer.SignerWithBatch](t, s, lifecycle.CapBatch)
	key := s.approval[0]
	s.approve(t, key, s.header(10, 5, 0))
	other := s.header(12, 6, 0)
	other.Genesis[0] ^= 0xff
	requests := []signer.Approval{
		{Key: key, Header: s.header(11, 6, 0)},
		{Key: key, Header: s.header(11, 6, 1)},
		{Key: signer.BLSKey(BLSPublic("a key that no signer holds")), Header: s.header(12, 6, 0)},
		{Key: key, Header: other},
		{Key: key, Header: s.header(12, 7, 0)},
	}
	want := []error{nil, signer.ErrRefused, signer.ErrUnknownKey, signer.ErrRefused, nil}
	got, err := b.ApproveBatch(ctx(t), requests)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d results for %d requests", len(got), len(want))
	}
	for i, r := range got {
		if !errors.Is(r.Err, want[i]) {
			t.Errorf("request %d: got error %v, want %v", i, r.Err, want[i])
		}
		if want[i] == nil && r.Err == nil {
			wantSignature(t, key, signer.ApprovalRoot(requests[i].Header), r.Signature)
		}
	}
}

func testFloor(t *testing.T, s *subject) {
	f := need[signer.SignerWithFloor](t, s, lifecycle.CapFloor)
	key := s.approval[0]
	raise := func(slot chain.Slot, height chain.Height) {
		t.Helper()
		if err := f.RaiseFloor(ctx(t), []signer.Floor{{Key: key, Slot: slot, Height: height}}); err != nil {
			t.Fatalf("raise floor to slot %d, height %d: %v", slot, height, err)
		}
	}
	raise(100, 50)
	s.wantRefused(t, key, s.header(100, 50, 0))
	s.wantRefused(t, key, s.header(99, 60, 0))
	s.wantRefused(t, key, s.header(101, 49, 0))
	raise(5, 5) // no error, and no change
	s.wantRefused(t, key, s.header(100, 50, 0))
	s.wantRefused(t, key, s.header(101, 49, 0))
	s.approve(t, key, s.header(101, 50, 0))
	if s.h.Restart != nil {
		raise(200, 90)
		s.s = s.h.Restart(t, s.s)
		s.wantRefused(t, key, s.header(200, 90, 0))
		s.wantRefused(t, key, s.header(201, 89, 0))
		s.approve(t, key, s.header(201, 90, 0))
	}
}

func testUpdate(t *testing.T, s *subject) {
	u := need[signer.SignerWithUpdates](t, s, lifecycle.CapUpdates)
	update := signer.Update{Key: s.approval[0], Genesis: s.h.Genesis, Encoded: []byte("an update")}
	sig, err := u.SignUpdate(ctx(t), update)
	if err != nil {
		t.Fatal(err)
	}
	wantSignature(t, update.Key, signer.UpdateRoot(update), sig)
	update.Genesis[0] ^= 0xff
	if _, err := u.SignUpdate(ctx(t), update); !errors.Is(err, signer.ErrRefused) {
		t.Errorf("another genesis: got error %v, want %v", err, signer.ErrRefused)
	}
}

func testEvents(t *testing.T, s *subject) {
	w := need[signer.SignerWithEvents](t, s, lifecycle.CapEvents)
	if s.h.Emit == nil {
		t.Skip("the harness cannot make events")
	}
	events := []signer.Event{
		{ID: "1", Kind: signer.EventKeysChanged, Subject: "keys"},
		{ID: "2", Kind: signer.EventUpdate, Subject: "update", Data: []byte("signed"), Expires: 1234},
	}
	for _, e := range events {
		s.h.Emit(t, s.s, e)
	}
	for _, watch := range []struct {
		name   string
		handle int // how many events are handled before the handler fails
		want   []signer.Event
	}{
		{"the first handler fails", 0, events[:1]},
		{"an event whose handler failed comes again", 1, events},
		{"a handled event does not come again", 0, events[1:]},
	} {
		got := watchEvents(t, w, watch.handle)
		if diff := cmp.Diff(watch.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: events differ (-want +got):\n%s", watch.name, diff)
		}
	}
}

// watchEvents handles so many events, and fails at the next one, which it returns too.
func watchEvents(t *testing.T, w signer.SignerWithEvents, handle int) []signer.Event {
	t.Helper()
	var got []signer.Event
	busy := errors.New("busy")
	err := w.Watch(ctx(t), func(_ context.Context, e signer.Event) error {
		got = append(got, e)
		if len(got) > handle {
			return busy
		}
		return nil
	})
	if !errors.Is(err, busy) {
		t.Fatalf("watch: got error %v, want the handler's", err)
	}
	return got
}

func testUnsupported(t *testing.T, s *subject) {
	check := func(c lifecycle.Capability, call func() (bool, error)) {
		t.Helper()
		if s.has(c) {
			return
		}
		if has, err := call(); has && !errors.Is(err, lifecycle.ErrUnsupported) {
			t.Errorf("without capability %s: got error %v, want %v", c, err, lifecycle.ErrUnsupported)
		}
	}
	check(lifecycle.CapBatch, func() (bool, error) {
		v, ok := s.s.(signer.SignerWithBatch)
		if !ok {
			return false, nil
		}
		_, err := v.ApproveBatch(ctx(t), nil)
		return true, err
	})
	check(lifecycle.CapFloor, func() (bool, error) {
		v, ok := s.s.(signer.SignerWithFloor)
		if !ok {
			return false, nil
		}
		return true, v.RaiseFloor(ctx(t), nil)
	})
	check(lifecycle.CapUpdates, func() (bool, error) {
		v, ok := s.s.(signer.SignerWithUpdates)
		if !ok {
			return false, nil
		}
		_, err := v.SignUpdate(ctx(t), signer.Update{Key: s.approval[0], Genesis: s.h.Genesis})
		return true, err
	})
	check(lifecycle.CapEvents, func() (bool, error) {
		v, ok := s.s.(signer.SignerWithEvents)
		if !ok {
			return false, nil
		}
		return true, v.Watch(ctx(t), func(context.Context, signer.Event) error { return nil })
	})
	check(lifecycle.CapKeyAdmin, func() (bool, error) {
		v, ok := s.s.(signer.SignerWithKeyAdmin)
		if !ok {
			return false, nil
		}
		_, err := v.CreateKey(ctx(t), signer.NewKey{Purpose: signer.PurposeApproval})
		return true, err
	})
}
