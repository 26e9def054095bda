package config

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/alys-node/alys/sdk/diag"
)

// The escape sequences of coloured output.
const (
	colorError   = "\x1b[1;31m"
	colorWarning = "\x1b[1;33m"
	colorDim     = "\x1b[2m"
	colorReset   = "\x1b[0m"
)

// WriteDiagnostics prints diagnostics for people: what is wrong, the line with the offending text underlined, and what
// to do. width is the terminal's number of columns; 0 does not wrap.
func WriteDiagnostics(w io.Writer, ds Diagnostics, color bool, width int) error {
	p := printer{color: color, width: width}
	for i, d := range ds {
		if i > 0 {
			p.line("")
		}
		p.diagnostic(d)
	}
	if _, err := io.WriteString(w, p.out.String()); err != nil {
		return fmt.Errorf("write diagnostics: %w", err)
	}
	return nil
}

type printer struct {
	out   strings.Builder
	color bool
	width int
}

func (p *printer) line(text string) { p.out.WriteString(strings.TrimRight(text, " ") + "\n") }

func (p *printer) paint(color, text string) string {
	if !p.color || text == "" {
		return text
	}
	return color + text + colorReset
}

func (p *printer) diagnostic(d Diagnostic) {
	title, color := "Error", colorError
	if d.Severity == diag.Warning {
		title, color = "Warning", colorWarning
	}
	text := p.paint(color, title+":") + " " + printable(d.Summary)
	if d.Code != "" {
		text += " " + p.paint(colorDim, "["+string(d.Code)+"]")
	}
	p.line(text)
	p.place(d)
	if d.Snippet != nil {
		p.snippet(d, color)
	}
	for _, v := range d.Values {
		p.line("  where " + v)
	}
	for _, text := range p.wrap(printableLines(d.Detail)) {
		p.line("  " + text)
	}
}

func (p *printer) place(d Diagnostic) {
	if d.Range.File == "" {
		return
	}
	text := "  on " + printable(d.Range.String())
	if d.Context != "" {
		text += ", in " + d.Context
	}
	p.line(text + ":")
}

// snippet prints the line, cut around the offending text when it is longer than the terminal is wide.
func (p *printer) snippet(d Diagnostic, color string) {
	room := 160
	if p.width > 40 {
		room = p.width - 12
	}
	s := fit(*d.Snippet, room)
	gutter := fmt.Sprintf("%5d | ", d.Range.Line)
	p.line(gutter + s.Before + p.paint(color, s.Text) + s.After)
	under := strings.Repeat("^", max(1, utf8.RuneCountInString(s.Text)))
	p.line(strings.Repeat(" ", len(gutter)-2) + "| " + blank(s.Before) + p.paint(color, under))
}

// blank is as wide as the text, with its tabs kept so that the underline stands below.
func blank(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, text)
}

func fit(s Snippet, room int) Snippet {
	if utf8.RuneCountInString(s.Before)+utf8.RuneCountInString(s.Text)+utf8.RuneCountInString(s.After) <= room {
		return s
	}
	if text := []rune(s.Text); len(text) > room {
		s.Text = string(text[:room-1]) + "…"
	}
	left := room - utf8.RuneCountInString(s.Text)
	if before := []rune(s.Before); len(before) > left/2 {
		s.Before = "…" + string(before[len(before)-left/2:])
	}
	if after := []rune(s.After); len(after) > left/2 {
		s.After = string(after[:left/2]) + "…"
	}
	return s
}

// wrap breaks paragraphs into lines of the terminal's width.
func (p *printer) wrap(text string) []string {
	if text == "" {
		return nil
	}
	var lines []string
	for paragraph := range strings.SplitSeq(text, "\n") {
		line := ""
		for word := range strings.FieldsSeq(paragraph) {
			if line != "" && p.width > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > max(20, p.width-2) {
				lines, line = append(lines, line), ""
			}
			if line != "" {
				line += " "
			}
			line += word
		}
		lines = append(lines, line)
	}
	return lines
}

// printableLines is printable for texts of several lines.
func printableLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
}
