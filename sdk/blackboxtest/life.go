package blackboxtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/alys-node/alys/sdk/lifecycle"
)

// checkProbe starts a process whose data folder does not exist, as a plan does, and asks all that a plan asks.
func checkProbe(c *check) {
	p := c.probe(launch{})
	if err := os.RemoveAll(p.host.DataDir); err != nil {
		c.Fatal(err)
	}
	before := c.s.named()
	for range 2 {
		for _, w := range c.s.common() {
			if err := w.do(c.call(), p); err != nil {
				c.fatal("before Configure "+w.name+" is answered", "%s; %s", err, p.said())
			}
		}
	}
	if _, err := os.Stat(p.host.DataDir); !errors.Is(err, os.ErrNotExist) {
		c.failed("before Configure the data folder is not touched: in a probe it may not even exist", "%s was made", p.host.DataDir)
	}
	if diff := changed(before, c.s.named()); diff != "" {
		c.failed("Validate changes nothing of what the configuration names", "%s", diff)
	}
	files, err := written(p.process.pid)
	if len(files) > 0 {
		c.failed("before Configure no file is open for writing", "%v", files)
	}
	if left := snapshot(p.temp); len(left) > 1 {
		c.failed("before Configure no temporary file is made", "%s", changed(nil, left))
	}
	c.unseen(p, err)
}

// checkLifecycle goes through the states in their order.
func checkLifecycle(c *check) {
	p := c.probe(launch{})
	c.wantState(p, lifecycle.Starting, "before Configure")
	c.wantAll(p, lifecycle.ErrNotConfigured, "before Configure")

	if _, err := p.bringUp(c.within(c.s.o.StartTimeout), c.s.o.ConfigJSON); err != nil {
		c.fatal("with a valid configuration it comes up", "%s", err)
	}
	if err := p.client.Plugin().Configure(c.call(), p.config(c.s.o.ConfigJSON)); !errors.Is(err, lifecycle.ErrConfigured) {
		c.failed("a second Configure is refused (lifecycle.ErrConfigured, ErrorInfo PLUGIN_CONFIGURED): a new configuration is a new process", "%v", err)
	}
	c.wantHealthy(p, "after a second Configure")
	c.wantWork(p, "after a second Configure")

	for range 2 {
		if err := p.client.Plugin().Drain(c.call()); err != nil {
			c.fatal("Drain succeeds, and once more when it is asked again", "%s; %s", err, p.said())
		}
	}
	c.wantState(p, lifecycle.Draining, "after Drain")
	c.wantAll(p, lifecycle.ErrDraining, "after Drain")
	c.wantEnd(p, "drained")

	fresh := c.probe(launch{})
	if err := fresh.client.Plugin().Drain(c.call()); err != nil {
		c.failed("a plugin that never got Configure can be drained", "%s; %s", err, fresh.said())
	}
	c.wantEnd(fresh, "never configured and drained")
}

func (c *check) wantState(p *plug, want lifecycle.State, when string) {
	c.Helper()
	if h, err := p.client.Plugin().Health(c.call()); err != nil || h.State != want {
		c.failed(fmt.Sprintf("%s Health says %s", when, want), "%q %v", h.State, err)
	}
}

// wantAll wants one answer from every call of the kind.
func (c *check) wantAll(p *plug, want error, when string) {
	c.Helper()
	for _, w := range c.s.ofKind() {
		if err := w.do(c.call(), p); !errors.Is(err, want) {
			c.failed(fmt.Sprintf("%s %s answers that the %v", when, w.name, want), "%v", err)
		}
	}
}

// wantEnd asks the process to end and waits for it.
func (c *check) wantEnd(p *plug, how string) {
	c.Helper()
	_ = p.shutdown(c.call()) // the answer may be lost with the process
	if !p.ended(c.s.o.CallTimeout) {
		c.failed(how+", it ends when go-plugin's controller is asked to shut down", "it still runs after %s", c.s.o.CallTimeout)
	}
}

// How the deadlines are tried: so many calls at once, with so little time that most of them end in the middle.
const (
	hasty     = 32
	hastyTime = time.Millisecond
)

// checkDeadlines makes calls that nobody waits for. A plugin that does not end them cannot be drained afterwards.
func checkDeadlines(c *check) {
	p, _ := c.bringUp(launch{})
	works := append(c.s.common(), c.s.ofKind()...)
	for _, w := range works {
		if err := w.do(c.call(), p); errors.Is(err, context.DeadlineExceeded) {
			c.fatal(fmt.Sprintf("%s is answered within %s", w.name, c.s.o.CallTimeout), "no answer; %s", p.said())
		}
	}
	for _, w := range works {
		ended, cancel := context.WithCancel(c.Context())
		cancel()
		if err := w.do(ended, p); !errors.Is(err, context.Canceled) {
			c.failed(w.name+" ends with its context", "%v", err)
		}
		var wg sync.WaitGroup
		for range hasty {
			wg.Go(func() {
				short, cancel := context.WithTimeout(c.Context(), hastyTime)
				defer cancel()
				_ = w.do(short, p)
			})
		}
		wg.Wait()
	}
	for _, w := range c.s.sessions() {
		short, cancel := context.WithTimeout(c.Context(), 20*hastyTime)
		err := w.do(short, p)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			c.failed(w.name+" lasts until its context ends", "%v", err)
		}
	}
	c.wantHealthy(p, "after calls whose deadline was over")
	c.wantWork(p, "after calls whose deadline was over")
	if err := p.client.Plugin().Drain(c.call()); err != nil {
		c.failed(fmt.Sprintf("no call goes on when its caller is gone, so Drain ends within %s", c.s.o.CallTimeout), "%s; %s", err, p.said())
	}
}
