package migrate

import (
	"math"
	"testing"
	"time"
)

// These tests are internal: the boundaries are numbers of single samples, and a controller adds nothing to them.

func gateStep(g Gate) judge {
	return newJudge(Schedule{
		Role: "engine", From: "v4", To: "v5",
		Steps: []Step{{Name: "s", Route: Route{Primary: "v4", Shadow: "v5"}}}, Gates: []Gate{g},
	}, 0)
}

// feed counts n samples and returns the gate's answer.
func feed(j judge, t *Tally, s Source, o Outcome, n int) GateResult {
	return feedTimed(j, t, s, o, n, time.Millisecond, 0)
}

func feedTimed(j judge, t *Tally, s Source, o Outcome, n int, took, old time.Duration) GateResult {
	samples := make([]Sample, n)
	for i := range samples {
		samples[i] = Sample{Role: "engine", Plugin: "v5", Source: s, Outcome: o, Took: took, Paired: old}
	}
	j.count(t, samples, Facts{})
	return j.results(*t, 0)[0]
}

// By hand, for good 0.00001, bad 0.0001, alpha = beta = 0.05: the bounds are ±ln 19 = ±2.94444; a success adds
// ln(0.9999/0.99999) = -0.0000900045, a failure ln 10 = 2.30259. So 2.94444/0.0000900045 = 32,714.3 clean samples pass. A
// second failure fails as long as 4.60517 less the successes between reaches 2.94444: up to 18,451 successes.
func TestSequentialTestByHand(t *testing.T) {
	gate := Gate{Name: "g", Metric: MetricErrorRate, Good: new(0.00001), Bad: new(0.0001), Alpha: 0.05, Beta: 0.05}
	for _, tc := range []struct {
		name string
		feed func(j judge, t *Tally) GateResult
		want Answer
	}{
		{"no sample", func(j judge, t *Tally) GateResult { return feed(j, t, SourceLive, OutcomeOK, 0) }, NotEnoughData},
		{"32,714 clean", func(j judge, t *Tally) GateResult { return feed(j, t, SourceLive, OutcomeOK, 32_714) }, NotEnoughData},
		{"32,715 clean", func(j judge, t *Tally) GateResult { return feed(j, t, SourceLive, OutcomeOK, 32_715) }, Pass},
		{"one failure first is not enough", func(j judge, t *Tally) GateResult { return feed(j, t, SourceLive, OutcomeError, 1) }, NotEnoughData},
		{"a failure costs 25,583 clean ones", func(j judge, t *Tally) GateResult {
			feed(j, t, SourceLive, OutcomeError, 1)
			return feed(j, t, SourceLive, OutcomeOK, 32_715+25_582)
		}, NotEnoughData},
		{"and then it passes", func(j judge, t *Tally) GateResult {
			feed(j, t, SourceLive, OutcomeError, 1)
			return feed(j, t, SourceLive, OutcomeOK, 32_715+25_583)
		}, Pass},
		{"two with 18,451 between fail", func(j judge, t *Tally) GateResult {
			feed(j, t, SourceLive, OutcomeError, 1)
			feed(j, t, SourceLive, OutcomeOK, 18_451)
			return feed(j, t, SourceLive, OutcomeError, 1)
		}, Fail},
		{"two with 18,452 between do not", func(j judge, t *Tally) GateResult {
			feed(j, t, SourceLive, OutcomeError, 1)
			feed(j, t, SourceLive, OutcomeOK, 18_452)
			return feed(j, t, SourceLive, OutcomeError, 1)
		}, NotEnoughData},
		{"a pass stays over one failure", func(j judge, t *Tally) GateResult {
			feed(j, t, SourceLive, OutcomeOK, 100_000)
			return feed(j, t, SourceLive, OutcomeError, 1)
		}, Pass},
		{"one that turns bad after it fails", func(j judge, t *Tally) GateResult {
			feed(j, t, SourceLive, OutcomeOK, 100_000)
			return feed(j, t, SourceLive, OutcomeError, 3)
		}, Fail},
		{"what failed stays so", func(j judge, t *Tally) GateResult {
			feed(j, t, SourceLive, OutcomeError, 2)
			return feed(j, t, SourceLive, OutcomeOK, 1_000_000)
		}, Fail},
		{"another source is not counted", func(j judge, t *Tally) GateResult { return feed(j, t, SourceReplay, OutcomeError, 100) }, NotEnoughData},
		{"what was not sampled is not counted", func(j judge, t *Tally) GateResult { return feed(j, t, SourceLive, OutcomeNotSampled, 50_000) }, NotEnoughData},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var tally Tally
			if got := tc.feed(gateStep(gate), &tally); got.Answer != tc.want {
				t.Errorf("%s: %s, want %s", got.Answer, got.Text, tc.want)
			}
		})
	}
}

