package migrate

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Errors of the controller's methods. Each comes wrapped, with what to do next.
var (
	ErrInvalid         = errors.New("the schedule cannot run")
	ErrUnknown         = errors.New("no such migration")
	ErrOwned           = errors.New("the role is driven by a migration")
	ErrEnded           = errors.New("the run has ended")
	ErrNothingToDo     = errors.New("there is nothing to do")
	ErrNoReturn        = errors.New("the step makes the way back impossible")
	ErrNoWayBack       = errors.New("there is no way back")
	ErrRollbackPending = errors.New("the rollback did not succeed yet and is tried again")
)

// Options of a Controller. Roles, Meter and Log are required.
type Options struct {
	Roles    Roles
	Meter    Meter
	Log      Log
	Backups  Backups      // nil: there are none, and each step says so in the log
	Clock    Clock        // nil: the system's
	Observer Observer     // nil: nobody looks
	Logger   hclog.Logger // nil: no logs
	// ApplyTimeout bounds one apply with its admission; 0 is 15 min.
	ApplyTimeout time.Duration
	// RetryMin and RetryMax bound the wait between two attempts of a rollback; 0 is 1 s and 30 s.
	RetryMin, RetryMax time.Duration
}

// Controller drives the runs. Its methods may be called concurrently.
type Controller struct {
	opts Options
}

var errNotBuilt = errors.New("not built yet")

// New makes a controller from what the log says. It starts nothing.
func New(o Options) (*Controller, error) { return &Controller{opts: o}, errNotBuilt }

// Run drives every run until ctx ends. A failure of the log ends it with an error: nothing may be done that was not
// written down.
func (c *Controller) Run(_ context.Context) error { return errNotBuilt }

// Look looks at every run once: drains, judges, decides and acts. Run does it at every health interval and at events; a
// caller that has no Run may do it by hand.
func (c *Controller) Look(_ context.Context) error { return errNotBuilt }

// Plan says what a run of the schedule would do, whether or not one is active. It changes nothing.
func (c *Controller) Plan(_ context.Context, _ Schedule) (Plan, error) { return Plan{}, errNotBuilt }

// Start begins a run and returns its id; Run drives it. ErrInvalid with every problem in words, ErrOwned, or ErrNoReturn
// for a step that would cut the way back without saying so.
func (c *Controller) Start(_ context.Context, _ Schedule, _ string) (run string, err error) {
	return "", errNotBuilt
}

// PauseOptions of a pause.
type PauseOptions struct {
	By string
	// Hold makes a failure while paused hold the run, too. Without it a paused run is rolled back by a failing gate or a
	// trigger as any other: a pause is no reason to leave a bad plugin in place.
	Hold bool
}

// Pause stops progress: no soak, no gate passes. What fails still fails (PauseOptions). A step that is being applied is
// applied first.
func (c *Controller) Pause(_ context.Context, _ string, _ PauseOptions) error { return errNotBuilt }

// Resume goes on after a pause or a hold. After a hold, or when another route is applied than the step's, the step is
// prepared again and counts from zero.
func (c *Controller) Resume(_ context.Context, _, _ string) error { return errNotBuilt }

// ApproveOptions of an approval.
type ApproveOptions struct {
	By string
	// NoReturn accepts that the step makes the way back impossible.
	NoReturn bool
}

// Approve gives the word that a run waits for: ErrNothingToDo when it waits for none.
func (c *Controller) Approve(_ context.Context, _ string, _ ApproveOptions) error { return errNotBuilt }

// Abort ends the run and leaves the route that is applied, which holds against alys.hcl as that of a finished run does
// until Release, or until the file says the same or something new.
func (c *Controller) Abort(_ context.Context, _, _ string) error { return errNotBuilt }

// RollbackOptions of a rollback.
type RollbackOptions struct {
	By     string
	Reason string
}

// Rollback goes to the run's starting route by one apply, whatever step it is in, and returns when that route serves. It is
// idempotent, also on a run that has ended. When it fails the run keeps trying: ErrRollbackPending with the reason.
// ErrNoWayBack when the host refuses the old route for good.
func (c *Controller) Rollback(_ context.Context, _ string, _ RollbackOptions) error {
	return errNotBuilt
}

// Release lets alys.hcl decide about a role again whose run has ended: ErrNothingToDo when nothing is held.
func (c *Controller) Release(_ context.Context, _, _ string) error { return errNotBuilt }

// Notice tells the controller what happened on a route. It returns at once; Run looks at it at once.
func (c *Controller) Notice(_ Event) {}

// FileSays tells what alys.hcl says of a role whenever it was read, before it is applied. After a run has ended, a file
// that says what is held, or something else than at the start, releases the role.
func (c *Controller) FileSays(_ context.Context, _ string, _ Route) error { return errNotBuilt }

// Owner says which run drives a role now.
func (c *Controller) Owner(_ string) (Ownership, bool) { return Ownership{}, false }

// Override says which route holds instead of the file's: while a run is active what is applied, and after it its final
// route until it is released. base is what the file said at the start.
func (c *Controller) Override(_ string) (route, base Route, ok bool) { return Route{}, Route{}, false }

// Status lists the last run of every migration, oldest first.
func (c *Controller) Status() []Status { return nil }

// History returns the records of a migration, or of all when the name is "". Progress records are left out but for the last of
// each step.
func (c *Controller) History(_ string) []Record { return nil }

// Explain says why a run is where it is, gate by gate.
func (c *Controller) Explain(_ string) (Explanation, error) { return Explanation{}, errNotBuilt }
