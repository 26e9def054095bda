package swap_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/swap"
)

func TestFirstStartBringsDesiredUp(t *testing.T) {
	w := newWorld(t)
	c := w.start(signer("local", "1"))
	if got := w.serves("signer"); got != "local-1" {
		t.Errorf("answered by %q", got)
	}
	if got, want := w.journal.states(), "intent started admitted flipped done"; got != want {
		t.Errorf("journal %q, want %q", got, want)
	}
	s := c.Status()
	if len(s.Roles) != 1 || s.Roles[0].State != "single" || len(s.Drift) != 0 || s.Probation != nil {
		t.Errorf("status %+v", s)
	}
}

func TestNoOpDoesNothing(t *testing.T) {
	w := newWorld(t)
	c := w.start(signer("local", "1"))
	before := w.journal.states()
	r := mustApply(t, c, signer("local", "1"))
	if r.Result != swap.ResultNoOp || w.journal.states() != before {
		t.Errorf("result %s, journal %s", r.Result, w.journal.states())
	}
}

func TestStepsThatFailLeaveTheOldRouteServing(t *testing.T) {
	broken := errors.New("broken")
	for _, tc := range []struct {
		name  string
		spoil func(*world)
		step  swap.Step
	}{
		{"journal refuses the intent", func(w *world) { w.journal.fail = map[swap.State]error{swap.Intent: broken} }, swap.StepIntent},
		{"new plugin does not start", func(w *world) { w.fail["second"] = broken }, swap.StepStart},
		{"journal refuses started", func(w *world) { w.journal.fail = map[swap.State]error{swap.Started: broken} }, swap.StepStart},
		{"admission refuses", func(w *world) { w.refuse["second"] = broken }, swap.StepAdmission},
		{"journal refuses admitted", func(w *world) { w.journal.fail = map[swap.State]error{swap.Admitted: broken} }, swap.StepAdmission},
		{"newcomer is not level before the flip", func(w *world) { w.unequal["second"] = broken }, swap.StepFlip},
		{"disk is full at the commit", func(w *world) { w.journal.fail = map[swap.State]error{swap.Flipped: broken} }, swap.StepFlip},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t).noProbation()
			c := w.start(signer("local", "1"))
			tc.spoil(w)
			_, err := apply(t, c, signer("second", "1"), swap.ApplyOptions{})
			var step *swap.StepError
			if !errors.As(err, &step) || step.Step != tc.step || !errors.Is(err, broken) {
				t.Fatalf("error %v, want step %s", err, tc.step)
			}
			if got := w.serves("signer"); got != "local-1" {
				t.Errorf("answered by %q", got)
			}
			if got := w.labels(); got != "local" {
				t.Errorf("running: %s", got)
			}
			*w.journal = memory{all: w.journal.all}
			w.fail, w.refuse, w.unequal = map[string]error{}, map[string]error{}, map[string]error{}
			mustApply(t, c, signer("second", "1"))
			if got := w.serves("signer"); got != "second-1" {
				t.Errorf("after the repair answered by %q", got)
			}
		})
	}
}

func TestWhatFailsAfterTheCommitIsNoFailedSwap(t *testing.T) {
	w := newWorld(t).noProbation()
	c := w.start(signer("local", "1"))
	w.journal.fail = map[swap.State]error{swap.Done: errors.New("disk is full")}
	r := mustApply(t, c, signer("second", "1"))
	if r.Result != swap.ResultDone || !strings.Contains(r.Problem, "disk is full") || strings.Contains(r.Problem, "swap failed") {
		t.Errorf("report %+v", r)
	}
	if last := c.Status().LastSwap; last == nil || last.Result != swap.ResultDone || last.Problem != r.Problem {
		t.Errorf("last swap %+v", last)
	}
	w.expect(t, "second-1", "second")
	w.journal.fail = nil
	mustApply(t, c, signer("third", "1"))
	w.expect(t, "third-1", "third")
}

