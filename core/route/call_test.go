package route_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/sdk/chain"
)

func TestCallAsksPrimaryThenFallback(t *testing.T) {
	for _, tc := range []struct {
		name          string
		spoil         func(a, b *plugin)
		want          string
		err           error
		fallbackAsked int
		state         route.State
	}{
		{"primary answers", func(_, _ *plugin) {}, "a", nil, 0, route.Single},
		{"a refusal is an answer", func(a, _ *plugin) { a.fails(errRefused) }, "", errRefused, 0, route.Single},
		{"an error is no answer", func(a, _ *plugin) { a.fails(errAway) }, "b", nil, 1, route.FallenBack},
		{"a plugin that is down is no answer", func(a, _ *plugin) { a.down = errGone }, "b", nil, 1, route.FallenBack},
		{"a reply that fails its check is no answer", func(a, _ *plugin) { a.says("forged") }, "b", nil, 1, route.FallenBack},
		{"a late reply is no answer", func(a, _ *plugin) { a.takes(500 * time.Millisecond) }, "b", nil, 1, route.FallenBack},
		{"the fallback's refusal is an answer", func(a, b *plugin) { a.fails(errAway); b.fails(errRefused) }, "", errRefused, 1, route.FallenBack},
		{"nobody answers", func(a, b *plugin) { a.fails(errAway); b.down = errGone }, "", route.ErrNoAnswer, 0, route.Broken},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newPlugin("a").says("a"), newPlugin("b").says("b")
				r, _ := newRoute(t, positions{Primary: a, Fallback: b}, route.Options{})
				tc.spoil(a, b)
				got, err := ask(t, r, 1)
				if got != tc.want || !errors.Is(err, tc.err) {
					t.Errorf("got %q, %v", got, err)
				}
				if b.times() != tc.fallbackAsked {
					t.Errorf("fallback was asked %d times", b.times())
				}
				if r.State() != tc.state {
					t.Errorf("state %s, want %s", r.State(), tc.state)
				}
			})
		})
	}
}

func TestNoAnswerNamesEveryCause(t *testing.T) {
	r, _ := newRoute(t, positions{Primary: newPlugin("a").fails(errAway), Fallback: newPlugin("b").fails(errGone)}, route.Options{})
	_, err := ask(t, r, 1)
	for _, want := range []error{route.ErrNoAnswer, errAway, errGone} {
		if !errors.Is(err, want) {
			t.Errorf("%v is not in %v", want, err)
		}
	}
}

func TestSharesOfTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := newPlugin("a").takes(time.Hour), newPlugin("b").takes(time.Hour), newPlugin("c").takes(time.Hour)
		r, w := newRoute(t, positions{Primary: a, Fallback: b, Canary: c, Share: 9999}, route.Options{})
		started := time.Now()
		_, err := ask(t, r, slotFor("", 9999, true))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(started) != time.Second {
			t.Fatalf("%v after %s", err, time.Since(started))
		}
		want := map[route.Position]time.Duration{route.Canary: 300 * time.Millisecond, route.Primary: 400 * time.Millisecond, route.Fallback: 300 * time.Millisecond}
		for _, c := range w.calls {
			if want[c.Position] != c.Took {
				t.Errorf("%s had %s", c.Position, c.Took)
			}
		}
	})
}

// slotFor finds a slot that the canary answers, or not.
func slotFor(step string, share route.Share, drawn bool) chain.Slot {
	for s := chain.Slot(1); ; s++ {
		if (route.Bucket(step, s) < share) == drawn {
			return s
		}
	}
}

func TestCallerWhoGoesAwayIsNotThePluginsFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPlugin("a").takes(time.Hour), newPlugin("b")
		r, _ := newRoute(t, positions{Primary: a, Fallback: b}, route.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		_, err := route.Call(ctx, r, request(1), func(ctx context.Context, p *plugin) (string, error) { return p.do(ctx, "") }, opts())
		if !errors.Is(err, context.Canceled) || b.times() != 0 || r.State() != route.Single {
			t.Errorf("%v, fallback asked %d times, state %s", err, b.times(), r.State())
		}
		if got := r.Window(a.ID(), time.Time{}); got.Failures != 0 {
			t.Errorf("counted %d failures", got.Failures)
		}
	})
}

func TestFallbackIsStickyUntilPromoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPlugin("a").says("x").fails(errAway), newPlugin("b").says("x")
		r, w := newRoute(t, positions{Primary: a, Fallback: b}, route.Options{})
		if err := r.Promote(); !errors.Is(err, route.ErrNotFallenBack) {
			t.Errorf("promote: %v", err)
		}
		_, _ = ask(t, r, 1)
		a.says("x")
		for s := range chain.Slot(5) {
			if _, err := ask(t, r, s); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if b.times() != 6 || w.comparisons()[route.Agree] != 5 {
			t.Errorf("fallback asked %d times, recovered primary compared %v", b.times(), w.comparisons())
		}
		if err := r.Promote(); err != nil {
			t.Fatal(err)
		}
		_, _ = ask(t, r, 9)
		if b.times() != 6 || r.State() != route.Single {
			t.Errorf("after promotion the fallback was asked; state %s", r.State())
		}
	})
}

