package route_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/sdk/chain"
)

func newWriter(t *testing.T, p positions, o route.WriterOptions[*plugin]) (*route.Writer[*plugin], *watcher) {
	t.Helper()
	r, w := newRoute(t, p, route.Options{})
	return route.NewWriter(r, o), w
}

func write(t *testing.T, w *route.Writer[*plugin], slot chain.Slot) (string, error) {
	t.Helper()
	return route.Write(t.Context(), w, request(slot), func(ctx context.Context, p *plugin) (string, error) { return p.do(ctx, fmt.Sprint(slot)) }, opts())
}

func TestWriterDrivesEveryPluginInTheSameOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c, d := newPlugin("a"), newPlugin("b").takes(time.Millisecond), newPlugin("c").takes(3*time.Millisecond), newPlugin("d")
		w, _ := newWriter(t, positions{Primary: a, Fallback: b, Shadow: c, Canary: d, Share: 5000}, route.WriterOptions[*plugin]{})
		var want []string
		for s := range chain.Slot(50) {
			if _, err := write(t, w, s); err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprint(s))
		}
		w.Route().Hold()
		if err := w.Route().Quiesce(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, p := range []*plugin{a, b, c, d} {
			if got := p.seen(); !slices.Equal(got, want) {
				t.Errorf("%s saw %v", p.label, got)
			}
		}
	})
}

func TestWriterInvalidIsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPlugin("a").says("INVALID"), newPlugin("b").says("INVALID")
		w, _ := newWriter(t, positions{Primary: a, Fallback: b}, route.WriterOptions[*plugin]{})
		got, err := write(t, w, 1)
		if got != "INVALID" || err != nil || w.Route().State() != route.Single {
			t.Errorf("%q %v, state %s", got, err, w.Route().State())
		}
	})
}

func TestWriterFallbackAnswersTheSameWriteWithoutASecondOne(t *testing.T) {
	for name, spoil := range map[string]func(*plugin){
		"syncing": func(p *plugin) { p.fails(errSyncing) },
		"down":    func(p *plugin) { p.with(func(p *plugin) { p.down = errGone }) },
		"frozen":  func(p *plugin) { p.takes(20 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newPlugin("a"), newPlugin("b").says("VALID")
				spoil(a)
				w, _ := newWriter(t, positions{Primary: a, Fallback: b}, route.WriterOptions[*plugin]{})
				started := time.Now()
				got, err := write(t, w, 1)
				if got != "VALID" || err != nil || time.Since(started) > 400*time.Millisecond {
					t.Errorf("%q %v after %s", got, err, time.Since(started))
				}
				if b.times() != 1 || w.Route().State() != route.FallenBack {
					t.Errorf("fallback asked %d times, state %s", b.times(), w.Route().State())
				}
			})
		})
	}
}

func TestWriterNeverStartsASecondWriteOnABusyPlugin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPlugin("a").takes(5*time.Second), newPlugin("b")
		w, _ := newWriter(t, positions{Primary: a, Fallback: b}, route.WriterOptions[*plugin]{})
		for s := range chain.Slot(3) {
			if _, err := write(t, w, s); err != nil {
				t.Fatal(err)
			}
		}
		if a.times() != 1 {
			t.Errorf("%d writes were begun on a busy plugin", a.times())
		}
		if err := w.Route().Drain(t.Context(), a.ID()); err != nil { // Quiesce does not wait for one that is late
			t.Fatal(err)
		}
		if got := a.seen(); !slices.Equal(got, []string{"0", "1", "2"}) {
			t.Errorf("order %v", got)
		}
	})
}

func TestWriterCatchesUpAPluginThatIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPlugin("a").says("VALID"), newPlugin("b").fails(errSyncing)
		caught := 0
		w, seen := newWriter(t, positions{Primary: a, Shadow: b}, route.WriterOptions[*plugin]{
			IsBehind: func(err error) bool { return errors.Is(err, errSyncing) },
			CatchUp: func(_ context.Context, id route.ID, p *plugin) error {
				if id != b.ID() {
					t.Errorf("caught up %s", id)
				}
				caught++
				p.says("VALID")
				return nil
			},
		})
		if _, err := write(t, w, 1); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if caught != 1 || seen.comparisons()[route.Agree] != 1 {
			t.Errorf("caught up %d times, comparisons %v", caught, seen.comparisons())
		}
	})
}

func TestWriterSyncingShadowIsNoDisagreement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, seen := newWriter(t, positions{Primary: newPlugin("a"), Shadow: newPlugin("b").fails(errSyncing)}, route.WriterOptions[*plugin]{})
		_, _ = write(t, w, 1)
		synctest.Wait()
		if got := seen.comparisons(); got[route.Failed] != 1 || len(got) != 1 || len(seen.alarmed()) != 0 {
			t.Errorf("comparisons %v, alarms %v", got, seen.alarmed())
		}
	})
}

