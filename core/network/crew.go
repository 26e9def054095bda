package network

import (
	"context"
	"sync"
)

// crew is the goroutines of one run. After stop none begins, and stop returns when the last one has ended.
//
// It keeps the run's context, against the habit: libp2p's callbacks and Misbehaved come without one.
type crew struct {
	mu  sync.Mutex // guards ctx
	ctx context.Context
	wg  sync.WaitGroup
}

// begin lets goroutines start. Their context is ctx.
func (c *crew) begin(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ctx = ctx
}

// start runs f, and reports false when the crew has not begun or has stopped.
func (c *crew) start(f func(ctx context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil || c.ctx.Err() != nil {
		return false
	}
	ctx := c.ctx
	c.wg.Go(func() { f(ctx) })
	return true
}

// run runs f in the calling goroutine, as one of the crew.
func (c *crew) run(f func(ctx context.Context)) bool {
	c.mu.Lock()
	ctx := c.ctx
	if ctx == nil || ctx.Err() != nil {
		c.mu.Unlock()
		return false
	}
	c.wg.Add(1)
	c.mu.Unlock()
	defer c.wg.Done()
	f(ctx)
	return true
}

// stop waits for all. The context must have ended.
func (c *crew) stop() {
	c.mu.Lock()
	c.ctx = nil
	c.mu.Unlock()
	c.wg.Wait()
}
