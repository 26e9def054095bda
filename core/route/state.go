package route

// State is how a route stands.
type State string

// The states, the ones that matter more first: a route shows the first that is true.
const (
	Held       State = "held"        // new calls wait
	Broken     State = "broken"      // the last call got no answer from anyone, or there is no primary
	Probation  State = "probation"   // a change is being watched
	FallenBack State = "fallen_back" // the fallback answers; the primary is asked as a shadow until Promote
	Canarying  State = "canary"
	Shadowing  State = "shadowing"
	Single     State = "single"
)

// state computes the state; the caller holds r.mu.
func (r *Route[C]) state() State {
	detached := func(t Target[C]) bool { return t == nil || r.entries[t.ID()].detached }
	switch {
	case r.held != nil:
		return Held
	case r.pos.Primary == nil || r.broken:
		return Broken
	case r.pos.Probation:
		return Probation
	case r.fallen:
		return FallenBack
	case !detached(r.pos.Canary):
		return Canarying
	case !detached(r.pos.Shadow):
		return Shadowing
	}
	return Single
}

// change runs f under the lock and tells the observer when the state became another one.
func (r *Route[C]) change(reason string, f func()) {
	r.mu.Lock()
	from := r.state()
	f()
	to := r.state()
	r.mu.Unlock()
	if from != to {
		r.opts.Observer.Changed(Changed{Route: r.opts.Name, From: from, To: to, Reason: reason})
	}
}

// State reports how the route stands.
func (r *Route[C]) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state()
}

// Promote puts the primary back in its place after a fall back: ErrNotFallenBack when there was none, and the client's
// error when the primary cannot be called yet.
func (r *Route[C]) Promote() error {
	r.mu.Lock()
	fallen, primary := r.fallen, r.pos.Primary
	r.mu.Unlock()
	if !fallen || primary == nil {
		return ErrNotFallenBack
	}
	if _, err := primary.Client(); err != nil {
		return err
	}
	r.change("promoted by hand or gate", func() { r.fallen, r.misses = false, 0 })
	r.signal()
	return nil
}

// answered notes that a call got an answer; position is where it came from, and said what those before it said.
func (r *Route[C]) answered(v *view[C], p Position, primaryMissed bool, said string) {
	r.mu.Lock()
	quiet := !r.broken && !primaryMissed && r.misses == 0
	r.mu.Unlock()
	if quiet {
		return
	}
	fell := false
	r.change(reasonFor(p, primaryMissed, said), func() {
		r.broken = false
		if v.serial != r.serial || r.fallen {
			return // the positions are others by now
		}
		switch {
		case p == Primary:
			r.misses = 0
		case p == Fallback && primaryMissed && !r.pos.Probation:
			r.misses++
			fell = r.misses >= r.opts.StickyAfter
			r.fallen = fell
		}
	})
	if fell {
		r.signal()
	}
}

func reasonFor(p Position, primaryMissed bool, said string) string {
	if p == Fallback && primaryMissed {
		reason := "primary gave no good answer, fallback did"
		if said != "" {
			reason += ": " + said
		}
		return reason
	}
	return string(p) + " answered"
}

// overthrow lets the fallback answer instead of a primary that is not believed any more. In a probation it is the swap that
// goes back.
func (r *Route[C]) overthrow(e *entry[C], reason string) {
	fell := false
	r.change(reason, func() {
		primary := r.pos.Primary != nil && r.pos.Primary.ID() == e.id
		if !primary || r.fallen || r.pos.Probation || r.pos.Fallback == nil || r.entry(r.pos.Fallback).detached {
			return
		}
		r.fallen, fell = true, true
	})
	if fell {
		r.signal()
	}
}

// Distrust tells the route that what a target answered was false, which its caller found out by other means. A target that
// does not answer by default is detached; a primary on trial with a fallback is fallen back from; both are alarmed.
func (r *Route[C]) Distrust(id ID, reason string) {
	r.mu.Lock()
	e := r.entries[id]
	position := r.placeOf(id)
	r.mu.Unlock()
	if e == nil || position == "" {
		return
	}
	if r.opts.OnTrial(id) {
		r.overthrow(e, id.String()+": "+reason)
	}
	r.detach(e, position, reason)
}

// unanswered notes that a call got no answer from anyone.
func (r *Route[C]) unanswered(v *view[C]) {
	r.change("no plugin answered", func() {
		if v.serial == r.serial {
			r.broken = true
		}
	})
}
