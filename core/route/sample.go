package route

import (
	"context"
	"time"
)

// sampling is one answered request that others are asked about.
type sampling[C, R any] struct {
	req     Request
	do      func(context.Context, C) (R, error)
	opts    Opts[R]
	used    *entry[C]
	took    time.Duration // of the answer
	reply   R
	asked   []*entry[C]
	timeout time.Duration
}

// sampleOthers queues the request for everyone who is compared. It never waits: what does not fit is not sampled.
func sampleOthers[C, R any](ctx context.Context, r *Route[C], v *view[C], s sampling[C, R]) {
	if s.opts.Compare == nil {
		return
	}
	for _, a := range v.samples(s.req, s.asked) {
		j := &job{
			ctx: context.WithoutCancel(ctx), timeout: s.timeout, size: s.req.Size, sample: true,
			run:  func(ctx context.Context) { s.run(ctx, r, a) },
			drop: func(err error) { s.skip(r, a, err.Error()) },
		}
		r.mu.Lock()
		queued := len(r.placesOf(a.entry.id)) > 0 && r.enqueue(a.entry, j)
		r.mu.Unlock()
		if !queued {
			s.skip(r, a, ErrQueueFull.Error())
		}
	}
}

func (s sampling[C, R]) skip(r *Route[C], a attempt[C], reason string) {
	r.compared(a.entry, Comparison{Request: s.req.label(), Used: s.used.id, Position: a.position, Verdict: NotSampled, Reason: reason})
}

func (s sampling[C, R]) run(ctx context.Context, r *Route[C], a attempt[C]) {
	started := time.Now()
	client, err := a.entry.client()
	var reply R
	var answer error
	if err == nil {
		reply, answer, err = consult(ctx, client, s.do, s.opts)
	}
	took := time.Since(started)
	r.record(a.entry, a.position, started, err, isBad(err))
	verdict, reason := verdictOf(s.opts, s.reply, outcome[R]{reply: reply, answer: answer, err: err})
	r.compared(a.entry, Comparison{
		Request: s.req.label(), Used: s.used.id, Position: a.position, Verdict: verdict, Took: took, UsedTook: s.took,
		Unsound: isBad(err), Reason: reason,
	})
}

// outcome is what one target made of a request.
type outcome[R any] struct {
	reply  R
	answer error // an error that is an answer
	err    error // why there is no answer
}

// verdictOf compares an answer that was used with what another target said. A reply that failed the host's check is a
// disagreement on correctness; a refusal says nothing, because the other may only have come late.
func verdictOf[R any](opts Opts[R], used R, other outcome[R]) (Verdict, string) {
	switch {
	case isBad(other.err):
		return Disagree, other.err.Error()
	case other.err != nil:
		return Failed, other.err.Error()
	case other.answer != nil:
		return NotSampled, other.answer.Error()
	case opts.Compare == nil:
		return NotSampled, "nothing to compare"
	}
	var v Verdict
	if err := safely(func() error { v = opts.Compare(used, other.reply); return nil }); err != nil {
		return NotSampled, err.Error()
	}
	if v == Disagree {
		return v, "answers differ"
	}
	return v, ""
}
