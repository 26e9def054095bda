package swap

import (
	"context"
	"errors"
	"time"
)

// ErrNothingApplied means that the journal is of a node that never ran a plugin.
var ErrNothingApplied = errors.New("nothing was ever applied")

// StartApplied is Start for a node whose file cannot be used: what the journal says runs comes up, and the file waits
// for a reload. ErrNothingApplied when there is no such thing.
func (c *Controller) StartApplied(ctx context.Context) (Report, error) {
	ctx, done, err := c.ask(ctx)
	if err != nil {
		return Report{}, err
	}
	defer done()
	if err := c.resume(ctx); err != nil {
		return Report{}, err
	}
	if c.state().applied.empty() {
		return Report{}, ErrNothingApplied
	}
	return Report{Serial: c.state().serial, Cause: "start", At: time.Now(), Result: ResultNoOp}, c.unserved()
}
