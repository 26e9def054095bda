package migrate

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The fold is internal, and so are its properties.

func foldSchedule(t *rapid.T) *Schedule {
	n := rapid.IntRange(1, 3).Draw(t, "steps")
	s := &Schedule{Name: "m", Role: "engine", From: "v4", To: "v5", HealthInterval: MaxHealthInterval}
	for range n {
		s.Steps = append(s.Steps, Step{Name: "s", Route: Route{Primary: "v5"}, Approval: rapid.Bool().Draw(t, "approval")})
	}
	return s
}

// anyRecord is a record that may or may not be able to happen.
func anyRecord(t *rapid.T) Record {
	r := Record{
		Kind: rapid.SampledFrom(recordKinds()).Draw(t, "kind"), Run: rapid.SampledFrom([]string{"m-1", "m-2"}).Draw(t, "run"),
		Name: "m", Role: "engine", Step: rapid.IntRange(0, 2).Draw(t, "step"), Hold: rapid.Bool().Draw(t, "hold"),
		NoReturn: rapid.Bool().Draw(t, "no_return"), Again: rapid.Bool().Draw(t, "again"),
		Route: &Route{Primary: rapid.SampledFrom([]string{"v4", "v5"}).Draw(t, "route")}, File: &Route{Primary: "v4"},
		Tally: &Tally{Slots: rapid.Uint64Max(9).Draw(t, "slots")},
		Event: &Event{Kind: EventFellBack, Role: "engine"},
	}
	if r.Kind == RecordStarted {
		r.Schedule = foldSchedule(t)
	}
	return r
}

// view is what can be seen of a fold.
func view(t *rapid.T, f *fold) string {
	var out []any
	for _, x := range f.runs {
		out = append(out, x.id, x.state, x.before, x.step, x.backedUp, x.applying, x.applied, x.holds, x.asks, x.noReturn, x.tally, x.pending,
			x.rollbacks, x.attempts)
	}
	for role, h := range f.held {
		out = append(out, role, h.route, h.base, h.run)
	}
	text, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFoldIsAFunctionOfTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFold()
		var log []Record
		var views []string // after each record of the log
		steps := map[string]int{}
		for range rapid.IntRange(1, 120).Draw(t, "records") {
			r := anyRecord(t)
			before := view(t, f)
			if f.add(r) != nil {
				if after := view(t, f); after != before {
					t.Fatalf("a refused %s changed %s to %s", r.Kind, before, after)
				}
				continue
			}
			log, views = append(log, r), append(views, view(t, f))
			if driven := slices.DeleteFunc(slices.Clone(f.runs), func(x *run) bool { return x.state.Ended() }); len(driven) > 1 {
				t.Fatal("two runs drive one role")
			}
			if x := f.run(r.Run); x != nil && r.Kind != RecordReleased {
				if x.step < steps[x.id] || x.step > steps[x.id]+1 || x.step >= len(x.schedule.Steps) {
					t.Fatalf("%s went from step %d to %d", r.Kind, steps[x.id], x.step)
				}
				if x.state == StateSoaking && !x.applied || x.state.Ended() && len(x.pending) > 0 || (x.state == StatePaused) != (x.before != "") {
					t.Fatalf("after %s: %+v", r.Kind, x)
				}
				steps[x.id] = x.step
			}
		}
		// Every beginning of the log, read again from its bytes, gives the same fold as when it was written.
		again := newFold()
		for i, r := range log {
			var read Record
			text, err := json.Marshal(r)
			if err == nil {
				err = json.Unmarshal(text, &read)
			}
			if err == nil {
				err = again.add(read)
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(views[i], view(t, again)); diff != "" {
				t.Fatalf("after record %d: %s", i, diff)
			}
		}
	})
}

// A step is entered only through its backup, its intent and its flip, and with a word where one is needed.
func TestNoRecordSkipsAStep(t *testing.T) {
	s := &Schedule{Steps: []Step{{Name: "a"}, {Name: "b", Approval: true}}}
	f := newFold()
	add := func(r Record) error {
		r.Run, r.Name, r.Role = "m-1", "m", "engine"
		return f.add(r)
	}
	for _, tc := range []struct {
		wrong []Record // refused here
		right Record
	}{
		{[]Record{{Kind: RecordBackup}, {Kind: RecordAborted, Route: &Route{}}}, Record{Kind: RecordStarted, Schedule: s, Route: &Route{}}},
		{[]Record{{Kind: RecordApplied}, {Kind: RecordApplying}, {Kind: RecordBackup, Step: 1}, {Kind: RecordApproved}, {Kind: RecordStarted, Schedule: s, Route: &Route{}}}, Record{Kind: RecordBackup}},
		{[]Record{{Kind: RecordApplying}, {Kind: RecordPassed}}, Record{Kind: RecordBackedUp}},
		{[]Record{{Kind: RecordApplied}, {Kind: RecordBackup}}, Record{Kind: RecordApplying}},
		{[]Record{{Kind: RecordFinished}, {Kind: RecordProgress, Tally: &Tally{}}}, Record{Kind: RecordApplied}},
		{[]Record{{Kind: RecordPassed}, {Kind: RecordFinished}, {Kind: RecordAwaiting}, {Kind: RecordRolledBack}, {Kind: RecordProgress}}, Record{Kind: RecordAwaiting, Step: 1}},
		{[]Record{{Kind: RecordBackup, Step: 1}, {Kind: RecordResumed}}, Record{Kind: RecordApproved, Step: 1}},
		{[]Record{{Kind: RecordApplied, Step: 1}, {Kind: RecordReleased}}, Record{Kind: RecordBackup, Step: 1}},
	} {
		for _, r := range tc.wrong {
			if err := add(r); err == nil {
				t.Errorf("%s was taken before %s", r.Kind, tc.right.Kind)
			}
		}
		if err := add(tc.right); err != nil {
			t.Fatal(err)
		}
	}
	if err := add(Record{Kind: RecordProgress, Tally: &Tally{}}); !errors.Is(err, errRecordOrder) {
		t.Errorf("progress of a step that is prepared: %v", err)
	}
}
