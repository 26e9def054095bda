package migrate

import (
	"fmt"
	"strings"
)

// results are the answers of the step's gates as of now. rollbacks are those of the run.
func (j judge) results(t Tally, rollbacks uint64) []GateResult {
	out := make([]GateResult, 0, len(j.gates))
	for _, g := range j.gates {
		r := GateResult{Gate: g.Name, Metric: g.Metric}
		gt := t.Gates[g.Name]
		switch g.Metric {
		case MetricCorrectness:
			r.correctness(t)
		case MetricErrorRate:
			r.errorRate(g, gt)
		case MetricLatencyRatio:
			r.latencyRatio(g, gt, t)
		case MetricLatencyP99:
			r.trial(g.test, gt.Trial, fmt.Sprintf("slower than %g ms", *g.Max))
		case MetricMissedSlots:
			r.missed(*g.Max, t)
		case MetricParticipation:
			r.participation(g, gt, t)
		case MetricRollbacks:
			r.rollbacks(*g.Max, rollbacks)
		}
		out = append(out, r)
	}
	return out
}

// together is the answer of all gates: one that fails is enough to fail, all must pass to pass.
func together(all []GateResult) Answer {
	out := Pass
	for _, r := range all {
		switch r.Answer {
		case Fail:
			return Fail
		case NotEnoughData:
			out = NotEnoughData
		case Pass:
		}
	}
	return out
}

// failures joins the texts of the gates that failed.
func failures(all []GateResult) string {
	var out []string
	for _, r := range all {
		if r.Answer == Fail {
			out = append(out, fmt.Sprintf("gate %q failed: %s", r.Gate, r.Text))
		}
	}
	return strings.Join(out, "; ")
}

func (r *GateResult) correctness(t Tally) {
	n, bad := t.samples(), t.disagreed()
	r.Numbers = map[string]float64{"samples": float64(n), "disagreements": float64(bad)}
	switch {
	case bad > 0:
		r.Answer, r.Text = Fail, fmt.Sprintf("%d disagreements, the first on %s; none is tolerated", bad, t.Dispute)
	case n == 0:
		r.Answer, r.Text = NotEnoughData, "no sample yet"
	default:
		r.Answer, r.Text = Pass, fmt.Sprintf("%d samples, no disagreement", n)
	}
}

// trial tells a sequential test with its bounds.
func (r *GateResult) trial(s sequential, t Trial, failure string) {
	r.Answer = t.answer()
	r.Numbers = map[string]float64{
		"samples": float64(t.Samples), "failures": float64(t.Failures), "log_ratio": t.Ratio,
		"passes_at": s.lower, "fails_at": s.upper,
	}
	r.Text = fmt.Sprintf("%d of %d %s; log likelihood ratio %.2f, passes at %.2f, fails at %.2f",
		t.Failures, t.Samples, failure, t.Ratio, s.lower, s.upper)
	switch r.Answer {
	case NotEnoughData:
		more := s.left(t)
		r.Numbers["clean_samples_to_go"] = float64(more)
		r.Text += fmt.Sprintf("; %d more without a failure pass", more)
	case Pass:
		r.Text += "; it has passed and is watched on"
	case Fail:
	}
}

func (r *GateResult) errorRate(g judged, gt GateTally) {
	r.trial(g.test, gt.Trial, "failed")
	var waiting uint64
	for _, n := range gt.Waiting {
		waiting += n
	}
	r.Numbers["replayed"], r.Numbers["replayed_waiting"] = float64(gt.Replayed), float64(waiting)
	if gt.Replayed > 0 || waiting > 0 {
		r.Text += fmt.Sprintf("; %d of the samples are replay, %d wait until as many others came", gt.Replayed, waiting)
	}
}

func (r *GateResult) latencyRatio(g judged, gt GateTally, t Tally) {
	median, tail := GateResult{}, GateResult{}
	median.trial(g.test, gt.Trial, fmt.Sprintf("slower than %g times the old one on the same request (median)", *g.Max))
	p99 := t.Old.quantile(0.99)
	tail.trial(g.tail, gt.Tail, fmt.Sprintf("slower than %g times the old one's 99th percentile of %.1f ms", *g.Max, millis(p99)))
	r.Answer = together([]GateResult{median, tail})
	r.Text = median.Text + "; and " + tail.Text
	r.Numbers = median.Numbers
	for name, v := range tail.Numbers {
		r.Numbers["tail_"+name] = v
	}
	r.Numbers["old_p99_ms"] = millis(p99)
}

func (r *GateResult) missed(most float64, t Tally) {
	r.Numbers = map[string]float64{"slots": float64(t.Slots), "missed": float64(t.Missed), "max": most}
	r.Text = fmt.Sprintf("%d slots missed beside %d that had a block, at most %g", t.Missed, t.Slots, most)
	switch {
	case float64(t.Missed) > most:
		r.Answer = Fail
	case t.Slots == 0:
		r.Answer = NotEnoughData
	default:
		r.Answer = Pass
	}
}

func (r *GateResult) participation(g judged, gt GateTally, t Tally) {
	r.trial(g.test, gt.Trial, fmt.Sprintf("approvals not counted, at least %g must be", *g.Min))
	if r.Answer == Fail || t.Measured {
		return
	}
	r.Answer, r.Text = NotEnoughData, "participation is not measured"
	if len(t.Unmeasured) > 0 {
		r.Text += ": " + strings.Join(t.Unmeasured, "; ")
	}
}

func (r *GateResult) rollbacks(most float64, n uint64) {
	r.Numbers = map[string]float64{"rollbacks": float64(n), "max": most}
	r.Text = fmt.Sprintf("%d rollbacks in this run, at most %g", n, most)
	r.Answer = Pass
	if float64(n) > most {
		r.Answer = Fail
	}
}
