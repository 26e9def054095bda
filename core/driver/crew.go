package driver

import (
	"fmt"
	"runtime/debug"
	"sync"
)

// crew is the goroutines of one run.
type crew struct {
	wg     sync.WaitGroup
	failed chan error // the first failure, which ends the run
}

// start runs f beside the loop. Its error, or its panic, ends the run.
func (c *crew) start(name string, f func() error) {
	c.wg.Go(func() {
		if err := safely(name, f); err != nil {
			select {
			case c.failed <- err:
			default: // another failure ends the run already
			}
		}
	})
}

// safely turns a panic into an error, so that the node stops in order.
func safely(name string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s panicked: %v\n%s", name, r, debug.Stack())
		}
	}()
	return f()
}
