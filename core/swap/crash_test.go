package swap_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alys-node/alys/core/swap"
)

// killed is what the journal throws to end a host at one of its records.
type killed struct{}

// killAt makes the host end right after the nth record of a state.
func (w *world) killAt(s swap.State, nth int) {
	w.journal.after = func(got swap.State) {
		if got != s {
			return
		}
		if nth--; nth == 0 {
			panic(killed{})
		}
	}
}

// until runs f and reports that the host was killed in it.
func until(f func()) (dead bool) {
	defer func() {
		switch r := recover(); r.(type) {
		case nil:
		case killed:
			dead = true
		default:
			panic(r)
		}
	}()
	f()
	return false
}

// TestKilledHostComesBackOldOrNew ends the host at every state that an apply writes, with and without a handover, and
// starts another one with a file that cannot be read any more.
func TestKilledHostComesBackOldOrNew(t *testing.T) {
	for _, claims := range [][]string{nil, {"local=/keys", "second=/keys"}} {
		for _, tc := range []struct {
			state swap.State
			want  string
		}{
			{swap.Intent, "local-1"},
			{swap.Started, "local-1"},
			{swap.Handover, "local-1"},
			{swap.Admitted, "local-1"},
			{swap.Flipped, "second-1"},
			{swap.Done, "second-1"},
		} {
			if tc.state == swap.Handover && claims == nil {
				continue
			}
			t.Run(fmt.Sprintf("%s, claims %v", tc.state, claims), func(t *testing.T) {
				w := newWorld(t).noProbation()
				old := w.start(signer("local", "1", claims...))
				_ = old.Close(t.Context())
				w.die()
				w.killAt(tc.state, 1)
				first := w.start(signer("local", "1", claims...))
				plan, err := first.Plan(t.Context(), signer("second", "1", claims...))
				if err != nil {
					t.Fatal(err)
				}
				if !until(func() {
					_, _ = first.Apply(context.Background(), plan, signer("second", "1", claims...), swap.ApplyOptions{AllowGap: true})
				}) {
					t.Fatalf("the host was not killed; journal %s", w.journal.states())
				}
				w.die()
				again := w.host()
				if _, err := again.Start(t.Context(), brokenFile()); err != nil {
					t.Fatalf("start again: %v", err)
				}
				if got := w.serves("signer"); got != tc.want {
					t.Errorf("answered by %q, want %q", got, tc.want)
				}
				if got := len(w.live()); got != 1 {
					t.Errorf("running: %v", w.live())
				}
				w.noProbation()
				mustApply(t, again, signer("third", "1"))
				if got := w.serves("signer"); got != "third-1" {
					t.Errorf("a later apply is answered by %q", got)
				}
			})
		}
	}
}

// brokenFile is a desired state that cannot be applied.
func brokenFile() swap.Desired {
	return swap.Desired{Roles: map[swap.Role]swap.Route{"signer": {Primary: plugin("signer.missing")}}, Hash: "broken"}
}

func TestKilledInTheFirstStartComesBackAndStarts(t *testing.T) {
	for _, s := range []swap.State{swap.Intent, swap.Started, swap.Admitted, swap.Flipped, swap.Done} {
		t.Run(string(s), func(t *testing.T) {
			w := newWorld(t)
			w.killAt(s, 1)
			c := w.host()
			if !until(func() { _, _ = c.Start(context.Background(), signer("local", "1")) }) {
				t.Fatal("not killed")
			}
			w.die()
			w.start(signer("local", "1"))
			if got := w.serves("signer"); got != "local-1" {
				t.Errorf("answered by %q", got)
			}
			if got := w.labels(); got != "local" {
				t.Errorf("running: %s", got)
			}
		})
	}
}

