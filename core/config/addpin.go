package config

import (
	"bytes"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// AddPin is UpdatePin that keeps the checksums that are there: any of a list is accepted, as while a new binary is rolled
// out. A checksum that is there already changes nothing.
func AddPin(src []byte, id PluginID, sum string) ([]byte, error) {
	s := newSources()
	if found := s.parse("alys.hcl", src); found.HasErrors() {
		return nil, fmt.Errorf("parse: %w", s.finish(found).Err())
	}
	b := findPlugin(s.bodies["alys.hcl"], id)
	if b == nil {
		return nil, fmt.Errorf("pin %s: %w", id, ErrNoPluginBlock)
	}
	a, ok := b.Body.Attributes["checksum"]
	if !ok {
		return UpdatePin(src, id, sum)
	}
	value, found := a.Expr.Value(nil)
	if found.HasErrors() {
		return nil, fmt.Errorf("pin %s: %w", id, ErrComputedPin)
	}
	quoted := fmt.Sprintf("%q", sum)
	if bytes.Contains(src[a.Expr.Range().Start.Byte:a.Expr.Range().End.Byte], []byte(quoted)) {
		return src, nil
	}
	formatted, _ := Format(src)
	var out []byte
	if list, ok := a.Expr.(*hclsyntax.TupleConsExpr); ok {
		out = intoList(src, list, quoted)
	} else if value.Type().IsPrimitiveType() {
		was := a.Expr.Range()
		out = splice(src, was, "["+quoted+", "+string(src[was.Start.Byte:was.End.Byte])+"]")
	} else {
		return nil, fmt.Errorf("pin %s: %w", id, ErrComputedPin)
	}
	if bytes.Equal(formatted, src) { // keep a formatted file formatted, and leave any other alone
		out, _ = Format(out)
	}
	return out, nil
}

// intoList puts a value first into a list. In one of several lines it gets a line of its own, so that every comment stays
// with the value that it is about.
func intoList(src []byte, list *hclsyntax.TupleConsExpr, value string) []byte {
	at := list.OpenRange.End
	if len(list.Exprs) == 0 {
		return splice(src, hcl.Range{Start: at, End: at}, value)
	}
	first := list.Exprs[0].Range().Start
	if first.Line == at.Line {
		return splice(src, hcl.Range{Start: at, End: at}, value+", ")
	}
	at.Byte += bytes.IndexByte(src[at.Byte:], '\n') + 1
	indent := src[bytes.LastIndexByte(src[:first.Byte], '\n')+1 : first.Byte]
	return splice(src, hcl.Range{Start: at, End: at}, string(indent)+value+",\n")
}
