package config

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// hide covers a place in every snippet: it holds a secret.
func (s *sources) hide(at hcl.Range) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden[at.Filename] = append(s.hidden[at.Filename], span{at.Start.Byte, at.End.Byte})
}

// keepQuiet notes the expression of a sensitive argument: it may be shown as it is written, its value may not.
func (s *sources) keepQuiet(at hcl.Range) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet[at.Filename] = append(s.quiet[at.Filename], span{at.Start.Byte, at.End.Byte})
}

// isSensitive reports whether a finding is about a secret value: its place is covered or inside a sensitive argument,
// or its expression uses a marked value.
func (s *sources) isSensitive(d *hcl.Diagnostic) bool {
	if d.Expression != nil && d.EvalContext != nil {
		for _, t := range d.Expression.Variables() {
			if v, found := t.TraverseAbs(d.EvalContext); !found.HasErrors() && v.ContainsMarked() {
				return true
			}
		}
		if expr, ok := d.Expression.(hclsyntax.Expression); ok && callsSensitive(expr) {
			return true
		}
	}
	if d.Subject == nil {
		return false
	}
	at := *d.Subject
	s.mu.Lock()
	quiet := slices.Clone(s.quiet[at.Filename])
	s.mu.Unlock()
	for _, h := range append(s.spansIn(at.Filename), quiet...) {
		if at.Start.Byte < h.end && h.start < at.End.Byte {
			return true
		}
	}
	return false
}

// learn remembers the texts inside a sensitive value, so that no message repeats them, whoever wrote it.
func (s *sources) learn(v cty.Value) {
	plain, _ := v.UnmarkDeep()
	_ = cty.Walk(plain, func(_ cty.Path, e cty.Value) (bool, error) {
		if e.IsKnown() && !e.IsNull() && e.Type() == cty.String {
			s.learnText(e.AsString())
		}
		return true, nil
	})
}

// A secret shorter than this is not searched for: it would cover half of every message. Marks still keep it out.
const minSecret = 4

func (s *sources) learnText(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range []string{secret, strings.TrimSpace(secret)} {
		if len(t) >= minSecret && t != secretText && !slices.Contains(s.secrets, t) {
			s.secrets = append(s.secrets, t)
		}
	}
	sort.Slice(s.secrets, func(i, j int) bool { return len(s.secrets[i]) > len(s.secrets[j]) })
}

func (s *sources) scrub(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, secretText)
		if quoted := strconv.Quote(secret); len(quoted) != len(secret)+2 {
			text = strings.ReplaceAll(text, quoted[1:len(quoted)-1], secretText)
		}
	}
	return text
}

func (s *sources) scrubAll(texts []string) []string {
	for i := range texts {
		texts[i] = s.scrub(texts[i])
	}
	return texts
}

// snippet is the line where a range starts, in three parts. It covers what hide and learn know, and what looks like a
// secret written in the file although no schema has said so yet.
func (s *sources) snippet(at hcl.Range) *Snippet {
	src, ok := s.bytes[at.Filename]
	if !ok || at.Start.Line == 0 || at.Start.Byte > len(src) {
		return nil
	}
	begin := bytes.LastIndexByte(src[:at.Start.Byte], '\n') + 1
	end := len(src)
	if i := bytes.IndexByte(src[at.Start.Byte:], '\n'); i >= 0 {
		end = at.Start.Byte + i
	}
	end = begin + len(bytes.TrimRight(src[begin:end], "\r"))
	from := min(at.Start.Byte, end)
	to := min(max(at.End.Byte, from), end)
	covered := append(s.spansIn(at.Filename), looksSecret(s.pattern, src, begin, end)...)
	return &Snippet{
		Before: s.cut(src, span{begin, from}, covered),
		Text:   s.cut(src, span{from, to}, covered),
		After:  s.cut(src, span{to, end}, covered),
	}
}

func (s *sources) spansIn(file string) []span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.hidden[file])
}

