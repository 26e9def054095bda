package route

import (
	"slices"
	"time"
)

// Stats counts what one target did in one position since it came into the route.
type Stats struct {
	Calls      uint64 // questions put, answered or not
	Errors     uint64 // no answers
	BadReplies uint64 // of the errors: replies that failed the host's check
	Agreed     uint64
	Disagreed  uint64
	NotSampled uint64
	P50, P99   time.Duration // of the last 1,024 answers
}

// Window is what a target did in answering positions (primary, canary, fallback) since a moment.
type Window struct {
	Calls     uint64
	Failures  uint64
	Last      error           // of the failures: why there was no answer; nil without any
	Disputes  uint64          // disagreements on correctness, in any position
	Unsound   uint64          // of the disputes: its own reply failed the host's check
	Latencies []time.Duration // of the answers, ascending; of the last 1,024 calls at most
}

// Quantile is the smallest latency that at least the part q (0 to 1) of the sorted latencies do not exceed; 0 without any.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

const keptSamples = 1024

type sample struct {
	at     time.Time
	took   time.Duration
	failed bool
}

// dispute is one disagreement on correctness.
type dispute struct {
	at      time.Time
	unsound bool
}

// tally is what is counted of one target in one position; guarded by the route's mutex.
type tally struct {
	Stats
	samples  ring[sample]
	disputes ring[dispute]
	last     failure
}

// failure is one call without an answer.
type failure struct {
	at  time.Time
	err error
}

func newTally() *tally {
	return &tally{samples: ring[sample]{limit: keptSamples}, disputes: ring[dispute]{limit: keptSamples}}
}

func (t *tally) called(s sample, err error, bad bool) {
	t.Calls++
	if err != nil {
		t.Errors++
		t.last = failure{s.at, err}
	}
	if bad {
		t.BadReplies++
	}
	t.samples.add(s)
}

func (t *tally) compared(c Comparison) {
	switch c.Verdict {
	case Agree:
		t.Agreed++
	case Disagree:
		t.Disagreed++
		t.disputes.add(dispute{c.At, c.Unsound})
	case NotSampled:
		t.NotSampled++
	case Failed: // already an error
	}
}

// disputed adds the disagreements since a moment.
func (t *tally) disputed(w *Window, since time.Time) {
	for _, d := range t.disputes.items {
		if d.at.Before(since) {
			continue
		}
		w.Disputes++
		if d.unsound {
			w.Unsound++
		}
	}
}

func (t *tally) latencies(since time.Time) []time.Duration {
	var out []time.Duration
	for _, s := range t.samples.items {
		if !s.failed && !s.at.Before(since) {
			out = append(out, s.took)
		}
	}
	return out
}

func (t *tally) stats() Stats {
	s := t.Stats
	l := t.latencies(time.Time{})
	slices.Sort(l)
	s.P50, s.P99 = Quantile(l, 0.5), Quantile(l, 0.99)
	return s
}