func TestApplyIsOneUnitOverRoles(t *testing.T) {
	w := newWorld(t).noProbation()
	both := func(v string) swap.Desired {
		return wants(v, map[swap.Role]swap.Route{"signer": {Primary: plugin("signer.local")}, "engine": {Primary: plugin("engine.v5")}})
	}
	c := w.start(both("1"))
	w.refuse["v5"] = errors.New("horizon is too near")
	if _, err := apply(t, c, both("2"), swap.ApplyOptions{}); err == nil {
		t.Fatal("apply went through")
	}
	if s, e := w.serves("signer"), w.serves("engine"); s != "local-1" || e != "v5-1" {
		t.Errorf("signer %q, engine %q", s, e)
	}
	if got := w.labels(); got != "local v5" {
		t.Errorf("running: %s", got)
	}
}

func TestPluginInSeveralPlacesIsOneProcess(t *testing.T) {
	w := newWorld(t).noProbation()
	local, gov := plugin("signer.local"), plugin("signer.governance")
	w.start(wants("1", map[swap.Role]swap.Route{
		"signer/approval": {Primary: local, Fallback: &gov, Shadow: &gov},
		"signer/bitcoin":  {Primary: gov, Fallback: &local},
	}))
	if got := w.labels(); got != "governance local" {
		t.Errorf("running: %s", got)
	}
	want := []string{
		"signer/approval primary local#2", "signer/approval fallback governance#1",
		"signer/bitcoin primary governance#1", "signer/bitcoin fallback local#2",
	}
	if d := cmp.Diff(want, w.asked); d != "" {
		t.Errorf("admissions:\n%s", d)
	}
}

func TestPositionChangesUseNoNewProcess(t *testing.T) {
	w := newWorld(t).noProbation()
	v4, v5 := plugin("engine.v4"), plugin("engine.v5")
	steps := []swap.Route{
		{Primary: v4, Shadow: &v5},
		{Primary: v4, Canary: &swap.Canary{Plugin: v5, Percent: 10}},
		{Primary: v4, Canary: &swap.Canary{Plugin: v5, Percent: 90}},
		{Primary: v5, Fallback: &v4},
		{Primary: v5},
	}
	c := w.start(wants("1", map[swap.Role]swap.Route{"engine": {Primary: v4}}))
	for _, r := range steps {
		mustApply(t, c, wants("1", map[swap.Role]swap.Route{"engine": r}))
	}
	if got := strings.Join(w.live(), " "); got != "v5#2" {
		t.Errorf("running: %s", got)
	}
	want := []string{"engine primary v4#1", "engine shadow v5#2", "engine canary v5#2"}
	if d := cmp.Diff(want, w.asked); d != "" {
		t.Errorf("admissions:\n%s", d)
	}
}

