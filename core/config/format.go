package config

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Errors of UpdatePin.
var (
	// ErrNoPluginBlock means that the text has no block for the plugin; it may be in another file of the folder.
	ErrNoPluginBlock = errors.New("no such plugin block")
	// ErrComputedPin means that the checksum is an expression, which only a person can change.
	ErrComputedPin = errors.New("checksum is an expression")
)

// Format gives the text the canonical layout: indentation, aligned equals signs, no byte order mark, LF, a final newline.
// It changes nothing that has a meaning. A text that is not HCL is returned as it is, with diagnostics.
func Format(src []byte) ([]byte, Diagnostics) {
	return FormatFile("alys.hcl", src)
}

// FormatFile is Format with the name of the file in diagnostics.
func FormatFile(name string, src []byte) ([]byte, Diagnostics) {
	s := newSources()
	if found := s.parse(name, src); found.HasErrors() {
		return src, s.finish(found)
	}
	out := bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))
	out = bytes.ReplaceAll(out, []byte("\r\n"), []byte("\n"))
	out = settle(out)
	if found := newSources().parse(name, out); found.HasErrors() {
		return src, nil // the library's formatter would have broken a text that is in order
	}
	return out, nil
}

// settle formats until nothing changes: one pass of the library may leave work for the next.
func settle(src []byte) []byte {
	for range 8 {
		next := hclwrite.Format(src)
		if len(bytes.TrimSpace(next)) > 0 {
			next = append(bytes.TrimRight(next, " \t\n"), '\n')
		}
		if bytes.Equal(next, src) {
			break
		}
		src = next
	}
	return src
}

// UpdatePin sets the checksum of a plugin block in a text and leaves everything else, comments too, as it is. It works on
// a text that Load refuses, as long as it is HCL.
func UpdatePin(src []byte, id PluginID, sum string) ([]byte, error) {
	s := newSources()
	if found := s.parse("alys.hcl", src); found.HasErrors() {
		return nil, fmt.Errorf("parse: %w", s.finish(found).Err())
	}
	b := findPlugin(s.bodies["alys.hcl"], id)
	if b == nil {
		return nil, fmt.Errorf("pin %s: %w", id, ErrNoPluginBlock)
	}
	formatted, _ := Format(src)
	out, err := pinned(src, b, sum)
	if err != nil {
		return nil, fmt.Errorf("pin %s: %w", id, err)
	}
	if bytes.Equal(formatted, src) { // keep a formatted file formatted, and leave any other alone
		out, _ = Format(out)
	}
	return out, nil
}

func findPlugin(body *hclsyntax.Body, id PluginID) *hclsyntax.Block {
	for _, b := range childrenOf(body, "plugin") {
		if len(b.Labels) == 2 && b.Labels[0] == string(id.Kind) && b.Labels[1] == id.Name {
			return b
		}
	}
	return nil
}

func pinned(src []byte, b *hclsyntax.Block, sum string) ([]byte, error) {
	value := fmt.Sprintf("%q", sum)
	if a, ok := b.Body.Attributes["checksum"]; ok {
		if _, found := a.Expr.Value(nil); found.HasErrors() {
			return nil, ErrComputedPin
		}
		return splice(src, a.Expr.Range(), value), nil
	}
	if a, ok := b.Body.Attributes["command"]; ok {
		if b.OpenBraceRange.Start.Line == b.CloseBraceRange.Start.Line {
			text := string(src[a.SrcRange.Start.Byte:a.SrcRange.End.Byte])
			return splice(src, hcl.RangeBetween(b.OpenBraceRange, b.CloseBraceRange), "{\n  "+text+"\n  checksum = "+value+"\n}"), nil
		}
		indent := src[bytes.LastIndexByte(src[:a.SrcRange.Start.Byte], '\n')+1 : a.SrcRange.Start.Byte]
		end := a.SrcRange.End
		if i := bytes.IndexByte(src[end.Byte:], '\n'); i >= 0 {
			end.Byte += i // after a comment on the same line
		}
		return splice(src, hcl.Range{Start: end, End: end}, "\n"+string(indent)+"checksum = "+value), nil
	}
	return splice(src, hcl.Range{Start: b.OpenBraceRange.End, End: b.OpenBraceRange.End}, "\n  checksum = "+value+"\n"), nil
}

func splice(src []byte, at hcl.Range, text string) []byte {
	out := append([]byte(nil), src[:at.Start.Byte]...)
	out = append(out, text...)
	return append(out, src[at.End.Byte:]...)
}
