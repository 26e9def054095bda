package node

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/migrate"
	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/sdk/chain"
)

// meterAt is a meter of one driven role, whose time the test sets, and the events that it gave.
func meterAt(t *testing.T) (m *meter, now *time.Time, events *[]migrate.Event) {
	t.Helper()
	at := time.Unix(1_800_000_000, 0)
	told := []migrate.Event{}
	return &meter{
		now: func() time.Time { return at }, signs: true, roles: map[string]*measured{},
		owner:   func(role string) bool { return role == "engine" },
		primary: func(string) string { return "v4" },
		notice:  func(e migrate.Event) { told = append(told, e) },
	}, &at, &told
}

func v(label string) route.ID { return route.ID{Plugin: "engine." + label} }

// said is a sample in short: plugin, source, outcome, both times.
func said(ss []migrate.Sample) []string {
	out := []string{}
	for _, s := range ss {
		out = append(out, s.Plugin+" "+string(s.Source)+" "+string(s.Outcome)+" "+s.Took.String()+" "+s.Paired.String())
	}
	return out
}

func TestMeterCountsARequestOnceForEachPlugin(t *testing.T) {
	ms := time.Millisecond
	failed := errors.New("no answer")
	for _, test := range []struct {
		name string
		do   func(*meter)
		want []string
	}{
		{"a shadow that agrees, and the answer", func(m *meter) {
			m.called(route.Called{Route: "engine", Target: v("v4"), Position: route.Primary, Took: 3 * ms})
			m.called(route.Called{Route: "engine", Target: v("v5"), Position: route.Shadow, Took: 5 * ms})
			m.compared(route.Comparison{Route: "engine", Used: v("v4"), Other: v("v5"), Position: route.Shadow, Verdict: route.Agree, Took: 5 * ms, UsedTook: 3 * ms})
		}, []string{"v5 shadow ok 5ms 3ms", "v4 live ok 3ms 5ms"}},
		{"an answer that nobody was compared with", func(m *meter) {
			m.called(route.Called{Route: "engine", Target: v("v5"), Position: route.Canary, Took: ms})
		}, []string{"v5 live ok 1ms 0s"}},
		{"no answer", func(m *meter) {
			m.called(route.Called{Route: "engine", Target: v("v5"), Position: route.Primary, Took: ms, Err: failed})
		}, []string{"v5 live error 1ms 0s"}},
		{"a shadow without an answer", func(m *meter) {
			m.compared(route.Comparison{Route: "engine", Used: v("v4"), Other: v("v5"), Position: route.Shadow, Verdict: route.Failed, Took: ms})
		}, []string{"v5 shadow error 1ms 0s"}},
		{"a shadow that was not asked", func(m *meter) {
			m.compared(route.Comparison{Route: "engine", Used: v("v4"), Other: v("v5"), Position: route.Shadow, Verdict: route.NotSampled})
		}, []string{"v5 shadow not_sampled 0s 0s"}},
		{"a new primary that the old one contradicts", func(m *meter) {
			m.called(route.Called{Route: "engine", Target: v("v5"), Position: route.Primary, Took: ms})
			m.compared(route.Comparison{Route: "engine", Used: v("v5"), Other: v("v4"), Position: route.Warm, Verdict: route.Disagree, Took: ms, UsedTook: ms})
		}, []string{"v4 shadow disagree 1ms 1ms", "v5 live disagree 1ms 1ms"}},
		{"an old one whose own reply cannot be true", func(m *meter) {
			m.compared(route.Comparison{Route: "engine", Used: v("v5"), Other: v("v4"), Position: route.Warm, Verdict: route.Disagree, Unsound: true, Took: ms})
		}, []string{"v4 shadow disagree 1ms 0s"}},
		{"a canary that was not drawn, and the answer", func(m *meter) {
			m.called(route.Called{Route: "engine", Target: v("v4"), Position: route.Primary, Took: 3 * ms})
			m.called(route.Called{Route: "engine", Target: v("v5"), Position: route.Canary, Took: 5 * ms})
			m.compared(route.Comparison{Route: "engine", Used: v("v4"), Other: v("v5"), Position: route.Canary, Verdict: route.Agree, Took: 5 * ms, UsedTook: 3 * ms})
		}, []string{"v5 shadow ok 5ms 3ms", "v4 live ok 3ms 5ms"}},
		{"a canary that failed beside the answer", func(m *meter) {
			m.called(route.Called{Route: "engine", Target: v("v5"), Position: route.Canary, Took: ms, Err: failed})
			m.compared(route.Comparison{Route: "engine", Used: v("v4"), Other: v("v5"), Position: route.Canary, Verdict: route.Failed, Took: ms})
		}, []string{"v5 live error 1ms 0s"}},
		{"a primary that answered too late", func(m *meter) {
			m.called(route.Called{Route: "engine", Target: v("v5"), Position: route.Primary, Took: ms, Err: failed})
			m.compared(route.Comparison{Route: "engine", Used: v("v4"), Other: v("v5"), Position: route.Primary, Verdict: route.Agree, Took: 9 * ms, UsedTook: 3 * ms})
		}, []string{"v5 live error 1ms 0s"}},
		{"a primary that the fallback contradicts", func(m *meter) {
			m.called(route.Called{Route: "engine", Target: v("v5"), Position: route.Primary, Took: ms})
			m.compared(route.Comparison{Route: "engine", Used: v("v4"), Other: v("v5"), Position: route.Primary, Verdict: route.Disagree, Took: ms, UsedTook: ms})
		}, []string{"v5 shadow disagree 1ms 1ms", "v4 live disagree 1ms 1ms"}},
		{"replayed blocks", func(m *meter) { m.replayed("engine", "v5", 2, 4*ms, nil) }, []string{"v5 replay ok 2ms 0s", "v5 replay ok 2ms 0s"}},
		{"a replay that could not go on", func(m *meter) { m.replayed("engine", "v5", 1, ms, failed) }, []string{"v5 replay ok 1ms 0s", "v5 replay error 0s 0s"}},
		{"a role that no migration drives", func(m *meter) {
			m.called(route.Called{Route: "signer", Target: v("v5"), Position: route.Primary, Took: ms})
			m.compared(route.Comparison{Route: "signer", Used: v("v4"), Other: v("v5"), Verdict: route.Agree})
			m.replayed("sync", "v5", 2, ms, nil)
		}, []string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, now, _ := meterAt(t)
			test.do(m)
			*now = now.Add(comparedWithin)
			got, _ := m.Drain("engine")
			if diff := cmp.Diff(test.want, said(got)); diff != "" {
				t.Errorf("samples (-want +got):\n%s", diff)
			}
			if again, _ := m.Drain("engine"); len(again) != 0 {
				t.Errorf("they are there again: %v", said(again))
			}
		})
	}
}

