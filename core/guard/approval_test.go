package guard_test

import (
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

func TestApprovalRule(t *testing.T) {
	tests := []struct {
		name string
		next chain.Header
		want guard.Reason // empty: allowed
	}{
		{"a later slot and a higher block is allowed", header(12, 6, 1), ""},
		{"a later slot at the same height is allowed", header(12, 5, 1), ""},
		{"another block for the same slot is refused", header(11, 6, 2), guard.ReasonConflict},
		{"an earlier slot is refused", header(9, 5, 1), guard.ReasonStaleSlot},
		{"a later slot at a lower height is refused", header(12, 4, 1), guard.ReasonLowerHeight},
		{"the same block again is allowed", header(11, 5, 1), ""},
		{"an earlier recorded block again is allowed", header(10, 4, 1), ""},
		{"another block for an earlier recorded slot is refused", header(10, 4, 2), guard.ReasonConflict},
		{"a slot that has not begun is refused", header(21, 9, 1), guard.ReasonFutureSlot},
		{"a header of another chain is refused", chain.Header{Version: 1, Slot: 12, Height: 6, Genesis: chain.Hash{1}}, guard.ReasonWrongChain},
		{"a header of another version is refused", chain.Header{Version: 2, Slot: 12, Height: 6, Genesis: genesis}, guard.ReasonWrongChain},
		{"a header without a slot is refused", header(0, 6, 1), guard.ReasonWrongChain},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := newSecret(t)
			g := open(t, options(guard.NewMemoryStore(), atSlot(20)))
			reserve(t, g, key.id, header(10, 4, 1))
			reserve(t, g, key.id, header(11, 5, 1))
			_, err := g.ReserveApproval(t.Context(), key.id, tt.next)
			if tt.want == "" {
				if err != nil {
					t.Fatalf("got %v, want it allowed", err)
				}
				return
			}
			wantRefused(t, err, tt.want)
		})
	}
}

func TestSameRequestGetsTheRecordedAnswerAfterARestart(t *testing.T) {
	key, store, c := newSecret(t), guard.NewMemoryStore(), atSlot(20)
	h := header(10, 4, 1)
	g := open(t, options(store, c))
	r := reserve(t, g, key.id, h)
	if r.Recorded != nil {
		t.Fatal("a first request has a recorded answer")
	}
	sig := key.Sign(signer.ApprovalRoot(h))
	for range 2 { // keeping it twice is no error
		if err := g.Complete(t.Context(), r, sig); err != nil {
			t.Fatal(err)
		}
	}
	reserve(t, g, key.id, header(11, 5, 1))

	g = open(t, options(store, c))
	again := reserve(t, g, key.id, h)
	if again.Recorded == nil || *again.Recorded != sig {
		t.Fatalf("got %v, want the recorded signature", again.Recorded)
	}
	_, err := g.ReserveApproval(t.Context(), key.id, header(10, 4, 2))
	wantRefused(t, err, guard.ReasonConflict)
}

