package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/alys-node/alys/sdk/chain"
)

// Request is what a route needs to know of a call.
type Request struct {
	Name   string        // for the comparison log: "approve", "import 42"
	Slot   *chain.Slot   // draws the canary; nil: Key does
	Key    []byte        // of a request without a slot, an outpoint for instance
	Budget time.Duration // the whole time of the call, of which the positions get shares; 0: until ctx ends
	Size   int64         // bytes that a queued copy keeps in memory
	// Answered, if not nil, hears whose answer is returned, before it is.
	Answered func(ID)
	// Eligible says which targets can answer this request at all (those that hold the key); nil: all of them.
	Eligible func(ID) bool
}

// Opts say how to read the replies of a call. The zero value takes every error for no answer and compares nothing.
type Opts[R any] struct {
	// IsAnswer reports that an error is an answer (a refusal): it goes to the caller and never to a fallback.
	IsAnswer func(error) bool
	// Check verifies a reply. A reply that fails it is no answer, and an alarm.
	Check func(R) error
	// Compare judges two checked replies: the one that was used, and another one. nil: nobody else is asked, and no
	// shadow sees the request.
	Compare func(used, other R) Verdict
}

// Shares of a budget, in percent.
const (
	canaryShare  = 30
	primaryShare = 40
	otherShare   = 30
)

// attempt is one target that may answer, in the order in which they are asked.
type attempt[C any] struct {
	entry    *entry[C]
	position Position
	percent  time.Duration
}

// Call asks the route. It returns the first answer: a reply that passed its check, or an error that is an answer. It ends
// with ErrNoAnswer when nobody answered, ErrHeld when the route was held until ctx ended, and ctx's error when the caller
// gave up. do must end with its context. The caller calls only once its guard has reserved: shadows are asked after the
// answer, and never delay it.
func Call[C, R any](ctx context.Context, r *Route[C], req Request, do func(context.Context, C) (R, error), opts Opts[R]) (R, error) {
	var zero R
	v, err := r.acquire(ctx, nil)
	if err != nil {
		return zero, err
	}
	defer r.release(v)
	budget := r.budget(ctx, req)
	var said noAnswer
	asked := make([]*entry[C], 0, 3)
	order := v.order(req)
	for _, a := range order {
		started := time.Now()
		reply, answer, err := ask(ctx, r, a, a.percent*budget/100, do, opts)
		asked = append(asked, a.entry)
		if err == nil {
			req.tell(a.entry.id)
			r.answered(v, a.position, v.missedPrimary(asked, a.entry), said.text())
			if answer == nil {
				sampleOthers(ctx, r, v, sampling[C, R]{
					req: req, do: do, opts: opts, used: a.entry, took: time.Since(started), reply: reply, asked: asked, timeout: budget,
				})
			}
			return reply, answer
		}
		if ctx.Err() != nil {
			return zero, fmt.Errorf("ask %s: %w", a.entry.id, ctx.Err())
		}
		said.add(a, err)
	}
	r.unanswered(v)
	return zero, said.err(r.opts.Name)
}

// ask puts the question to one target. answer is an error that is an answer; err is why there is none.
func ask[C, R any](ctx context.Context, r *Route[C], a attempt[C], limit time.Duration, do func(context.Context, C) (R, error), opts Opts[R]) (reply R, answer, err error) {
	started := time.Now()
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	client, err := a.entry.client()
	if err == nil {
		reply, answer, err = consult(ctx, client, do, opts)
	}
	if err != nil && errors.Is(caller.Err(), context.Canceled) {
		return reply, nil, err // the caller went away: it says nothing about the target
	}
	bad := isBad(err)
	r.record(a.entry, a.position, started, err, bad)
	if bad {
		r.detach(a.entry, a.position, err.Error())
	}
	return reply, answer, err
}

// order lists who is asked, in turn.
func (v *view[C]) order(req Request) []attempt[C] {
	first, second := attempt[C]{v.primary, Primary, primaryShare}, attempt[C]{v.fallback, Fallback, otherShare}
	all := make([]attempt[C], 0, 4)
	switch {
	case v.fallen:
		first, second = attempt[C]{v.fallback, Fallback, primaryShare}, attempt[C]{v.primary, Primary, otherShare}
	case v.canary != nil && v.drawn(req):
		all = append(all, attempt[C]{v.canary, Canary, canaryShare})
	}
	all = append(all, first, second, attempt[C]{v.warm, Warm, otherShare})
	out := all[:0]
	var seen []*entry[C]
	for _, a := range all {
		if a.entry == nil || containsEntry(seen, a.entry) || !req.eligible(a.entry.id) {
			continue
		}
		seen = append(seen, a.entry)
		out = append(out, a)
	}
	return out
}

// drawn reports that the canary answers this request.
func (v *view[C]) drawn(req Request) bool {
	if req.Slot != nil {
		return Bucket(v.step, *req.Slot) < v.share
	}
	return BucketKey(v.step, req.Key) < v.share
}

// missedPrimary reports that the primary was asked before the one that answered.
func (v *view[C]) missedPrimary(asked []*entry[C], answered *entry[C]) bool {
	return v.primary != nil && answered != v.primary && containsEntry(asked, v.primary)
}

// samples lists who is asked beside the answer, each with the position that it is compared as.
func (v *view[C]) samples(req Request, asked []*entry[C]) []attempt[C] {
	var out []attempt[C]
	seen := asked
	add := func(e *entry[C], p Position) {
		if e != nil && !containsEntry(seen, e) && req.eligible(e.id) {
			seen = append(slices.Clip(seen), e)
			out = append(out, attempt[C]{entry: e, position: p})
		}
	}
	add(v.warm, Warm)
	add(v.canary, Canary)
	add(v.shadow, Shadow)
	if v.canary != nil || v.fallen {
		add(v.primary, Shadow)
	}
	return out
}

func (q Request) eligible(id ID) bool { return q.Eligible == nil || q.Eligible(id) }

func (q Request) tell(id ID) {
	if q.Answered != nil {
		q.Answered(id)
	}
}

func (q Request) label() string {
	switch {
	case q.Slot != nil && q.Name != "":
		return fmt.Sprintf("%s slot %d", q.Name, uint64(*q.Slot))
	case q.Slot != nil:
		return fmt.Sprintf("slot %d", uint64(*q.Slot))
	}
	return q.Name
}

// budget is the time of a call: what the request says, what is left of ctx, or the route's own.
func (r *Route[C]) budget(ctx context.Context, req Request) time.Duration {
	if req.Budget > 0 {
		return req.Budget
	}
	if d, ok := ctx.Deadline(); ok {
		return max(time.Until(d), 0)
	}
	return r.opts.Budget
}

func (e *entry[C]) client() (C, error) { return e.target.Client() }