func TestPromoteNeedsAPrimaryThatCanBeCalled(t *testing.T) {
	a, b := newPlugin("a"), newPlugin("b")
	a.down = errGone
	r, _ := newRoute(t, positions{Primary: a, Fallback: b}, route.Options{})
	_, _ = ask(t, r, 1)
	if err := r.Promote(); !errors.Is(err, errGone) || r.State() != route.FallenBack {
		t.Errorf("%v, state %s", err, r.State())
	}
}

func TestProbationCountsEveryFailure(t *testing.T) {
	a, old := newPlugin("new").fails(errAway), newPlugin("old").says("old")
	r, _ := newRoute(t, positions{Primary: a, Warm: old, Probation: true}, route.Options{})
	for s := range chain.Slot(3) {
		if got, err := ask(t, r, s); got != "old" || err != nil {
			t.Fatalf("%q %v", got, err)
		}
	}
	if got := r.Window(a.ID(), time.Time{}); got.Failures != 3 || r.State() != route.Probation {
		t.Errorf("%d failures, state %s", got.Failures, r.State())
	}
}

func TestCanaryThatFailsIsAnsweredByThePrimary(t *testing.T) {
	a, c := newPlugin("a").says("a"), newPlugin("c").fails(errAway)
	r, _ := newRoute(t, positions{Primary: a, Canary: c, Share: 5000}, route.Options{})
	got, err := ask(t, r, slotFor("", 5000, true))
	if got != "a" || err != nil {
		t.Fatalf("%q %v", got, err)
	}
	if w := r.Window(c.ID(), time.Time{}); w.Calls != 1 || w.Failures != 1 {
		t.Errorf("canary's counts %+v", w)
	}
}

func TestCanaryImpliesShadow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, c := newPlugin("a"), newPlugin("c")
		r, w := newRoute(t, positions{Primary: a, Canary: c, Share: 5000}, route.Options{})
		for s := range chain.Slot(200) {
			if _, err := ask(t, r, s); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := w.comparisons()[route.Agree]; got != 200 {
			t.Errorf("%d of 200 slots were sampled", got)
		}
		if a.times() != 200 || c.times() != 200 {
			t.Errorf("asked %d and %d times", a.times(), c.times())
		}
	})
}

func TestDisagreementDetachesShadowOrCanary(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(a, b *plugin) positions
		slot chain.Slot
	}{
		{"shadow", func(a, b *plugin) positions { return positions{Primary: a, Shadow: b} }, 1},
		{"canary that is compared", func(a, b *plugin) positions { return positions{Primary: a, Canary: b, Share: 5000} }, slotFor("", 5000, false)},
		{"canary that answered", func(a, b *plugin) positions { return positions{Primary: a, Canary: b, Share: 5000} }, slotFor("", 5000, true)},
	} {
		for _, lie := range []string{"other", "forged"} {
			t.Run(tc.name+" says "+lie, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a, b := newPlugin("a").says("truth"), newPlugin("b").says(lie)
					r, w := newRoute(t, tc.set(a, b), route.Options{})
					if _, err := ask(t, r, tc.slot); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					if al := w.alarmed(); len(al) != 1 || al[0].Target != b.ID() || !al[0].Detached {
						t.Fatalf("alarms %+v", al)
					}
					asked := b.times()
					got, err := ask(t, r, tc.slot)
					synctest.Wait()
					if got != "truth" || err != nil || b.times() != asked || r.State() != route.Single {
						t.Errorf("%q %v, asked %d times, state %s", got, err, b.times()-asked, r.State())
					}
				})
			})
		}
	}
}

func TestRefusalOfTheShadowIsNotASample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newRoute(t, positions{Primary: newPlugin("a"), Shadow: newPlugin("b").fails(errRefused)}, route.Options{})
		_, _ = ask(t, r, 1)
		synctest.Wait()
		if got := w.comparisons(); got[route.NotSampled] != 1 || len(got) != 1 {
			t.Errorf("comparisons %v", got)
		}
	})
}

func TestShadowNeverSlowsThePrimaryAndItsQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPlugin("a"), newPlugin("b")
		b.gate = make(chan struct{})
		r, w := newRoute(t, positions{Primary: a, Shadow: b}, route.Options{QueueLen: 10})
		started := time.Now()
		for s := range chain.Slot(100) {
			if _, err := ask(t, r, s); err != nil {
				t.Fatal(err)
			}
		}
		if time.Since(started) != 0 {
			t.Errorf("calls took %s", time.Since(started))
		}
		close(b.gate)
		synctest.Wait()
		got := w.comparisons()
		if got[route.Agree]+got[route.NotSampled] != 100 || got[route.Agree] < 10 || got[route.Agree] > 11 {
			t.Errorf("comparisons %v", got)
		}
		if len(r.Comparisons()) != 100 {
			t.Errorf("log has %d entries", len(r.Comparisons()))
		}
	})
}

func TestShadowQueueIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPlugin("b")
		b.gate = make(chan struct{})
		r, w := newRoute(t, positions{Primary: newPlugin("a"), Shadow: b}, route.Options{QueueBytes: 100})
		for s := range chain.Slot(10) {
			q := request(s)
			q.Size = 40
			if _, err := route.Call(t.Context(), r, q, func(ctx context.Context, p *plugin) (string, error) { return p.do(ctx, "") }, opts()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		close(b.gate)
		synctest.Wait()
		if got := w.comparisons(); got[route.Agree] != 3 {
			t.Errorf("comparisons %v, want one running and two queued", got)
		}
	})
}

func TestTargetsWithoutTheKeyAreNoCandidates(t *testing.T) {
	a, b := newPlugin("a").says("a"), newPlugin("b").says("b")
	r, _ := newRoute(t, positions{Primary: a, Fallback: b}, route.Options{})
	q := request(1)
	q.Eligible = func(id route.ID) bool { return id.Plugin == "b" }
	got, err := route.Call(t.Context(), r, q, func(ctx context.Context, p *plugin) (string, error) { return p.do(ctx, "") }, opts())
	if got != "b" || err != nil || a.times() != 0 || r.State() != route.Single {
		t.Errorf("%q %v, primary asked %d times, state %s", got, err, a.times(), r.State())
	}
}

func TestPluginInSeveralPositionsIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPlugin("a"), newPlugin("b")
		r, _ := newRoute(t, positions{Primary: a, Fallback: b, Shadow: b, Canary: b, Share: 1}, route.Options{})
		if _, err := ask(t, r, slotFor("", 1, false)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if a.times() != 1 || b.times() != 1 {
			t.Errorf("asked %d and %d times", a.times(), b.times())
		}
	})
}

func TestHeldRouteWaitsWithTheCallersDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRoute(t, positions{Primary: newPlugin("a")}, route.Options{})
		r.Hold()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := route.Call(ctx, r, request(1), func(ctx context.Context, p *plugin) (string, error) { return p.do(ctx, "") }, opts())
		if !errors.Is(err, route.ErrHeld) || !errors.Is(err, context.DeadlineExceeded) || r.State() != route.Held {
			t.Errorf("%v, state %s", err, r.State())
		}
		time.AfterFunc(time.Minute, r.Release)
		if _, err := ask(t, r, 1); err != nil {
			t.Errorf("a caller who can wait: %v", err)
		}
	})
}

func TestDrainWaitsForCallsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := newPlugin("old").says("old").takes(100 * time.Millisecond)
		r, _ := newRoute(t, positions{Primary: old}, route.Options{})
		done := make(chan string, 1)
		go func() {
			got, _ := ask(t, r, 1)
			done <- got
		}()
		synctest.Wait()
		if err := r.Set(positions{Primary: newPlugin("new")}); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := r.Drain(short, old.ID()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drain of a busy target: %v", err)
		}
		if err := r.Drain(t.Context(), old.ID()); err != nil {
			t.Error(err)
		}
		if got := <-done; got != "old" {
			t.Errorf("the call in flight got %q", got)
		}
		if len(r.Status().Targets) != 1 {
			t.Errorf("a drained target is not forgotten: %+v", r.Status())
		}
	})
}

func TestClosedRouteRefuses(t *testing.T) {
	r, _ := newRoute(t, positions{Primary: newPlugin("a")}, route.Options{})
	_ = r.Close()
	if _, err := ask(t, r, 1); !errors.Is(err, route.ErrClosed) {
		t.Errorf("call: %v", err)
	}
	if err := r.Set(positions{}); !errors.Is(err, route.ErrClosed) {
		t.Errorf("set: %v", err)
	}
}

func TestPositionsThatDoNotFitAreRefused(t *testing.T) {
	a, b := newPlugin("a"), newPlugin("b")
	r, _ := newRoute(t, positions{Primary: a}, route.Options{})
	for name, p := range map[string]positions{
		"fallback without primary": {Fallback: b},
		"primary is fallback":      {Primary: a, Fallback: a},
		"primary is shadow":        {Primary: a, Shadow: a},
		"primary is canary":        {Primary: a, Canary: a, Share: 1},
		"canary of nothing":        {Primary: a, Canary: b},
		"canary of everything":     {Primary: a, Canary: b, Share: route.FullShare},
	} {
		if err := r.Set(p); !errors.Is(err, route.ErrBadPositions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