// The early test of an engine: 301 clean samples pass; one failure among the first few fails.
func TestEarlyTestByHand(t *testing.T) {
	gate := Gate{Name: "g", Metric: MetricErrorRate, Good: new(0.0001), Bad: new(0.01), Alpha: 0.01, Beta: 0.05}
	for _, tc := range []struct {
		before int
		want   Answer
	}{{0, Fail}, {5, Fail}, {6, NotEnoughData}} {
		var tally Tally
		j := gateStep(gate)
		feed(j, &tally, SourceShadow, OutcomeOK, tc.before)
		if got := feed(j, &tally, SourceShadow, OutcomeError, 1); got.Answer != tc.want {
			t.Errorf("a failure after %d: %s, want %s", tc.before, got.Text, tc.want)
		}
	}
	var tally Tally
	if got := feed(gateStep(gate), &tally, SourceShadow, OutcomeOK, 300); got.Answer != NotEnoughData || got.Numbers["clean_samples_to_go"] != 1 {
		t.Errorf("300: %s", got.Text)
	}
}

func TestReplayIsAtMostHalfOfWhatCounts(t *testing.T) {
	gate := Gate{
		Name: "g", Metric: MetricErrorRate, Good: new(0.00001), Bad: new(0.0001),
		Sources: []Source{SourceShadow, SourceReplay},
	}
	j := gateStep(gate)
	var tally Tally
	if got := feed(j, &tally, SourceReplay, OutcomeOK, 40_000); got.Answer != NotEnoughData || got.Numbers["samples"] != 0 {
		t.Errorf("replay alone: %s", got.Text)
	}
	feed(j, &tally, SourceReplay, OutcomeError, 1)
	if got := feed(j, &tally, SourceShadow, OutcomeOK, 16_357); got.Answer != NotEnoughData || got.Numbers["replayed"] != 16_357 {
		t.Errorf("one short: %s", got.Text)
	}
	if got := feed(j, &tally, SourceShadow, OutcomeOK, 1); got.Answer != Pass {
		t.Errorf("16,358 of each: %s", got.Text)
	}
	got := feed(j, &tally, SourceShadow, OutcomeOK, 23_643) // 40,001 of them: the replayed failure counts now
	if got.Numbers["failures"] != 1 || got.Numbers["replayed"] != 40_001 {
		t.Errorf("the failure that waited: %s", got.Text)
	}
}

func TestLatencyIsComparedPairByPair(t *testing.T) {
	gate := Gate{Name: "g", Metric: MetricLatencyRatio, Max: new(1.2)}
	for _, tc := range []struct {
		name      string
		took, old time.Duration
		source    Source
		n         int
		want      Answer
	}{
		{"as fast", 8 * time.Millisecond, 8 * time.Millisecond, SourceShadow, 500, Pass},
		{"too few for the 99th percentile", 8 * time.Millisecond, 8 * time.Millisecond, SourceShadow, 380, NotEnoughData},
		{"twice as slow fails after eight", 16 * time.Millisecond, 8 * time.Millisecond, SourceShadow, 8, Fail},
		{"seven are not enough", 16 * time.Millisecond, 8 * time.Millisecond, SourceShadow, 7, NotEnoughData},
		{"without a partner", 16 * time.Millisecond, 0, SourceShadow, 500, NotEnoughData},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var tally Tally
			j := gateStep(gate)
			for range tc.n { // one look each: the old one's percentile is taken at a look
				feedTimed(j, &tally, tc.source, OutcomeOK, 1, tc.took, tc.old)
			}
			if got := j.results(tally, 0)[0]; got.Answer != tc.want {
				t.Errorf("%s: %s", got.Answer, got.Text)
			}
		})
	}
	t.Run("a bad tail under a good median", func(t *testing.T) {
		var tally Tally
		j := gateStep(gate)
		for range 100 {
			feedTimed(j, &tally, SourceShadow, OutcomeOK, 24, 8*time.Millisecond, 8*time.Millisecond)
			feedTimed(j, &tally, SourceShadow, OutcomeOK, 1, 90*time.Millisecond, 8*time.Millisecond)
		}
		if got := j.results(tally, 0)[0]; got.Answer != Fail {
			t.Errorf("4 %% are ten times slower: %s", got.Text)
		}
	})
}

