package route_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alys-node/alys/core/route"
)

// panicky panics on one target.
func panicky(bad string) func(context.Context, *plugin) (string, error) {
	return func(ctx context.Context, p *plugin) (string, error) {
		if p.label == bad {
			panic("a reply that nobody thought of")
		}
		return p.do(ctx, "")
	}
}

// wantAlarm waits for the alarm of a panic, with its stack.
func wantAlarm(t *testing.T, w *watcher) {
	t.Helper()
	within(t, "an alarm with the stack", func() bool {
		for _, a := range w.alarmed() {
			if strings.Contains(a.Reason, "a reply that nobody thought of") && strings.Contains(a.Reason, "goroutine") && !a.Detached {
				return true
			}
		}
		return false
	})
}

func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

func TestAPanicInACallIsNoAnswerAndAnAlarm(t *testing.T) {
	r, w := newRoute(t, positions{Primary: newPlugin("a"), Fallback: newPlugin("b")}, route.Options{})
	got, err := route.Call(t.Context(), r, request(1), panicky("a"), opts())
	if got != "ok" || err != nil {
		t.Errorf("answer %q, %v; want the fallback's", got, err)
	}
	wantAlarm(t, w)
	_, err = route.Call(t.Context(), r, request(2), func(context.Context, *plugin) (string, error) { panic("both") }, opts())
	var panicked *route.PanicError
	if !errors.Is(err, route.ErrNoAnswer) || !errors.As(err, &panicked) {
		t.Errorf("error is %v", err)
	}
}

func TestAPanicInAShadowTouchesNobody(t *testing.T) {
	r, w := newRoute(t, positions{Primary: newPlugin("a"), Shadow: newPlugin("s")}, route.Options{})
	if got, err := route.Call(t.Context(), r, request(1), panicky("s"), opts()); got != "ok" || err != nil {
		t.Errorf("answer %q, %v", got, err)
	}
	wantAlarm(t, w)
	o := opts()
	o.Compare = func(string, string) route.Verdict { panic("cannot compare") }
	if got, err := route.Call(t.Context(), r, request(2), panicky(""), o); got != "ok" || err != nil {
		t.Errorf("answer %q, %v", got, err)
	}
	within(t, "the comparison is not sampled", func() bool { return w.comparisons()[route.NotSampled] == 1 })
}

func TestAPanicInALaneIsNoAnswerAndTheLaneGoesOn(t *testing.T) {
	r, w := newRoute(t, positions{Primary: newPlugin("a"), Fallback: newPlugin("b")}, route.Options{})
	writer := route.NewWriter(r, route.WriterOptions[*plugin]{})
	if got, err := route.Write(t.Context(), writer, request(1), panicky("a"), opts()); got != "ok" || err != nil {
		t.Errorf("write: %q, %v; want the fallback's answer", got, err)
	}
	wantAlarm(t, w)
	if got, err := route.Ask(t.Context(), writer, request(2), panicky("b"), opts()); got != "ok" || err != nil {
		t.Errorf("ask: %q, %v", got, err)
	}
	behind := route.NewWriter(r, route.WriterOptions[*plugin]{
		IsBehind: func(error) bool { return true },
		CatchUp:  func(context.Context, route.ID, *plugin) error { panic("cannot catch up") },
	})
	_, err := route.Write(t.Context(), behind, request(3), func(context.Context, *plugin) (string, error) { return "", errSyncing }, opts())
	if !errors.Is(err, route.ErrNoAnswer) {
		t.Errorf("write to plugins that cannot be caught up: %v", err)
	}
}
