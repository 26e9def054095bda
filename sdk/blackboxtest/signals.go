package blackboxtest

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/wire"
	"github.com/alys-node/alys/sdk/wire/pluginv1"
)

// How long a plugin is watched after a signal that it must ignore, and how often. A busy machine makes it longer, never
// shorter.
const (
	watchFor   = time.Second
	watchEvery = 20 * time.Millisecond
)

// checkSigterm signals as a service manager does that stops the whole group: the node still needs its plugins then.
func checkSigterm(c *check) {
	p, _ := c.bringUp(launch{})
	const expected = "SIGTERM and SIGINT are ignored until Drain was called: they were meant for the node, whose shutdown needs its plugins"
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		if err := syscall.Kill(-p.process.cmd.Process.Pid, sig); err != nil {
			c.Fatal(err)
		}
		end := time.Now().Add(watchFor)
		ticker := time.NewTicker(watchEvery)
		for time.Now().Before(end) {
			<-ticker.C
			_, err := p.client.Plugin().Health(c.call())
			if p.exited() || err != nil {
				ticker.Stop()
				c.fatal(expected, "%s: %v; %s", sig, err, p.said())
			}
		}
		ticker.Stop()
	}
	c.wantHealthy(p, "after SIGTERM and SIGINT")
	c.wantWork(p, "after SIGTERM and SIGINT")
	if err := p.client.Plugin().Drain(c.call()); err != nil {
		c.failed("Drain succeeds after the signals", "%s; %s", err, p.said())
	}
	if err := syscall.Kill(p.process.pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		c.Fatal(err)
	}
	if !p.ended(c.s.o.CallTimeout) {
		c.failed("drained, it ends on SIGTERM", "it still runs after %s; %s", c.s.o.CallTimeout, p.said())
	}
}

// frozenHealth is how long a question of health may take on a frozen plugin before it has failed.
const frozenHealth = 2 * time.Second

// checkSigstop freezes the process that was started: it must be the one that answers.
func checkSigstop(c *check) {
	if !hasProc() {
		c.notRun("this system has no /proc")
	}
	p, _ := c.bringUp(launch{})
	signal := func(sig syscall.Signal) {
		c.Helper()
		if err := syscall.Kill(p.process.pid, sig); err != nil {
			c.fatal("the process takes signals", "%s; %s", err, p.said())
		}
	}
	signal(syscall.SIGSTOP)
	if !eventually(c.s.o.CallTimeout, func() bool { return frozen(p.process.pid) }) {
		c.fatal("SIGSTOP freezes the process", "it is not stopped; %s", p.said())
	}
	if h, err := p.client.Plugin().Health(c.within(frozenHealth)); err == nil {
		c.failed("a frozen process does not answer Health, so the node sees it: what was started is what serves, not a wrapper",
			"Health says %s from another process: %s", h.State, others(p))
	} else if !errors.Is(err, context.DeadlineExceeded) {
		c.failed("Health on a frozen process fails by its deadline", "%s", err)
	}
	signal(syscall.SIGCONT)
	c.wantHealthy(p, "continued after a freeze")
	c.wantWork(p, "continued after a freeze")
	signal(syscall.SIGSTOP)
	if err := p.kill(); err != nil {
		c.Fatal(err)
	}
	c.wantNothingRuns(p, "frozen and killed with its process group")
}

func others(p *plug) string {
	for _, pid := range p.descendants() {
		if pid != p.process.pid {
			return name(pid)
		}
	}
	return "unknown"
}

// wantNothingRuns wants no process of the plugin's environment, in whatever group or session.
func (c *check) wantNothingRuns(p *plug, when string) {
	c.Helper()
	if eventually(c.s.o.CallTimeout, func() bool { return len(p.descendants()) == 0 }) {
		return
	}
	for _, pid := range p.descendants() {
		c.failed(when+", nothing of it runs any more", "%s still runs", name(pid))
	}
}

// checkOrphan kills the host of a plugin as the kernel does when memory is short.
func checkOrphan(c *check) {
	if !hasProc() {
		c.notRun("this system has no /proc")
	}
	p := c.probe(launch{orphaned: true})
	if c.s.unconfigured == "" {
		if _, err := p.bringUp(c.within(c.s.o.StartTimeout), c.s.o.ConfigJSON); err != nil {
			c.fatal("it comes up", "%s", err)
		}
	}
	host := p.process.cmd.Process.Pid
	if err := syscall.Kill(host, syscall.SIGKILL); err != nil {
		c.Fatal(err)
	}
	<-p.process.done
	if !eventually(c.s.o.StartTimeout, func() bool { return !alive(p.process.pid) }) {
		c.failed("when its host was killed it drains and ends by itself, so that no orphan keeps the keys or the database",
			"%s still runs after %s", name(p.process.pid), c.s.o.StartTimeout)
		return
	}
	c.wantNothingRuns(p, "when its host was killed")
}

// Sizes of messages, in bytes: what the contract allows is 64 MiB.
const (
	bigMessage  = 32 << 20
	hugeMessage = 65 << 20
)

// checkBigMessage sends requests that are larger than gRPC allows by default, and larger than the contract allows.
func checkBigMessage(c *check) {
	p := c.probe(launch{})
	if c.s.unconfigured == "" {
		if _, err := p.bringUp(c.within(c.s.o.StartTimeout), c.s.o.ConfigJSON); err != nil {
			c.fatal("it comes up", "%s", err)
		}
	}
	for _, size := range []int{bigMessage, hugeMessage} {
		block := make([]byte, 0, size)
		block = append(block, `{"no_such_argument":"`...)
		for len(block) < size-2 {
			block = append(block, 'x')
		}
		block = append(block, `"}`...)
		words := fmt.Sprintf("a request of %d MiB", size>>20)
		expected := words + " is answered or refused, and the process goes on"
		if size <= wire.MaxMessageBytes {
			expected = words + " is answered with findings, as the contract allows 64 MiB, and the process goes on"
		}
		resp := &pluginv1.ValidateResponse{}
		// Past the client's own limits, which would refuse the larger one before it is sent.
		err := p.conn.Invoke(c.within(3*c.s.o.CallTimeout), pluginv1.Plugin_Validate_FullMethodName,
			&pluginv1.ValidateRequest{Config: &pluginv1.Config{Json: block, Host: hostOf(p)}}, resp, sendAnything()...)
		switch {
		case errors.Is(err, context.DeadlineExceeded) || p.exited():
			c.fatal(expected, "%v; %s", err, p.said())
		case err == nil && len(resp.GetDiagnostics()) > 0 && len(resp.GetDiagnostics()[0].GetSummary()) > maxFinding:
			c.failed("a finding is a line for a person: the node takes at most 64 KiB of it", "%d bytes that repeat what was sent", len(resp.GetDiagnostics()[0].GetSummary()))
		case err != nil && size <= wire.MaxMessageBytes:
			c.failed(expected, "%s; %s", err, p.said())
		case err != nil:
			c.note("%s is refused: %s", words, shorten(err.Error()))
		}
		h, err := p.client.Plugin().Health(c.call())
		if err != nil || h.State == lifecycle.Failed {
			c.fatal("after "+words+" it is healthy", "%q %v; %s", h.State, err, p.said())
		}
	}
}
