package node

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
)

var testGenesis = chain.Hash{1, 2, 3}

// signing is an authority over a primary and a fallback, with a clock that is in slot 100.
type signing struct {
	*authority
	store   *broken
	alarms  *alarms
	route   *route.Route[signer.Signer]
	primary *place[signer.Signer]
	key     chain.BLSPublicKey
}

func newSigning(t *testing.T, primary, fallback signer.Signer) *signing {
	t.Helper()
	s := &signing{store: &broken{Store: guard.NewMemoryStore()}, alarms: &alarms{}, key: signertest.BLSPublic("a")}
	g, err := guard.Open(t.Context(), guard.Options{
		Store: s.store, Genesis: testGenesis, Now: time.Now, SlotAt: func(time.Time) chain.Slot { return 100 },
	})
	must(t, err)
	s.route = route.New[signer.Signer](route.Options{Name: "signer", Observer: s.alarms})
	s.primary = at("signer.a", primary)
	p := route.Positions[signer.Signer]{Primary: s.primary}
	if fallback != nil {
		p.Fallback = at("signer.b", fallback)
	}
	must(t, s.route.Set(p))
	s.authority = &authority{
		guard: g, route: func() *route.Route[signer.Signer] { return s.route }, holds: func(route.ID, signer.KeyID) bool { return true },
		slotTime: func(chain.Slot) time.Duration { return 2 * time.Second },
	}
	return s
}

func header(slot chain.Slot, height chain.Height) chain.Header {
	return chain.Header{Version: chain.HeaderVersion, Genesis: testGenesis, Slot: slot, Height: height, Parent: chain.Hash{9}}
}

func (s *signing) wantSigned(t *testing.T, h chain.Header) {
	t.Helper()
	sig, err := s.Approve(t.Context(), s.key, h)
	must(t, err)
	if !bls.Verify(s.key, signer.ApprovalRoot(h), sig) {
		t.Error("the signature does not verify")
	}
}

func memory() *signertest.Memory { return signertest.NewMemory(testGenesis, "a") }

func TestApprovalIsSignedRecordedAndRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := signertest.WithFault(memory(), nil)
		s := newSigning(t, f, nil)
		s.wantSigned(t, header(10, 5))
		f.SetFault(signertest.Failing(errors.New("gone")))
		s.wantSigned(t, header(10, 5)) // from the guard's record
		if f.Calls() != 1 {
			t.Errorf("the signer was asked %d times for one block", f.Calls())
		}
	})
}

func TestGuardsRefusalIsFinalAndNobodyIsAsked(t *testing.T) {
	for _, test := range []struct {
		name string
		h    chain.Header
	}{
		{"another block in the slot", func() chain.Header { h := header(10, 5); h.Parent[0] = 8; return h }()},
		{"an earlier slot", header(9, 5)},
		{"a lower height", header(11, 4)},
		{"a slot that has not begun", header(101, 6)},
		{"another chain", func() chain.Header { h := header(11, 6); h.Genesis[0] = 8; return h }()},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := signertest.WithFault(memory(), nil)
				s := newSigning(t, f, nil)
				s.wantSigned(t, header(10, 5))
				_, err := s.Approve(t.Context(), s.key, test.h)
				wantIs(t, err, driver.ErrRefused)
				if f.Calls() != 1 {
					t.Error("a signer saw what the guard refused")
				}
			})
		})
	}
}

func TestSignersRefusalIsFinalAndNoFallbackIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := signertest.WithFault(memory(), nil)
		s := newSigning(t, signertest.WithFault(memory(), signertest.Refusing("policy")), f)
		_, err := s.Approve(t.Context(), s.key, header(10, 5))
		wantIs(t, err, driver.ErrRefused)
		if f.Calls() != 0 {
			t.Error("the fallback was asked for what the primary refused")
		}
	})
}

func TestWrongSignatureIsNoAnswerAndAlarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigning(t, signertest.Forging{Memory: memory()}, memory())
		s.wantSigned(t, header(10, 5)) // by the fallback
		if s.alarms.count() != 1 {
			t.Errorf("%d alarms for a wrong signature", s.alarms.count())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := newSigning(t, signertest.Forging{Memory: memory()}, nil)
		_, err := s.Approve(t.Context(), s.key, header(10, 5))
		wantIs(t, err, driver.ErrUnavailable)
		if errors.Is(err, driver.ErrRefused) || s.alarms.count() == 0 {
			t.Errorf("got %v and %d alarms", err, s.alarms.count())
		}
	})
}