func TestStalePlanIsRefused(t *testing.T) {
	w := newWorld(t).noProbation()
	c := w.start(signer("local", "1"))
	old, err := c.Plan(t.Context(), signer("second", "1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Apply(t.Context(), old, signer("third", "1"), swap.ApplyOptions{}); !errors.Is(err, swap.ErrStalePlan) {
		t.Errorf("another file: %v", err)
	}
	mustApply(t, c, signer("third", "1"))
	if _, err := c.Apply(t.Context(), old, signer("second", "1"), swap.ApplyOptions{}); !errors.Is(err, swap.ErrStalePlan) {
		t.Errorf("after another apply: %v", err)
	}
}

func TestTwoAppliesAtOnce(t *testing.T) {
	w := newWorld(t).noProbation()
	inside, goOn := make(chan struct{}), make(chan struct{})
	gate := &gated{world: w, inside: inside, goOn: goOn, once: &sync.Once{}}
	w.opts.Launcher = gate
	c := w.start(signer("local", "1"))
	gate.armed.Store(true)
	p, err := c.Plan(t.Context(), signer("second", "1"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := c.Apply(t.Context(), p, signer("second", "1"), swap.ApplyOptions{})
		done <- err
	}()
	<-inside
	if _, err := c.Apply(t.Context(), p, signer("second", "1"), swap.ApplyOptions{}); !errors.Is(err, swap.ErrApplyInProgress) {
		t.Errorf("second apply: %v", err)
	}
	if _, err := c.Rollback(t.Context(), "signer", "test"); !errors.Is(err, swap.ErrApplyInProgress) {
		t.Errorf("rollback beside an apply: %v", err)
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Errorf("first apply: %v", err)
	}
}

// gated is a launcher that stops in the middle.
type gated struct {
	*world
	armed        atomic.Bool
	inside, goOn chan struct{}
	once         *sync.Once
}

func (g *gated) Launch(ctx context.Context, r swap.LaunchRequest) (swap.Process, error) {
	if g.armed.Load() {
		g.once.Do(func() { close(g.inside) })
		<-g.goOn
	}
	return g.world.Launch(ctx, r)
}

func TestHandoverWithFallbackKeepsAnswering(t *testing.T) {
	w := newWorld(t).noProbation()
	local, backup := plugin("signer.local"), plugin("signer.backup")
	roles := map[swap.Role]swap.Route{"signer": {Primary: local, Fallback: &backup}}
	c := w.start(wants("1", roles, "local=/keys"))
	next := wants("1", roles, "local=/keys")
	b := next.Plugins[local]
	b.Hash = "local-2"
	next.Plugins[local], next.Hash = b, "2"
	stop := load(t, w.control("signer"), 2)
	mustApply(t, c, next)
	if calls, failed := stop(); failed > 0 || calls == 0 {
		t.Errorf("%d of %d calls failed", failed, calls)
	}
	if got := w.serves("signer"); got != "local-2" {
		t.Errorf("answered by %q", got)
	}
	if !strings.Contains(w.journal.states(), "handover") {
		t.Errorf("journal %s", w.journal.states())
	}
}

func TestHandoverWithoutFallbackNeedsAllowGap(t *testing.T) {
	w := newWorld(t).noProbation()
	c := w.start(signer("local", "1", "local=/keys"))
	next := signer("local", "2", "local=/keys")
	p, err := c.Plan(t.Context(), next)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Gaps) != 1 || p.Gaps[0].Role != "signer" {
		t.Fatalf("gaps %+v", p.Gaps)
	}
	if _, err := c.Apply(t.Context(), p, next, swap.ApplyOptions{}); !errors.Is(err, swap.ErrGap) {
		t.Fatalf("without allow-gap: %v", err)
	}
	stop := load(t, w.control("signer"), 2)
	if _, err := c.Apply(t.Context(), p, next, swap.ApplyOptions{AllowGap: true}); err != nil {
		t.Fatal(err)
	}
	if calls, failed := stop(); failed > 0 || calls == 0 {
		t.Errorf("%d of %d calls failed: they should have waited", failed, calls)
	}
	if got := w.serves("signer"); got != "local-2" {
		t.Errorf("answered by %q", got)
	}
}

func TestFailedHandoverReopensTheOld(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(*world)
	}{
		{"new one is refused by admission", func(w *world) { w.refuse["second"] = errors.New("no") }},
		{"new one does not start", func(w *world) { w.fail["second"] = errors.New("no") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t).noProbation()
			c := w.start(signer("local", "1", "local=/keys"))
			tc.spoil(w)
			if _, err := apply(t, c, signer("second", "1", "second=/keys"), swap.ApplyOptions{AllowGap: true}); err == nil {
				t.Fatal("apply went through")
			}
			if got := w.serves("signer"); got != "local-1" {
				t.Errorf("answered by %q", got)
			}
			if got := w.labels(); got != "local" {
				t.Errorf("running: %s", got)
			}
		})
	}
}

func TestRemovedRoleRetiresItsPlugin(t *testing.T) {
	w := newWorld(t).noProbation()
	c := w.start(wants("1", map[swap.Role]swap.Route{"signer": {Primary: plugin("signer.local")}, "sync": {Primary: plugin("sync.parallel")}}))
	mustApply(t, c, signer("local", "1"))
	if got := w.labels(); got != "local" {
		t.Errorf("running: %s", got)
	}
	if got := w.serves("sync"); got != "" {
		t.Errorf("sync answered by %q", got)
	}
}