func TestCrashBetweenRecordAndReply(t *testing.T) {
	for _, after := range []bool{false, true} {
		t.Run(map[bool]string{false: "the record was not written", true: "the record was written"}[after], func(t *testing.T) {
			key, disk, c := newSecret(t), guard.NewMemoryStore(), atSlot(20)
			g := open(t, options(&crashing{Store: disk, left: 1, after: after}, c))
			_, err := g.ReserveApproval(t.Context(), key.id, header(10, 4, 1))
			if !errors.Is(err, guard.ErrNotRecorded) || errors.Is(err, signer.ErrRefused) {
				t.Fatalf("got %v, want a failure and no refusal", err)
			}
			g = open(t, options(disk, c))
			_, err = g.ReserveApproval(t.Context(), key.id, header(10, 4, 2))
			if after {
				wantRefused(t, err, guard.ReasonConflict)
				if r := reserve(t, g, key.id, header(10, 4, 1)); r.Recorded != nil {
					t.Fatal("a block that was never signed has a recorded answer")
				}
			} else if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestCompleteKeepsOnlyTheRightSignature(t *testing.T) {
	key, other := newSecret(t), newSecret(t)
	g := open(t, options(guard.NewMemoryStore(), atSlot(20)))
	r := reserve(t, g, key.id, header(10, 4, 1))

	wantRefused(t, g.Complete(t.Context(), r, other.Sign(signer.ApprovalRoot(r.Header))), guard.ReasonBadSignature)
	wantRefused(t, g.Complete(t.Context(), r, chain.BLSSignature{}), guard.ReasonBadSignature)

	never := header(11, 5, 1)
	forged := guard.Reservation{Key: key.id, Header: never, Block: never.Hash()}
	wantRefused(t, g.Complete(t.Context(), forged, key.Sign(signer.ApprovalRoot(never))), guard.ReasonNoSuchApproval)

	if again := reserve(t, g, key.id, r.Header); again.Recorded != nil {
		t.Fatal("a wrong signature was recorded")
	}
}

func TestVerifiedSignatureCountsForItsOwnBlockAndKeyOnly(t *testing.T) {
	key, other := newSecret(t), newSecret(t)
	g := open(t, options(guard.NewMemoryStore(), atSlot(20)))
	r := reserve(t, g, key.id, header(10, 4, 1))
	sig := key.Sign(signer.ApprovalRoot(r.Header))
	for range 2 { // the second answer is remembered
		if !r.Verifies(sig) {
			t.Fatal("the right signature does not verify")
		}
	}
	if r.Verifies(other.Sign(signer.ApprovalRoot(r.Header))) || r.Verifies(chain.BLSSignature{}) {
		t.Error("a wrong signature verifies")
	}
	moved, lent := r, r
	moved.Block, lent.Key = header(11, 5, 1).Hash(), other.id
	if moved.Verifies(sig) || lent.Verifies(sig) {
		t.Error("what verified for one block and key verifies for another")
	}
	if err := g.Complete(t.Context(), r, sig); err != nil {
		t.Errorf("keep a verified signature: %v", err)
	}
	if (guard.Reservation{Key: "nonsense", Block: r.Block}).Verifies(sig) {
		t.Error("a key that is none verifies")
	}
}

func TestClockOneHourForwardBurnsNoSlots(t *testing.T) {
	key, c := newSecret(t), atSlot(1_000_000)
	offset := time.Duration(0)
	o := options(guard.NewMemoryStore(), c)
	o.Peers = func() (time.Duration, bool) { return offset, true }
	g := open(t, o)
	reserve(t, g, key.id, header(1_000_000, 4, 1))

	c.Add(time.Hour)
	offset = time.Hour
	_, err := g.ReserveApproval(t.Context(), key.id, header(slotAt(c.Now()), 5, 1))
	wantRefused(t, err, guard.ReasonClockSkew)

	c.Add(-time.Hour + slotTime)
	offset = 0
	reserve(t, g, key.id, header(1_000_001, 5, 1))
}

func TestClockOneHourBackwardRefusesWithoutRecording(t *testing.T) {
	key, c := newSecret(t), atSlot(1_000_000)
	g := open(t, options(guard.NewMemoryStore(), c))
	reserve(t, g, key.id, header(1_000_000, 4, 1))

	c.Add(-time.Hour)
	_, err := g.ReserveApproval(t.Context(), key.id, header(1_000_001, 5, 1))
	wantRefused(t, err, guard.ReasonFutureSlot)
	_, err = g.ReserveApproval(t.Context(), key.id, header(slotAt(c.Now()), 5, 1))
	wantRefused(t, err, guard.ReasonStaleSlot)

	c.Add(time.Hour + slotTime)
	reserve(t, g, key.id, header(1_000_001, 5, 2))
}

func TestPeerOffset(t *testing.T) {
	tests := []struct {
		name   string
		offset time.Duration
		known  bool
		want   guard.Reason
	}{
		{"a second ahead is allowed", time.Second, true, ""},
		{"more than a second ahead is refused", time.Second + time.Millisecond, true, guard.ReasonClockSkew},
		{"more than a second behind is refused", -time.Second - time.Millisecond, true, guard.ReasonClockSkew},
		{"without peers nothing is compared", time.Hour, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := newSecret(t)
			o := options(guard.NewMemoryStore(), atSlot(20))
			o.Peers = func() (time.Duration, bool) { return tt.offset, tt.known }
			_, err := open(t, o).ReserveApproval(t.Context(), key.id, header(10, 4, 1))
			if tt.want != "" {
				wantRefused(t, err, tt.want)
			} else if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestDriftLetsASlotBeApprovedEarly(t *testing.T) {
	key, c := newSecret(t), &clock{now: startOf(20).Add(-400 * time.Millisecond)}
	o := options(guard.NewMemoryStore(), c)
	_, err := open(t, o).ReserveApproval(t.Context(), key.id, header(20, 4, 1))
	wantRefused(t, err, guard.ReasonFutureSlot)
	o.Drift = 500 * time.Millisecond
	reserve(t, open(t, o), key.id, header(20, 4, 1))
}

func TestFullDiskFailsWithItsReasonAndRecovers(t *testing.T) {
	key := newSecret(t)
	var events []guard.Event
	store := &failing{Store: guard.NewMemoryStore(), err: syscall.ENOSPC}
	o := options(store, atSlot(20))
	o.Observe = func(e guard.Event) { events = append(events, e) }
	g := open(t, o)
	_, err := g.ReserveApproval(t.Context(), key.id, header(10, 4, 1))
	if !errors.Is(err, guard.ErrNotRecorded) || !errors.Is(err, syscall.ENOSPC) || errors.Is(err, signer.ErrRefused) {
		t.Fatalf("got %v, want a failure that names the full disk", err)
	}
	if len(events) != 1 || events[0].Kind != guard.EventFailed || !events[0].Alarm() {
		t.Fatalf("got events %v, want one failure that alarms", events)
	}
	store.err = nil
	reserve(t, g, key.id, header(10, 4, 2)) // nothing was signed, so another block is fine
}

func TestOneSpellingOfAKey(t *testing.T) {
	key := newSecret(t)
	g := open(t, options(guard.NewMemoryStore(), atSlot(20)))
	reserve(t, g, key.id, header(10, 4, 1))
	without0x := signer.KeyID("bls:" + string(key.id[len("bls:0x"):]))
	for _, id := range []signer.KeyID{without0x, guard.BitcoinID, "", "bls:0x12"} {
		_, err := g.ReserveApproval(t.Context(), id, header(10, 4, 2))
		wantRefused(t, err, guard.ReasonNotAnApprover)
	}
}

func TestSameKeyTwiceAtOnce(t *testing.T) {
	tests := []struct {
		name   string
		guards int // on one store
	}{{"within one guard", 1}, {"with two guards on one store", 2}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key, store, c := newSecret(t), guard.NewMemoryStore(), atSlot(1000)
			guards := make([]*guard.Guard, tt.guards)
			for i := range guards {
				guards[i] = open(t, options(store, c))
			}
			for slot := chain.Slot(1); slot <= 50; slot++ {
				allowed := make([]bool, 8)
				var wg sync.WaitGroup
				for i := range allowed {
					wg.Go(func() {
						g := guards[i%len(guards)]
						_, err := g.ReserveApproval(t.Context(), key.id, header(slot, 1, byte(i)))
						if allowed[i] = err == nil; err != nil {
							wantRefusal(t, err)
						}
					})
				}
				wg.Wait()
				if n := count(allowed); n != 1 {
					t.Fatalf("%d rival blocks were allowed at slot %s, want 1", n, slot)
				}
			}
		})
	}
}

func wantRefusal(t *testing.T, err error) {
	if !errors.Is(err, signer.ErrRefused) {
		t.Errorf("got %v, want a refusal", err)
	}
}

func count(bs []bool) (n int) {
	for _, b := range bs {
		if b {
			n++
		}
	}
	return n
}

func TestGuardOnAStoreThatMovedOnReadsAgain(t *testing.T) {
	key, store, c := newSecret(t), guard.NewMemoryStore(), atSlot(1000)
	a, b := open(t, options(store, c)), open(t, options(store, c))
	reserve(t, a, key.id, header(10, 4, 1))
	_, err := b.ReserveApproval(t.Context(), key.id, header(10, 4, 2))
	wantRefused(t, err, guard.ReasonConflict)
	_, err = b.ReserveApproval(t.Context(), key.id, header(9, 4, 2))
	wantRefused(t, err, guard.ReasonStaleSlot)
	reserve(t, b, key.id, header(10, 4, 1)) // the same block is the same request for both
}

func TestEventsOfRefusalsAlarmOnlyWhenTheRuleWasAttacked(t *testing.T) {
	key := newSecret(t)
	var last guard.Event
	o := options(guard.NewMemoryStore(), atSlot(20))
	o.Observe = func(e guard.Event) { last = e }
	g := open(t, o)
	steps := []struct {
		header chain.Header
		kind   guard.EventKind
		alarm  bool
	}{
		{header(10, 4, 1), guard.EventReserved, false},
		{header(10, 4, 1), guard.EventRepeated, false},
		{header(10, 4, 2), guard.EventRefused, true},
		{header(11, 3, 1), guard.EventRefused, true},
		{header(9, 4, 1), guard.EventRefused, false},
		{header(21, 4, 1), guard.EventRefused, false},
	}
	for i, s := range steps {
		_, err := g.ReserveApproval(t.Context(), key.id, s.header)
		if last.Kind != s.kind || last.Alarm() != s.alarm || (err == nil) != (last.Err == nil) {
			t.Errorf("step %d: got %s, alarm %v, error %v; want %s, %v", i, last.Kind, last.Alarm(), last.Err, s.kind, s.alarm)
		}
		if last.Key != key.id || last.Slot != s.header.Slot {
			t.Errorf("step %d: the event is of key %s, slot %s", i, last.Key, last.Slot)
		}
	}
}
