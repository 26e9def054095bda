package migrate_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/alys-node/alys/core/migrate"
)

// story is a run of short() with an approval, driven as a node would: started once, approved when it waits, and spoiled in
// the canary step when it is to go back.
type story struct {
	*world
	spoil bool
}

func (s *story) schedule() migrate.Schedule {
	out := short()
	out.Steps[2].Approval = true
	return out
}

// tick is one moment of the story's life; it may end the process.
func (s *story) tick(c *migrate.Controller) {
	if len(c.Status()) == 0 {
		_, err := c.Start(context.Background(), s.schedule(), "ann")
		if err != nil {
			s.Fatal(err)
		}
		return
	}
	st := s.status(c)
	s.pass(30 * time.Second)
	source := migrate.SourceShadow
	if s.route.Primary == "v5" {
		source = migrate.SourceLive
	}
	for range 40 {
		s.sample(source, migrate.OutcomeOK)
	}
	if s.spoil && st.StepName == "canary" && st.State == migrate.StateSoaking {
		s.sample(migrate.SourceShadow, migrate.OutcomeDisagree)
	}
	if st.State == migrate.StateAwaitingApproval {
		if err := c.Approve(context.Background(), "up", migrate.ApproveOptions{By: "ann"}); err != nil {
			s.Fatal(err)
		}
	}
	s.look(c)
}

// live runs the story to its end through every death of the process and returns the deaths.
func (s *story) live() (deaths int) {
	c := s.process()
	for range 200 {
		var ended bool
		if until(func() {
			s.tick(c)
			ended = s.status(c).State.Ended()
		}) {
			deaths++
			s.samples, s.facts, s.mono = nil, migrate.Facts{}, 0
			c = s.process()
			s.serves(c)
			continue
		}
		if ended {
			return deaths
		}
	}
	s.Fatalf("no end: %+v", s.status(c))
	return 0
}

// serves checks that what is applied is a route of the schedule, or that of the start, and what the override says.
func (s *story) serves(c *migrate.Controller) {
	s.Helper()
	known := []migrate.Route{old}
	for _, step := range s.schedule().Steps {
		known = append(known, step.Route)
	}
	if !slices.Contains(known, s.route) {
		s.Fatalf("%v serves, which nobody asked for", s.route)
	}
	if route, _, ok := c.Override("engine"); ok && route != s.route {
		s.Fatalf("override %v, and %v serves", route, s.route)
	}
}

// TestKilledAtEveryRecord ends the process after each record of a run, on disk, in turn: after an intent the act has not
// happened, after what follows it it has. Then it ends inside each apply, after the flip and before the record.
func TestKilledAtEveryRecord(t *testing.T) {
	for _, spoil := range []bool{false, true} {
		whole := &story{world: newWorld(t), spoil: spoil}
		whole.live()
		want := whole.applies
		records := len(whole.records)
		check := func(t *testing.T, s *story) {
			t.Helper()
			if deaths := s.live(); deaths != 1 {
				t.Fatalf("died %d times", deaths)
			}
			if !slices.Equal(s.applies, want) {
				t.Errorf("routes %v, want %v", s.applies, want)
			}
			if s.calls != len(want) { // what had flipped is not applied again
				t.Errorf("%d applies, want %d", s.calls, len(want))
			}
			wantState, wantRoute := migrate.StateFinished, migrate.Route{Primary: "v5"}
			if spoil {
				wantState, wantRoute = migrate.StateRolledBack, old
			}
			c := s.process()
			if st := s.status(c); st.State != wantState || s.route != wantRoute {
				t.Errorf("ended as %s (%s) with %v", st.State, st.Reason, s.route)
			}
		}
		for n := 1; n < records; n++ {
			t.Run(fmt.Sprintf("spoiled %v, after record %d %s", spoil, n, whole.records[n-1].Kind), func(t *testing.T) {
				s := &story{world: newWorld(t), spoil: spoil}
				s.dieAt = n
				check(t, s)
			})
		}
		for n := range want {
			t.Run(fmt.Sprintf("spoiled %v, in apply %d", spoil, n+1), func(t *testing.T) {
				s := &story{world: newWorld(t), spoil: spoil}
				s.dieIn = n + 1
				check(t, s)
			})
		}
	}
}
