package route

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// round is one write on its way through the lanes of a writer.
type round[C, R any] struct {
	req     Request
	opts    Opts[R]
	started time.Time
	lanes   []*lane[C, R] // who may answer, in turn, then the others; fixed once the write is queued

	mu       sync.Mutex
	used     *lane[C, R] // whose answer the caller got; guarded by mu
	reply    R
	answered bool // an answer without error: others are compared with it
	over     bool // the caller has left
}

// lane is one plugin's part in a round.
type lane[C, R any] struct {
	attempt  attempt[C]
	done     chan struct{} // closed when out is set
	out      outcome[R]
	finished bool // guarded by round.mu, as the fields below
	took     time.Duration
	late     bool // the caller gave up waiting: counted as no answer already
	expired  bool // told as failed for want of an answer; a disagreement that comes yet is told, too
	compared bool
	verdict  Verdict
}

func newRound[C, R any](req Request, opts Opts[R]) *round[C, R] {
	return &round[C, R]{req: req, opts: opts, started: time.Now()}
}

func (rd *round[C, R]) lane(a attempt[C]) *lane[C, R] {
	l := &lane[C, R]{attempt: a, done: make(chan struct{})}
	rd.lanes = append(rd.lanes, l)
	return l
}

// finish takes what a plugin made of the write.
func (rd *round[C, R]) finish(r *Route[C], l *lane[C, R], o outcome[R]) {
	rd.mu.Lock()
	l.out, l.finished, l.took = o, true, time.Since(rd.started)
	late := l.late
	rd.mu.Unlock()
	if late {
		r.overdue(l.attempt.entry, -1)
		r.alarmed(l.attempt.entry, l.attempt.position, o.err)
	} else {
		r.record(l.attempt.entry, l.attempt.position, rd.started, o.err, isBad(o.err))
	}
	rd.compare(r, l)
	close(l.done)
}

// compare judges a lane against the answer that was used, once both are there.
func (rd *round[C, R]) compare(r *Route[C], l *lane[C, R]) {
	rd.mu.Lock()
	ready := l.finished && !l.compared && rd.over && l != rd.used
	if ready {
		l.compared = true
	}
	used, reply, answered := rd.used, rd.reply, rd.answered
	took, usedTook := l.took, time.Duration(0)
	if used != nil {
		usedTook = used.took
	}
	rd.mu.Unlock()
	if !ready {
		return
	}
	c := Comparison{
		Request: rd.req.label(), Position: l.attempt.position, Verdict: NotSampled, Took: took, UsedTook: usedTook,
		Reason: "the write has no answer to compare with",
	}
	if used != nil {
		c.Used = used.attempt.entry.id
	}
	if answered || isBad(l.out.err) {
		c.Verdict, c.Reason = verdictOf(rd.opts, reply, l.out)
		c.Unsound = isBad(l.out.err)
	}
	l.verdict = c.Verdict
	if l.expired && c.Verdict != Disagree {
		return
	}
	r.compared(l.attempt.entry, c)
}

// await returns the first answer in turn.
func (rd *round[C, R]) await(ctx context.Context, r *Route[C], v *view[C]) (R, error) {
	var zero R
	budget := r.budget(ctx, rd.req)
	var said noAnswer
	var asked []*entry[C]
	for _, l := range rd.lanes {
		if l.attempt.percent == 0 {
			break
		}
		asked = append(asked, l.attempt.entry)
		err := rd.join(ctx, r, l, l.attempt.percent*budget/100)
		if err == nil {
			if over := rd.overrule(ctx, r, l, v, primaryShare*budget/100); over != l {
				said.add(l.attempt, fmt.Errorf("%s: %w", rd.req.label(), errOverruled))
				l = over
			}
			r.answered(v, l.attempt.position, v.missedPrimary(asked, l.attempt.entry), said.text())
			rd.req.tell(l.attempt.entry.id)
			rd.settle(r, l)
			rd.expireAfter(r, budget)
			if rd.disputed(ctx, l, v, otherShare*budget/100) {
				return zero, fmt.Errorf("%s: %w", rd.req.label(), ErrDisputed)
			}
			return l.out.reply, l.out.answer
		}
		if ctx.Err() != nil {
			rd.settle(r, nil)
			return zero, fmt.Errorf("write to %s: %w", l.attempt.entry.id, ctx.Err())
		}
		said.add(l.attempt, err)
	}
	rd.settle(r, nil)
	r.unanswered(v)
	return zero, said.err(r.opts.Name)
}