func TestKilledAtEveryStateOfTheRestart(t *testing.T) {
	for _, s := range []swap.State{swap.Failed, swap.HostStarted} {
		t.Run(string(s), func(t *testing.T) {
			w := newWorld(t).noProbation()
			c := w.start(signer("local", "1"))
			p, err := c.Plan(t.Context(), signer("second", "1"))
			if err != nil {
				t.Fatal(err)
			}
			w.journal.fail = map[swap.State]error{swap.Failed: context.Canceled} // leaves the intent open, as kill -9 does
			w.refuse["second"] = context.Canceled
			if _, err := c.Apply(t.Context(), p, signer("second", "1"), swap.ApplyOptions{}); err == nil {
				t.Fatal("apply went through")
			}
			w.journal.fail = nil
			w.die()
			w.killAt(s, 1)
			second := w.host()
			if !until(func() { _, _ = second.Start(context.Background(), signer("local", "1")) }) {
				t.Fatal("not killed")
			}
			w.die()
			w.start(signer("local", "1"))
			if got := w.serves("signer"); got != "local-1" {
				t.Errorf("answered by %q", got)
			}
		})
	}
}

func TestStartAppliesTheFileLikeAReload(t *testing.T) {
	w := newWorld(t).noProbation()
	c := w.start(signer("local", "1"))
	_ = c.Close(t.Context())
	w.die()
	w.start(signer("second", "1"))
	if got := w.serves("signer"); got != "second-1" {
		t.Errorf("answered by %q", got)
	}
	if got := w.asked[len(w.asked)-1]; got != "signer primary second#3" {
		t.Errorf("last admission %q", got)
	}
}

func TestStartWithAFileThatFailsServesTheAppliedState(t *testing.T) {
	w := newWorld(t).noProbation()
	c := w.start(signer("local", "1"))
	_ = c.Close(t.Context())
	w.die()
	w.refuse["second"] = context.Canceled
	c = w.start(signer("second", "1"))
	if got := w.serves("signer"); got != "local-1" {
		t.Errorf("answered by %q", got)
	}
	s := c.Status()
	if len(s.Roles[0].Drift) == 0 || s.LastSwap == nil || s.LastSwap.Result != swap.ResultFailed {
		t.Errorf("status %+v", s)
	}
}

func TestStartWithAFileThatIsNotBegunSaysSo(t *testing.T) {
	for _, tc := range []struct {
		name string
		file swap.Desired
		want error
	}{
		{"broken", brokenFile(), swap.ErrBadDesired},
		{"with a gap", signer("second", "1", "second=/keys"), swap.ErrGap},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.start(signer("local", "1", "local=/keys"))
			w.die()
			r, err := w.host().Start(t.Context(), tc.file)
			if err != nil || r.Result != swap.ResultFailed || r.Cause != "start" || !strings.Contains(r.Problem, tc.want.Error()) {
				t.Errorf("report %+v, %v", r, err)
			}
			w.expect(t, "local-1", "local")
		})
	}
}

func TestGenerationsAreNeverUsedTwice(t *testing.T) {
	w := newWorld(t).noProbation()
	c := w.start(signer("local", "1"))
	seen := slices.Clone(w.live())
	for i := range 5 {
		_ = c.Close(t.Context())
		w.die()
		c = w.start(signer("local", fmt.Sprint(i)))
		for _, n := range w.live() {
			if slices.Contains(seen, n) {
				t.Fatalf("%s ran before", n)
			}
			seen = append(seen, n)
		}
	}
}

