package route

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// entry is one target of a route with its counts and its queue. All fields but id and target are guarded by Route.mu.
type entry[C any] struct {
	id       ID
	target   Target[C]
	inflight int           // calls, and the job that runs
	idle     chan struct{} // closed and replaced when busy falls to 0
	detached bool
	overdue  int // writes under way, or queued, whose time has passed
	tallies  map[Position]*tally

	queue   []*job
	bytes   int64
	working bool               // a worker goroutine runs
	cancel  context.CancelFunc // of the job that runs
}

// job is work in a target's queue: a shadow request or, for a writer, one write.
type job struct {
	ctx     context.Context // the caller's values without its end
	timeout time.Duration
	size    int64
	sample  bool // may be dropped: nobody waits for it
	run     func(context.Context)
	drop    func(error) // called instead of run, without locks held
}

func (e *entry[C]) busy() int { return e.inflight + len(e.queue) }

func (e *entry[C]) begin() { e.inflight++ }

func (e *entry[C]) end() {
	e.inflight--
	e.rest()
}

func (e *entry[C]) rest() {
	if e.busy() == 0 {
		close(e.idle)
		e.idle = make(chan struct{})
	}
}

// overdue counts writes whose time has passed without an answer, and takes off the one that has come.
func (r *Route[C]) overdue(e *entry[C], n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.overdue += n
}

func (e *entry[C]) tally(p Position) *tally {
	t := e.tallies[p]
	if t == nil {
		t = newTally()
		e.tallies[p] = t
	}
	return t
}

// clear empties the queue, all of it or only what may be dropped, and returns what was taken out.
func (e *entry[C]) clear(all bool) []*job {
	var keep, out []*job
	for _, j := range e.queue {
		if all || j.sample {
			out = append(out, j)
			e.bytes -= j.size
		} else {
			keep = append(keep, j)
		}
	}
	e.queue = keep
	if len(out) > 0 {
		e.rest()
	}
	return out
}

// entry returns the entry of a target, made when it is new; the caller holds r.mu. nil stays nil.
func (r *Route[C]) entry(t Target[C]) *entry[C] {
	if t == nil {
		return nil
	}
	e := r.entries[t.ID()]
	if e == nil {
		e = &entry[C]{id: t.ID(), target: t, idle: make(chan struct{}), tallies: map[Position]*tally{}}
		r.entries[e.id] = e
	}
	return e
}

// prune forgets targets that no position names and that have nothing left to do; the caller holds r.mu.
func (r *Route[C]) prune() {
	for id, e := range r.entries {
		if e.busy() == 0 && !e.working && len(r.placesOf(id)) == 0 {
			delete(r.entries, id)
		}
	}
}

// dropStale takes queued shadow requests from targets that no position names; the caller holds r.mu and drops them after.
func (r *Route[C]) dropStale() []*job {
	var out []*job
	for id, e := range r.entries {
		if len(r.placesOf(id)) == 0 {
			out = append(out, e.clear(false)...)
		}
	}
	return out
}

// placesOf lists the positions of a target; the caller holds r.mu.
func (r *Route[C]) placesOf(id ID) []Position {
	var out []Position
	for _, p := range []struct {
		place  Position
		target Target[C]
	}{
		{Primary, r.pos.Primary}, {Fallback, r.pos.Fallback}, {Shadow, r.pos.Shadow}, {Canary, r.pos.Canary}, {Warm, r.pos.Warm},
	} {
		if p.target != nil && p.target.ID() == id {
			out = append(out, p.place)
		}
	}
	return out
}

// enqueue puts a job into a target's queue and sees to it that a worker runs; the caller holds r.mu. It reports false
// when the queue is full or the route closed.
func (r *Route[C]) enqueue(e *entry[C], j *job) bool {
	if r.closed || len(e.queue) >= r.opts.QueueLen || (e.bytes+j.size > r.opts.QueueBytes && len(e.queue) > 0) {
		return false
	}
	e.queue = append(e.queue, j)
	e.bytes += j.size
	if !e.working {
		e.working = true
		r.wg.Add(1)
		go r.work(e)
	}
	return true
}