func TestPlanTextIsDeterministicAndWithoutSecrets(t *testing.T) {
	w := newWorld(t).noProbation()
	c := w.start(signer("local", "1", "local=/keys"))
	next := wants("2", map[swap.Role]swap.Route{"signer": {Primary: plugin("signer.local"), Shadow: new(plugin("signer.governance"))}}, "local=/keys")
	b := next.Plugins[plugin("signer.local")]
	b.Config = []byte(`{"password":"<placeholder>","note":"hunter2"}`)
	next.Plugins[b.ID] = b
	p, err := c.Plan(t.Context(), next)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		`+ plugin.signer.governance: start, sha256:abababababab`,
		`~ plugin.signer.local: new generation: config changed`,
		`+ role "signer": shadow plugin.signer.governance`,
		`! role "signer" cannot answer for up to 25s: both generations of plugin.signer.local need path /keys (apply needs --allow-gap)`,
		"Plan: 2 to add, 1 to change, 0 to remove.", "",
	}, "\n")
	if d := cmp.Diff(want, p.String()); d != "" {
		t.Errorf("plan:\n%s", d)
	}
	for range 20 {
		again, err := c.Plan(t.Context(), next)
		if err != nil || again.Hash != p.Hash || again.String() != p.String() {
			t.Fatalf("another plan for the same state: %v", err)
		}
	}
}

func TestContradictoryDesiredIsRefused(t *testing.T) {
	local := plugin("signer.local")
	for name, d := range map[string]swap.Desired{
		"plugin without a block":     {Roles: map[swap.Role]swap.Route{"signer": {Primary: local}}},
		"plugin of another kind":     wants("1", map[swap.Role]swap.Route{"engine": {Primary: local}}),
		"primary is fallback":        wants("1", map[swap.Role]swap.Route{"signer": {Primary: local, Fallback: &local}}),
		"canary of all":              wants("1", map[swap.Role]swap.Route{"signer": {Primary: local, Canary: &swap.Canary{Plugin: plugin("signer.b"), Percent: 100}}}),
		"two plugins claim a folder": wants("1", map[swap.Role]swap.Route{"signer": {Primary: local, Shadow: new(plugin("signer.b"))}}, "local=/x", "b=/x"),
	} {
		t.Run(name, func(t *testing.T) {
			c := newWorld(t).host()
			if _, err := c.Plan(t.Context(), d); !errors.Is(err, swap.ErrBadDesired) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestHundredSwapsUnderLoad(t *testing.T) {
	w := newWorld(t).noProbation()
	c := w.start(signer("local", "0"))
	stop := load(t, w.control("signer"), 4)
	for i := range 100 {
		mustApply(t, c, signer([]string{"second", "local"}[i%2], "0"))
	}
	calls, failed := stop()
	if failed != 0 || calls < 100 {
		t.Errorf("%d of %d calls failed", failed, calls)
	}
	if got := len(w.live()); got != 1 {
		t.Errorf("%d processes are left", got)
	}
	t.Logf("100 swaps, %d calls, %d failed", calls, failed)
}

// load calls a route from several goroutines until the function that it returns is called.
func load(t *testing.T, c *control, callers int) (stop func() (calls, failed int64)) {
	t.Helper()
	var calls, failed atomic.Int64
	quit := make(chan struct{})
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				if _, err := c.call(t.Context(), 5*time.Second); err != nil {
					failed.Add(1)
					t.Logf("call failed: %v", err)
				}
				calls.Add(1)
			}
		})
	}
	for calls.Load() == 0 { // callers are at work
		select {
		case <-quit:
		case <-time.After(time.Millisecond):
		}
	}
	return func() (int64, int64) {
		close(quit)
		wg.Wait()
		return calls.Load(), failed.Load()
	}
}

func TestPlanChangesNothing(t *testing.T) {
	w := newWorld(t).noProbation()
	c := w.start(signer("local", "1"))
	if p, err := c.Plan(t.Context(), signer("second", "1")); err != nil || p.NoOp() {
		t.Fatalf("plan %v, %v", p, err)
	}
	if s := c.Status(); len(s.Drift) != 0 || s.Wanted != s.Hash {
		t.Errorf("after a plan of another file the status wants %q and shows drift %v", s.Wanted, s.Drift)
	}
}