func TestCloseIsIdempotentAndLeavesNothing(t *testing.T) {
	w := newWorld(t)
	c := w.start(signer("local", "1"))
	for range 2 {
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.live(); len(got) != 0 {
		t.Errorf("running: %v", got)
	}
	if strings.Count(w.journal.states(), "stopped") != 1 {
		t.Errorf("journal %s", w.journal.states())
	}
}

// TestCloseGivesUpAnAdmission stops a host while a newcomer is looked at, as an engine that replays is for minutes.
func TestCloseGivesUpAnAdmission(t *testing.T) {
	w := newWorld(t)
	c := w.start(signer("local", "1"))
	w.hang["second"] = true
	failed := make(chan error, 1)
	go func() {
		_, err := apply(t, c, signer("second", "1"), swap.ApplyOptions{})
		failed <- err
	}()
	for len(w.live()) < 2 {
		<-time.After(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-failed; !errors.Is(err, swap.ErrClosed) {
		t.Errorf("the apply ended with %v", err)
	}
	if got := w.live(); len(got) != 0 {
		t.Errorf("running: %v", got)
	}
	if got := w.journal.states(); !strings.HasSuffix(got, "failed stopped") {
		t.Errorf("journal %s", got)
	}
}

func TestControllerOnAFileJournal(t *testing.T) {
	w := newWorld(t).noProbation()
	path := filepath.Join(t.TempDir(), "swap.journal")
	version := "0"
	for host := range 3 {
		j, err := swap.OpenFileJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		w.opts.Journal = j
		c := w.start(signer("local", version))
		for i := range 60 {
			version = fmt.Sprintf("%d-%d", host, i)
			mustApply(t, c, signer("local", version))
		}
		if got := w.serves("signer"); got != "local-"+version {
			t.Fatalf("answered by %q", got)
		}
		rs, err := j.Load(t.Context())
		if err != nil || len(rs) > 300 {
			t.Fatalf("%d records, %v", len(rs), err)
		}
		w.die()
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKilledAroundAProbation ends the host at the commit of a watched change and at the end of the watch, which a second
// apply brings about.
func TestKilledAroundAProbation(t *testing.T) {
	for _, tc := range []struct {
		name           string
		state          swap.State
		nth            int
		serves, labels string
	}{
		{"at the commit it comes back new with the old warm", swap.Flipped, 2, "second-1", "local second"},
		{"when the old one is retired it comes back new alone", swap.Done, 2, "second-1", "second"},
		{"at the next intent it comes back to the change before", swap.Intent, 3, "second-1", "second"},
		{"at the next commit it comes back to that", swap.Flipped, 3, "third-1", "second third"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.killAt(tc.state, tc.nth)
			c := w.start(signer("local", "1"))
			if !until(func() {
				mustApply(t, c, signer("second", "1"))
				mustApply(t, c, signer("third", "1"))
			}) {
				t.Fatal("not killed")
			}
			w.die()
			if _, err := w.host().Start(t.Context(), brokenFile()); err != nil {
				t.Fatal(err)
			}
			w.expect(t, tc.serves, tc.labels)
		})
	}
}

func TestFirstStartThatFailsLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.fail["v5"] = context.Canceled
	d := wants("1", map[swap.Role]swap.Route{"signer": {Primary: plugin("signer.local")}, "engine": {Primary: plugin("engine.v5")}})
	var step *swap.StepError
	if _, err := w.host().Start(t.Context(), d); !errors.As(err, &step) || step.Plugin != plugin("engine.v5") {
		t.Errorf("error %v", err)
	}
	if got := w.live(); len(got) != 0 {
		t.Errorf("running: %v", got)
	}
}

func TestStartAppliedNeedsNoFile(t *testing.T) {
	w := newWorld(t)
	if _, err := w.host().StartApplied(t.Context()); !errors.Is(err, swap.ErrNothingApplied) {
		t.Errorf("an empty journal: %v", err)
	}
	w.start(signer("local", "1"))
	w.die()
	if _, err := w.host().StartApplied(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "local-1", "local")
}

// TestLaunchHasTheTimeOfAnAdmission launches plugins that, like an engine that replays, are long ready after they are up.
func TestLaunchHasTheTimeOfAnAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t).noProbation()
		c := w.start(signer("local", "1"))
		w.takes["second"] = time.Hour
		var step *swap.StepError
		if _, err := apply(t, c, signer("second", "1"), swap.ApplyOptions{}); !errors.As(err, &step) || step.Step != swap.StepStart || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one that takes an hour: %v", err)
		}
		w.expect(t, "local-1", "local")
		w.takes["second"] = 9 * time.Minute
		mustApply(t, c, signer("second", "1"))
		w.expect(t, "second-1", "second")
	})
}

func TestStartWaitsForAPluginAsLongAsItTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.takes["local"] = time.Hour
		w.start(signer("local", "1"))
		w.die()
		w.start(signer("local", "1"))
		w.expect(t, "local-1", "local")
	})
}

func TestStartGoesOnWithoutAPluginThatIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errSyncing := errors.New("syncing")
		w := newWorld(t)
		w.opts.Awaited = func(err error) bool { return errors.Is(err, errSyncing) }
		w.start(signer("local", "1"))
		w.die()
		w.fail["local"] = errSyncing
		c := w.start(signer("local", "1"))
		w.run(c)
		w.expect(t, "", "")
		w.mu.Lock()
		delete(w.fail, "local")
		w.mu.Unlock()
		pass(time.Minute)
		w.expect(t, "local-1", "local")
	})
}
