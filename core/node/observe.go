package node

import (
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/host"
	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/core/telemetry"
	"github.com/alys-node/alys/sdk/chain"
)

// watch turns what the parts tell into metrics, logs and events for people. It implements the observers of host, route
// and driver.
type watch struct {
	metrics  *telemetry.Metrics
	log      hclog.Logger
	event    func(Event)
	advanced func(driver.Advanced) // what the node does after a new head; never blocks
	slots    *slotLog
	meter    *meter
	hurry    func(role string) // has the role's migration look at the meter at once

	missed, authored atomic.Uint64

	serving serving
}

// serving knows which generations of each plugin are up. In a swap two of one label are, and the end of the old one says
// nothing of the new.
type serving struct {
	mu   sync.Mutex
	up   map[host.Name]bool // guarded by mu
	left map[host.Name]bool // guarded by mu; ended before their start was told, which comes from another goroutine
}

// started notes a generation and reports whether its plugin serves.
func (s *serving) started(n host.Name) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.make()
	if s.left[n] {
		delete(s.left, n)
	} else {
		s.up[n] = true
	}
	return s.serves(n)
}

// ended takes a generation off and reports whether its plugin serves with another one.
func (s *serving) ended(n host.Name) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.make()
	if s.up[n] {
		delete(s.up, n)
	} else {
		s.left[n] = true
	}
	return s.serves(n)
}

// make makes the zero value usable; the caller holds mu.
func (s *serving) make() {
	if s.up == nil {
		s.up, s.left = map[host.Name]bool{}, map[host.Name]bool{}
	}
}

// serves reports whether any generation of a plugin is up; the caller holds mu.
func (s *serving) serves(n host.Name) bool {
	for o := range s.up {
		if o.Kind == n.Kind && o.Label == n.Label {
			return true
		}
	}
	return false
}

// up sets the gauge of a plugin.
func (w *watch) up(n host.Name, serves bool) {
	value := 0.0
	if serves {
		value = 1
	}
	w.metrics.PluginUp.WithLabelValues(string(n.Kind), n.Label).Set(value)
}

func (w *watch) say(text string) { w.event(Event{At: time.Now(), Text: text}) }

// PluginStarted implements host.Observer.
func (w *watch) PluginStarted(s host.Started) {
	w.metrics.PluginStarts.WithLabelValues(string(s.Kind), s.Label).Inc()
	w.up(s.Name, w.serving.started(s.Name))
	w.log.Info("plugin is up", "kind", s.Kind, "plugin", s.Label, "generation", s.Generation, "pid", s.PID, "took", s.Took)
}

// PluginExited implements host.Observer.
func (w *watch) PluginExited(e host.Exited) {
	w.up(e.Name, w.serving.ended(e.Name))
	if e.Asked {
		w.log.Info("plugin ended", "kind", e.Kind, "plugin", e.Label, "generation", e.Generation)
		return
	}
	w.metrics.PluginExits.WithLabelValues(string(e.Kind), e.Label).Inc()
	w.log.Error("plugin died", "kind", e.Kind, "plugin", e.Label, "generation", e.Generation, "reason", e.Reason, "panic", e.Panic)
	w.say("plugin " + string(e.Kind) + "." + e.Label + " died: " + e.Reason)
}

// PluginCalled implements host.Observer.
func (w *watch) PluginCalled(c host.Call) {
	method := path.Base(c.Method)
	w.metrics.PluginCalls.WithLabelValues(string(c.Kind), c.Label, method, c.Code.String()).Inc()
	w.metrics.PluginCallTime.WithLabelValues(string(c.Kind), c.Label, method).Observe(c.Latency.Seconds())
}

// PluginSampled implements host.Observer.
func (w *watch) PluginSampled(s host.Sample) {
	w.metrics.PluginRSS.WithLabelValues(string(s.Kind), s.Label).Set(float64(s.Stats.RSS))
	w.metrics.PluginCPU.WithLabelValues(string(s.Kind), s.Label).Set(s.Stats.CPU.Seconds())
}

// Called implements route.Observer.
func (w *watch) Called(c route.Called) {
	outcome := "answer"
	if c.Err != nil {
		outcome = "failure"
	}
	w.metrics.RouteCalls.WithLabelValues(c.Route, string(c.Position), outcome).Inc()
	w.meter.called(c)
	if c.Err != nil {
		w.hurry(c.Route)
	}
}

