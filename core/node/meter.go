package node

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/alys-node/alys/core/migrate"
	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/sdk/chain"
)

// meter collects what migrations judge plugins by: the answers of routes, and whether this node did its part in the slots.
// It implements migrate.Meter.
type meter struct {
	now     func() time.Time
	signs   bool                     // the node has authority keys to take part with
	owner   func(role string) bool   // a migration drives the role: of others nothing is kept
	primary func(role string) string // label of the plugin that is meant to answer
	notice  func(migrate.Event)      // never blocks

	mu    sync.Mutex
	roles map[string]*measured // guarded by mu
}

// measured is what came on one role since the last drain.
type measured struct {
	samples []migrate.Sample
	alone   []migrate.Sample // answers that may still be compared; newest last
	slots   map[chain.Slot]*turn
	missed  uint64
}

// turn is one slot that got a notarized block, or in which we approved one.
type turn struct {
	seen      time.Time
	notarized bool
	approved  bool
}

const (
	// samplesKept bounds what waits for a drain, of one role. At a drain every 30 s that is 500 a second.
	samplesKept = 16384
	// comparedWithin is how long an answer waits for its comparison; then it counts alone.
	comparedWithin = 3 * time.Second
	// turnSettles is how long after its first sign a slot is counted: approvals and certificates come in any order.
	turnSettles = 10 * time.Second
)

// of is a role's part; the caller holds mu.
func (m *meter) of(role string) *measured {
	r := m.roles[role]
	if r == nil {
		r = &measured{slots: map[chain.Slot]*turn{}}
		m.roles[role] = r
	}
	return r
}

// label is a plugin's name without its kind.
func label(id route.ID) string {
	_, name, _ := strings.Cut(id.Plugin, ".")
	return name
}

// answering reports that a place may answer callers. What happens there is told by called, and a comparison adds to it; a
// plugin beside it is told by compared alone. So a request counts once for each plugin.
func answering(p route.Position) bool { return p != route.Shadow && p != route.Warm }