// work runs a target's queue until it is empty.
func (r *Route[C]) work(e *entry[C]) {
	defer r.wg.Done()
	for {
		r.mu.Lock()
		if len(e.queue) == 0 {
			e.working = false
			r.prune()
			r.mu.Unlock()
			return
		}
		j := e.queue[0]
		e.queue[0] = nil
		e.queue = e.queue[1:]
		e.bytes -= j.size
		e.begin()
		ctx, cancel := context.WithTimeout(j.ctx, j.timeout)
		e.cancel = cancel
		if r.closed {
			cancel()
		}
		r.mu.Unlock()

		j.run(ctx)
		cancel()

		r.mu.Lock()
		e.cancel = nil
		e.end()
		r.mu.Unlock()
	}
}

// record counts one question to a target and tells the observer.
func (r *Route[C]) record(e *entry[C], p Position, started time.Time, err error, bad bool) {
	took := time.Since(started)
	r.mu.Lock()
	e.tally(p).called(sample{at: started, took: took, failed: err != nil}, err, bad)
	r.mu.Unlock()
	r.opts.Observer.Called(Called{Route: r.opts.Name, Target: e.id, Position: p, Took: took, Err: err})
	r.alarmed(e, p, err)
}

// compared counts a comparison, logs it and tells the observer; a disagreement detaches the other target.
func (r *Route[C]) compared(e *entry[C], c Comparison) {
	c.Route, c.At, c.Other = r.opts.Name, time.Now(), e.id
	r.mu.Lock()
	e.tally(c.Position).compared(c)
	r.log.add(c)
	r.mu.Unlock()
	r.opts.Observer.Compared(c)
	if c.Verdict != Disagree {
		return
	}
	trial, usedTrial := r.opts.OnTrial(e.id), r.opts.OnTrial(c.Used)
	r.mu.Lock()
	used := r.entries[c.Used]
	blamed, position := e, c.Position
	switch {
	case used == nil || c.Unsound || trial:
	case usedTrial, r.answers(e.id): // the verdict of the one that has proved itself, or that answers, stands
		blamed, position = used, r.placeOf(used.id)
	}
	r.mu.Unlock()
	if blamed == e && trial || blamed == used && usedTrial {
		r.overthrow(blamed, fmt.Sprintf("%s disagrees with a plugin that is trusted more: %s", blamed.id, c.Request))
	}
	r.detach(blamed, position, c.Request+": "+c.Reason)
}

// answers reports that the target is the one that answers by default; the caller holds r.mu.
func (r *Route[C]) answers(id ID) bool {
	t := r.pos.Primary
	if r.fallen {
		t = r.pos.Fallback
	}
	return t != nil && t.ID() == id
}

// placeOf is the first position of a target; the caller holds r.mu.
func (r *Route[C]) placeOf(id ID) Position {
	for _, p := range r.placesOf(id) {
		return p
	}
	return ""
}

// detach takes a target out of its places and raises the alarm. The one that answers now is never detached, because its
// verdict stands, nor is the warm old primary, because the swap has to flip back to it.
func (r *Route[C]) detach(e *entry[C], p Position, reason string) {
	detached := false
	r.change("detached "+e.id.String(), func() {
		warm := r.pos.Warm != nil && r.pos.Warm.ID() == e.id
		detached = !e.detached && !warm && !r.answers(e.id)
		e.detached = e.detached || detached
	})
	r.opts.Observer.Alarm(Alarm{Route: r.opts.Name, Target: e.id, Position: p, Detached: detached, Reason: reason})
	if detached {
		r.signal()
	}
}

// view is the positions that one call works on.
type view[C any] struct {
	serial                                  uint64
	primary, fallback, shadow, canary, warm *entry[C] // nil where there is none, or it is detached
	share                                   Share
	step                                    string
	fallen, probation                       bool
}

// view takes the positions of now; the caller holds r.mu.
func (r *Route[C]) view() *view[C] {
	v := &view[C]{
		serial: r.serial, share: r.pos.Share, step: r.pos.Step, fallen: r.fallen, probation: r.pos.Probation,
		primary: r.entry(r.pos.Primary), fallback: r.entry(r.pos.Fallback), shadow: r.entry(r.pos.Shadow),
		canary: r.entry(r.pos.Canary), warm: r.entry(r.pos.Warm),
	}
	for _, e := range []**entry[C]{&v.primary, &v.fallback, &v.shadow, &v.canary} {
		if *e != nil && (*e).detached {
			*e = nil
		}
	}
	return v
}

// distinct lists the targets of the view, each once.
func (v *view[C]) distinct() []*entry[C] {
	out := make([]*entry[C], 0, 5)
	for _, e := range []*entry[C]{v.primary, v.fallback, v.shadow, v.canary, v.warm} {
		if e != nil && !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}
