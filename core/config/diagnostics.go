package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/alys-node/alys/sdk/diag"
)

// Range is a place in a file. Lines and columns start at 1; a column is a character. The zero value is no place.
type Range struct {
	File      string `json:"file"`
	Line      int    `json:"line"`
	Column    int    `json:"column"`
	EndLine   int    `json:"end_line"`
	EndColumn int    `json:"end_column"`

	start, end int // byte offsets in the file
}

// IsZero reports whether this is no place.
func (r Range) IsZero() bool { return r.Line == 0 }

// String is FILE:LINE:COLUMN, or FILE alone, or empty.
func (r Range) String() string {
	if r.IsZero() {
		return r.File
	}
	return fmt.Sprintf("%s:%d:%d", r.File, r.Line, r.Column)
}

func rangeOf(r hcl.Range) Range {
	return Range{
		File: r.Filename, Line: r.Start.Line, Column: r.Start.Column, EndLine: r.End.Line, EndColumn: r.End.Column,
		start: r.Start.Byte, end: r.End.Byte,
	}
}

// Snippet is the offending line, with sensitive values covered.
type Snippet struct {
	Before string // up to the offending text
	Text   string // the offending text, as far as it is on the first line
	After  string
}

// The severities of a Diagnostic.
const (
	SeverityError   = diag.Error
	SeverityWarning = diag.Warning
)

// Diagnostic is one finding.
type Diagnostic struct {
	Severity diag.Severity
	Code     Code
	Summary  string // one line: what is wrong
	Detail   string // why, and what to do
	Range    Range
	Context  string   // the block that it is in, such as `role "signer"`
	Snippet  *Snippet // nil when there is no place
	Values   []string // what the expression refers to, such as `var.port is "http"`; never a sensitive value
}

// String is the place, the summary and the detail on one line.
func (d Diagnostic) String() string {
	s := d.Severity.String() + ": " + d.Summary
	if place := d.Range.String(); place != "" {
		s = place + ": " + s
	}
	if d.Detail != "" {
		s += ": " + strings.ReplaceAll(d.Detail, "\n", " ")
	}
	return s
}

// Diagnostics is a list of findings, sorted by file and position; findings without a place come first.
type Diagnostics []Diagnostic

// HasErrors reports whether any finding is an error.
func (ds Diagnostics) HasErrors() bool {
	for _, d := range ds {
		if d.Severity == diag.Error {
			return true
		}
	}
	return false
}

// Err is nil when no finding is an error, and otherwise an error that holds the findings and whose text lists them.
func (ds Diagnostics) Err() error {
	if !ds.HasErrors() {
		return nil
	}
	return &DiagnosticsError{Diagnostics: ds}
}

// DiagnosticsError carries diagnostics where an error is wanted.
type DiagnosticsError struct {
	Diagnostics Diagnostics
}

// Error lists the errors, one after the other.
func (e *DiagnosticsError) Error() string {
	var lines []string
	for _, d := range e.Diagnostics {
		if d.Severity == diag.Error {
			lines = append(lines, d.String())
		}
	}
	return strings.Join(lines, "; ")
}

// jsonDiagnostic is the stable form of `--json`.
type jsonDiagnostic struct {
	Severity string   `json:"severity"`
	Code     Code     `json:"code"`
	Summary  string   `json:"summary"`
	Detail   string   `json:"detail,omitempty"`
	Range    *Range   `json:"range,omitempty"`
	Context  string   `json:"context,omitempty"`
	Snippet  string   `json:"snippet,omitempty"`
	Values   []string `json:"values,omitempty"`
}

// MarshalJSON gives severity, code, summary, detail, range, context, snippet and values.
func (d Diagnostic) MarshalJSON() ([]byte, error) {
	j := jsonDiagnostic{
		Severity: d.Severity.String(), Code: d.Code, Summary: d.Summary, Detail: d.Detail, Context: d.Context, Values: d.Values,
	}
	if d.Range != (Range{}) {
		j.Range = &d.Range
	}
	if d.Snippet != nil {
		j.Snippet = d.Snippet.Before + d.Snippet.Text + d.Snippet.After
	}
	return json.Marshal(j)
}

// Report is the form of diagnostics in `--json`.
type Report struct {
	Valid       bool        `json:"valid"`
	Errors      int         `json:"errors"`
	Warnings    int         `json:"warnings"`
	Diagnostics Diagnostics `json:"diagnostics"`
}

// DiagnosticsJSON is a value that encodes as {"valid": …, "errors": n, "warnings": n, "diagnostics": […]}.
func DiagnosticsJSON(ds Diagnostics) Report {
	out := Report{Valid: !ds.HasErrors(), Diagnostics: ds}
	if ds == nil {
		out.Diagnostics = Diagnostics{}
	}
	for _, d := range ds {
		if d.Severity == diag.Error {
			out.Errors++
		} else {
			out.Warnings++
		}
	}
	return out
}

// problem makes an error of our own. A zero range is no place; a range with a file name only is a whole file.
func problem(code Code, at hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &at, Extra: code}
}

func warning(code Code, at hcl.Range, summary, detail string) *hcl.Diagnostic {
	d := problem(code, at, summary, detail)
	d.Severity = hcl.DiagWarning
	return d
}