func TestSignerThatRestartsIsAskedAgainInTheSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigning(t, memory(), nil)
		s.primary.leave(errors.New("restarting"))
		time.AfterFunc(700*time.Millisecond, func() { s.primary.leave(nil) })
		start := time.Now()
		s.wantSigned(t, header(10, 5))
		if took := time.Since(start); took < 700*time.Millisecond || took > 800*time.Millisecond {
			t.Errorf("signed after %s, want as soon as the signer is back", took)
		}
	})
}

func TestNoSignerAtAllEndsWithTheSlot(t *testing.T) {
	for name, fault := range map[string]signertest.Fault{
		"failing": signertest.Failing(signer.ErrLocked),
		"hanging": signertest.Slow(time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSigning(t, signertest.WithFault(memory(), fault), nil)
				start := time.Now()
				_, err := s.Approve(t.Context(), s.key, header(10, 5))
				wantIs(t, err, driver.ErrUnavailable)
				if took := time.Since(start); took > 3*time.Second {
					t.Errorf("gave up after %s, the slot has 2s", took)
				}
			})
		})
	}
}

func TestSignerWithoutTheKeyIsNoCandidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := signertest.WithFault(memory(), nil)
		s := newSigning(t, f, memory())
		s.holds = func(id route.ID, _ signer.KeyID) bool { return id.Plugin == "signer.b" }
		s.wantSigned(t, header(10, 5))
		if f.Calls() != 0 {
			t.Error("a signer that did not list the key was asked")
		}
	})
}

func TestGuardThatCannotRecordSignsNothingAndIsNoRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := signertest.WithFault(memory(), nil)
		s := newSigning(t, f, nil)
		s.store.fail(errors.New("disk full"))
		_, err := s.Approve(t.Context(), s.key, header(10, 5))
		wantIs(t, err, driver.ErrUnavailable)
		if errors.Is(err, driver.ErrRefused) || f.Calls() != 0 {
			t.Errorf("got %v after %d calls of the signer", err, f.Calls())
		}
		s.store.fail(nil)
		s.wantSigned(t, header(10, 5))
	})
}

func TestSignatureThatIsNotKeptIsNotGivenOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := signertest.WithFault(memory(), nil)
		s := newSigning(t, f, nil)
		f.SetFault(func(context.Context) error { s.store.fail(errors.New("disk full")); return nil })
		sig, err := s.Approve(t.Context(), s.key, header(10, 5))
		wantIs(t, err, driver.ErrUnavailable)
		if !sig.IsZero() {
			t.Error("a signature was given out that a restart would forget")
		}
		s.store.fail(nil)
		f.SetFault(nil)
		s.wantSigned(t, header(10, 5))
	})
}

func TestShadowsAreComparedByteForByte(t *testing.T) {
	a, b := devKey(0).Sign(chain.Hash{1}), devKey(0).Sign(chain.Hash{2})
	if compareApprovals(a, a) != route.Agree || compareApprovals(a, b) != route.Disagree {
		t.Error("equal signatures agree and others do not")
	}
}

// TestReservedAndUnsignedBlockStaysAboveTheFloor: a node that died between reservation and signature must be able to
// have that block signed by a newcomer.
func TestReservedAndUnsignedBlockStaysAboveTheFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigning(t, signertest.WithFault(memory(), signertest.Failing(errors.New("dies"))), nil)
		_, err := s.Approve(t.Context(), s.key, header(10, 5))
		wantIs(t, err, driver.ErrUnavailable)

		newcomer := memory()
		raise := func() {
			states, err := s.guard.Show(t.Context())
			must(t, err)
			must(t, newcomer.RaiseFloor(t.Context(), []signer.Floor{floorOf(states[0])}))
		}
		raise()
		s.primary.mu.Lock()
		s.primary.c = newcomer
		s.primary.mu.Unlock()
		s.wantSigned(t, header(10, 5))

		third := memory() // after the signature, the slot is below the floor
		newcomer = third
		raise()
		if _, err := third.Approve(t.Context(), signer.Approval{Key: signer.BLSKey(s.key), Header: header(10, 5)}); !errors.Is(err, signer.ErrRefused) {
			t.Errorf("a signed slot is above the floor: %v", err)
		}
	})
}

func TestFloorOfAKeyWithoutAnApprovalIsTheGuards(t *testing.T) {
	for _, test := range []struct {
		name  string
		state guard.KeyState
		want  chain.Slot
	}{
		{"only a floor is known", guard.KeyState{Slot: 7}, 7},
		{"signed", guard.KeyState{Slot: 7, Block: chain.Hash{1}, Signed: true}, 7},
		{"reserved", guard.KeyState{Slot: 7, Block: chain.Hash{1}}, 6},
		{"reserved in slot 0", guard.KeyState{Block: chain.Hash{1}}, 0},
	} {
		if got := floorOf(test.state); got.Slot != test.want {
			t.Errorf("%s: floor at slot %d, want %d", test.name, got.Slot, test.want)
		}
	}
}
