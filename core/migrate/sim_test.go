package migrate_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/alys-node/alys/core/migrate"
)

var (
	simRuns = flag.Int("migrate.runs", 120, "simulated runs of migrations, with faults")
	simSeed = flag.Uint64("migrate.seed", 1, "seed of the first of them; the others follow")
)

// The sequential test that the simulated runs are judged by.
const (
	simGood, simBad   = 0.00001, 0.0001
	simAlpha, simBeta = 0.05, 0.05
	perTick           = 2000 // samples in a health interval
)

// sim is one simulated run: a world in which things go wrong by a seed.
type sim struct {
	*world
	rng *rand.Rand
	c   *migrate.Controller
}

func newSim(t *testing.T, seed uint64) *sim {
	s := &sim{world: newWorld(t), rng: rand.New(rand.NewPCG(seed, 0xa17))}
	s.c = s.process()
	return s
}

func (s *sim) chance(p float64) bool { return s.rng.Float64() < p }

// alive runs f in the process; when it dies in f, another one is started.
func (s *sim) alive(f func()) (died bool) {
	if !until(f) {
		return false
	}
	s.samples, s.facts, s.mono = nil, migrate.Facts{}, 0
	s.c = s.process()
	return true
}

// clean is a health interval's worth of good samples; one slice for all runs, because filling it is most of the work.
var clean = func() []migrate.Sample {
	out := make([]migrate.Sample, perTick)
	for i := range out {
		out[i] = migrate.Sample{Role: "engine", Plugin: "v5", Source: migrate.SourceLive, Outcome: migrate.OutcomeOK, Took: time.Millisecond}
	}
	return out
}()

// spoil makes samples fail at a rate and returns what puts them right again.
func (s *sim) spoil(rate float64) (mend func()) {
	var bad []int
	for i := s.gap(rate); i < perTick; i += 1 + s.gap(rate) {
		clean[i].Outcome = migrate.OutcomeError
		bad = append(bad, i)
	}
	return func() {
		for _, i := range bad {
			clean[i].Outcome = migrate.OutcomeOK
		}
	}
}

// gap is how many good samples come before the next failure.
func (s *sim) gap(rate float64) int {
	g := math.Log(1-s.rng.Float64()) / math.Log1p(-rate)
	return int(min(g, 1e9))
}

// harmless is what must not change a decision: deaths of the process, jumps of the clock, intervals without a sample, a
// pause.
func (s *sim) harmless() {
	switch n := s.rng.IntN(100); {
	case n < 2:
		s.dieAt = len(s.records) + 1 + s.rng.IntN(3)
	case n < 4:
		s.now = s.now.Add(time.Duration(s.rng.Int64N(int64(48*time.Hour))) - 24*time.Hour)
	case n < 6:
		_ = s.c.Pause(context.Background(), "up", migrate.PauseOptions{By: "sim"})
	case n < 53:
		_ = s.c.Resume(context.Background(), "up", "sim")
	}
}

// decides runs one gate on a plugin with a true error rate until the run has decided.
func (s *sim) decides(rate float64) migrate.State {
	sch := short()
	sch.Steps = []migrate.Step{{Name: "only", Route: migrate.Route{Primary: "v5"}, Soak: time.Minute}}
	sch.Gates = []migrate.Gate{{
		Name: "errors", Metric: migrate.MetricErrorRate, Good: new(simGood), Bad: new(simBad), Alpha: simAlpha, Beta: simBeta,
	}}
	s.start(s.c, sch)
	for range 10_000 {
		s.pass(30 * time.Second)
		mend := s.spoil(rate)
		if !s.chance(0.05) { // an interval without data
			s.samples = clean
		}
		s.alive(func() {
			s.harmless()
			s.look(s.c)
		})
		mend()
		if st := s.status(s.c); st.State.Ended() {
			return st.State
		}
	}
	s.Fatalf("no decision: %+v", s.status(s.c))
	return ""
}