func wholeFile(name string) hcl.Range { return hcl.Range{Filename: name} }

// codeOf finds the stable code of a diagnostic, ours or the HCL library's.
func codeOf(d *hcl.Diagnostic) Code {
	if code, ok := d.Extra.(Code); ok {
		return code
	}
	if call, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d); ok && call.FunctionCallError() != nil {
		return codeOfCall(call.FunctionCallError())
	}
	if strings.HasPrefix(d.Summary, "Missing ") && strings.HasSuffix(d.Summary, " block") {
		return CodeMissingBlock
	}
	for _, m := range hclCodes() {
		if strings.HasPrefix(d.Summary, m.prefix) {
			return m.code
		}
	}
	return CodeSyntax
}

func codeOfCall(err error) Code {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return CodeMissingFile
	case errors.Is(err, errEnvUnset):
		return CodeEnvUnset
	}
	return CodeFunction
}

type hclCode struct {
	prefix string
	code   Code
}

// hclCodes maps the library's summaries to codes. Everything else that the library says is about syntax.
func hclCodes() []hclCode {
	return []hclCode{
		{"Unsupported argument", CodeUnknownKey},
		{"Unsupported block type", CodeUnknownBlock},
		{"Missing required argument", CodeMissingArgument},
		{"Missing name for", CodeLabels},
		{"Extraneous label for", CodeLabels},
		{"Missing", CodeSyntax},
		{"Insufficient", CodeMissingBlock},
		{"Duplicate object key", CodeExpression},
		{"Duplicate", CodeDuplicateBlock},
		{"Too many function arguments", CodeFunction},
		{"Too many", CodeDuplicateBlock},
		{"Attribute redefined", CodeDuplicateKey},
		{"Incorrect attribute value type", CodeWrongType},
		{"Unsuitable value type", CodeWrongType},
		{"Call to unknown function", CodeUnknownFunction},
		{"Error in function call", CodeFunction},
		{"Invalid function argument", CodeFunction},
		{"Not enough function arguments", CodeFunction},
		{"Variables not allowed", CodeExpression},
		{"Function calls not allowed", CodeExpression},
		{"Unknown variable", CodeUnknownReference},
		{"Unsupported attribute", CodeUnknownReference},
		{"Attempt to", CodeExpression},
		{"Condition is null", CodeExpression},
		{"Inconsistent conditional", CodeExpression},
		{"Incorrect", CodeExpression},
		{"Invalid index", CodeExpression},
		{"Invalid operand", CodeExpression},
		{"Invalid template interpolation value", CodeExpression},
		{"Invalid type specification", CodeWrongType},
		{"Iteration over", CodeExpression},
		{"Null", CodeExpression},
		{"Operation failed", CodeExpression},
		{"Splat of", CodeExpression},
		{"Unsupported operator", CodeExpression},
	}
}

// finish turns collected findings into the exported form: with code, context, snippet and without any secret, sorted
// and each once.
func (s *sources) finish(found hcl.Diagnostics) Diagnostics {
	out := make(Diagnostics, 0, len(found))
	seen := map[string]bool{}
	for _, d := range found {
		one := s.diagnostic(d)
		key := fmt.Sprintf("%s|%s|%s|%s", one.Range, one.Code, one.Summary, one.Detail)
		if !seen[key] {
			seen[key] = true
			out = append(out, one)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return less(out[i], out[j]) })
	if len(out) == 0 {
		return nil
	}
	return out
}

func less(a, b Diagnostic) bool {
	if a.Range.File != b.Range.File {
		return a.Range.File < b.Range.File
	}
	if a.Range.start != b.Range.start {
		return a.Range.start < b.Range.start
	}
	if a.Summary != b.Summary {
		return a.Summary < b.Summary
	}
	return a.Detail < b.Detail
}

func (s *sources) diagnostic(d *hcl.Diagnostic) Diagnostic {
	one := Diagnostic{
		Severity: diag.Error, Code: codeOf(d), Summary: s.scrub(d.Summary), Detail: s.scrub(hint(d)),
	}
	if d.Severity == hcl.DiagWarning {
		one.Severity = diag.Warning
	}
	secret := s.isSensitive(d)
	if _, ours := d.Extra.(Code); secret && !ours {
		one.Detail = "The value cannot be used here. It is sensitive, so the message, which may repeat it, is not shown."
	}
	if d.Subject != nil {
		one.Range = rangeOf(*d.Subject)
		one.Context = s.context(*d.Subject)
		one.Snippet = s.snippet(*d.Subject)
		if !secret {
			one.Values = s.scrubAll(s.values(d))
		}
	}
	return one
}

// hint is the detail, with what to do next where the library does not say it.
func hint(d *hcl.Diagnostic) string {
	switch {
	case strings.HasPrefix(d.Summary, "Unclosed configuration block"):
		return d.Detail + " Was the file saved in the middle of an edit?"
	case strings.HasPrefix(d.Summary, "Invalid single-argument block definition"):
		return d.Detail + " Write one argument per line."
	case d.Summary == "Incorrect attribute value type" && strings.Contains(d.Detail, "plugin required"):
		return d.Detail + " Write plugin.KIND.NAME without quotes, such as plugin.signer.local."
	}
	return d.Detail
}
