package blackboxtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// checkLogs reads the standard error of a whole life: lines of JSON with a level, and no secret of the configuration.
func checkLogs(c *check) {
	p, _ := c.bringUp(launch{})
	for _, w := range append(c.s.common(), c.s.ofKind()...) {
		_ = w.do(c.call(), p) // what counts is what it logs
	}
	_, _, _ = p.client.Plugin().Validate(c.call(), p.config([]byte(`{"a":`)))
	_ = p.client.Plugin().Drain(c.call())
	_ = p.shutdown(c.call())
	if !p.ended(c.s.o.CallTimeout) {
		if err := p.kill(); err != nil {
			c.Fatal(err)
		}
	}
	p.process.readers.Wait()
	text := p.process.stderr.String()
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
	for _, l := range lines {
		if problem := logProblem(l); problem != "" {
			c.failed(`each line on the standard error is JSON as hclog writes it: {"@level":"info","@message":"…","@timestamp":"…"}`, "%s: %s", problem, l)
			break
		}
	}
	if len(lines) == 0 {
		c.note("it logs nothing")
	}
	output := text + p.process.stdout.String() + p.synced.String()
	for _, s := range c.s.secrets() {
		if shows(output, s.value) {
			c.failed("no output shows a sensitive value of the configuration", "the value of %q is there", s.argument)
		}
	}
}

func logProblem(line string) string {
	var entry struct {
		Level   string  `json:"@level"`
		Message *string `json:"@message"`
		Time    string  `json:"@timestamp"`
	}
	if err := json.Unmarshal([]byte(line), &entry); err != nil {
		return "not JSON"
	}
	if level := hclog.LevelFromString(entry.Level); level == hclog.NoLevel || level == hclog.Off {
		return fmt.Sprintf("the level %q", entry.Level)
	}
	if entry.Message == nil || entry.Time == "" {
		return "no message or no time"
	}
	return ""
}

// How leaks are looked for: so many rounds of every call. A leak of one descriptor in a round is seen; caches and
// connections that are opened once are not taken for one.
const (
	warmUp   = 10
	rounds   = 60
	mayGrow  = rounds / 2
	newFiles = "its data folder, its run folder, TMPDIR, and what its configuration names"
)

// checkLeaks makes many calls, ends the plugin politely and looks at what is left.
func checkLeaks(c *check) {
	if !hasProc() {
		c.notRun("this system has no /proc")
	}
	p, _ := c.bringUp(launch{})
	works := append(append(c.s.common(), c.s.ofKind()...), c.s.sessions()...)
	work := func(n int) {
		for range n {
			for _, w := range works {
				ctx := c.within(c.s.o.CallTimeout)
				if len(c.s.sessions()) > 0 && w.name == c.s.sessions()[0].name {
					ctx = c.within(hastyTime)
				}
				_ = w.do(ctx, p) // answered or not: what counts is what stays open
			}
		}
	}
	work(warmUp)
	before, unseen := descriptors(p.process.pid)
	work(rounds)
	after, err := descriptors(p.process.pid)
	unseen = errors.Join(unseen, err)
	if unseen == nil && after-before > mayGrow {
		c.failed(fmt.Sprintf("%d rounds of calls leave no file descriptor open", rounds), "%d descriptors before, %d after", before, after)
	}
	allowed := append([]string{p.host.DataDir, p.host.RunDir, p.temp}, c.s.ownPaths()...)
	files, err := written(p.process.pid)
	unseen = errors.Join(unseen, err)
	if files = outside(files, allowed...); len(files) > 0 {
		c.failed("it writes to "+newFiles, "%v is open for writing", files)
	}
	c.wantHealthy(p, "after many calls")
	if err := p.client.Plugin().Drain(c.call()); err != nil {
		c.failed("Drain succeeds", "%s; %s", err, p.said())
	}
	_ = p.shutdown(c.call())
	if !p.ended(c.s.o.CallTimeout) {
		c.fatal("drained, it ends when go-plugin's controller is asked to shut down", "it still runs after %s", c.s.o.CallTimeout)
	}
	c.wantNothingRuns(p, "ended politely")
	if left := snapshot(p.temp); len(left) > 1 {
		delete(left, p.temp)
		c.failed("ended politely, it leaves no temporary file", "%s", changed(nil, left))
	}
	if left := snapshot(p.sockets); len(left) > 1 {
		delete(left, p.sockets)
		c.failed("ended politely, it leaves no socket", "%s", changed(nil, left))
	}
	c.unseen(p, unseen)
}