func TestAbsoluteLatency(t *testing.T) {
	j := gateStep(Gate{Name: "g", Metric: MetricLatencyP99, Max: new(500.0)})
	var fast, slow Tally
	if got := feedTimed(j, &fast, SourceShadow, OutcomeOK, 400, 500*time.Millisecond, 0); got.Answer != Pass {
		t.Errorf("at the limit: %s", got.Text)
	}
	if got := feedTimed(j, &slow, SourceShadow, OutcomeOK, 20, 501*time.Millisecond, 0); got.Answer != Fail {
		t.Errorf("above: %s", got.Text)
	}
}

func TestFactsOfSlots(t *testing.T) {
	for _, tc := range []struct {
		name  string
		gate  Gate
		facts []Facts
		want  Answer
	}{
		{"missed slots without any slot", Gate{Metric: MetricMissedSlots, Max: new(0.0)}, []Facts{{}}, NotEnoughData},
		{"none missed", Gate{Metric: MetricMissedSlots, Max: new(0.0)}, []Facts{{Slots: 15}}, Pass},
		{"as many as allowed", Gate{Metric: MetricMissedSlots, Max: new(2.0)}, []Facts{{Slots: 15, MissedSlots: 1}, {Slots: 15, MissedSlots: 1}}, Pass},
		{"one more", Gate{Metric: MetricMissedSlots, Max: new(1.0)}, []Facts{{Slots: 15, MissedSlots: 1}, {Slots: 15, MissedSlots: 1}}, Fail},
		{"participation never measured", Gate{Metric: MetricParticipation, Min: new(0.9)}, []Facts{{Slots: 1000, Reasons: []string{"no validator"}}}, NotEnoughData},
		{"good participation", Gate{Metric: MetricParticipation, Min: new(0.9)}, []Facts{{Slots: 100, Participation: new(1.0)}}, Pass},
		{"bad participation", Gate{Metric: MetricParticipation, Min: new(0.9)}, []Facts{{Slots: 100, Participation: new(0.7)}}, Fail},
		{"a measurement that stopped", Gate{Metric: MetricParticipation, Min: new(0.9)}, []Facts{{Slots: 100, Participation: new(1.0)}, {Slots: 15}}, NotEnoughData},
		{"all must count and one did not", Gate{Metric: MetricParticipation, Min: new(1.0)}, []Facts{{Slots: 100, Participation: new(0.99)}}, Fail},
		{"all must count and did", Gate{Metric: MetricParticipation, Min: new(1.0)}, []Facts{{Slots: 1, Participation: new(1.0)}}, Pass},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.gate.Name = "g"
			j, tally := gateStep(tc.gate), Tally{}
			for _, f := range tc.facts {
				j.count(&tally, nil, f)
			}
			if got := j.results(tally, 0)[0]; got.Answer != tc.want {
				t.Errorf("%s: %s, want %s", got.Answer, got.Text, tc.want)
			}
		})
	}
}

func TestRollbacksAndCorrectness(t *testing.T) {
	j := gateStep(Gate{Name: "g", Metric: MetricRollbacks, Max: new(0.0)})
	if a, b := j.results(Tally{}, 0)[0].Answer, j.results(Tally{}, 1)[0].Answer; a != Pass || b != Fail {
		t.Errorf("none %s, one %s", a, b)
	}
	j = gateStep(Gate{Name: "g", Metric: MetricCorrectness})
	var tally Tally
	if got := feed(j, &tally, SourceShadow, OutcomeOK, 0); got.Answer != NotEnoughData {
		t.Errorf("nothing seen: %s", got.Text)
	}
	if got := feed(j, &tally, SourceShadow, OutcomeOK, 1_000_000); got.Answer != Pass {
		t.Errorf("clean: %s", got.Text)
	}
	if got := feed(j, &tally, SourceReplay, OutcomeDisagree, 1); got.Answer != Fail {
		t.Errorf("one in a million: %s", got.Text)
	}
}

func TestHistogramQuantileIsAtMostFivePercentTooLong(t *testing.T) {
	h := histogram{}
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Millisecond)
	}
	for _, q := range []float64{0.5, 0.99, 1} {
		want := q * 1000
		if got := millis(h.quantile(q)); got < want-1e-6 || got > want*bucketRatio+1e-6 || math.IsNaN(got) {
			t.Errorf("quantile %g is %g ms, want %g", q, got, want)
		}
	}
}