// Compared implements route.Observer.
func (w *watch) Compared(c route.Comparison) {
	w.metrics.Compares.WithLabelValues(c.Route, string(c.Verdict)).Inc()
	w.meter.compared(c)
	if c.Verdict == route.Disagree || c.Verdict == route.Failed {
		w.hurry(c.Route)
	}
	if c.Verdict == route.Disagree {
		w.log.Error("plugins disagree", "role", c.Route, "request", c.Request, "used", c.Used, "other", c.Other, "reason", c.Reason)
	}
}

// Changed implements route.Observer.
func (w *watch) Changed(c route.Changed) {
	w.metrics.RouteState.WithLabelValues(c.Route, string(c.From)).Set(0)
	w.metrics.RouteState.WithLabelValues(c.Route, string(c.To)).Set(1)
	w.meter.changed(c)
	w.log.Info("route changed", "role", c.Route, "from", c.From, "to", c.To, "reason", c.Reason)
}

// Alarm implements route.Observer.
func (w *watch) Alarm(a route.Alarm) {
	w.log.Error("ALARM: a plugin's answer cannot be true", "role", a.Route, "plugin", a.Target, "position", a.Position, "detached", a.Detached, "reason", a.Reason)
	w.meter.alarmed(a)
	w.say("ALARM " + a.Route + " " + a.Target.String() + ": " + a.Reason)
}

// Advanced implements driver.Observer.
func (w *watch) Advanced(a driver.Advanced) {
	w.metrics.Height.WithLabelValues("head").Set(float64(a.Head.Height))
	w.metrics.Height.WithLabelValues("safe").Set(float64(a.Safe.Height))
	w.metrics.BlockTxs.Add(float64(a.Txs))
	if a.Own {
		w.authored.Add(1)
		w.metrics.BlocksAuthored.WithLabelValues("notarized").Inc()
		w.metrics.BlockTime.Observe(a.SinceSlot.Seconds())
	}
	if a.Moved {
		w.metrics.Reorgs.Inc()
	}
	w.slots.advanced(a)
	w.advanced(a)
	w.event(Event{At: time.Now(), Block: &a})
}

// Notarized implements driver.Observer.
func (w *watch) Notarized(c consensus.Certificate) {
	w.slots.notarized(c)
	w.meter.notarized(c.Header.Slot)
}

// MissedSlot implements driver.Observer.
func (w *watch) MissedSlot(slot chain.Slot) {
	w.missed.Add(1)
	w.metrics.SlotsMissed.Inc()
	w.meter.missedSlot()
	w.log.Warn("own slot missed", "slot", slot)
}

// EngineCall implements driver.Observer.
func (w *watch) EngineCall(call string, took time.Duration, _ error) {
	w.metrics.EngineTime.WithLabelValues(call).Observe(took.Seconds())
}

// Halted implements driver.Observer.
func (w *watch) Halted(reason string) {
	w.metrics.ConsensusHalted.Set(1)
	w.log.Error("ALARM: consensus halted", "reason", reason)
	w.say("ALARM consensus halted: " + reason)
}

// Evidence implements driver.Observer.
func (w *watch) Evidence(e consensus.Evidence) {
	w.log.Error("ALARM: an authority approved two blocks in one slot", "key", e.Key, "slot", e.First.Header.Slot)
}

// guarded is the guard's observer.
func (w *watch) guarded(e guard.Event) {
	w.metrics.GuardDecisions.WithLabelValues(string(e.Kind)).Inc()
	if e.Kind == guard.EventKept {
		w.meter.approved(e.Slot)
	}
	if e.Kind == guard.EventReserved {
		w.metrics.GuardTime.Observe(e.Took.Seconds())
	}
	switch {
	case e.Alarm():
		w.log.Error("ALARM: the guard said no", "key", e.Key, "slot", e.Slot, "height", e.Height, "reason", e.Reason, "error", e.Err)
		w.say("ALARM guard: " + e.Err.Error())
	case e.Err != nil:
		w.log.Warn("the guard said no", "key", e.Key, "slot", e.Slot, "reason", e.Reason, "error", e.Err)
	}
}