func TestMeterWaitsForAComparisonThatIsUnderWay(t *testing.T) {
	m, now, _ := meterAt(t)
	m.called(route.Called{Route: "engine", Target: v("v5"), Position: route.Primary, Took: time.Millisecond})
	if got, _ := m.Drain("engine"); len(got) != 0 {
		t.Errorf("told before its comparison could come: %v", said(got))
	}
	*now = now.Add(comparedWithin)
	if got, _ := m.Drain("engine"); len(got) != 1 {
		t.Errorf("never told: %v", said(got))
	}
}

func TestMeterKeepsNoMoreThanItMay(t *testing.T) {
	m, _, _ := meterAt(t)
	for range samplesKept + 10 {
		m.compared(route.Comparison{Route: "engine", Used: v("v4"), Other: v("v5"), Position: route.Shadow, Verdict: route.Failed})
	}
	if got, _ := m.Drain("engine"); len(got) != samplesKept {
		t.Errorf("%d samples, want %d", len(got), samplesKept)
	}
}

func TestMeterCountsOurPartInTheSlots(t *testing.T) {
	m, now, _ := meterAt(t)
	m.Drain("engine") // the run begins
	for slot := chain.Slot(11); slot < 15; slot++ {
		m.notarized(slot)
		if slot != 13 {
			m.approved(slot)
		}
	}
	m.approved(40) // its block was never notarized
	m.missedSlot()
	if _, f := m.Drain("engine"); f.Slots != 0 || f.MissedSlots != 1 {
		t.Errorf("%+v before the slots have settled", f)
	}
	*now = now.Add(turnSettles)
	_, f := m.Drain("engine")
	if f.Slots != 4 || f.Participation == nil || *f.Participation != 0.75 || f.MissedSlots != 0 {
		t.Errorf("facts %+v, want 3 of 4 slots", f)
	}
	m.signs = false
	if _, f := m.Drain("engine"); f.Participation != nil || len(f.Reasons) != 1 {
		t.Errorf("facts of a node without a key: %+v", f)
	}
}

func TestMeterTellsFailuresAtOnce(t *testing.T) {
	m, now, events := meterAt(t)
	m.changed(route.Changed{Route: "engine", From: route.Single, To: route.FallenBack, Reason: "no answer"})
	m.changed(route.Changed{Route: "engine", From: route.Single, To: route.Held, Reason: "held"})
	m.alarmed(route.Alarm{Route: "engine", Target: v("v5"), Detached: true, Reason: "answers differ"})
	m.alarmed(route.Alarm{Route: "engine", Target: v("v5"), Reason: "nobody else answers"})
	want := []migrate.Event{
		{At: *now, Role: "engine", Plugin: "v4", Kind: migrate.EventFellBack, Reason: "no answer"},
		{At: *now, Role: "engine", Plugin: "v5", Kind: migrate.EventDetached, Reason: "answers differ"},
		{At: *now, Role: "engine", Plugin: "v5", Kind: migrate.EventDetached, Reason: "nobody else answers"},
	}
	if diff := cmp.Diff(want, *events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