// join waits for one lane within its share; nil means that it answered.
func (rd *round[C, R]) join(ctx context.Context, r *Route[C], l *lane[C, R], limit time.Duration) error {
	share, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-l.done:
		return l.out.err
	case <-share.Done():
	}
	rd.mu.Lock()
	if l.finished { // it came at the last moment
		rd.mu.Unlock()
		<-l.done
		return l.out.err
	}
	gaveUp := !errors.Is(ctx.Err(), context.Canceled)
	l.late = gaveUp
	rd.mu.Unlock()
	if gaveUp {
		r.overdue(l.attempt.entry, 1)
		r.record(l.attempt.entry, l.attempt.position, rd.started, share.Err(), false)
	}
	return share.Err()
}

// settle notes whose answer is used, nil for none, and compares the lanes that are ready.
func (rd *round[C, R]) settle(r *Route[C], used *lane[C, R]) {
	rd.mu.Lock()
	rd.used, rd.over = used, true
	if used != nil {
		rd.reply, rd.answered = used.out.reply, used.out.answer == nil
	}
	rd.mu.Unlock()
	for _, l := range rd.lanes {
		rd.compare(r, l)
	}
}

// expireAfter tells of plugins that nobody waits for, and that gave no answer in all the time of the write, that they failed.
func (rd *round[C, R]) expireAfter(r *Route[C], budget time.Duration) {
	rd.mu.Lock()
	open := false
	for _, l := range rd.lanes {
		open = open || !l.finished && !l.late
	}
	rd.mu.Unlock()
	if open {
		time.AfterFunc(budget-time.Since(rd.started), func() { rd.expire(r, budget) })
	}
}

func (rd *round[C, R]) expire(r *Route[C], budget time.Duration) {
	r.mu.Lock()
	closed := r.closed
	r.mu.Unlock()
	for _, l := range rd.lanes {
		rd.mu.Lock()
		open := !l.finished && !l.late && !closed
		if open {
			l.late, l.expired = true, true
		}
		used := rd.used.attempt.entry.id
		rd.mu.Unlock()
		if !open {
			continue
		}
		r.overdue(l.attempt.entry, 1)
		r.record(l.attempt.entry, l.attempt.position, rd.started, context.DeadlineExceeded, false)
		r.compared(l.attempt.entry, Comparison{
			Request: rd.req.label(), Used: used, Position: l.attempt.position, Verdict: Failed,
			Reason: fmt.Sprintf("no answer within %s", budget),
		})
	}
}

// errOverruled is why an answer was not used.
var errOverruled = errors.New("it disagrees with a plugin that is trusted more")

// overrule waits for the one that is trusted more than the one that answered, and returns whose verdict stands if they
// differ: the primary's against a canary's; the fallback's, or in a probation the old primary's, against that of a primary
// on trial.
func (rd *round[C, R]) overrule(ctx context.Context, r *Route[C], used *lane[C, R], v *view[C], limit time.Duration) *lane[C, R] {
	var trusted *entry[C]
	switch {
	case used.attempt.position == Canary:
		trusted = v.primary
	case used.attempt.position != Primary || !r.opts.OnTrial(used.attempt.entry.id):
		return used
	case v.fallback != nil:
		trusted = v.fallback
	default:
		trusted = v.warm
	}
	l := rd.after(ctx, trusted, limit)
	if l == nil || l.out.err != nil || used.out.answer != nil {
		return used
	}
	if verdict, _ := verdictOf(rd.opts, used.out.reply, l.out); verdict == Disagree {
		return l
	}
	return used
}

// disputed waits, in probation, for the warm old primary, and reports that it disagrees with the answer. A reply of the
// old one that failed the host's check says nothing against an answer that passed it.
func (rd *round[C, R]) disputed(ctx context.Context, used *lane[C, R], v *view[C], limit time.Duration) bool {
	if v.warm == nil || !v.probation || used.attempt.entry == v.warm {
		return false
	}
	l := rd.after(ctx, v.warm, limit)
	return l != nil && l.verdict == Disagree && !isBad(l.out.err)
}

// after waits for a target's part of the round and returns it, nil when it does not come in time.
func (rd *round[C, R]) after(ctx context.Context, e *entry[C], limit time.Duration) *lane[C, R] {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, l := range rd.lanes {
		if l.attempt.entry != e {
			continue
		}
		select {
		case <-l.done:
			return l
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}