// interval95 is Wilson's interval of a share.
func interval95(k, n int) (low, high float64) {
	const z = 1.959964
	p, m := float64(k)/float64(n), float64(n)
	mid, half := (p+z*z/(2*m))/(1+z*z/m), z/(1+z*z/m)*math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(mid-half, 0), min(mid+half, 1)
}

// TestSimulatedRuns decides about plugins whose true error rate is known. A wrong decision more often than alpha and beta
// promise, beyond what chance explains, fails the test.
func TestSimulatedRuns(t *testing.T) {
	seed := *simSeed
	group := func(rate float64, wrong migrate.State, n int) (k int) {
		for range n {
			if newSim(t, seed).decides(rate) == wrong {
				k++
			}
			seed++
		}
		return k
	}
	quarter := max(*simRuns/4, 1)
	// What Wald's bounds promise of each kind for sure; of both together it is alpha + beta.
	rollbacks, passes := simAlpha/(1-simBeta), simBeta/(1-simAlpha)
	for _, g := range []struct {
		name    string
		rate    float64
		wrong   migrate.State
		promise float64
	}{
		{"good: false rollbacks", simGood, migrate.StateRolledBack, rollbacks},
		{"bad: false passes", simBad, migrate.StateFinished, passes},
	} {
		k := group(g.rate, g.wrong, quarter)
		low, high := interval95(k, quarter)
		t.Logf("%-24s rate %g: %5d of %5d = %.4f, 95 %% interval %.4f to %.4f, promised at most %.4f", g.name, g.rate, k, quarter,
			float64(k)/float64(quarter), low, high, g.promise)
		if low > g.promise {
			t.Errorf("%s: more than promised", g.name)
		}
	}
	between := max(quarter/2, 1)
	for _, rate := range []float64{0.00003, 0.001} {
		k := group(rate, migrate.StateRolledBack, between)
		t.Logf("%-24s rate %g: %5d of %5d rolled back", "neither, and far too bad:", rate, k, between)
	}
}

// TestSimulatedFaults lets everything go wrong at once and checks what must hold whatever happens.
func TestSimulatedFaults(t *testing.T) {
	ends := map[migrate.State]int{}
	deaths, disputes := 0, 0
	for i := range max(*simRuns/4, 1) {
		seed := *simSeed + 1_000_000 + uint64(i)
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			f := &faults{sim: newSim(t, seed)}
			end := f.live()
			ends[end]++
			deaths += f.deaths
			disputes += f.disputes
		})
	}
	t.Logf("ends: %d finished, %d rolled back, %d aborted; %d deaths of the process, %d disagreements, each acted upon at once",
		ends[migrate.StateFinished], ends[migrate.StateRolledBack], ends[migrate.StateAborted], deaths, disputes)
}

type faults struct {
	*sim
	deaths, disputes int
}

func (f *faults) schedule() migrate.Schedule {
	s := short()
	s.Steps[1].Approval = true
	if f.rng.IntN(4) == 0 {
		s.OnFailure = migrate.OnFailureHold
	}
	return s
}

func (f *faults) live() migrate.State {
	sch := f.schedule()
	f.start(f.c, sch)
	for tick := range 1000 {
		f.pass(30 * time.Second)
		calm := tick > 60 // from here on only what is needed to come to an end
		if calm {
			f.refuse, f.dieAt, f.dieIn, f.backupErr = map[string]error{}, 0, 0, nil
		} else {
			f.trouble(sch)
		}
		dispute := f.fill(!calm && f.chance(0.01))
		before := f.status(f.c).State
		died := f.alive(func() {
			if calm || f.chance(0.2) {
				f.word(calm)
			}
			before = f.status(f.c).State
			f.look(f.c)
		})
		if died {
			f.deaths++
		}
		st := f.status(f.c)
		watched := before == migrate.StateSoaking || before == migrate.StateAwaitingApproval
		acted := st.State == migrate.StateRollingBack || st.State == migrate.StateRolledBack || st.State == migrate.StateHolding
		if dispute && !died && watched && !acted {
			f.Errorf("a disagreement in %s left the run %s", before, st.State)
		}
		if dispute {
			f.disputes++
		}
		if st.State.Ended() {
			f.check(sch, st)
			return st.State
		}
	}
	f.Fatalf("no end: %+v", f.status(f.c))
	return ""
}

