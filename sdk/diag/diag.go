// Package diag holds diagnostics: findings about a configuration, each at a path inside the plugin's own block.
//
// A plugin reports findings by path; the host, which has the file, maps the path to file, line and column and prints
// the offending text. Positions therefore never cross the wire.
package diag

import (
	"fmt"
	"strings"
)

// Severity says whether a finding stops the apply.
type Severity uint8

// The severities. The zero value is not a severity, so a forgotten field is seen.
const (
	Error   Severity = iota + 1 // the configuration cannot be used
	Warning                     // it can, and the operator should know
)

// String is "error" or "warning".
func (s Severity) String() string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	}
	return fmt.Sprintf("severity(%d)", uint8(s))
}

// Diagnostic is one finding.
type Diagnostic struct {
	Severity Severity
	Summary  string   // one line: what is wrong
	Detail   string   // what to do about it
	Path     []string // attribute and block names and list indexes from the block's top; empty means the whole block
}

// String is the summary, the path and the detail on one line.
func (d Diagnostic) String() string {
	s := d.Severity.String() + ": " + d.Summary
	if len(d.Path) > 0 {
		s += " (at " + strings.Join(d.Path, ".") + ")"
	}
	if d.Detail != "" {
		s += ": " + d.Detail
	}
	return s
}

// Diagnostics is a list of findings, in the order in which they were found.
type Diagnostics []Diagnostic

// HasErrors reports whether any finding is an error.
func (ds Diagnostics) HasErrors() bool {
	for _, d := range ds {
		if d.Severity == Error {
			return true
		}
	}
	return false
}

// Err is nil when no finding is an error, and otherwise an error with the text of every error.
func (ds Diagnostics) Err() error {
	var lines []string
	for _, d := range ds {
		if d.Severity == Error {
			lines = append(lines, d.String())
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(lines, "; "))
}

// Errorf makes an error at a path; detail says what to do next.
func Errorf(path []string, detail, format string, args ...any) Diagnostic {
	return Diagnostic{Severity: Error, Summary: fmt.Sprintf(format, args...), Detail: detail, Path: path}
}
