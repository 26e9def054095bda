package migrate

import (
	"maps"
	"math"
	"math/bits"
	"slices"
	"time"
)

// Tally is what was counted in a step so far. It is written whole at every health interval, so that a restart goes on with
// it.
type Tally struct {
	Soaked time.Duration    `json:"soaked"` // the smaller of wall and monotonic progress, while the node ran
	Counts map[Source]Count `json:"counts,omitempty"`
	// Dispute is the first request on which the new plugin disagreed.
	Dispute string `json:"dispute,omitempty"`
	Streak  uint64 `json:"streak,omitempty"`  // failures in a row, up to the newest sample
	Failure string `json:"failure,omitempty"` // the newest failure: the request, or why there was no answer
	// Recent has a bit for each of the newest samples, 1 for a failure, the newest lowest; RecentN is how many, 64 at most.
	Recent  uint64        `json:"recent,omitempty"`
	RecentN uint64        `json:"recent_n,omitempty"`
	Slowest time.Duration `json:"slowest,omitempty"` // answer, live or shadow
	Slots   uint64        `json:"slots,omitempty"`
	Missed  uint64        `json:"missed,omitempty"`
	// Unmeasured is why the node could not measure participation last; Measured that it could.
	Measured   bool                 `json:"measured,omitempty"`
	Unmeasured []string             `json:"unmeasured,omitempty"`
	Old        histogram            `json:"old,omitempty"` // times of the old plugin on requests that both were asked
	Gates      map[string]GateTally `json:"gates,omitempty"`
}

// Count of samples by outcome.
type Count struct {
	OK         uint64 `json:"ok,omitempty"`
	Errors     uint64 `json:"errors,omitempty"`
	Disagreed  uint64 `json:"disagreed,omitempty"`
	NotSampled uint64 `json:"not_sampled,omitempty"`
}

// GateTally is what one gate has counted.
type GateTally struct {
	Trial    Trial  `json:"trial"`
	Tail     Trial  `json:"tail"`               // of latency_ratio: against the old one's 99th percentile
	Replayed uint64 `json:"replayed,omitempty"` // of the trial's samples
	// Waiting are replayed samples that are not counted yet, because at most half of what counts may be replay: how many good
	// ones before each failure, and at the end how many after the last.
	Waiting []uint64 `json:"waiting,omitempty"`
}

func (t Tally) clone() Tally {
	t.Counts, t.Old, t.Gates = maps.Clone(t.Counts), maps.Clone(t.Old), maps.Clone(t.Gates)
	t.Unmeasured = slices.Clone(t.Unmeasured)
	for name, g := range t.Gates {
		g.Waiting = slices.Clone(g.Waiting)
		t.Gates[name] = g
	}
	return t
}

// samples is how many answers count towards a step's min_samples: replayed ones for half of it at most.
func (t Tally) samples() uint64 {
	asked := func(s Source) uint64 { return t.Counts[s].OK + t.Counts[s].Errors }
	now := asked(SourceLive) + asked(SourceShadow)
	return now + min(asked(SourceReplay), now)
}

func (t Tally) disagreed() uint64 {
	var n uint64
	for _, c := range t.Counts {
		n += c.Disagreed
	}
	return n
}

// note counts one sample of the new plugin.
func (t *Tally) note(s Sample) {
	if t.Counts == nil {
		t.Counts = map[Source]Count{}
	}
	c := t.Counts[s.Source]
	switch s.Outcome {
	case OutcomeOK:
		c.OK++
	case OutcomeError:
		c.Errors++
	case OutcomeDisagree:
		c.Disagreed++
		if t.Dispute == "" {
			t.Dispute = string(s.Source) + " request " + s.Request
		}
	case OutcomeNotSampled:
		c.NotSampled++
	}
	t.Counts[s.Source] = c
	if s.Outcome == OutcomeNotSampled {
		return
	}
	t.Recent <<= 1
	t.RecentN = min(t.RecentN+1, 64)
	t.Streak++
	if s.Outcome == OutcomeOK {
		t.Streak = 0
	} else {
		t.Recent |= 1
		t.Failure = s.Request
	}
	if s.Source != SourceReplay {
		t.Slowest = max(t.Slowest, s.Took)
	}
}

// recentFailures is how many of the newest samples failed.
func (t Tally) recentFailures() uint64 { return uint64(bits.OnesCount64(t.Recent)) }

// maxWaiting bounds the failures among replayed samples that wait; what comes after them is not counted.
const maxWaiting = 1000

// wait keeps a replayed sample until it may be counted.
func (g *GateTally) wait(failed bool) {
	if len(g.Waiting) == 0 {
		g.Waiting = []uint64{0}
	}
	switch {
	case !failed:
		g.Waiting[len(g.Waiting)-1]++
	case len(g.Waiting) < maxWaiting:
		g.Waiting = append(g.Waiting, 0)
	}
}

// release counts replayed samples, oldest first, as long as they are not more than the others.
func (g *GateTally) release(s sequential) {
	for len(g.Waiting) > 0 && g.Replayed*2 < g.Trial.Samples {
		failed := g.Waiting[0] == 0
		switch {
		case !failed:
			g.Waiting[0]--
		case len(g.Waiting) == 1:
			g.Waiting = nil
			return
		default:
			g.Waiting = g.Waiting[1:]
		}
		before := g.Trial.Samples
		g.Trial.add(s, failed, 1)
		if g.Trial.Samples == before {
			return // it has failed, and counts no more
		}
		g.Replayed++
	}
}

// histogram counts durations in buckets that are 5 % wide: bucket i ends at 1.05^i microseconds.
type histogram map[int]uint64

const bucketRatio = 1.05

func (h histogram) add(d time.Duration) {
	us := max(float64(d)/float64(time.Microsecond), 1)
	h[int(math.Ceil(math.Log(us)/math.Log(bucketRatio)))]++
}

func (h histogram) count() uint64 {
	var n uint64
	for _, c := range h {
		n += c
	}
	return n
}

// quantile is the end of the bucket that the share q of all is in or below: at most 5 % too long.
func (h histogram) quantile(q float64) time.Duration {
	want := uint64(math.Ceil(q * float64(h.count())))
	var n uint64
	for _, i := range slices.Sorted(maps.Keys(h)) {
		if n += h[i]; n >= want {
			return time.Duration(math.Pow(bucketRatio, float64(i)) * float64(time.Microsecond))
		}
	}
	return 0
}