func TestRetiredHearsWhatMayComeBack(t *testing.T) {
	w := newWorld(t).noProbation()
	var kept [][]string
	w.opts.Retired = func(digests []string) { kept = append(kept, digests) }
	of := func(label, digest string) swap.Desired {
		d := signer(label, "1")
		b := d.Plugins[plugin("signer."+label)]
		b.Digest = strings.Repeat(digest, 32)
		d.Plugins[b.ID] = b
		return d
	}
	c := w.start(of("local", "aa"))
	mustApply(t, c, of("second", "bb"))
	w.journal.fail = map[swap.State]error{swap.Done: errors.New("disk is full")}
	mustApply(t, c, of("third", "cc")) // whose end is not in the journal
	a, b := strings.Repeat("aa", 32), strings.Repeat("bb", 32)
	if d := cmp.Diff([][]string{{a}, {a, b}}, kept); d != "" {
		t.Errorf("told to keep (-want +got):\n%s", d)
	}
}

func TestDigestsNameEveryBinaryThatMayComeBack(t *testing.T) {
	w := newWorld(t).noProbation()
	first := signer("local", "1")
	c := w.start(first)
	next := signer("second", "1")
	b := next.Plugins[plugin("signer.second")]
	b.Digest = strings.Repeat("cd", 32)
	next.Plugins[b.ID] = b
	mustApply(t, c, next)
	if got := c.Digests(); !slices.Equal(got, []string{strings.Repeat("ab", 32), strings.Repeat("cd", 32)}) {
		t.Errorf("digests %v", got)
	}
}

// A schedule drives one role; what the file says of the others, and how often it is read, does not matter.
func TestDriveChangesOneRoleAndShowsNoDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		v4, v5, local := plugin("engine.v4"), plugin("engine.v5"), plugin("signer.local")
		file := wants("1", map[swap.Role]swap.Route{"engine": {Primary: v4}, "signer": {Primary: local}})
		c := w.start(file)
		w.run(c)
		other := wants("1", map[swap.Role]swap.Route{"engine": {Primary: v5}})
		step := swap.RoleState{Route: swap.Route{Primary: v4, Shadow: &v5}, Plugins: map[swap.PluginID]swap.Block{
			v4: file.Plugins[v4], v5: other.Plugins[v5],
		}}
		before, serial, ok := c.AppliedRole("engine")
		if !ok || before.Route.Primary != v4 || before.Route.Shadow != nil {
			t.Fatalf("applied %+v, %v", before, ok)
		}
		if p, err := c.PlanDrive("engine", step); err != nil || p.NoOp() {
			t.Fatalf("plan %v, %v", p, err)
		}
		if _, err := c.Drive(t.Context(), "engine", step, "m/1/shadow", swap.ApplyOptions{By: "m"}); err != nil {
			t.Fatal(err)
		}
		s, now, _ := c.AppliedRole("engine")
		if now != serial+1 || s.Route.Shadow == nil || *s.Route.Shadow != v5 {
			t.Errorf("applied %+v at serial %d", s, now)
		}
		if st := c.Status(); len(st.Drift) != 0 {
			t.Errorf("drift %v", st.Drift)
		}
		if r, err := c.Drive(t.Context(), "engine", step, "m/1/shadow", swap.ApplyOptions{}); err != nil || r.Result != swap.ResultNoOp {
			t.Errorf("the same again: %+v, %v", r, err)
		}
		if _, err := c.Drive(t.Context(), "sync", step, "m", swap.ApplyOptions{}); !errors.Is(err, swap.ErrUnknownRole) {
			t.Errorf("a role that is not applied: %v", err)
		}
		step.Route.Shadow = &local
		if _, err := c.Drive(t.Context(), "engine", step, "m", swap.ApplyOptions{}); !errors.Is(err, swap.ErrBadDesired) {
			t.Errorf("a plugin of another kind: %v", err)
		}
	})
}
