package blackboxtest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	goplugin "github.com/hashicorp/go-plugin"

	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/wire"
)

// checkHandshake wants the line that the node insists on: its own protocol, a unix socket in the folder given, gRPC, and
// a certificate.
func checkHandshake(c *check) {
	const expected = "started with the cookie of its kind it prints the handshake line, listens, and answers Describe"
	if c.s.unreachable != nil {
		c.fatal(expected, "%s", c.s.unreachable)
	}
	p := c.probe(launch{})
	line, _, _ := strings.Cut(p.process.stdout.String(), "\n")
	parts := strings.Split(strings.TrimSpace(line), "|")
	if len(parts) < 6 || len(parts[5]) == 0 {
		c.fatal("a handshake line with six fields: core protocol, protocol, network, address, grpc, certificate", "%q", line)
	}
	if parts[2] != "unix" || filepath.Dir(filepath.Clean(parts[3])) != filepath.Clean(p.sockets) {
		c.failed("a unix socket in the folder that PLUGIN_UNIX_SOCKET_DIR names", "%s %s (the folder is %s)", parts[2], parts[3], p.sockets)
	}
	if _, err := p.client.Plugin().Describe(c.call()); err != nil {
		c.failed(expected, "Describe: %s; %s", err, p.said())
	}
	c.note("%s %s %s, protocol version %d", c.s.kind, c.s.description.Name, c.s.description.Version, p.version)
}

// checkByHand wants a process that a person starts to say something and to end.
func checkByHand(c *check) {
	ctx, cancel := context.WithTimeout(c.Context(), c.s.o.StartTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.s.o.Path) // the binary under test
	cmd.Dir, cmd.Env, cmd.SysProcAttr = c.TempDir(), c.s.o.Env, ownGroup()
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	const expected = "without a node's cookie it says what it is and ends with an exit code that is not 0"
	switch {
	case ctx.Err() != nil:
		c.failed(expected, "it still runs after %s; it wrote: %s", c.s.o.StartTimeout, out)
	case !errors.As(err, &exit):
		c.failed(expected, "exit code 0 (%v); it wrote: %s", err, out)
	case strings.TrimSpace(string(out)) == "":
		c.failed(expected, "%s, and not a word", exit)
	}
}

// checkWrongKind wants an end without a handshake: a plugin in the wrong block of alys.hcl must not serve.
func checkWrongKind(c *check) {
	for _, kind := range lifecycle.Kinds() {
		if kind == c.s.kind {
			continue
		}
		p, err := c.s.start(c.T, launch{kind: kind})
		if err == nil {
			c.failed(fmt.Sprintf("started as %s (the cookie's name says so) it ends with a message", kind), "it makes the handshake")
			continue
		}
		if p.process == nil || !p.ended(c.s.o.StartTimeout) || p.process.cmd.ProcessState.Success() {
			c.failed(fmt.Sprintf("started as %s it ends with an exit code that is not 0", kind), "%s", p.said())
		}
		p.process.readers.Wait()
		if strings.TrimSpace(p.process.stderr.String()+p.process.stdout.String()) == "" {
			c.failed(fmt.Sprintf("started as %s it says why it ends", kind), "not a word")
		}
	}
}

// futureVersion is a protocol version that no plugin of today speaks.
const futureVersion = 999

// checkVersions offers more than the plugin can know.
func checkVersions(c *check) {
	both, err := c.s.start(c.T, launch{versions: []int{wire.ProtocolVersion, futureVersion}})
	if err != nil {
		c.fatal(fmt.Sprintf("of the versions %d and %d it takes %[1]d", wire.ProtocolVersion, futureVersion), "%s", err)
	}
	if both.version != wire.ProtocolVersion {
		c.failed(fmt.Sprintf("of the versions %d and %d it takes %[1]d", wire.ProtocolVersion, futureVersion), "it takes %d", both.version)
	}
	if _, err := both.client.Plugin().Describe(c.call()); err != nil {
		c.failed("it answers after the choice of a version", "%s", err)
	}
	if p, err := c.s.start(c.T, launch{versions: []int{futureVersion}}); err == nil {
		c.failed(fmt.Sprintf("offered version %d only, it does not take it: it ends, or names a version that it speaks", futureVersion),
			"it takes version %d", p.version)
	}
}

// checkDoubleStart runs two processes of one binary, each with folders of its own, as a swap does.
func checkDoubleStart(c *check) {
	first, _ := c.bringUp(launch{})
	second, _ := c.bringUp(launch{})
	c.wantHealthy(first, "beside a second process of the same binary")
	c.wantHealthy(second, "beside a first process of the same binary")
	if first.process.pid == second.process.pid {
		c.failed("two processes", "one")
	}
	drain := c.call()
	if err := second.client.Plugin().Drain(drain); err != nil {
		c.failed("the second is drained", "%s; %s", err, second.said())
	}
	if err := second.kill(); err != nil {
		c.Fatal(err)
	}
	c.wantHealthy(first, "when the other process has ended")
}

// checkStdout runs a process through its whole life and looks at all that it wrote to its standard output.
func checkStdout(c *check) {
	p := c.probe(launch{})
	if c.s.unconfigured == "" {
		if _, err := p.bringUp(c.within(c.s.o.StartTimeout), c.s.o.ConfigJSON); err != nil {
			c.fatal("it comes up", "%s", err)
		}
		for _, w := range c.s.ofKind() {
			_ = w.do(c.call(), p) // answered or not: what counts is what it prints
		}
	}
	_ = p.client.Plugin().Drain(c.call())
	_ = p.shutdown(c.call())
	if !p.ended(c.s.o.CallTimeout) {
		if err := p.kill(); err != nil {
			c.Fatal(err)
		}
	}
	p.process.readers.Wait()
	lines := strings.Split(strings.TrimRight(p.process.stdout.String(), "\n"), "\n")
	core := fmt.Sprint(goplugin.CoreProtocolVersion) + "|"
	noise := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.HasPrefix(l, core) })
	if len(noise) > 0 || len(lines) != 1 {
		c.failed("one line on the standard output in all its life, the handshake; everything else goes to the standard error",
			"%d lines, among them %q", len(lines), first(noise, lines))
	}
}

func first(lists ...[]string) string {
	for _, l := range lists {
		if len(l) > 0 {
			return l[0]
		}
	}
	return ""
}