// cut is the text of a part without what is covered, without control characters.
func (s *sources) cut(src []byte, part span, covered []span) string {
	var out strings.Builder
	sort.Slice(covered, func(i, j int) bool { return covered[i].start < covered[j].start })
	at := part.start
	for _, c := range covered {
		from, to := max(c.start, at), min(c.end, part.end)
		if from >= to {
			continue
		}
		out.WriteString(s.scrub(string(src[at:from])))
		out.WriteString(secretText)
		at = to
	}
	out.WriteString(s.scrub(string(src[at:part.end])))
	return printable(out.String())
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f) && !bidi(r) {
			return r
		}
		return '\uFFFD'
	}, text)
}

// bidi reports characters that reorder the text around them and could show another line than the parser read.
func bidi(r rune) bool { return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 }

// secretLine finds a quoted text given to something that sounds like a secret. Plugins' own blocks may be printed
// before their schema is known.
const secretLine = // #nosec G101 -- a pattern, no secret
`(?i)[\w-]*(?:password|passphrase|secret|token|mnemonic|private|credential|api_?key|\bpin\b)[\w-]*"?\s*[=:]\s*("(?:[^"\\]|\\.)*"?|\S+)`

func looksSecret(pattern *regexp.Regexp, src []byte, begin, end int) []span {
	var out []span
	for _, m := range pattern.FindAllSubmatchIndex(src[begin:end], -1) {
		value := string(src[begin+m[2] : begin+m[3]])
		if !isReference(value) {
			out = append(out, span{begin + m[2], begin + m[3]})
		}
	}
	return out
}

// isReference reports an expression that names a secret's place and does not hold it.
func isReference(text string) bool {
	for _, p := range []string{"var.", "local.", "file(", "env(", "sensitive(", "trimspace("} {
		if strings.HasPrefix(text, p) && !strings.Contains(text, "sensitive(\"") {
			return true
		}
	}
	return false
}

// context names the outermost block around a place.
func (s *sources) context(at hcl.Range) string {
	body, ok := s.bodies[at.Filename]
	if !ok || at.Start.Line == 0 {
		return ""
	}
	for _, b := range body.Blocks {
		if r := b.Range(); at.Start.Byte >= r.Start.Byte && at.Start.Byte < b.CloseBraceRange.End.Byte {
			return s.scrub(printable(blockTitle(b)))
		}
	}
	return ""
}

func blockTitle(b *hclsyntax.Block) string {
	parts := []string{b.Type}
	for _, l := range b.Labels {
		parts = append(parts, strconv.Quote(l))
	}
	return strings.Join(parts, " ")
}

// values says what the names in a failed expression stand for, as far as that is no secret.
func (s *sources) values(d *hcl.Diagnostic) []string {
	expr, ctx := d.Expression, d.EvalContext
	if expr == nil && d.Subject != nil {
		placed := s.exprs[d.Subject.String()]
		if placed.expr != nil {
			expr, ctx = placed.expr, placed.ctx
		}
	}
	if expr == nil || ctx == nil {
		return nil
	}
	var out []string
	seen := map[string]bool{}
	for _, t := range expr.Variables() {
		v, found := t.TraverseAbs(ctx)
		name := traversalText(t)
		if found.HasErrors() || seen[name] || v.ContainsMarked() {
			continue
		}
		seen[name] = true
		if shown, ok := shortValue(v); ok {
			out = append(out, fmt.Sprintf("%s is %s", name, shown))
		}
	}
	sort.Strings(out)
	return out
}

func shortValue(v cty.Value) (string, bool) {
	if !v.IsKnown() {
		return "", false
	}
	if v.IsNull() {
		return "null", true
	}
	switch v.Type() {
	case cty.String:
		if text := v.AsString(); len(text) <= 80 {
			return printable(strconv.Quote(text)), true
		}
		return "a long string", true
	case cty.Number:
		return v.AsBigFloat().Text('g', 20), true
	case cty.Bool:
		return strconv.FormatBool(v.True()), true
	}
	return "", false
}

func traversalText(t hcl.Traversal) string {
	var out strings.Builder
	for _, step := range t {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			out.WriteString(step.Name)
		case hcl.TraverseAttr:
			out.WriteString("." + step.Name)
		case hcl.TraverseIndex:
			if step.Key.Type() == cty.String {
				fmt.Fprintf(&out, "[%q]", step.Key.AsString())
			} else {
				out.WriteString("[…]")
			}
		}
	}
	return out.String()
}
