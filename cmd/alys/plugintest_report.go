package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// The states of a row.
const (
	rowPass    = "pass"
	rowFail    = "fail"
	rowNotRun  = "not_run" // it could not run, so it has not passed
	rowSkipped = "skipped" // a rule of the contract that does not apply to this plugin
)

// testReport is the scored table of `alys plugin test`.
type testReport struct {
	Path     string     `json:"path"`
	Kind     string     `json:"kind"`
	Name     string     `json:"name"`
	Version  string     `json:"version"`
	Protocol int        `json:"protocol"`
	OK       bool       `json:"ok"` // every row passes
	Passed   int        `json:"passed"`
	Failed   int        `json:"failed"`
	NotRun   int        `json:"not_run"`
	Rows     []*testRow `json:"rows"`

	live    io.Writer // rows are printed as they end; nil for JSON
	current string    // the test that the suite's next line is about
}

// testRow is one row of the table, or one rule of the contract.
type testRow struct {
	ID       string        `json:"id"`
	Title    string        `json:"title"`
	State    string        `json:"state"`
	Seconds  float64       `json:"seconds"`
	Findings []testFinding `json:"findings,omitempty"`
	NotRun   string        `json:"not_run,omitempty"` // why
	Note     string        `json:"note,omitempty"`
	See      string        `json:"see,omitempty"`
	Log      []string      `json:"log,omitempty"` // of a rule that does not pass
	Rules    []*testRow    `json:"rules,omitempty"`
}

type testFinding struct {
	Expected string `json:"expected"`
	Saw      string `json:"saw"`
}

func newTestReport(path string, d described) *testReport {
	return &testReport{Path: path, Kind: d.Kind, Name: d.Name, Version: d.Version, Protocol: d.Protocol}
}

// testLine is one line of a test binary's stream (`-test.v=test2json`), understood.
type testLine struct {
	event     string  // "RUN", "NAME", "ATTR", "PASS", "FAIL", "SKIP"; empty for what a test printed
	test      string  // its full name
	key, text string  // of an attribute; text of what was printed
	seconds   float64 // of an end
}

// marker begins each line that is the test framework's own.
const marker = "\x16"

func readLine(l string) testLine {
	_, own, ok := strings.Cut(l, marker)
	if !ok {
		return testLine{text: strings.Map(printable, l)}
	}
	if rest, ok := strings.CutPrefix(own, "=== "); ok {
		event, rest, _ := strings.Cut(rest, " ")
		rest = strings.TrimLeft(rest, " ")
		if event != "ATTR" {
			return testLine{event: event, test: rest}
		}
		test, rest, _ := strings.Cut(rest, " ")
		key, value, _ := strings.Cut(rest, " ")
		return testLine{event: event, test: test, key: key, text: value}
	}
	if rest, ok := strings.CutPrefix(own, "--- "); ok {
		event, rest, _ := strings.Cut(rest, ": ")
		test, took, _ := strings.Cut(rest, " (")
		seconds, _ := strconv.ParseFloat(strings.TrimSuffix(took, "s)"), 64)
		return testLine{event: event, test: test, seconds: seconds}
	}
	return testLine{text: own}
}

// printable drops the framework's other control characters and a plugin's.
func printable(r rune) rune {
	if r < ' ' && r != '\t' {
		return -1
	}
	return r
}

// line takes the next line of the stream.
func (r *testReport) line(l string) {
	e := readLine(l)
	if e.event == "" {
		if row := r.row(r.current); row != nil && e.text != "" {
			row.Log = append(row.Log, strings.TrimSpace(e.text))
		}
		return
	}
	r.current = e.test
	row := r.row(e.test)
	if row == nil {
		return
	}
	switch e.event {
	case "ATTR":
		row.attribute(e.key, e.text)
	case "PASS", "FAIL", "SKIP":
		row.end(e)
		if r.live != nil && !strings.Contains(row.ID, "/") {
			row.print(r.live)
		}
	}
}

// row is the row of a test, made when it is new; nil for the test around them.
func (r *testReport) row(test string) *testRow {
	_, id, ok := strings.Cut(test, "/")
	if !ok {
		return nil
	}
	list, name := &r.Rows, id
	if parent, rule, nested := strings.Cut(id, "/"); nested {
		list, name = &r.row("/"+parent).Rules, rule
	}
	if i := slices.IndexFunc(*list, func(w *testRow) bool { return w.ID == id }); i >= 0 {
		return (*list)[i]
	}
	w := &testRow{ID: id, Title: strings.ReplaceAll(name, "_", " "), State: rowNotRun}
	*list = append(*list, w)
	return w
}