// called notes one question to one plugin in a place that answers.
func (m *meter) called(c route.Called) {
	if !answering(c.Position) || !m.owner(c.Route) {
		return
	}
	s := migrate.Sample{
		At: m.now(), Role: c.Route, Plugin: label(c.Target), Source: migrate.SourceLive, Outcome: migrate.OutcomeOK, Took: c.Took,
	}
	if c.Err != nil {
		s.Outcome, s.Request = migrate.OutcomeError, c.Err.Error()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.of(c.Route)
	if s.Outcome == migrate.OutcomeOK {
		r.alone = push(r.alone, s)
		return
	}
	r.samples = push(r.samples, s)
}

// compared notes what a plugin beside the answer made of the same request, for both of them.
func (m *meter) compared(c route.Comparison) {
	if !m.owner(c.Route) {
		return
	}
	at, used := m.now(), label(c.Used)
	other := migrate.Sample{
		At: at, Role: c.Route, Plugin: label(c.Other), Source: migrate.SourceShadow, Took: c.Took, Paired: c.UsedTook, Request: c.Request,
	}
	switch c.Verdict {
	case route.Agree:
		other.Outcome = migrate.OutcomeOK
	case route.Disagree:
		other.Outcome, other.Request = migrate.OutcomeDisagree, c.Request+": "+c.Reason
	case route.Failed:
		other.Outcome, other.Request = migrate.OutcomeError, c.Request+": "+c.Reason
	case route.NotSampled:
		other.Outcome = migrate.OutcomeNotSampled
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.of(c.Route)
	told := r.settle(other.Plugin, answering(c.Position))
	if !answering(c.Position) || other.Outcome == migrate.OutcomeDisagree || told && other.Outcome == migrate.OutcomeOK {
		r.samples = push(r.samples, other)
	}
	if used == "" || c.Verdict != route.Agree && c.Verdict != route.Disagree {
		return
	}
	// The answer that was used is one sample, with its pair instead of alone. When it counted already, what it answered may
	// still be what cannot be right.
	if r.settle(used, true) || c.Verdict == route.Disagree && !c.Unsound {
		r.samples = push(r.samples, migrate.Sample{
			At: at, Role: c.Route, Plugin: used, Source: migrate.SourceLive, Outcome: other.Outcome, Took: c.UsedTook, Paired: c.Took, Request: other.Request,
		})
	}
}

// settle takes a plugin's oldest answer out of those that wait for their comparison, if it can have one there.
func (r *measured) settle(plugin string, waits bool) bool {
	i := slices.IndexFunc(r.alone, func(s migrate.Sample) bool { return s.Plugin == plugin })
	if !waits || i < 0 {
		return false
	}
	r.alone = slices.Delete(r.alone, i, i+1)
	return true
}

// replayed notes stored blocks that an engine executed, and whose results were those of the chain; failed is why it could not
// go on.
func (m *meter) replayed(role, plugin string, blocks uint64, took time.Duration, failed error) {
	if blocks == 0 && failed == nil || !m.owner(role) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.of(role)
	if failed != nil {
		defer func() {
			r.samples = push(r.samples, migrate.Sample{
				At: m.now(), Role: role, Plugin: plugin, Source: migrate.SourceReplay, Outcome: migrate.OutcomeError, Request: failed.Error(),
			})
		}()
	}
	for range min(blocks, samplesKept/2) {
		r.samples = push(r.samples, migrate.Sample{
			At: m.now(), Role: role, Plugin: plugin, Source: migrate.SourceReplay, Outcome: migrate.OutcomeOK, Took: took / time.Duration(blocks),
		})
	}
}

// push appends, and forgets the oldest when there is no room.
func push(to []migrate.Sample, s migrate.Sample) []migrate.Sample {
	if len(to) >= samplesKept {
		to = to[1:]
	}
	return append(to, s)
}

// approved notes a slot in which this node signed an approval.
func (m *meter) approved(slot chain.Slot) { m.turn(slot, func(t *turn) { t.approved = true }) }

// notarized notes a slot that got a notarized block.
func (m *meter) notarized(slot chain.Slot) { m.turn(slot, func(t *turn) { t.notarized = true }) }

func (m *meter) turn(slot chain.Slot, note func(*turn)) {
	for _, r := range m.driven() {
		m.mu.Lock()
		t := r.slots[slot]
		if t == nil {
			t = &turn{seen: m.now()}
			r.slots[slot] = t
		}
		note(t)
		m.mu.Unlock()
	}
}

// driven are the roles that a migration drives. The others are forgotten. Their owner is asked for without the lock.
func (m *meter) driven() []*measured {
	m.mu.Lock()
	all := maps.Clone(m.roles)
	m.mu.Unlock()
	var out []*measured
	for name, r := range all {
		if m.owner(name) {
			out = append(out, r)
			continue
		}
		m.mu.Lock()
		delete(m.roles, name)
		m.mu.Unlock()
	}
	return out
}

// missedSlot notes an own slot without a block of ours.
func (m *meter) missedSlot() {
	for _, r := range m.driven() {
		m.mu.Lock()
		r.missed++
		m.mu.Unlock()
	}
}

// changed tells the migration of a role at once that its fallback has taken over.
func (m *meter) changed(c route.Changed) {
	if c.To == route.FallenBack {
		m.notice(migrate.Event{At: m.now(), Role: c.Route, Plugin: m.primary(c.Route), Kind: migrate.EventFellBack, Reason: c.Reason})
	}
}

// alarmed tells the migration of a role at once that what a plugin said cannot be true. It is detached, unless it is the
// only one that answers.
func (m *meter) alarmed(a route.Alarm) {
	m.notice(migrate.Event{At: m.now(), Role: a.Route, Plugin: label(a.Target), Kind: migrate.EventDetached, Reason: a.Reason})
}

// Drain implements migrate.Meter.
func (m *meter) Drain(role string) ([]migrate.Sample, migrate.Facts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.of(role)
	now := m.now()
	for len(r.alone) > 0 && now.Sub(r.alone[0].At) >= comparedWithin {
		r.samples = push(r.samples, r.alone[0])
		r.alone = r.alone[1:]
	}
	out := r.samples
	r.samples = nil
	f := migrate.Facts{MissedSlots: r.missed}
	r.missed = 0
	var ours uint64
	for slot, t := range r.slots {
		if now.Sub(t.seen) < turnSettles {
			continue
		}
		delete(r.slots, slot)
		if !t.notarized {
			continue
		}
		f.Slots++
		if t.approved {
			ours++
		}
	}
	switch {
	case !m.signs:
		f.Reasons = append(f.Reasons, "this node has no authority key")
	case f.Slots > 0:
		share := float64(ours) / float64(f.Slots)
		f.Participation = &share
	}
	return out, f
}
