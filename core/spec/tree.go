package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// maxDepth is how deep objects and arrays may nest in a spec file.
const maxDepth = 16

// node is a JSON value that knows where it stands in the file. json.Unmarshal gives no positions, keeps the last of
// repeated keys and stops at the first problem: an operator deserves better.
type node struct {
	line    int
	raw     []byte // the value's own bytes
	keys    []string
	members map[string]*node // of an object
	items   []*node          // of an array
	kind    byte             // '{', '[' or 'v'
}

type treeReader struct {
	data     []byte
	dec      *json.Decoder
	line     int // line of the byte at seen
	seen     int
	problems *problems
}

// readTree reads exactly one JSON value.
func readTree(data []byte, p *problems) (*node, error) {
	r := &treeReader{data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1, problems: p}
	r.dec.UseNumber()
	root, err := r.value("", 0)
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", r.lineAt(int(r.dec.InputOffset())), err)
	}
	if _, err := r.dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("line %d: text after the end of the spec", r.lineAt(int(r.dec.InputOffset())))
	}
	return root, nil
}

func (r *treeReader) value(path string, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	before := int(r.dec.InputOffset())
	tok, err := r.dec.Token()
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	start := before + bytes.IndexFunc(r.data[before:], notSeparator)
	n := &node{kind: 'v', line: r.lineAt(start)}
	if d, ok := tok.(json.Delim); ok {
		n.kind = byte(d)
		if err := r.children(n, path, depth); err != nil {
			return nil, err
		}
	}
	n.raw = r.data[start:r.dec.InputOffset()]
	return n, nil
}

func (r *treeReader) children(n *node, path string, depth int) error {
	if n.kind == '{' {
		n.members = map[string]*node{}
	}
	for r.dec.More() {
		if n.kind == '[' {
			item, err := r.value(fmt.Sprintf("%s[%d]", path, len(n.items)), depth+1)
			if err != nil {
				return err
			}
			n.items = append(n.items, item)
			continue
		}
		tok, err := r.dec.Token()
		if err != nil {
			return err
		}
		key := tok.(string) // the decoder gives nothing else for an object's key
		member, err := r.value(join(path, key), depth+1)
		if err != nil {
			return err
		}
		if _, twice := n.members[key]; twice {
			r.problems.add(member.line, join(path, key), "is given twice")
			continue
		}
		n.members[key] = member
		n.keys = append(n.keys, key)
	}
	_, err := r.dec.Token()
	return err
}

// lineAt is the line of an offset. Offsets come in ascending order.
func (r *treeReader) lineAt(offset int) int {
	if offset > r.seen {
		r.line += bytes.Count(r.data[r.seen:offset], []byte{'\n'})
		r.seen = offset
	}
	return r.line
}

func notSeparator(c rune) bool {
	switch c {
	case ' ', '\t', '\r', '\n', ',', ':':
		return false
	}
	return true
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