func (w *testRow) attribute(key, value string) {
	switch key {
	case "title":
		w.Title = value
	case "see":
		w.See = value
	case "note":
		w.Note = value
	case "not_run":
		w.NotRun = value
	case "expected":
		w.Findings = append(w.Findings, testFinding{Expected: value})
	case "saw":
		if n := len(w.Findings); n > 0 {
			w.Findings[n-1].Saw = value
		}
	}
}

func (w *testRow) end(e testLine) {
	w.Seconds = e.seconds
	switch {
	case e.event == "SKIP":
		w.State = rowSkipped
	case e.event == "FAIL" && w.NotRun != "" && len(w.Findings) == 0:
		w.State = rowNotRun
	case e.event == "FAIL":
		w.State = rowFail
	default:
		w.State = rowPass
	}
	if w.State == rowPass || len(w.Findings) > 0 || w.NotRun != "" {
		w.Log = nil // it says the same once more
	}
}

// score counts the rows. A row that did not come to its end, because the suite was cut off, has not run.
func (r *testReport) score() {
	for _, w := range r.Rows {
		switch w.State {
		case rowPass:
			r.Passed++
		case rowFail:
			r.Failed++
		default:
			r.NotRun++
		}
	}
	r.OK = r.Passed > 0 && r.Failed == 0 && r.NotRun == 0
}

func (r *testReport) heading(w io.Writer) {
	if r.Kind == "" {
		_, _ = fmt.Fprintf(w, "%s: no plugin could be reached\n", r.Path)
		return
	}
	_, _ = fmt.Fprintf(w, "%s: %s %q, version %s, protocol version %d\n", r.Path, r.Kind, r.Name, r.Version, r.Protocol)
}

func (w *testRow) print(out io.Writer) {
	word := map[string]string{rowPass: "PASS", rowFail: "FAIL", rowNotRun: "NOT RUN", rowSkipped: "SKIPPED"}[w.State]
	title := w.Title
	if n := len(w.Rules); n > 0 {
		title += ": " + w.ruleScore()
	}
	_, _ = fmt.Fprintf(out, "%-8s %-13s %s\n", word, w.ID, title)
	for _, f := range w.Findings {
		_, _ = fmt.Fprintf(out, "           expected: %s\n           saw: %s\n", f.Expected, f.Saw)
	}
	if w.NotRun != "" {
		_, _ = fmt.Fprintf(out, "           not run: %s\n", w.NotRun)
	}
	for _, rule := range w.Rules {
		rule.printRule(out)
	}
	for _, l := range w.Log {
		_, _ = fmt.Fprintf(out, "           %s\n", l)
	}
	if w.See != "" && w.State != rowPass {
		_, _ = fmt.Fprintf(out, "           see: %s\n", w.See)
	}
}

func (w *testRow) printRule(out io.Writer) {
	if w.State == rowPass || w.State == rowSkipped {
		return
	}
	_, _ = fmt.Fprintf(out, "           %s: %s\n", w.State, w.Title)
	for _, l := range w.Log {
		_, _ = fmt.Fprintf(out, "             %s\n", l)
	}
	for _, f := range w.Findings {
		_, _ = fmt.Fprintf(out, "             expected: %s\n             saw: %s\n", f.Expected, f.Saw)
	}
	if w.NotRun != "" {
		_, _ = fmt.Fprintf(out, "             not run: %s\n", w.NotRun)
	}
}

func (w *testRow) ruleScore() string {
	passed, skipped := 0, 0
	for _, rule := range w.Rules {
		switch rule.State {
		case rowPass:
			passed++
		case rowSkipped:
			skipped++
		}
	}
	text := fmt.Sprintf("%d of %d rules", passed, len(w.Rules)-skipped)
	if skipped > 0 {
		text += fmt.Sprintf(", %d not of this plugin", skipped)
	}
	return text
}

func (r *testReport) summary(w io.Writer) {
	_, _ = fmt.Fprintf(w, "\n%d of %d rows pass, %d failed, %d not run\n", r.Passed, len(r.Rows), r.Failed, r.NotRun)
}

// lineWriter hands over what is written, line by line.
type lineWriter struct {
	line func(string)
	rest []byte
}

// Write never fails.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		l, after, ok := bytes.Cut(w.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		w.line(string(l))
		w.rest = after
	}
}

func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.line(string(w.rest))
		w.rest = nil
	}
}
