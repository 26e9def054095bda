package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alys-node/alys/core/migrate"
)

// locked makes a world safe for the goroutines of Run.
type locked struct {
	mu sync.Mutex
	*world
}

func (l *locked) Current(role string) (migrate.Applied, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.world.Current(role)
}

func (l *locked) Apply(ctx context.Context, role string, r migrate.Route, o migrate.ApplyOptions) error {
	if l.during != nil && !o.Rollback { // without the lock: it waits
		if err := l.during(ctx); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	during := l.during
	l.during = nil
	defer func() { l.during = during }()
	return l.world.Apply(ctx, role, r, o)
}

func (l *locked) Drain(string) ([]migrate.Sample, migrate.Facts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	source := migrate.SourceShadow
	if l.route.Primary == "v5" {
		source = migrate.SourceLive
	}
	for range 40 {
		l.sample(source, migrate.OutcomeOK)
	}
	return l.world.Drain("")
}

// running starts a controller with the real clock, as synctest has it, and Run.
func running(t *testing.T, l *locked, log migrate.Log) (c *migrate.Controller, wait func() error) {
	t.Helper()
	c, err := migrate.New(migrate.Options{Roles: l, Meter: l, Log: log, Backups: l})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return c, func() error { cancel(); return <-done }
}

func TestRunDrivesByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &locked{world: newWorld(t)}
		c, wait := running(t, l, l)
		l.start(c, short())
		time.Sleep(10 * time.Minute) //nolint:forbidigo // virtual time
		l.want(c, migrate.StateFinished, "only")
		if err := wait(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// An admission may take minutes. A person's word and a failure do not wait for it.
func TestApplyOfAStepIsGivenUpForAWordAndForAFailure(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(c *migrate.Controller) error
		want migrate.State
	}{
		{"abort", func(c *migrate.Controller) error { return c.Abort(context.Background(), "up", "ann") }, migrate.StateAborted},
		{"rollback", func(c *migrate.Controller) error {
			return c.Rollback(context.Background(), "up", migrate.RollbackOptions{By: "ann"})
		}, migrate.StateRolledBack},
		{"failure", func(c *migrate.Controller) error {
			c.Notice(migrate.Event{Role: "engine", Plugin: "v5", Kind: migrate.EventBroken})
			return nil
		}, migrate.StateRolledBack},
		{"pause", func(c *migrate.Controller) error {
			return c.Pause(context.Background(), "up", migrate.PauseOptions{By: "ann"})
		}, migrate.StatePaused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &locked{world: newWorld(t)}
				l.during = func(ctx context.Context) error {
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(5 * time.Minute):
						return nil
					}
				}
				c, wait := running(t, l, l)
				l.start(c, short())
				synctest.Wait()
				l.want(c, migrate.StatePreparing, "shadow")
				began := time.Now()
				if err := tc.do(c); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				l.want(c, tc.want, "")
				if took := time.Since(began); took > time.Second {
					t.Errorf("it waited %s for the apply", took)
				}
				if tc.want == migrate.StatePaused { // what is being applied is applied
					time.Sleep(6 * time.Minute) //nolint:forbidigo // virtual time
					l.want(c, migrate.StatePaused, "shadow")
					if l.route != short().Steps[0].Route {
						t.Errorf("%v serves", l.route)
					}
				} else if l.route != old {
					t.Errorf("%v serves", l.route)
				}
				if err := wait(); err != nil {
					t.Errorf("run: %v", err)
				}
			})
		})
	}
}

// refusing is a log that stops taking records.
type refusing struct {
	migrate.Log
	after int
}

func (r *refusing) Append(rec migrate.Record) error {
	if r.after--; r.after < 0 {
		return fmt.Errorf("disk: %w", migrate.ErrLogRefuses)
	}
	return r.Log.Append(rec)
}

func TestNothingIsDoneThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &locked{world: newWorld(t)}
		c, wait := running(t, l, &refusing{Log: l, after: 3}) // started, backup, backed up
		l.start(c, short())
		synctest.Wait()
		if len(l.applies) > 0 {
			t.Errorf("applied %v without an intent", l.applies)
		}
		if err := wait(); !errors.Is(err, migrate.ErrLogRefuses) {
			t.Errorf("run: %v", err)
		}
		if err := c.Pause(t.Context(), "up", migrate.PauseOptions{}); !errors.Is(err, migrate.ErrLogRefuses) {
			t.Errorf("pause: %v", err)
		}
	})
}

// A rollback of a run that had ended is tried until it succeeds, as any other.
func TestRunDrivesTheRollbackOfAFinishedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &locked{world: newWorld(t)}
		c, wait := running(t, l, l)
		l.start(c, short())
		time.Sleep(10 * time.Minute) //nolint:forbidigo // virtual time
		l.want(c, migrate.StateFinished, "only")
		l.mu.Lock()
		l.refuse[old.String()] = errRefused
		l.mu.Unlock()
		if err := c.Rollback(t.Context(), "up", migrate.RollbackOptions{By: "ann"}); !errors.Is(err, migrate.ErrRollbackPending) {
			t.Fatalf("rollback: %v", err)
		}
		synctest.Wait()
		l.mu.Lock()
		l.refuse = map[string]error{}
		l.mu.Unlock()
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		l.want(c, migrate.StateRolledBack, "")
		if err := wait(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// An attempt that is due is no reason to look without end when the run goes nowhere.
func TestARunThatWaitsLooksAtItsIntervalOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &locked{world: newWorld(t)}
		l.refuse[short().Steps[0].Route.String()] = migrate.ErrBusy
		c, wait := running(t, l, l)
		l.start(c, short())
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		if err := c.Pause(t.Context(), "up", migrate.PauseOptions{By: "ann", Hold: true}); err != nil {
			t.Fatal(err)
		}
		l.mu.Lock()
		delete(l.refuse, short().Steps[0].Route.String())
		l.refuse[short().Steps[0].Route.String()] = errRefused // the apply that was under way fails: it holds
		l.mu.Unlock()
		time.Sleep(10 * time.Minute) //nolint:forbidigo // virtual time
		l.mu.Lock()
		before := l.currents
		l.mu.Unlock()
		time.Sleep(10 * time.Minute) //nolint:forbidigo // virtual time
		l.mu.Lock()
		looks := l.currents - before
		l.mu.Unlock()
		if looks > 3*20 { // one look every 30 s, which asks once or twice
			t.Errorf("it looked %d times in 10 minutes", looks)
		}
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
}
