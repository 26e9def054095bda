package blackboxtest

import (
	"fmt"
	"strings"
	"testing"
)

// The attributes by which a row tells a program what it tells people by its log (testing.T.Attr).
const (
	AttrTitle     = "title"
	AttrSee       = "see"
	AttrExpected  = "expected"
	AttrSaw       = "saw"
	AttrNotRun    = "not_run"   // why the row could not run
	AttrNote      = "note"      // what a person should know of a row that passed
	AttrDescribed = "described" // see Describe
)

// maxSaw bounds what is shown of a plugin's own words, in bytes.
const maxSaw = 2000

// check is one row that runs.
type check struct {
	*testing.T
	row Row
	s   *subject
}

// Page is where a row is explained, from the repository's top.
func (r Row) Page() string { return "sdk/blackboxtest/README.md#" + r.ID }

// runnable reports whether what the row needs is there, and fails it when not.
func (c *check) runnable() bool {
	c.Helper()
	switch {
	case c.row.needs >= handshake && c.s.unreachable != nil:
		c.notRun("the handshake fails")
	case c.row.needs >= config && c.s.unconfigured != "":
		c.notRun(c.s.unconfigured)
	default:
		return true
	}
	return false
}

// failed records a finding and lets the row go on.
func (c *check) failed(expected, saw string, args ...any) {
	c.Helper()
	saw = shorten(fmt.Sprintf(saw, args...))
	c.Attr(AttrExpected, line(expected))
	c.Attr(AttrSaw, line(saw))
	c.Errorf("expected: %s\nsaw: %s\nsee: %s", expected, saw, c.row.Page())
}

// fatal is failed, and ends the row.
func (c *check) fatal(expected, saw string, args ...any) {
	c.Helper()
	c.failed(expected, saw, args...)
	c.FailNow()
}

// notRun ends the row, which has not passed.
func (c *check) notRun(why string) {
	c.Helper()
	c.Attr(AttrNotRun, line(why))
	c.Fatalf("not run: %s\nsee: %s", why, c.row.Page())
}

// note tells a person something about a row that passes.
func (c *check) note(format string, args ...any) {
	c.Helper()
	text := fmt.Sprintf(format, args...)
	c.Attr(AttrNote, line(text))
	c.Log(text)
}

// line makes one line of a text: an attribute holds no line break.
func line(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), " | ")
}

func shorten(s string) string {
	s = strings.TrimSpace(strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) > maxSaw {
		s = strings.ToValidUTF8(s[:maxSaw], "") + " …"
	}
	return s
}