func TestWriterShadowThatDisagreesIsDetachedAndNotDriven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPlugin("a").says("VALID"), newPlugin("b").says("INVALID")
		w, seen := newWriter(t, positions{Primary: a, Shadow: b}, route.WriterOptions[*plugin]{})
		got, err := write(t, w, 1)
		synctest.Wait()
		_, _ = write(t, w, 2)
		synctest.Wait()
		if got != "VALID" || err != nil || b.times() != 1 || len(seen.alarmed()) != 1 {
			t.Errorf("%q %v, driven %d times, alarms %v", got, err, b.times(), seen.alarmed())
		}
	})
}

func TestWriterPrimaryOverrulesACanary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, c := newPlugin("a").says("VALID").takes(10*time.Millisecond), newPlugin("c").says("INVALID")
		w, seen := newWriter(t, positions{Primary: a, Canary: c, Share: 5000}, route.WriterOptions[*plugin]{})
		got, err := write(t, w, slotFor("", 5000, true))
		synctest.Wait()
		if al := seen.alarmed(); got != "VALID" || err != nil || len(al) != 1 || al[0].Target != c.ID() {
			t.Errorf("%q %v, alarms %+v", got, err, al)
		}
	})
}

func TestWriterDisputeInProbationAnswersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fresh, old := newPlugin("new").says("VALID"), newPlugin("old").says("INVALID").takes(50*time.Millisecond)
		w, _ := newWriter(t, positions{Primary: fresh, Warm: old, Probation: true}, route.WriterOptions[*plugin]{})
		if _, err := write(t, w, 1); !errors.Is(err, route.ErrDisputed) {
			t.Errorf("error %v", err)
		}
		if got := w.Route().Window(old.ID(), time.Time{}); got.Disputes != 1 {
			t.Errorf("disputes %d", got.Disputes)
		}
		if err := w.Route().Set(positions{Primary: old}); err != nil { // the flip back
			t.Fatal(err)
		}
		if got, err := write(t, w, 2); got != "INVALID" || err != nil {
			t.Errorf("after the flip back %q %v", got, err)
		}
	})
}

func TestFalseReplyOfTheWarmOldIsNoDispute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fresh, old := newPlugin("new").says("VALID"), newPlugin("old").says("forged")
		w, seen := newWriter(t, positions{Primary: fresh, Warm: old, Probation: true}, route.WriterOptions[*plugin]{})
		if got, err := write(t, w, 1); got != "VALID" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		synctest.Wait()
		if got := w.Route().Window(old.ID(), time.Time{}); got.Disputes != 1 || got.Unsound != 1 || len(seen.alarmed()) != 1 {
			t.Errorf("window %+v, alarms %+v; want one dispute, unsound, and the alarm", got, seen.alarmed())
		}
	})
}

func TestWindowForgetsDisputesBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPlugin("a").says("truth"), newPlugin("b").says("other")
		r, _ := newRoute(t, positions{Primary: a, Warm: b, Probation: true}, route.Options{})
		if _, err := ask(t, r, 1); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := r.Window(b.ID(), time.Time{}); got.Disputes != 1 {
			t.Errorf("%d disputes in all, want 1", got.Disputes)
		}
		<-time.After(time.Second)
		if got := r.Window(b.ID(), time.Now()); got.Disputes != 0 {
			t.Errorf("%d disputes since now, want none", got.Disputes)
		}
	})
}

func TestAskComesAfterTheWritesBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPlugin("a").takes(10*time.Millisecond), newPlugin("b")
		w, _ := newWriter(t, positions{Primary: a, Fallback: b}, route.WriterOptions[*plugin]{})
		go func() { _, _ = write(t, w, 1) }()
		synctest.Wait()
		if _, err := route.Ask(t.Context(), w, request(2), func(ctx context.Context, p *plugin) (string, error) { return p.do(ctx, "build") }, opts()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := a.seen(); !slices.Equal(got, []string{"1", "build"}) {
			t.Errorf("primary saw %v", got)
		}
		if got := b.seen(); !slices.Equal(got, []string{"1"}) {
			t.Errorf("fallback saw %v: builds are asked of one plugin only", got)
		}
	})
}

func TestAskFallsBackWithoutLeavingTheBuildInTheLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPlugin("a").takes(time.Minute), newPlugin("b").says("b")
		w, _ := newWriter(t, positions{Primary: a, Fallback: b}, route.WriterOptions[*plugin]{})
		for range 2 {
			got, err := route.Ask(t.Context(), w, request(2), func(ctx context.Context, p *plugin) (string, error) { return p.do(ctx, "build") }, opts())
			if got != "b" || err != nil {
				t.Errorf("%q %v", got, err)
			}
		}
		synctest.Wait()
		if st := w.Route().Status(); st.Targets[0].InFlight+st.Targets[0].Queued != 0 {
			t.Errorf("left in the lane: %+v", st.Targets[0])
		}
	})
}
