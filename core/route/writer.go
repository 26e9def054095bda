package route

import (
	"context"
	"fmt"
	"time"
)

// WriterOptions of an ordered writer.
type WriterOptions[C any] struct {
	// WriteTimeout ends a write on one plugin; the caller has left long before, with its budget. 0 is 30 s. Until it has
	// ended, no other write is begun on that plugin.
	WriteTimeout time.Duration
	// IsBehind reports that a plugin could not answer because it misses earlier writes (SYNCING).
	IsBehind func(error) bool
	// CatchUp replays what the plugin misses. It runs in the plugin's lane, and the write is then tried once more. nil: a
	// plugin that is behind gives no answer.
	CatchUp func(context.Context, ID, C) error
	// CatchUpTimeout ends CatchUp; 0 is 10 minutes.
	CatchUpTimeout time.Duration
}

// Writer drives every plugin of a route with the same writes in one order. Each plugin has a lane of its own: one write
// at a time, in the order of the calls; a slow one delays nobody else. A plugin whose lane is full misses the write, is
// behind from then on, and is caught up.
type Writer[C any] struct {
	route *Route[C]
	opts  WriterOptions[C]
}

// NewWriter makes a writer over a route, which must not be used by another writer.
func NewWriter[C any](r *Route[C], o WriterOptions[C]) *Writer[C] {
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = 30 * time.Second
	}
	if o.CatchUpTimeout <= 0 {
		o.CatchUpTimeout = 10 * time.Minute
	}
	if o.IsBehind == nil {
		o.IsBehind = func(error) bool { return false }
	}
	return &Writer[C]{route: r, opts: o}
}

// Route is the route that the writer drives.
func (w *Writer[C]) Route() *Route[C] { return w.route }

// Write gives one write to every plugin of the route and returns the answer of the position chosen for the slot; when
// that one gives no answer within its share, the answer that the next position gave to the same write. When a canary
// answers, it waits for the primary, within its share: if the two disagree, the primary's verdict stands. When a primary on
// trial answers, it waits for the fallback, or the warm old primary, in the same way. In probation it
// waits for the warm old primary, within the fallback's share, and returns ErrDisputed when the two disagree. do runs
// after the caller has left, too, with the values of its context.
func Write[C, R any](ctx context.Context, w *Writer[C], req Request, do func(context.Context, C) (R, error), opts Opts[R]) (R, error) {
	var zero R
	r := w.route
	rd := newRound[C, R](req, opts)
	var rejected []*lane[C, R]
	v, err := r.acquire(ctx, func(v *view[C]) {
		for _, a := range v.driven(req) {
			l := rd.lane(a)
			j := &job{
				ctx: context.WithoutCancel(ctx), timeout: w.opts.WriteTimeout + w.opts.CatchUpTimeout, size: req.Size,
				run:  func(ctx context.Context) { rd.finish(r, l, execute(ctx, w, l.attempt, do, opts)) },
				drop: func(err error) { rd.finish(r, l, outcome[R]{err: err}) },
			}
			if !r.enqueue(a.entry, j) {
				rejected = append(rejected, l)
			}
		}
	})
	if err != nil {
		return zero, err
	}
	defer r.release(v)
	for _, l := range rejected {
		rd.finish(r, l, outcome[R]{err: ErrQueueFull})
	}
	return rd.await(ctx, r, v)
}

// driven lists every plugin that gets the write: those that may answer, in turn, and the others.
func (v *view[C]) driven(req Request) []attempt[C] {
	out := v.order(req)
	asked := make([]*entry[C], 0, len(out))
	for _, a := range out {
		asked = append(asked, a.entry)
	}
	return append(out, v.samples(req, asked)...)
}

// execute runs one write on one plugin, in its lane.
func execute[C, R any](ctx context.Context, w *Writer[C], a attempt[C], do func(context.Context, C) (R, error), opts Opts[R]) outcome[R] {
	client, err := a.entry.client()
	if err != nil {
		return outcome[R]{err: err}
	}
	o := try(ctx, w.opts.WriteTimeout, client, do, opts)
	if o.err == nil || w.opts.CatchUp == nil || !w.opts.IsBehind(o.err) {
		return o
	}
	catchUp, cancel := context.WithTimeout(ctx, w.opts.CatchUpTimeout)
	defer cancel()
	if err := safely(func() error { return w.opts.CatchUp(catchUp, a.entry.id, client) }); err != nil {
		return outcome[R]{err: fmt.Errorf("catch up: %w", err)}
	}
	return try(ctx, w.opts.WriteTimeout, client, do, opts)
}

func try[C, R any](ctx context.Context, limit time.Duration, client C, do func(context.Context, C) (R, error), opts Opts[R]) outcome[R] {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	reply, answer, err := consult(ctx, client, do, opts)
	return outcome[R]{reply: reply, answer: answer, err: err}
}

// Ask puts a question that one plugin answers in its place in the order of the writes (a build): the position chosen for
// the slot, then the next ones while there is no answer. Nobody else is asked and nothing is compared.
func Ask[C, R any](ctx context.Context, w *Writer[C], req Request, do func(context.Context, C) (R, error), opts Opts[R]) (R, error) {
	var zero R
	r := w.route
	v, err := r.acquire(ctx, nil)
	if err != nil {
		return zero, err
	}
	defer r.release(v)
	budget := r.budget(ctx, req)
	var said noAnswer
	var asked []*entry[C]
	for _, a := range v.order(req) {
		reply, answer, err := askInLane(ctx, r, a, a.percent*budget/100, do, opts)
		asked = append(asked, a.entry)
		if err == nil {
			r.answered(v, a.position, v.missedPrimary(asked, a.entry), said.text())
			req.tell(a.entry.id)
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

// askInLane is ask, behind the writes that the plugin still has to do. When the share ends first, the question is not
// put, or its context ends.
func askInLane[C, R any](ctx context.Context, r *Route[C], a attempt[C], limit time.Duration, do func(context.Context, C) (R, error), opts Opts[R]) (R, error, error) {
	started := time.Now()
	shared, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan outcome[R], 1)
	j := &job{
		ctx: shared, timeout: limit,
		run: func(ctx context.Context) {
			if err := ctx.Err(); err != nil {
				done <- outcome[R]{err: err}
				return
			}
			client, err := a.entry.client()
			if err != nil {
				done <- outcome[R]{err: err}
				return
			}
			done <- try(ctx, limit, client, do, opts)
		},
		drop: func(err error) { done <- outcome[R]{err: err} },
	}
	r.mu.Lock()
	queued := r.enqueue(a.entry, j)
	r.mu.Unlock()
	o := outcome[R]{err: ErrQueueFull}
	if queued {
		o = wait(shared, done)
	}
	if o.err == nil || ctx.Err() == nil {
		r.record(a.entry, a.position, started, o.err, isBad(o.err))
	}
	if isBad(o.err) {
		r.detach(a.entry, a.position, o.err.Error())
	}
	return o.reply, o.answer, o.err
}

func wait[R any](ctx context.Context, done <-chan outcome[R]) outcome[R] {
	select {
	case o := <-done:
		return o
	case <-ctx.Done():
		return outcome[R]{err: ctx.Err()}
	}
}