// fill puts an interval's samples in, with a disagreement if wanted.
func (f *faults) fill(dispute bool) bool {
	source := migrate.SourceShadow
	if f.route.Primary == "v5" {
		source = migrate.SourceLive
	}
	for range 50 {
		f.sample(source, migrate.OutcomeOK)
	}
	if dispute {
		f.sample(source, migrate.OutcomeDisagree)
	}
	return dispute
}

// trouble breaks one thing or another around the controller.
func (f *faults) trouble(sch migrate.Schedule) {
	f.refuse = map[string]error{}
	switch f.rng.IntN(20) {
	case 0:
		f.dieAt = len(f.records) + 1 + f.rng.IntN(4)
	case 1:
		f.dieIn = len(f.applies) + 1
	case 2:
		f.now = f.now.Add(time.Duration(f.rng.Int64N(int64(2*time.Hour))) - time.Hour)
	case 3:
		f.refuse[sch.Steps[f.rng.IntN(3)].Route.String()] = errRefused
	case 4:
		f.refuse[old.String()] = errRefused
	case 5:
		f.refuse[sch.Steps[f.rng.IntN(3)].Route.String()] = migrate.ErrBusy
	case 6:
		f.backupErr = errRefused
	case 7:
		f.backupErr = nil
	case 8: // the probation of the newest apply flips back, told or not
		if n := len(f.applies); n > 0 && f.route == f.applies[n-1] && f.chance(0.3) {
			f.route = old
			if n > 1 {
				f.route = f.applies[n-2]
			}
			if f.chance(0.5) {
				f.c.Notice(migrate.Event{Role: "engine", Kind: migrate.EventFlippedBack, Reason: "p99"})
			}
		}
	case 9:
		if f.chance(0.2) {
			f.c.Notice(migrate.Event{Role: "engine", Plugin: "v5", Kind: migrate.EventBroken})
		}
	}
}

// word is what an operator may say. A calm one only wants the run to end.
func (f *faults) word(calm bool) {
	ctx := context.Background()
	kind := f.rng.IntN(40)
	if calm {
		kind = 2 + f.rng.IntN(2)
	}
	switch kind {
	case 0, 1:
		_ = f.c.Pause(ctx, "up", migrate.PauseOptions{By: "sim", Hold: kind == 0})
	case 2, 4, 5, 6:
		_ = f.c.Resume(ctx, "up", "sim")
	case 3, 7, 8, 9:
		_ = f.c.Approve(ctx, "up", migrate.ApproveOptions{By: "sim"})
	case 10:
		_ = f.c.Rollback(ctx, "up", migrate.RollbackOptions{By: "sim"})
	case 11:
		_ = f.c.Abort(ctx, "up", "sim")
	}
}

// check is what must hold at the end of every run.
func (f *faults) check(sch migrate.Schedule, st migrate.Status) {
	f.Helper()
	final := sch.Steps[len(sch.Steps)-1].Route
	held, _, ok := f.c.Override("engine")
	switch st.State {
	case migrate.StateFinished:
		if f.route != final || !ok || held != final {
			f.Errorf("finished, and %v serves, %v is held", f.route, held)
		}
	case migrate.StateRolledBack:
		if f.route != old || ok {
			f.Errorf("rolled back, and %v serves, %v is held", f.route, held)
		}
	default:
		if ok && held != f.route || !ok && f.route != old {
			f.Errorf("aborted, and %v serves, %v is held", f.route, held)
		}
	}
	reached := 0 // steps in order, none left out
	for _, r := range f.applies {
		i := slices.IndexFunc(sch.Steps, func(s migrate.Step) bool { return s.Route == r })
		if i > reached {
			f.Errorf("step %d was applied before step %d: %v", i, reached, f.applies)
		}
		if i == reached {
			reached++
		}
	}
	again := f.process() // another process sees the same end
	if got := f.status(again); got.State != st.State || got.Run != st.Run {
		f.Errorf("after a restart it is %s, was %s", got.State, st.State)
	}
}
