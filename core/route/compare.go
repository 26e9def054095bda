package route

import "time"

// Verdict is the outcome of comparing two answers to one request.
type Verdict string

// The verdicts.
const (
	Agree      Verdict = "agree"
	Disagree   Verdict = "disagree"    // on correctness: the one that was not used is detached
	NotSampled Verdict = "not_sampled" // dropped, refused because it came late, or not comparable: says nothing
	Failed     Verdict = "failed"      // gave no answer: counts as an error of its position, not as a disagreement
)

// Comparison is one entry of the comparison log.
type Comparison struct {
	Route    string
	At       time.Time
	Request  string // Request.Name
	Used     ID     // whose answer was returned to the caller
	Other    ID
	Position Position // of Other
	Verdict  Verdict
	Took     time.Duration // of Other, from its start or, for a write, from the write's; 0: it did not answer
	UsedTook time.Duration // of Used, measured in the same way
	Unsound  bool          // the reply of Other failed the host's check: the disagreement is its own fault
	Reason   string
}

// ring keeps the last entries.
type ring[T any] struct {
	items []T
	next  int
	limit int
}

func (r *ring[T]) add(v T) {
	if len(r.items) < r.limit {
		r.items = append(r.items, v)
		return
	}
	r.items[r.next] = v
	r.next = (r.next + 1) % r.limit
}

// all returns a copy, oldest first.
func (r *ring[T]) all() []T {
	out := make([]T, 0, len(r.items))
	out = append(out, r.items[r.next:]...)
	return append(out, r.items[:r.next]...)
}
